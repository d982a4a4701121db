//! What a pod's writer may not write: its status, its node, and how fast it goes.

use std::borrow::Cow;

use orch_core::client::{SubresourceWrite, Wanted};
use orch_core::object::names;
use orch_core::object::{Document, DocumentError, FieldError, FieldErrors, FieldPath, Members};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::app_armor;
use crate::kinds::raw::Raw;

/// Makes a new pod Pending; a status that was sent is dropped. AppArmor annotations become fields.
pub fn prepare_create(pod: &mut Raw) {
    app_armor::copy_annotations(pod);
    pod.insert("status".to_owned(), json!({"phase": "Pending"}));
}

/// Writes the subresource `binding`: the pod's node, and with it the condition PodScheduled.
///
/// Once bound, a pod stays where it is; binding it again to the same node changes nothing.
pub fn bind(wanted: Wanted<'_>, old: &Document) -> SubresourceWrite {
    let node = wanted.value("spec.nodeName", old);
    let spec = members(old, "spec")?;
    let bound: Cow<'_, str> = spec.get("nodeName").and_then(read).unwrap_or_default();
    check_binding(node.as_str().unwrap_or_default(), &bound, &spec, old)?;
    if !bound.is_empty() {
        return Ok(Vec::new());
    }
    let status = members(old, "status")?;
    let conditions = Value::Array(scheduled(status.get("conditions").and_then(read)));
    let spec = spec.with("nodeName", &node).map_err(broken("spec"))?;
    let status = status.with("conditions", &conditions).map_err(broken("status"))?;
    Ok(vec![("spec", spec), ("status", status)])
}

fn members<'d>(pod: &'d Document, field: &'static str) -> Result<Members<'d>, FieldErrors> {
    Ok(Members::parse(pod.field(field).unwrap_or("{}")).map_err(broken(field))?)
}

fn broken(field: &'static str) -> impl Fn(DocumentError) -> FieldError {
    move |error| FieldError::invalid(&FieldPath::new(field), "", error.to_string())
}

/// A stored value; none if it is of another type, which none can be that was validated.
fn read<'j, T: Deserialize<'j>>(json: &'j str) -> Option<T> {
    serde_json::from_str(json).ok()
}

fn check_binding(node: &str, bound: &str, spec: &Members<'_>, old: &Document) -> Result<(), FieldErrors> {
    let at = FieldPath::new("spec").child("nodeName");
    if node.is_empty() {
        return Err(FieldError::required(&at, "").into());
    }
    let wrong = names::dns_subdomain(node);
    if !wrong.is_empty() {
        return Err(wrong
            .into_iter()
            .map(|wrong| FieldError::invalid(&at, node, wrong))
            .collect());
    }
    if bound == node {
        return Ok(());
    }
    let is_gated = || {
        let gates: Option<Vec<IgnoredAny>> = spec.get("schedulingGates").and_then(read);
        gates.is_some_and(|gates| !gates.is_empty())
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
    Err(FieldError::forbidden(&at, detail).into())
}

/// A pod's conditions with PodScheduled true.
fn scheduled(conditions: Option<Vec<Value>>) -> Vec<Value> {
    let now = orch_core::time::now().as_second();
    let now = jiff::Timestamp::from_second(now).map_or(Value::Null, |now| now.to_string().into());
    let mut conditions = conditions.unwrap_or_default();
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
