//! What a pod's writer may not write: its status, and how fast it goes.

use serde_json::Value;

use super::resources::qos_class_of;
use crate::kinds::raw::{self, Raw, child, text};

/// Makes a new pod Pending, of the quality of service its resources give it; a status that was sent is dropped.
pub fn prepare_create(pod: &mut Raw) {
    let class = child(pod, "spec").map_or("BestEffort", |spec| qos_class_of(spec).as_str());
    pod.insert(
        "status".to_owned(),
        serde_json::json!({"phase": "Pending", "qosClass": class}),
    );
}

/// Keeps the status: only the status subresource writes it.
pub fn prepare_update(new: &mut Raw, old: &Raw) {
    raw::keep(new, old, "status");
}

/// Keeps the spec and the owners, which old node agents are known to have broken, for a write of the status.
pub fn prepare_status_update(new: &mut Raw, old: &Raw) {
    raw::keep(new, old, "spec");
    if let (Some(new), Some(old)) = (raw::child_mut(new, "metadata"), child(old, "metadata")) {
        raw::keep(new, old, "ownerReferences");
    }
}

/// How many seconds a pod gets to end, when its deletion asks for `requested` or says nothing.
///
/// None at all if no node runs it, or if it has ended. A negative period is the shortest, one second.
pub fn deletion_grace(pod: &Raw, requested: Option<i64>) -> i64 {
    let none = Raw::new();
    let spec = child(pod, "spec").unwrap_or(&none);
    let phase = child(pod, "status").map_or("", |status| text(status, "phase"));
    if text(spec, "nodeName").is_empty() || matches!(phase, "Failed" | "Succeeded") {
        return 0;
    }
    let own = || spec.get("terminationGracePeriodSeconds").and_then(Value::as_i64);
    match requested.or_else(own).unwrap_or(0) {
        seconds if seconds < 0 => 1,
        seconds => seconds,
    }
}
