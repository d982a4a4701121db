//! What a pod's writer may not write: its status, its node, and how fast it goes.

use orch_core::client::{SubresourceWrite, Wanted};
use orch_core::object::names;
use orch_core::object::{Document, DocumentError, FieldError, FieldErrors, FieldPath, with_member};
use serde_json::{Value, json};

use crate::kinds::raw::Raw;

/// Makes a new pod Pending; a status that was sent is dropped.
pub fn prepare_create(pod: &mut Raw) {
    pod.insert("status".to_owned(), json!({"phase": "Pending"}));
}

/// Writes the subresource `binding`: the pod's node, and with it the condition PodScheduled.
///
/// Once bound, a pod stays where it is; binding it again to the same node changes nothing.
pub fn bind(wanted: Wanted<'_>, old: &Document) -> SubresourceWrite {
    let at = FieldPath::new("spec").child("nodeName");
    let node = wanted.value("spec.nodeName", old);
    let bound = old.lookup("spec.nodeName").unwrap_or_default();
    let bound = bound.as_str().unwrap_or_default();
    check_binding(&at, node.as_str().unwrap_or_default(), bound, old)?;
    if !bound.is_empty() {
        return Ok(Vec::new());
    }
    let broken = |error: DocumentError| FieldError::invalid(&at, "", error.to_string());
    let spec = with_member(old.field("spec").unwrap_or("{}"), "nodeName", &node).map_err(broken)?;
    let status = old.field("status").unwrap_or("{}");
    let conditions = Value::Array(scheduled(old.lookup("status.conditions")));
    let status = with_member(status, "conditions", &conditions).map_err(broken)?;
    Ok(vec![("spec", spec), ("status", status)])
}

fn check_binding(at: &FieldPath, node: &str, bound: &str, old: &Document) -> Result<(), FieldErrors> {
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
    let is_gated = || {
        let gates = old.lookup("spec.schedulingGates");
        gates.is_some_and(|gates| gates.as_array().is_some_and(|gates| !gates.is_empty()))
    };
    let detail = if !bound.is_empty() {
        format!("pod is already assigned to node {bound:?}")
    } else if old.meta().is_deleting() {
        "pod is being deleted, cannot be assigned to a host".to_owned()
    } else if is_gated() {
        "pod has non-empty .spec.schedulingGates".to_owned()
    } else {
        return Ok(());
    };
    Err(FieldError::forbidden(at, detail).into())
}

/// A pod's conditions with PodScheduled true.
fn scheduled(conditions: Option<Value>) -> Vec<Value> {
    let now = orch_core::time::now().as_second();
    let now = jiff::Timestamp::from_second(now).map_or(Value::Null, |now| now.to_string().into());
    let mut conditions = match conditions {
        Some(Value::Array(conditions)) => conditions,
        _ => Vec::new(),
    };
    conditions.retain(|condition| condition["type"] != "PodScheduled");
    conditions.push(json!({"type": "PodScheduled", "status": "True", "lastTransitionTime": now}));
    conditions
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
