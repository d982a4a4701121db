//! The form in which the end states of clusters are compared.

use orch_core::object::Document;
use serde_json::{Map, Value, json};

/// What of the status counts, whatever the kind.
const STATUS: [&str; 6] = [
    "phase",
    "replicas",
    "updatedReplicas",
    "readyReplicas",
    "availableReplicas",
    "unavailableReplicas",
];

/// An object as two runs of one scenario must have it alike: kind, names, labels, owners, spec, and of the status the
/// phase, counts and conditions. Leases and Events are left out, and of Pods where they run: another node is as good.
pub fn normal(document: &Document) -> Option<String> {
    if matches!(document.kind(), "Lease" | "Event") {
        return None;
    }
    let object = document.to_raw().ok()?;
    let meta = document.meta();
    let name = match &meta.generate_name {
        Some(base) => format!("{base}*"),
        None => meta.name.clone(),
    };
    let owners = meta.owner_references.iter();
    let mut spec = object.get("spec").cloned().unwrap_or_default();
    if let Value::Object(spec) = &mut spec {
        spec.remove("nodeName");
        let taints = spec.get_mut("taints").and_then(Value::as_array_mut);
        let taints = taints.into_iter().flatten().filter_map(Value::as_object_mut);
        taints.for_each(|taint| drop(taint.remove("timeAdded")));
    }
    let mut form = json!({
        "kind": document.kind(),
        "namespace": meta.namespace,
        "name": name,
        "labels": meta.labels,
        "owners": owners.map(|owner| format!("{} {}", owner.kind, owner.name)).collect::<Vec<_>>(),
        "deleting": meta.deletion_timestamp.is_some().then_some(true),
        "spec": spec,
        "data": object.get("data"),
        "status": status(object.get("status").and_then(Value::as_object)),
    });
    prune(&mut form);
    Some(form.to_string())
}

/// The same for runs that came the one way or the other: what a Deployment keeps of its past, empty ReplicaSets, is left
/// out, for [`History`](super::History) to judge, and so is the hash in names and labels, which differs when a name had
/// been taken.
pub fn normal_of_states(document: &Document) -> Option<String> {
    if document.kind() == "ReplicaSet" && !document.meta().owner_references.is_empty() {
        let object = document.to_raw().ok()?;
        let replicas = object.get("spec").and_then(|spec| spec.get("replicas"));
        if replicas.is_some_and(|replicas| replicas == 0) {
            return None;
        }
    }
    let form = normal(document)?;
    Some(match document.meta().labels.get("pod-template-hash") {
        Some(hash) if !hash.is_empty() => form.replace(&**hash, "HASH"),
        _ => form,
    })
}

/// Takes away what is empty, which says the same as what is not there; whether nothing is left.
fn prune(value: &mut Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => {
            fields.retain(|_, value| !prune(value));
            fields.is_empty()
        }
        Value::Array(items) => {
            // Places in a list count.
            for item in items.iter_mut() {
                prune(item);
            }
            items.is_empty()
        }
        _ => false,
    }
}

fn status(status: Option<&Map<String, Value>>) -> Value {
    let Some(status) = status else {
        return Value::Null;
    };
    let mut form: Map<String, Value> = STATUS
        .iter()
        .filter_map(|field| Some(((*field).to_owned(), status.get(*field)?.clone())))
        .collect();
    let conditions = status.get("conditions").and_then(Value::as_array);
    let mut conditions: Vec<String> = conditions
        .into_iter()
        .flatten()
        .map(|condition| format!("{}={}", condition["type"], condition["status"]))
        .collect();
    conditions.sort_unstable();
    form.insert("conditions".to_owned(), conditions.into());
    form.into()
}
