//! Going back to an earlier revision, as `kubectl rollout undo` does.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;

use super::new_set::HASH_LABEL;
use super::progress::is_paused;
use super::revision::revision_of;
use super::sets::same_template;
use crate::controllers::claim::controller_uid;

/// Which revision to go back to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RollbackTo {
    /// The one before the present.
    #[default]
    Previous,
    /// The one whose annotation `deployment.kubernetes.io/revision` has this number.
    Revision(i64),
}

/// Why there is nothing to go back to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RollbackError {
    /// The Deployment is paused.
    #[error("deployment {name:?}: cannot roll back while paused; resume it first")]
    Paused {
        /// The Deployment.
        name: String,
    },
    /// No revision before the present one is kept.
    #[error("deployment {name:?}: no earlier revision is kept (spec.revisionHistoryLimit)")]
    NoHistory {
        /// The Deployment.
        name: String,
    },
    /// The revision asked for is not kept.
    #[error("deployment {name:?}: revision {revision} not found; kept are {kept:?}")]
    NotFound {
        /// The Deployment.
        name: String,
        /// What was asked for.
        revision: i64,
        /// What there is, in order.
        kept: Vec<i64>,
    },
    /// The present template is that revision's already.
    #[error("deployment {name:?}: the present template is that of revision {revision} already")]
    Unchanged {
        /// The Deployment.
        name: String,
        /// What was asked for.
        revision: i64,
    },
}

/// The pod template of an earlier revision, to be written to `spec.template`; the set it is taken from then
/// becomes the newest revision.
///
/// Among `sets`, those that the Deployment does not control are passed over.
///
/// # Errors
///
/// When the Deployment is paused, or no set of such a revision is kept, or nothing would change.
pub fn rollback_to(
    deployment: &Deployment,
    sets: &[Arc<ReplicaSet>],
    to: RollbackTo,
) -> Result<PodTemplateSpec, RollbackError> {
    let name = deployment.metadata.name.clone().unwrap_or_default();
    if is_paused(deployment) {
        return Err(RollbackError::Paused { name });
    }
    let uid = deployment.metadata.uid.as_deref();
    let mut kept: Vec<(i64, &ReplicaSet)> = sets
        .iter()
        .filter(|set| uid.is_some() && controller_uid(set.metadata.owner_references.as_deref()) == uid)
        .map(|set| (revision_of(set.metadata.annotations.as_ref()), set.as_ref()))
        .filter(|(revision, _)| *revision > 0)
        .collect();
    kept.sort_by_key(|(revision, _)| *revision);
    let (revision, set) =
        match to {
            RollbackTo::Previous => *kept
                .len()
                .checked_sub(2)
                .and_then(|at| kept.get(at))
                .ok_or(RollbackError::NoHistory { name: name.clone() })?,
            RollbackTo::Revision(revision) => *kept
                .iter()
                .find(|(number, _)| *number == revision)
                .ok_or_else(|| RollbackError::NotFound {
                    name: name.clone(),
                    revision,
                    kept: kept.iter().map(|(number, _)| *number).collect(),
                })?,
        };
    let mut template = set.spec.template.clone().unwrap_or_default();
    if let Some(labels) = template.metadata.as_mut().and_then(|meta| meta.labels.as_mut()) {
        labels.remove(HASH_LABEL);
    }
    if same_template(&deployment.spec.template, &template) {
        return Err(RollbackError::Unchanged { name, revision });
    }
    Ok(template)
}
