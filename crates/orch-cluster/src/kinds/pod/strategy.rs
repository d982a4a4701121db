//! What a pod's writer may not write: its status, its node, and how fast it goes.

use orch_core::object::Document;
use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath};
use serde_json::{Value, json};

use crate::kinds::raw::{self, Raw, child, child_or_new, default_value, is_unset, text};

/// Makes a new pod Pending; a status that was sent is dropped.
pub fn prepare_create(pod: &mut Raw) {
    pod.insert("status".to_owned(), json!({"phase": "Pending"}));
}

/// Writes the subresource `binding`: the pod's node, and with it the condition PodScheduled.
///
/// Once bound, a pod stays where it is; binding it again to the same node changes nothing.
pub fn bind(pod: &mut Raw, old: &Raw) -> FieldErrors {
    raw::restore_all_but(pod, old, "spec");
    let none = Raw::new();
    let old_spec = child(old, "spec").unwrap_or(&none);
    let at = FieldPath::new("spec").child("nodeName");
    let Some(spec) = child_or_new(pod, "spec") else {
        return FieldError::required(&at, "").into();
    };
    raw::restore_all_but(spec, old_spec, "nodeName");
    let (node, bound) = (text(spec, "nodeName"), text(old_spec, "nodeName"));
    if let Err(error) = check_binding(&at, node, bound, old) {
        return error;
    }
    if bound.is_empty() {
        set_scheduled(pod);
    }
    FieldErrors::default()
}

fn check_binding(at: &FieldPath, node: &str, bound: &str, old: &Raw) -> Result<(), FieldErrors> {
    if node.is_empty() {
        return Err(FieldError::required(at, "").into());
    }
    let wrong = names::dns_subdomain(node);
    if !wrong.is_empty() {
        return Err(wrong
            .into_iter()
            .map(|wrong| FieldError::invalid(at, node, wrong))
            .collect());
    }
    if bound == node {
        return Ok(());
    }
    let is_deleting = child(old, "metadata").is_some_and(|metadata| !is_unset(metadata, "deletionTimestamp"));
    let is_gated =
        child(old, "spec").is_some_and(|spec| raw::items(spec, "schedulingGates").next().is_some());
    let detail = if !bound.is_empty() {
        format!("pod is already assigned to node {bound:?}")
    } else if is_deleting {
        "pod is being deleted, cannot be assigned to a host".to_owned()
    } else if is_gated {
        "pod has non-empty .spec.schedulingGates".to_owned()
    } else {
        return Ok(());
    };
    Err(FieldError::forbidden(at, detail).into())
}

fn set_scheduled(pod: &mut Raw) {
    let now = orch_core::time::now().as_second();
    let now = jiff::Timestamp::from_second(now).map_or(Value::Null, |now| now.to_string().into());
    let condition = json!({"type": "PodScheduled", "status": "True", "lastTransitionTime": now});
    let Some(status) = child_or_new(pod, "status") else {
        return;
    };
    default_value(status, "conditions", Vec::<Value>::new());
    if let Some(conditions) = status.get_mut("conditions").and_then(Value::as_array_mut) {
        conditions.retain(|condition| condition["type"] != "PodScheduled");
        conditions.push(condition);
    }
}

/// How many seconds a pod gets to end, when its deletion asks for `requested` or says nothing.
///
/// None at all if no node runs it, or if it has ended.
pub fn deletion_grace(pod: &Document, requested: Option<u64>) -> u64 {
    let field = |path| pod.lookup(path).unwrap_or_default();
    let is_bound = field("spec.nodeName")
        .as_str()
        .is_some_and(|node| !node.is_empty());
    let has_ended = matches!(field("status.phase").as_str(), Some("Failed" | "Succeeded"));
    if !is_bound || has_ended {
        return 0;
    }
    requested.unwrap_or_else(|| match field("spec.terminationGracePeriodSeconds").as_i64() {
        Some(seconds) => u64::try_from(seconds).unwrap_or(1), // a negative period is the shortest
        None => 0,
    })
}
