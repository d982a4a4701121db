//! Remembers the specs of pods that were found good, so that the pods of a workload are not each judged anew.

use std::collections::VecDeque;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use orch_core::object::{Document, FieldErrors};
use parking_lot::RwLock;
use serde::Deserialize;
use serde_json::Value;

use super::app_armor;
use super::validate::{MIRROR_ANNOTATION, validate};
use crate::kinds::decode;
use crate::kinds::meta::{self, NameRule};

/// Specs remembered; more workloads than this that grow at the same time take turns.
const SPECS: usize = 16;

/// Length of the longest spec that is remembered, in bytes of JSON.
const LONGEST: usize = 16 << 10;

static ACCEPTED: RwLock<VecDeque<Arc<str>>> = RwLock::new(VecDeque::new());

/// The metadata of a pod, of which the rest is known to be good.
#[derive(Deserialize)]
struct Head {
    metadata: ObjectMeta,
}

/// Validates a new pod, its defaults filled; the result is that of decoding it and calling [`validate`].
pub fn validate_new(pod: &Document) -> FieldErrors {
    let spec = pod.field("spec");
    if let Some(spec) = spec
        && ACCEPTED.read().iter().any(|accepted| **accepted == *spec)
        && let Ok(head) = serde_json::from_slice::<Head>(pod.stored())
        && !is_judged_with(&head.metadata)
        && is_new(pod)
    {
        return meta::validate(&head.metadata, true, NameRule::Subdomain);
    }
    let typed: Arc<Pod> = match decode::typed(pod) {
        Ok(typed) => typed,
        Err(errors) => return errors,
    };
    let errors = validate(&typed);
    if errors.is_empty()
        && let Some(spec) = spec.filter(|spec| spec.len() <= LONGEST)
        && typed.spec.as_ref().is_some_and(stands_alone)
    {
        let mut accepted = ACCEPTED.write();
        accepted.truncate(SPECS - 1);
        accepted.push_front(spec.into());
    }
    errors
}

/// Whether the spec is judged together with the annotations: that of a mirror pod is, and of one that asks for AppArmor in them.
fn is_judged_with(meta: &ObjectMeta) -> bool {
    let is_mirror = meta
        .annotations
        .as_ref()
        .is_some_and(|annotations| annotations.contains_key(MIRROR_ANNOTATION));
    is_mirror || app_armor::has_annotations(meta)
}

/// Whether the status is the one that every new pod is given, and so decodes.
fn is_new(pod: &Document) -> bool {
    let Some(status) = pod.field("status") else {
        return true;
    };
    match serde_json::from_str(status) {
        Ok(Value::Object(status)) => {
            let mut fields = status.iter();
            fields.all(|(name, value)| matches!(name.as_str(), "phase" | "qosClass") && value.is_string())
        }
        _ => false,
    }
}

/// Whether a spec can be judged without its pod's name.
fn stands_alone(spec: &PodSpec) -> bool {
    !spec
        .volumes
        .iter()
        .flatten()
        .any(|volume| volume.ephemeral.is_some())
}
