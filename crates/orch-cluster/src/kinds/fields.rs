//! What field selectors can ask of each kind, besides the name and the namespace, which they can ask of all.

use orch_core::object::Document;
use serde_json::Value;

/// A field that a field selector may name, and how its value is read.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// As in the selector: `spec.nodeName`.
    pub name: &'static str,
    /// Where the value is, the first that is not empty.
    paths: &'static [&'static str],
    /// The value of an object that does not say.
    unset: &'static str,
}

impl Field {
    const fn new(name: &'static str, paths: &'static [&'static str]) -> Self {
        Self {
            name,
            paths,
            unset: "",
        }
    }

    const fn or(name: &'static str, paths: &'static [&'static str], unset: &'static str) -> Self {
        Self { name, paths, unset }
    }

    /// The field's value, empty if it has none: what a selector compares with.
    pub fn value(&self, document: &Document) -> String {
        let values = self
            .paths
            .iter()
            .filter_map(|path| document.lookup(path).map(text));
        values
            .into_iter()
            .find(|value| !value.is_empty())
            .unwrap_or_else(|| self.unset.to_owned())
    }
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        // The first of several addresses stands for them.
        Value::Array(list) => match list.into_iter().next() {
            Some(Value::Object(first)) => first
                .get("ip")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            _ => String::new(),
        },
        other => other.to_string(),
    }
}

pub(super) const POD: &[Field] = &[
    Field::new("spec.nodeName", &["spec.nodeName"]),
    Field::new("spec.restartPolicy", &["spec.restartPolicy"]),
    Field::new("spec.schedulerName", &["spec.schedulerName"]),
    Field::new("spec.serviceAccountName", &["spec.serviceAccountName"]),
    Field::or("spec.hostNetwork", &["spec.hostNetwork"], "false"),
    Field::new("status.phase", &["status.phase"]),
    Field::new("status.podIP", &["status.podIPs", "status.podIP"]),
    Field::new("status.podIPs", &["status.podIPs", "status.podIP"]),
    Field::new("status.nominatedNodeName", &["status.nominatedNodeName"]),
];

pub(super) const NODE: &[Field] = &[Field::or("spec.unschedulable", &["spec.unschedulable"], "false")];

pub(super) const NAMESPACE: &[Field] = &[
    Field::new("name", &["metadata.name"]),
    Field::new("status.phase", &["status.phase"]),
];

pub(super) const SECRET: &[Field] = &[Field::new("type", &["type"])];

/// Of ReplicaSets and ReplicationControllers.
pub(super) const REPLICA_SET: &[Field] = &[Field::or("status.replicas", &["status.replicas"], "0")];

pub(super) const EVENT: &[Field] = &[
    Field::new("involvedObject.kind", &["involvedObject.kind"]),
    Field::new("involvedObject.namespace", &["involvedObject.namespace"]),
    Field::new("involvedObject.name", &["involvedObject.name"]),
    Field::new("involvedObject.uid", &["involvedObject.uid"]),
    Field::new("involvedObject.apiVersion", &["involvedObject.apiVersion"]),
    Field::new(
        "involvedObject.resourceVersion",
        &["involvedObject.resourceVersion"],
    ),
    Field::new("involvedObject.fieldPath", &["involvedObject.fieldPath"]),
    Field::new("reason", &["reason"]),
    Field::new("reportingComponent", &["reportingComponent"]),
    Field::new("source", &["source.component", "reportingComponent"]),
    Field::new("type", &["type"]),
];

pub(super) const SERVICE: &[Field] = &[
    Field::new("spec.clusterIP", &["spec.clusterIP"]),
    Field::new("spec.type", &["spec.type"]),
];

pub(super) const PERSISTENT_VOLUME: &[Field] = &[Field::new("name", &["metadata.name"])];

pub(super) const CERTIFICATE_REQUEST: &[Field] = &[Field::new("spec.signerName", &["spec.signerName"])];

pub(super) const JOB: &[Field] = &[Field::or("status.successful", &["status.succeeded"], "0")];
