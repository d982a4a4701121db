//! What a caller can ask of reads, writes and deletes.

use std::sync::Arc;

use super::{ApiError, FieldManager};
use crate::object::{FieldSelector, RawObject, Selector};
use crate::store::Revision;

/// Which objects to list, and how many at a time.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ListParams {
    /// Only objects whose labels match.
    pub labels: Selector,
    /// Only objects whose fields match.
    pub fields: FieldSelector,
    /// Most objects to return; none: all.
    pub limit: Option<usize>,
    /// The last page's [`continue_token`](super::List::continue_token).
    pub continue_token: Option<String>,
    /// Whether a list that is not the newest any more will do (Kubernetes' `resourceVersion=0`), as for a cache that
    /// goes on to follow the changes after it.
    pub may_be_stale: bool,
    /// The list as it was at this revision, which must not have been compacted; none: as it is. A
    /// [`continue_token`](Self::continue_token) says by itself at which it goes on.
    pub at: Option<Revision>,
}

impl ListParams {
    /// The list as it was at `revision`.
    #[must_use]
    pub fn at(mut self, revision: Revision) -> Self {
        self.at = Some(revision);
        self
    }

    /// Only objects whose labels match.
    #[must_use]
    pub fn labels(mut self, selector: Selector) -> Self {
        self.labels = selector;
        self
    }

    /// Only objects whose fields match.
    #[must_use]
    pub fn fields(mut self, selector: FieldSelector) -> Self {
        self.fields = selector;
        self
    }

    /// At most `limit` objects a page.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// A list that is not the newest any more will do.
    #[must_use]
    pub fn may_be_stale(mut self) -> Self {
        self.may_be_stale = true;
        self
    }

    /// Goes on where the page that gave this token ended; from the start if it gave none.
    #[must_use]
    pub fn continue_token(mut self, token: impl Into<Option<String>>) -> Self {
        self.continue_token = token.into();
        self
    }
}

/// Which changes to watch.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct WatchParams {
    /// Only objects whose labels match; one that stops matching is reported as deleted.
    pub labels: Selector,
    /// Only objects whose fields match; one that stops matching is reported as deleted.
    pub fields: FieldSelector,
    /// Changes after this revision: that of a list, or of the last event seen.
    pub after: Revision,
}

impl WatchParams {
    /// Changes after this revision.
    pub fn after(revision: Revision) -> Self {
        Self {
            after: revision,
            ..Self::default()
        }
    }

    /// Only objects whose labels match.
    #[must_use]
    pub fn labels(mut self, selector: Selector) -> Self {
        self.labels = selector;
        self
    }

    /// Only objects whose fields match.
    #[must_use]
    pub fn fields(mut self, selector: FieldSelector) -> Self {
        self.fields = selector;
        self
    }
}

/// How to write.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct WriteParams {
    /// Go through all checks, then write nothing.
    pub dry_run: bool,
    /// Who keeps the record of what is written; none: it stays as it is.
    pub field_manager: Option<Arc<dyn FieldManager>>,
}

impl WriteParams {
    /// Whether to go through all checks and then write nothing.
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// With a record, kept in the same transaction, of who wrote what.
    #[must_use]
    pub fn field_manager(mut self, manager: Arc<dyn FieldManager>) -> Self {
        self.field_manager = Some(manager);
        self
    }

    /// Has who keeps the record look at what was sent.
    pub(super) fn receive(&self, object: &mut RawObject) -> Result<(), ApiError> {
        match &self.field_manager {
            Some(manager) => manager.receive(object),
            None => Ok(()),
        }
    }
}

/// What becomes of an object's dependents, and so of the order in which they go.
///
/// The delete itself only writes the wish down (Kubernetes' finalizers `foregroundDeletion` and `orphan`): a garbage
/// collector, such as orch-cluster's, carries it out. Without one dependents stay, and only
/// [`Background`](Self::Background) ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// The object goes now, its dependents soon after (Kubernetes' default).
    Background,
    /// The dependents go first; the object waits for those that block its deletion.
    Foreground,
    /// The dependents stay, without an owner.
    Orphan,
}

/// How to delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeleteParams {
    /// How long the object may take to end in peace, in seconds; none: the kind's default.
    pub grace_period_seconds: Option<u64>,
    /// What becomes of its dependents; none: the object's finalizers if they say, else background.
    pub propagation: Option<Propagation>,
    /// Only if the object has this uid.
    pub uid: Option<String>,
    /// Only if the object was last written then.
    pub resource_version: Option<Revision>,
    /// Go through all checks, then delete nothing.
    pub dry_run: bool,
}

impl DeleteParams {
    /// At once, without grace.
    pub fn now() -> Self {
        Self {
            grace_period_seconds: Some(0),
            ..Self::default()
        }
    }

    /// With so many seconds to end in peace.
    #[must_use]
    pub fn grace_period_seconds(mut self, seconds: u64) -> Self {
        self.grace_period_seconds = Some(seconds);
        self
    }

    /// Only if the object has this uid.
    #[must_use]
    pub fn uid(mut self, uid: impl Into<String>) -> Self {
        self.uid = Some(uid.into());
        self
    }

    /// Only if the object was last written then.
    #[must_use]
    pub fn resource_version(mut self, revision: Revision) -> Self {
        self.resource_version = Some(revision);
        self
    }

    /// Whether to go through all checks and then delete nothing.
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// With this policy for dependents.
    #[must_use]
    pub fn propagation(mut self, propagation: Propagation) -> Self {
        self.propagation = Some(propagation);
        self
    }
}
