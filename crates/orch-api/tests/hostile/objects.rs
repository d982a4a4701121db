//! Good objects, of which bad ones are made.

use serde_json::{Value, json};

/// The path of a kind's name.
pub(crate) fn plural(kind: &str) -> Option<String> {
    let known = all().into_iter().any(|object| object["kind"] == kind);
    known.then(|| match kind {
        "Ingress" => "ingresses".to_owned(),
        "NetworkPolicy" => "networkpolicies".to_owned(),
        "StorageClass" | "PriorityClass" => format!("{}es", kind.to_lowercase()),
        kind => format!("{}s", kind.to_lowercase()),
    })
}

/// Where objects like this one are made.
pub(crate) fn collection(object: &Value) -> String {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let root = if version.contains('/') { "apis" } else { "api" };
    let kind = object["kind"].as_str().unwrap_or_default();
    let is_everywhere = [
        "Namespace",
        "Node",
        "CustomResourceDefinition",
        "PriorityClass",
        "StorageClass",
    ]
    .contains(&kind)
        || kind.starts_with("ClusterRole")
        || kind.ends_with("WebhookConfiguration");
    let namespace = if is_everywhere { "" } else { "namespaces/default/" };
    format!(
        "/{root}/{version}/{namespace}{}",
        plural(kind).unwrap_or_default()
    )
}

/// One of each kind, in the order in which they can be made.
pub(crate) fn all() -> Vec<Value> {
    let template = json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {
            "containers": [{
                "name": "c", "image": "i", "args": ["a"], "env": [{"name": "A", "value": "b"}],
                "ports": [{"containerPort": 80}], "resources": {"requests": {"cpu": "100m", "memory": "1Mi"}},
                "volumeMounts": [{"name": "v", "mountPath": "/v"}],
                "livenessProbe": {"httpGet": {"path": "/", "port": 80}},
            }],
            "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}],
            "tolerations": [{"key": "k", "operator": "Exists"}],
        },
    });
    let selector = json!({"matchLabels": {"app": "web"}});
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "required": ["size"], "properties": {
            "size": {"type": "integer", "minimum": 0, "default": 1},
            "names": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]*$"}, "x-kubernetes-list-type": "set"},
        }, "x-kubernetes-validations": [{"rule": "self.size < 100 || !has(self.names)", "message": "too large"}]},
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }});
    let mut pod = template["spec"].clone();
    pod["restartPolicy"] = json!("Never");
    let mut once = template.clone();
    once["spec"]["restartPolicy"] = json!("Never");
    vec![
        object("v1", "Namespace", json!({})),
        object(
            "v1",
            "ConfigMap",
            json!({"data": {"key": "value"}, "binaryData": {"b": "AAE="}}),
        ),
        object(
            "v1",
            "Secret",
            json!({"stringData": {"key": "value"}, "type": "Opaque"}),
        ),
        object("v1", "Pod", json!({"spec": pod})),
        object(
            "v1",
            "Service",
            json!({"spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}}),
        ),
        object("v1", "ServiceAccount", json!({})),
        object(
            "v1",
            "Node",
            json!({"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}),
        ),
        object(
            "v1",
            "PersistentVolumeClaim",
            json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}),
        ),
        object("v1", "ResourceQuota", json!({"spec": {"hard": {"pods": "10"}}})),
        object(
            "apps/v1",
            "Deployment",
            json!({"spec": {"selector": selector, "template": template}}),
        ),
        object(
            "apps/v1",
            "StatefulSet",
            json!({"spec": {"serviceName": "s", "selector": selector, "template": template}}),
        ),
        object(
            "batch/v1",
            "Job",
            json!({"spec": {"template": once, "completions": 2, "completionMode": "Indexed"}}),
        ),
        object(
            "batch/v1",
            "CronJob",
            json!({"spec": {"schedule": "*/5 * * * *", "timeZone": "Europe/Berlin", "jobTemplate": {"spec": {"template": once}}}}),
        ),
        object(
            "policy/v1",
            "PodDisruptionBudget",
            json!({"spec": {"minAvailable": "50%", "selector": selector}}),
        ),
        object(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            json!({"spec": {
                "maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "one"},
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}],
            }}),
        ),
        object(
            "networking.k8s.io/v1",
            "Ingress",
            json!({"spec": {"rules": [{"host": "a.example.com", "http": {"paths": [{
                "path": "/", "pathType": "Prefix", "backend": {"service": {"name": "s", "port": {"number": 80}}},
            }]}}]}}),
        ),
        object(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            json!({"spec": {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]}}),
        ),
        object(
            "rbac.authorization.k8s.io/v1",
            "ClusterRole",
            json!({"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}),
        ),
        object("scheduling.k8s.io/v1", "PriorityClass", json!({"value": 10})),
        object(
            "storage.k8s.io/v1",
            "StorageClass",
            json!({"provisioner": "example.com/p"}),
        ),
        object(
            "admissionregistration.k8s.io/v1",
            "ValidatingWebhookConfiguration",
            json!({"webhooks": [{
                "name": "a.example.com", "clientConfig": {"url": "https://example.com"}, "sideEffects": "None",
                "admissionReviewVersions": ["v1"], "failurePolicy": "Ignore",
                "rules": [{"operations": ["CREATE"], "apiGroups": ["x"], "apiVersions": ["v1"], "resources": ["y"]}],
            }]}),
        ),
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "tabs.example.com"}, "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "tabs", "kind": "Tab", "shortNames": ["t"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}},
                "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
            }],
        }}),
        object(
            "example.com/v1",
            "Tab",
            json!({"spec": {"size": 3, "names": ["a", "b"]}}),
        ),
    ]
}

fn object(version: &str, kind: &str, rest: Value) -> Value {
    let mut object =
        json!({"apiVersion": version, "kind": kind, "metadata": {"name": "one", "labels": {"app": "web"}}});
    if let (Value::Object(object), Value::Object(rest)) = (&mut object, rest) {
        object.extend(rest);
    }
    object
}
