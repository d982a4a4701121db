//! Fake containers that stand still.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::machine::Pause;
use super::script::Usage;
use super::state::ContainerRecord;
use super::{Inner, NAME};
use crate::runtime::{ContainerId, RuntimeError};

/// What waits for a paused container to go on.
#[derive(Debug)]
pub(super) struct Held {
    /// How long it would still have slept.
    left: Option<Duration>,
    /// What it will read, none at the end.
    pub(super) input: Vec<Option<Bytes>>,
    usage: Usage,
}

impl Inner {
    pub(super) fn pause(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.declared()?;
        let mut state = self.state.lock();
        let record = state.running(id)?;
        if record.held.is_some() {
            return Ok(());
        }
        if let Some(timer) = record.timer.take() {
            timer.abort();
        }
        let left = record.due.take();
        record.held = Some(Held {
            left: left.map(|due| due.saturating_duration_since(Instant::now())),
            input: Vec::new(),
            usage: record.usage,
        });
        // It takes no processor time then, and keeps its memory.
        record.set_usage(Usage {
            cpu_millis: 0,
            ..record.usage
        });
        record.container.paused = true;
        self.container_changed(record);
        Ok(())
    }

    pub(super) fn resume(self: &Arc<Self>, id: &ContainerId) -> Result<(), RuntimeError> {
        self.declared()?;
        let mut state = self.state.lock();
        self.go_on(state.running(id)?);
        Ok(())
    }

    /// Has it go on from where it stood, if it is paused.
    pub(super) fn go_on(self: &Arc<Self>, record: &mut ContainerRecord) {
        let Some(held) = record.held.take() else { return };
        record.container.paused = false;
        record.set_usage(held.usage);
        self.container_changed(record);
        if let Some(left) = held.left {
            self.settle(record, Pause::Sleep(left));
        }
        for bytes in held.input {
            self.take_in(record, bytes);
        }
    }

    fn declared(&self) -> Result<(), RuntimeError> {
        let unsupported = RuntimeError::Unsupported {
            runtime: NAME,
            what: "pausing containers".into(),
        };
        self.capabilities.pause.then_some(()).ok_or(unsupported)
    }
}
