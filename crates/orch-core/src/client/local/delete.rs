//! Deletes: at once, or in time.

use jiff::{SignedDuration, Timestamp};

use super::raw::bad;
use super::{ATTEMPTS, Failure, LocalBackend, store_key, subject};
use crate::client::error::MODIFIED;
use crate::client::{ApiError, DeleteParams, Deleted, Kind, Propagation, Target, WriteParams};
use crate::object::{Document, ObjectMeta};
use crate::store::Txn;
use crate::time;

/// Kubernetes' names for the finalizers that the garbage collector serves.
const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";
/// The longest grace period, some three years: enough for anything, and no overflow.
const LONGEST_GRACE_SECONDS: u64 = 100_000_000;

impl LocalBackend {
    pub(super) async fn remove(&self, target: &Target, params: &DeleteParams) -> Result<Deleted, ApiError> {
        let kind = &*self.kind(&target.resource).await?;
        self.rewrite(target, ATTEMPTS, |old| async move {
            check_preconditions(target, params, &old)?;
            self.admit_delete(kind, target, &old, params.dry_run).await?;
            self.remove_once(kind, target, &old, params).await
        })
        .await
    }

    async fn remove_once(
        &self,
        kind: &Kind,
        target: &Target,
        old: &Document,
        params: &DeleteParams,
    ) -> Result<Deleted, Failure> {
        // Who asks again and names no period leaves the one that runs (apimachinery's BeforeDelete).
        let pending = old.meta().deletion_grace_period_seconds;
        let pending = pending.filter(|_| old.meta().is_deleting() && params.grace_period_seconds.is_none());
        let grace = match pending.and_then(|seconds| u64::try_from(seconds).ok()) {
            Some(pending) => pending,
            None => kind
                .rules
                .grace_period_seconds(old, params.grace_period_seconds)
                .min(LONGEST_GRACE_SECONDS),
        };
        let meta = deleting(old.meta(), grace, params.propagation, time::now());
        if meta == *old.meta() {
            return Ok(Deleted::Pending(old.clone()));
        }
        let document = old.with_meta(meta).map_err(bad)?;
        if self.is_finished(kind, &document) {
            if params.dry_run {
                return Ok(Deleted::Gone(document));
            }
            return self.erase(target, old, &document).await.map(Deleted::Gone);
        }
        let write = WriteParams::default().dry_run(params.dry_run);
        Ok(Deleted::Pending(
            self.put(kind, target, old, document, &write, Vec::new())
                .await?
                .document,
        ))
    }

    /// Whether nothing is left to wait for.
    pub(super) fn is_finished(&self, kind: &Kind, document: &Document) -> bool {
        let meta = document.meta();
        meta.is_deleting()
            && meta.finalizers.is_empty()
            && meta.deletion_grace_period_seconds.unwrap_or(0) == 0
            && !kind.rules.blocks_removal(document)
    }

    /// Takes the object out of the store; returns `last` as it was then.
    pub(super) async fn erase(
        &self,
        target: &Target,
        old: &Document,
        last: &Document,
    ) -> Result<Document, Failure> {
        let txn = Txn::new().remove(store_key(&target.resource, &target.key), old.revision());
        let committed = self.commit(target, txn).await?;
        self.gone(target);
        Ok(last.clone().at(committed.revision))
    }
}

/// The metadata of an object once a delete has been asked for.
fn deleting(old: &ObjectMeta, grace: u64, propagation: Option<Propagation>, now: Timestamp) -> ObjectMeta {
    let mut meta = old.clone();
    if let Some(policy) = propagation {
        let wanted = match policy {
            Propagation::Background => None,
            Propagation::Foreground => Some(FOREGROUND),
            Propagation::Orphan => Some(ORPHAN),
        };
        // Once deletion has begun a policy can be dropped or chosen, as in Kubernetes, until it is carried out.
        meta.finalizers
            .retain(|name| (name != FOREGROUND && name != ORPHAN) || Some(name.as_str()) == wanted);
        if let Some(wanted) = wanted
            && !meta.finalizers.iter().any(|name| name == wanted)
        {
            meta.finalizers.push(wanted.to_owned());
        }
    }
    let grace = i64::try_from(grace).unwrap_or(i64::MAX);
    let ends = in_seconds(
        now.saturating_add(SignedDuration::from_secs(grace))
            .unwrap_or(Timestamp::MAX),
    );
    if meta.deletion_timestamp.is_none() {
        meta.deletion_timestamp = Some(ends);
        meta.deletion_grace_period_seconds = Some(grace);
        meta.generation += 1;
    } else if meta.deletion_grace_period_seconds.is_none_or(|had| grace < had) {
        // A second delete can shorten the grace, never lengthen it.
        meta.deletion_grace_period_seconds = Some(grace);
        meta.deletion_timestamp = meta.deletion_timestamp.map(|had| had.min(ends));
    }
    meta
}

fn check_preconditions(target: &Target, params: &DeleteParams, old: &Document) -> Result<(), ApiError> {
    let uid = &old.meta().uid;
    if let Some(expected) = params.uid.as_ref().filter(|expected| *expected != uid) {
        let reason =
            format!("Precondition failed: UID in precondition: {expected}, UID in object meta: {uid}");
        return Err(ApiError::conflict(subject(target), reason));
    }
    match params.resource_version {
        Some(revision) if revision != old.revision() => Err(ApiError::conflict(subject(target), MODIFIED)),
        _ => Ok(()),
    }
}

/// Cut to the second, as Kubernetes writes times.
pub(super) fn in_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
