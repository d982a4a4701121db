//! The ReplicaSet for a pod template: its name, its labels, and what to do when the name is taken.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};

use super::sets::same_template;
use crate::controllers::Labels;
use crate::controllers::claim::controller_uid;

/// The label that keeps the pods of two sets of one Deployment apart.
pub(super) const HASH_LABEL: &str = "pod-template-hash";

/// A set for the Deployment's present template with `replicas` pods. Its revision and size annotations are
/// `annotations`.
pub(super) fn new_set(deployment: &Deployment, replicas: i32, annotations: Labels) -> ReplicaSet {
    let spec = deployment.spec.clone();
    let owner = &deployment.metadata;
    let collisions = deployment
        .status
        .as_ref()
        .and_then(|status| status.collision_count);
    let hash = template_hash(&spec.template, collisions.unwrap_or(0));

    let mut template = spec.template;
    let template_meta = template.metadata.get_or_insert_default();
    let labels = template_meta.labels.get_or_insert_default();
    labels.insert(HASH_LABEL.to_owned(), hash.clone());
    let labels = labels.clone();

    let mut selector: LabelSelector = spec.selector;
    let match_labels = selector.match_labels.get_or_insert_default();
    match_labels.insert(HASH_LABEL.to_owned(), hash.clone());

    ReplicaSet {
        metadata: ObjectMeta {
            name: Some(set_name(owner.name.as_deref().unwrap_or_default(), &hash)),
            namespace: owner.namespace.clone(),
            labels: Some(labels),
            annotations: Some(annotations),
            owner_references: Some(vec![owner_reference(deployment)]),
            ..ObjectMeta::default()
        },
        spec: ReplicaSetSpec {
            replicas: Some(replicas),
            min_ready_seconds: spec.min_ready_seconds,
            selector,
            template: Some(template),
        },
        status: None,
    }
}

/// The reference that makes a Deployment the controller of a set.
pub(crate) fn owner_reference(deployment: &Deployment) -> OwnerReference {
    OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        name: deployment.metadata.name.clone().unwrap_or_default(),
        uid: deployment.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// `NAME-HASH`, cut in the name's part so that it stays a valid object name (253 bytes).
fn set_name(deployment: &str, hash: &str) -> String {
    let room = 253 - 1 - hash.len();
    let kept = deployment.get(..room).unwrap_or(deployment);
    format!("{}-{hash}", kept.trim_end_matches(['-', '.']))
}

/// What to do when the new set's name is taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NameTaken {
    /// It is the very set that was to be created: an earlier reconcile was cut short, or the cache was old.
    Ours,
    /// Another set has the name: raise `status.collisionCount` to this and try again.
    Collision(i32),
}

/// Judges the `existing` set that bears the name of the one to be created.
pub(crate) fn name_taken(deployment: &Deployment, existing: &ReplicaSet) -> NameTaken {
    let owner = controller_uid(existing.metadata.owner_references.as_deref());
    let ours = owner.is_some() && owner == deployment.metadata.uid.as_deref();
    let wanted = &deployment.spec.template;
    let template = existing.spec.template.as_ref();
    match template {
        Some(template) if ours && same_template(template, wanted) => NameTaken::Ours,
        _ => {
            let count = deployment
                .status
                .as_ref()
                .and_then(|status| status.collision_count);
            NameTaken::Collision(count.unwrap_or(0).saturating_add(1))
        }
    }
}

/// A short hash of a template: FNV-1a (32 bits) of its JSON and the collision count, in Kubernetes' alphabet.
///
/// Sets are found again by comparing templates, never by hash, so a change of this function makes no set anew.
fn template_hash(template: &PodTemplateSpec, collisions: i32) -> String {
    let json = serde_json::to_vec(template).expect("a pod template has only string keys");
    let mut hash: u32 = 0x811c_9dc5;
    let mut feed = |byte: u8| hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    json.iter().copied().for_each(&mut feed);
    if collisions > 0 {
        collisions.to_le_bytes().into_iter().for_each(&mut feed);
    }
    safe_encode(&hash.to_string())
}

/// Kubernetes' `SafeEncodeString`: an alphabet that spells no word.
fn safe_encode(text: &str) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    text.bytes()
        .map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]))
        .collect()
}
