//! What this process has learnt of its own containers, so that it need not ask again.
//!
//! Everything here can be forgotten at any time and is then read back from the engine.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use orch_core::runtime::{Container, ContainerState};
use parking_lot::Mutex;

use crate::engine::wire;
use crate::labels::{ContainerIdentity, Kind, SandboxIdentity};
use crate::state;

/// As many containers as a very large node has; beyond, all is forgotten and learnt again.
const LIMIT: usize = 16_384;

/// A sandbox of ours.
#[derive(Debug)]
pub(crate) struct KnownSandbox {
    pub(crate) identity: SandboxIdentity,
    alive: AtomicBool,
}

impl KnownSandbox {
    pub(crate) fn new(identity: SandboxIdentity, alive: bool) -> Self {
        Self {
            identity,
            alive: AtomicBool::new(alive),
        }
    }

    /// Whether it had not ended for good when last seen.
    pub(crate) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Relaxed)
    }

    pub(crate) fn ended(&self) {
        self.alive.store(false, Ordering::Relaxed);
    }
}

/// A container of ours.
#[derive(Debug)]
pub(crate) struct KnownContainer {
    pub(crate) identity: ContainerIdentity,
    pub(crate) tty: bool,
    pub(crate) stdin: bool,
    /// Whether nobody can have started it yet: this process made it just now. Locked while it is started, for
    /// the engine would run an ended container again.
    pub(crate) fresh: tokio::sync::Mutex<bool>,
    /// As last inspected.
    seen: Mutex<Option<Container>>,
}

impl KnownContainer {
    pub(crate) fn new(identity: ContainerIdentity, tty: bool, stdin: bool, fresh: bool) -> Self {
        Self {
            identity,
            tty,
            stdin,
            fresh: tokio::sync::Mutex::new(fresh),
            seen: Mutex::default(),
        }
    }

    pub(crate) fn saw(&self, container: &Container) {
        *self.seen.lock() = Some(container.clone());
    }

    pub(crate) fn forget_seen(&self) {
        *self.seen.lock() = None;
    }

    /// What was seen last, if a list that calls the container's state `listed` agrees with it. Containers are
    /// never started again, so a running one is as it was, and so is an ended one.
    pub(crate) fn still(&self, listed: &str) -> Option<Container> {
        let seen = self.seen.lock();
        let container = seen.as_ref()?;
        let same = match &container.state {
            ContainerState::Running { .. } if container.paused => listed == state::PAUSED,
            ContainerState::Running { .. } => listed == "running",
            ContainerState::Exited {
                started_at: Some(_), ..
            } => listed == "exited",
            _ => false,
        };
        same.then(|| container.clone())
    }
}

/// Ours by engine id.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Sandbox(Arc<KnownSandbox>),
    Container(Arc<KnownContainer>),
}

/// All that is known.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<HashMap<String, Entry>>);

impl Known {
    pub(crate) fn get(&self, id: &str) -> Option<Entry> {
        self.0.lock().get(id).cloned()
    }

    pub(crate) fn sandbox(&self, id: &str) -> Option<Arc<KnownSandbox>> {
        match self.get(id)? {
            Entry::Sandbox(sandbox) => Some(sandbox),
            Entry::Container(_) => None,
        }
    }

    pub(crate) fn add_container(&self, id: &str, container: KnownContainer) {
        let mut all = self.0.lock();
        make_room(&mut all);
        // One that was known keeps its lock.
        all.entry(id.to_owned())
            .or_insert(Entry::Container(Arc::new(container)));
    }

    pub(crate) fn forget(&self, id: &str) {
        self.0.lock().remove(id);
    }

    /// Learns from an inspection; none if it is not of `scope`.
    pub(crate) fn learn(&self, inspected: &wire::Inspected, scope: &str) -> Option<Entry> {
        let labels = &inspected.config.labels;
        let kind = Kind::of(labels, scope)?;
        let mut all = self.0.lock();
        let kept = all.get(&inspected.id).cloned();
        let entry = match (kind, kept) {
            (Kind::Sandbox, _) => Entry::Sandbox(Arc::new(KnownSandbox::new(
                SandboxIdentity::read(labels),
                !state::is_final(&inspected.state.status),
            ))),
            (Kind::Container, Some(Entry::Container(known))) => {
                known.saw(&state::container(inspected));
                return Some(Entry::Container(known));
            }
            (Kind::Container, _) => {
                let config = &inspected.config;
                let known = KnownContainer::new(
                    ContainerIdentity::read(labels),
                    config.tty,
                    config.open_stdin,
                    false,
                );
                known.saw(&state::container(inspected));
                Entry::Container(Arc::new(known))
            }
        };
        make_room(&mut all);
        all.insert(inspected.id.clone(), entry.clone());
        Some(entry)
    }
}

fn make_room(all: &mut HashMap<String, Entry>) {
    if all.len() >= LIMIT {
        all.clear();
    }
}
