//! StatefulSets: their defaults, and what Kubernetes refuses of them.

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetStatus};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaimSpec, PersistentVolumeClaimVolumeSource, PodTemplateSpec, Volume,
};
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use crate::kinds::core::{default_claim, validate_claim_spec};
use crate::kinds::meta::{self, NameRule};
use crate::kinds::raw::{Raw, child_mut, child_or_new, default_text, default_value, items_mut, text};
use crate::kinds::{check, pod, same, workload};

/// Fills a StatefulSet: one replica, its pods one after the other, claims that outlive it, ten old revisions kept, and
/// the defaults of its templates.
pub(super) fn default(stateful_set: &mut Raw) {
    let Some(spec) = child_or_new(stateful_set, "spec") else {
        return;
    };
    default_text(spec, "podManagementPolicy", "OrderedReady");
    default_value(spec, "replicas", 1);
    default_value(spec, "revisionHistoryLimit", 10);
    if let Some(strategy) = child_or_new(spec, "updateStrategy") {
        default_text(strategy, "type", "RollingUpdate");
        if text(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = child_or_new(strategy, "rollingUpdate")
        {
            default_value(rolling, "partition", 0);
        }
    }
    if let Some(policy) = child_or_new(spec, "persistentVolumeClaimRetentionPolicy") {
        default_text(policy, "whenDeleted", "Retain");
        default_text(policy, "whenScaled", "Retain");
    }
    if let Some(template) = child_mut(spec, "template") {
        pod::default_template(template);
    }
    for claim in items_mut(spec, "volumeClaimTemplates") {
        default_text(claim, "apiVersion", "v1");
        default_text(claim, "kind", "PersistentVolumeClaim");
        default_claim(claim);
        if let Some(status) = child_or_new(claim, "status") {
            default_text(status, "phase", "Pending");
        }
    }
}

pub(super) fn validate(stateful_set: &StatefulSet) -> FieldErrors {
    let mut errors = meta::validate(&stateful_set.metadata, true, NameRule::Subdomain);
    let at = FieldPath::new("spec");
    match check::given::<StatefulSetSpec>(&stateful_set.spec) {
        Some(spec) => validate_spec(&mut errors, &at, spec),
        None => errors.push(FieldError::required(&at, "")),
    }
    errors
}

/// Validates a StatefulSet that replaces `old`: most of its spec stays.
pub(super) fn validate_update(new: &StatefulSet, old: &StatefulSet) -> FieldErrors {
    let mut errors = validate(new);
    if let (Some(new), Some(old)) = (
        check::given::<StatefulSetSpec>(&new.spec),
        check::given::<StatefulSetSpec>(&old.spec),
    ) {
        let allowed = StatefulSetSpec {
            replicas: new.replicas,
            ordinals: new.ordinals.clone(),
            template: new.template.clone(),
            update_strategy: new.update_strategy.clone(),
            revision_history_limit: new.revision_history_limit,
            persistent_volume_claim_retention_policy: new.persistent_volume_claim_retention_policy.clone(),
            min_ready_seconds: new.min_ready_seconds,
            ..old.clone()
        };
        if !same::are_same(&allowed, new) {
            let detail = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                          'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                          'minReadySeconds' are forbidden";
            errors.push(FieldError::forbidden(&FieldPath::new("spec"), detail));
        }
    }
    errors
}

pub(super) fn validate_status(status: &StatefulSetStatus) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let at = FieldPath::new("status");
    check::non_negative(&mut errors, &at.child("replicas"), i64::from(status.replicas));
    for (field, count) in [
        ("readyReplicas", status.ready_replicas),
        ("currentReplicas", status.current_replicas),
        ("updatedReplicas", status.updated_replicas),
        ("availableReplicas", status.available_replicas),
    ] {
        let (at, count) = (at.child(field), count.unwrap_or(0));
        check::non_negative(&mut errors, &at, i64::from(count));
        if count > status.replicas {
            let detail = "cannot be greater than status.replicas";
            errors.push(FieldError::invalid(&at, count, detail));
        }
    }
    let observed = status.observed_generation;
    check::non_negative(&mut errors, &at.child("observedGeneration"), observed);
    let collisions = status.collision_count.map(i64::from);
    check::non_negative(&mut errors, &at.child("collisionCount"), collisions);
    errors
}

