//! What a pod's worker is told: a bounded box whose newer letters replace older ones.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use orch_core::runtime::{Container, ContainerId, Sandbox, SandboxId};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// A worker's box. It holds the newest version of each piece of news, so it cannot overflow.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    letters: Mutex<Letters>,
    notify: Notify,
}

/// What has come since the box was last emptied.
#[derive(Debug, Default)]
pub(crate) struct Letters {
    /// The object as it now is.
    pub(crate) pod: Option<Arc<Pod>>,
    /// The object is gone.
    pub(crate) gone: bool,
    /// Containers that may have changed.
    pub(crate) containers: BTreeSet<ContainerId>,
    /// Sandboxes that may have changed.
    pub(crate) sandboxes: BTreeSet<SandboxId>,
    /// What a listing of the whole runtime found of the pod.
    pub(crate) snapshot: Option<Snapshot>,
}

/// What the runtime has of one pod.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    /// The node's operation counter when the listing began: whatever changed after it may be missing.
    pub(crate) begun: u64,
    /// The pod's sandboxes.
    pub(crate) sandboxes: Vec<Sandbox>,
    /// The pod's containers.
    pub(crate) containers: Vec<Container>,
}

impl Mailbox {
    pub(crate) fn send(&self, write: impl FnOnce(&mut Letters)) {
        write(&mut self.letters.lock());
        self.notify.notify_one();
    }

    pub(crate) fn take(&self) -> Letters {
        std::mem::take(&mut *self.letters.lock())
    }

    /// Waits until something was sent since the last wait.
    pub(crate) async fn wait(&self) {
        self.notify.notified().await;
    }
}
