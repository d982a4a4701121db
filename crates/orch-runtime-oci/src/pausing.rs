//! Containers that stand still.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use orch_core::runtime::{ContainerId, RuntimeError};

use crate::NAME;
use crate::cgroup::is_gone;
use crate::container::Cell;
use crate::driver::Driver;
use crate::runtime::blocking;

impl Driver {
    /// Has a container stand still, or go on.
    pub(crate) async fn set_still(
        self: &Arc<Self>,
        id: &ContainerId,
        still: bool,
    ) -> Result<(), RuntimeError> {
        let cell = self.cell(id)?;
        if !self.ground.hierarchies.can_freeze() {
            return Err(RuntimeError::Unsupported {
                runtime: NAME,
                what: "pausing containers on a machine without the control group freezer".into(),
            });
        }
        // A start, another of these or a removal comes to its end first.
        let _one = cell.gate.lock().await;
        self.cell(id)?;
        // What is being started in it comes to run first.
        let _still = cell.going.write().await;
        let held = cell.clone();
        blocking(move || held.set_still(still)).await??;
        self.changed(&cell);
        Ok(())
    }
}

impl Cell {
    /// Writes files, and waits.
    fn set_still(&self, still: bool) -> Result<(), RuntimeError> {
        self.must_run()?;
        let group = self.ground.hierarchies.group(&self.group());
        let done = if still { group.freeze() } else { group.thaw() };
        let what = if still { "pausing" } else { "resuming" };
        match done {
            Ok(()) => self.paused.store(still, Ordering::Release),
            Err(error) if is_gone(&error) => {
                // It ended meanwhile.
                self.must_run()?;
                return Err(self.failed(what, error));
            }
            Err(error) => return Err(self.failed(what, error)),
        }
        Ok(())
    }

    /// Has it go on, so that it can end.
    pub(crate) fn thaw(&self) -> io::Result<()> {
        self.ground.hierarchies.group(&self.group()).thaw()?;
        self.paused.store(false, Ordering::Release);
        Ok(())
    }

    /// Finds out whether it stands still.
    pub(crate) fn look_paused(&self) -> io::Result<()> {
        let frozen = match self.ground.hierarchies.group(&self.group()).is_frozen() {
            // It is about to begin, or to end.
            Err(error) if is_gone(&error) => false,
            frozen => frozen?,
        };
        self.paused.store(frozen, Ordering::Release);
        Ok(())
    }

    /// An error if it stands still.
    pub(crate) fn must_go_on(&self) -> Result<(), RuntimeError> {
        match self.paused.load(Ordering::Acquire) {
            true => Err(RuntimeError::Paused {
                container: self.id.0.clone(),
            }),
            false => Ok(()),
        }
    }
}
