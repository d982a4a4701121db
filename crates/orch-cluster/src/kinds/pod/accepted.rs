//! Remembers the specs of pods that were found good, so that the pods of a workload are not each judged anew.

use std::collections::VecDeque;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use orch_core::object::FieldErrors;
use parking_lot::RwLock;
use serde::Deserialize;
use serde_json::Value;

use super::validate::{MIRROR_ANNOTATION, validate};
use crate::kinds::decode;
use crate::kinds::meta::{self, NameRule};
use crate::kinds::raw::{Raw, child, items};

/// Specs remembered; more workloads than this that grow at the same time take turns.
const SPECS: usize = 16;

/// Values in the largest spec that is remembered.
const VALUES: usize = 1024;

static ACCEPTED: RwLock<VecDeque<Arc<Raw>>> = RwLock::new(VecDeque::new());

/// The metadata of a pod, of which the rest is known to be good.
#[derive(Deserialize)]
struct Head {
    metadata: ObjectMeta,
}

/// Validates a raw new pod, its defaults filled; the result is that of decoding it and calling [`validate`].
pub fn validate_raw(pod: &Raw) -> FieldErrors {
    if let Some(spec) = child(pod, "spec")
        && ACCEPTED.read().iter().any(|accepted| **accepted == *spec)
        && let Ok(head) = Head::deserialize(pod)
        && !is_mirror(&head.metadata)
        && is_new(pod)
    {
        return meta::validate(&head.metadata, true, NameRule::Subdomain);
    }
    let typed: Pod = match decode::decode(pod) {
        Ok(typed) => typed,
        Err(error) => return error.into(),
    };
    let errors = validate(&typed);
    if errors.is_empty()
        && let Some(spec) = child(pod, "spec")
        && stands_alone(spec)
    {
        let mut accepted = ACCEPTED.write();
        accepted.truncate(SPECS - 1);
        accepted.push_front(Arc::new(spec.clone()));
    }
    errors
}

/// A mirror pod's spec is judged together with its annotations.
fn is_mirror(meta: &ObjectMeta) -> bool {
    meta.annotations
        .as_ref()
        .is_some_and(|annotations| annotations.contains_key(MIRROR_ANNOTATION))
}

/// Whether the status is the one that every new pod is given, and so decodes.
fn is_new(pod: &Raw) -> bool {
    match pod.get("status") {
        None => true,
        Some(Value::Object(status)) => {
            let mut fields = status.iter();
            fields.all(|(name, value)| matches!(name.as_str(), "phase" | "qosClass") && value.is_string())
        }
        Some(_) => false,
    }
}

/// Whether a spec can be judged without its pod's name, and is worth remembering.
fn stands_alone(spec: &Raw) -> bool {
    let mut left = VALUES;
    !items(spec, "volumes").any(|volume| volume.contains_key("ephemeral"))
        && spec.values().all(|value| count(value, &mut left))
}

fn count(value: &Value, left: &mut usize) -> bool {
    if *left == 0 {
        return false;
    }
    *left -= 1;
    match value {
        Value::Array(list) => list.iter().all(|value| count(value, left)),
        Value::Object(map) => map.values().all(|value| count(value, left)),
        // A long text counts as many.
        Value::String(text) => {
            *left = left.saturating_sub(text.len() / 64);
            true
        }
        _ => true,
    }
}
