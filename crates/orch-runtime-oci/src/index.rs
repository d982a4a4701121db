//! What there is: sandboxes and containers by their ids, read from the state directory.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use orch_core::runtime::{ContainerId, SandboxId};

use crate::container::{Cell, Ground};
use crate::dir::StateDir;
use crate::options::Network;
use crate::record::{self, ContainerRecord};
use crate::sandbox::Pod;

#[derive(Default)]
pub(crate) struct Index {
    pub(crate) pods: BTreeMap<SandboxId, Arc<Pod>>,
    pub(crate) cells: BTreeMap<ContainerId, Arc<Cell>>,
}

impl Index {
    pub(crate) fn read(dir: &StateDir, ground: &Arc<Ground>, network: Option<&Network>) -> io::Result<Self> {
        let mut index = Self::default();
        for name in dir.names("sandboxes")? {
            let place = dir.sandbox(&name);
            match record::read(&place.join("sandbox.json")) {
                Ok(Some(record)) => {
                    let id = SandboxId(name);
                    let pod = Pod::read(id.clone(), place, record, &dir.namespaces(), network)?;
                    index.pods.insert(id, Arc::new(pod));
                }
                unreadable => odd(dir, &place, unreadable)?,
            }
        }
        for name in dir.names("containers")? {
            let place = dir.container(&name);
            match record::read::<ContainerRecord>(&place.record()) {
                Ok(Some(record)) if index.pods.contains_key(&record.sandbox) => {
                    let id = ContainerId(name);
                    let limits = record::read(&place.resources()).ok().flatten();
                    let limits = limits.unwrap_or_else(|| record.config.resources.clone());
                    let cell = Cell::new(id.clone(), place, record, limits, ground.clone());
                    index.cells.insert(id, Arc::new(cell));
                }
                unreadable => {
                    // One in a pod's group is found there.
                    ground.hierarchies.sweep(&ground.below(&name))?;
                    odd(dir, place.kept(), unreadable)?;
                }
            }
        }
        Ok(index)
    }
}

/// Removes what the machine's sudden end has left without a record.
fn odd<T>(dir: &StateDir, place: &std::path::Path, read: io::Result<Option<T>>) -> io::Result<()> {
    let error = read
        .err()
        .map(|error| error.to_string())
        .unwrap_or_else(|| "it belongs to nothing".into());
    tracing::warn!(place = %place.display(), error, "removing what cannot be read");
    dir.discard(place)
}
