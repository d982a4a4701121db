//! What is applied, and who owns it then.

use http::StatusCode;
use serde_json::{Value, json};

use super::Http;

pub(crate) const APPLY: &str = "application/apply-patch+yaml";
pub(crate) const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

pub(crate) async fn apply(api: &Http, path: &str, manager: &str, config: &Value) -> (StatusCode, Value) {
    let join = if path.contains('?') { '&' } else { '?' };
    let path = format!("{path}{join}fieldManager={manager}");
    api.ask("PATCH", &path, Some((APPLY, &config.to_string()))).await
}

/// Who owns what, an entry a line: `alice Apply: f:data={f:a}`, without braces of leaves and quotation marks.
pub(crate) fn owners(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array();
    let line = |entry: &Value| {
        assert_eq!(entry["fieldsType"], "FieldsV1");
        assert!(
            entry["time"].is_string() && entry["apiVersion"].is_string(),
            "{entry}"
        );
        let subresource = entry["subresource"].as_str().map(|name| format!(" of {name}"));
        let fields = entry["fieldsV1"].to_string();
        let fields = fields.replace(":{}", "").replace(['"', '\\'], "");
        let (manager, operation) = (&entry["manager"], &entry["operation"]);
        format!(
            "{} {}{}: {fields}",
            manager.as_str().unwrap_or_default(),
            operation.as_str().unwrap_or_default(),
            subresource.unwrap_or_default()
        )
    };
    entries.into_iter().flatten().map(line).collect()
}

pub(crate) fn config(data: Value) -> Value {
    // As kubectl and client-go send it.
    let metadata = json!({ "name": "a", "creationTimestamp": null });
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data })
}

pub(crate) fn deployment(labels: &Value, containers: Value) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "labels": labels },
        "spec": { "replicas": 0, "selector": { "matchLabels": { "app": "web" } },
            "template": { "metadata": { "labels": { "app": "web" } }, "spec": { "containers": containers } } } })
}