fn validate_spec(errors: &mut FieldErrors, at: &FieldPath, spec: &StatefulSetSpec) {
    let policy = spec.pod_management_policy.as_deref().unwrap_or_default();
    if !matches!(policy, "OrderedReady" | "Parallel") {
        let detail = "must be 'OrderedReady' or 'Parallel'";
        errors.push(FieldError::invalid(
            &at.child("podManagementPolicy"),
            policy,
            detail,
        ));
    }
    validate_strategy(errors, &at.child("updateStrategy"), spec);
    for (field, value) in [
        ("replicas", spec.replicas),
        ("minReadySeconds", spec.min_ready_seconds),
        ("revisionHistoryLimit", spec.revision_history_limit),
    ] {
        check::non_negative(errors, &at.child(field), value.map(i64::from));
    }
    let start = spec.ordinals.as_ref().and_then(|ordinals| ordinals.start);
    check::non_negative(errors, &at.child("ordinals").child("start"), start.map(i64::from));
    if let Some(policy) = &spec.persistent_volume_claim_retention_policy {
        let at = at.child("persistentVolumeClaimRetentionPolicy");
        let allowed = ["Delete", "Retain"];
        let (deleted, scaled) = (policy.when_deleted.as_deref(), policy.when_scaled.as_deref());
        check::one_of(errors, &at.child("whenDeleted"), deleted, &allowed);
        check::one_of(errors, &at.child("whenScaled"), scaled, &allowed);
    }
    for (index, claim) in spec.volume_claim_templates.iter().flatten().enumerate() {
        if let Some(claim) = check::given::<PersistentVolumeClaimSpec>(&claim.spec) {
            let at = at.child("volumeClaimTemplates").index(index).child("spec");
            validate_claim_spec(errors, &at, claim);
        }
    }
    let words = ("empty selector is invalid for statefulset", "StatefulSet");
    let template = with_claims(spec);
    workload::validate_selector_and_template(errors, at, &spec.selector, Some(&template), words);
}

fn validate_strategy(errors: &mut FieldErrors, at: &FieldPath, spec: &StatefulSetSpec) {
    let Some(strategy) = &spec.update_strategy else {
        return;
    };
    let rolling_at = at.child("rollingUpdate");
    match (strategy.type_.as_deref(), &strategy.rolling_update) {
        (Some("OnDelete"), Some(rolling)) => {
            let detail = "only allowed for updateStrategy 'RollingUpdate'";
            errors.push(FieldError::invalid(&rolling_at, rolling, detail));
        }
        (Some("OnDelete"), None) | (Some("RollingUpdate"), None) => {}
        (Some("RollingUpdate"), Some(rolling)) => {
            let partition = rolling.partition.map(i64::from);
            check::non_negative(errors, &rolling_at.child("partition"), partition);
        }
        _ => {
            let detail = "must be 'RollingUpdate' or 'OnDelete'";
            errors.push(FieldError::invalid(at, strategy, detail));
        }
    }
}

/// The template with a volume for each claim that each pod will have, which containers may mount.
fn with_claims(spec: &StatefulSetSpec) -> PodTemplateSpec {
    let mut template = spec.template.clone();
    let Some(pod) = &mut template.spec else {
        return template;
    };
    let claims = spec.volume_claim_templates.iter().flatten();
    for name in claims.filter_map(|claim| claim.metadata.name.as_ref()) {
        let volumes = pod.volumes.get_or_insert_default();
        if volumes.iter().all(|volume| volume.name != *name) {
            volumes.push(Volume {
                name: name.clone(),
                persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                    claim_name: name.clone(),
                    ..Default::default()
                }),
                ..Default::default()
            });
        }
    }
    template
}
