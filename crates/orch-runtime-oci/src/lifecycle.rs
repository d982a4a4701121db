//! Starting, stopping and removing containers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use orch_core::runtime::{ContainerId, ContainerState, RuntimeError};
use rustix::process::Signal;

use crate::container::{Cell, KILL_TIMEOUT, Look, outcome};
use crate::driver::{Driver, not_ready};
use crate::runtime::{blocking, going_on};

impl Driver {
    async fn look(&self, cell: &Arc<Cell>) -> Result<ContainerState, RuntimeError> {
        if let Some(known) = cell.known() {
            return Ok(known);
        }
        let (cell, bound) = (cell.clone(), self.options.start_timeout);
        blocking(move || cell.look_settled(bound)).await?
    }

    pub(crate) async fn start_container(self: &Arc<Self>, id: &ContainerId) -> Result<(), RuntimeError> {
        let (driver, cell) = (self.clone(), self.cell(id)?);
        // Goes on if the caller gives up: a container half started would be nobody's.
        going_on(async move { driver.start_cell(&cell).await }).await
    }

    /// Whether its end is written down, and its log whole with it.
    pub(crate) async fn has_ended(&self, cell: &Arc<Cell>) -> Result<bool, RuntimeError> {
        let looked = cell.clone();
        let looked = blocking(move || looked.look()).await?;
        let looked = looked.map_err(|error| cell.failed("looking at", error))?;
        Ok(matches!(looked, Look::Is(ContainerState::Exited { .. })))
    }

    async fn start_cell(self: &Arc<Self>, cell: &Arc<Cell>) -> Result<(), RuntimeError> {
        let _one = cell.gate.lock().await;
        // Removed while others had the gate.
        self.cell(&cell.id)?;
        match self.look(cell).await? {
            ContainerState::Running { .. } => {
                // Of a start whose outcome nobody was told.
                if cell.watcher.lock().is_none()
                    && let Some(shim) = cell.holder().map_err(|error| cell.failed("looking at", error))?
                {
                    self.watch(cell, shim, None);
                    self.changed(cell);
                }
                return Ok(());
            }
            ContainerState::Exited { .. } => {
                return Err(RuntimeError::Ended {
                    container: cell.id.0.clone(),
                });
            }
            _ => {}
        }
        if self.pod(&cell.record.sandbox).is_none_or(|pod| !pod.is_ready()) {
            return Err(cell.failed("starting", not_ready(&cell.record.sandbox)));
        }
        let failed = |error: io::Error| cell.failed("starting", error);
        // From here on what it is must be looked for.
        cell.is_new.store(false, Ordering::Release);
        let shim = blocking({
            let (driver, cell) = (self.clone(), cell.clone());
            move || driver.nursery.hold(&cell.dir)
        });
        let shim = shim.await?.map_err(failed)?;
        let bound = self.options.start_timeout;
        let late = match tokio::time::timeout(bound, shim.answered()).await {
            Ok(answered) => match answered.map_err(failed)? {
                Some(started) => {
                    self.watch(cell, shim.process, Some(started));
                    self.changed(cell);
                    return Ok(());
                }
                None => false,
            },
            Err(_) => {
                // The look then finds it abandoned, and sweeps.
                shim.process.kill();
                shim.process.ended().await.map_err(failed)?;
                true
            }
        };
        let mut state = self.look(cell).await?;
        if !state.is_running() {
            // It is about to end, and what it leaves is then whole.
            shim.process.ended().await.map_err(failed)?;
            state = self.look(cell).await?;
        }
        if state != ContainerState::Created {
            self.watch(cell, shim.process, None);
            self.changed(cell);
        }
        if late {
            let what = format!("starting container {}", cell.record.config.name);
            return Err(RuntimeError::Timeout { what, after: bound });
        }
        outcome(cell, state)
    }

    pub(crate) async fn stop_cell(
        self: &Arc<Self>,
        cell: &Arc<Cell>,
        grace: Duration,
    ) -> Result<(), RuntimeError> {
        let running = {
            // A start that is under way comes to its end first.
            let _one = cell.gate.lock().await;
            self.cell(&cell.id)?;
            self.look(cell).await?.is_running()
        };
        if running {
            self.end(cell, grace).await
        } else {
            Ok(())
        }
    }

    /// Ends what runs. Returns once its shim has ended too.
    async fn end(&self, cell: &Arc<Cell>, grace: Duration) -> Result<(), RuntimeError> {
        let failed = |error: io::Error| cell.failed("stopping", error);
        let signal = cell.stop_signal();
        if !grace.is_zero() && signal != Signal::KILL {
            cell.signal(signal).map_err(failed)?;
            cell.thaw().map_err(failed)?;
            if cell.ended_within(grace).await {
                return Ok(());
            }
        }
        let killing = blocking({
            let cell = cell.clone();
            move || cell.kill()
        });
        killing.await?.map_err(failed)?;
        if cell.ended_within(KILL_TIMEOUT).await {
            return Ok(());
        }
        let what = format!("killing container {}", cell.record.config.name);
        Err(RuntimeError::Timeout {
            what,
            after: KILL_TIMEOUT,
        })
    }

    pub(crate) async fn remove_cell(self: &Arc<Self>, cell: &Arc<Cell>) -> Result<(), RuntimeError> {
        // Goes on if the caller gives up, as each of its steps would.
        let (driver, cell) = (self.clone(), cell.clone());
        going_on(async move {
            let _one = cell.gate.lock().await;
            if driver.cell(&cell.id).is_err() {
                return Ok(());
            }
            match driver.look(&cell).await? {
                ContainerState::Running { .. } => driver.end(&cell, Duration::ZERO).await?,
                // Its shim may sweep still.
                ContainerState::Exited { .. } if !cell.ended_within(KILL_TIMEOUT).await => {
                    let what = format!("removing container {}", cell.record.config.name);
                    return Err(RuntimeError::Timeout {
                        what,
                        after: KILL_TIMEOUT,
                    });
                }
                _ => {}
            }
            driver.discard(&cell).await
        })
        .await
    }

    /// Removes what is left of a container that does not run.
    async fn discard(self: &Arc<Self>, cell: &Arc<Cell>) -> Result<(), RuntimeError> {
        // From here on what it is must be looked for.
        cell.is_new.store(false, Ordering::Release);
        cell.held.lock().take();
        let (driver, discarded) = (self.clone(), cell.clone());
        let discarding = blocking(move || {
            let removed = driver.ground.hierarchies.sweep(&discarded.group());
            let removed = removed.and_then(|()| driver.dir.discard_container(&discarded.dir));
            removed.map_err(|error| discarded.failed("removing", error))?;
            driver.images.let_go(&discarded.id.0)
        });
        discarding.await??;
        self.forget(&cell.id);
        cell.ended.send_replace(true);
        self.changed(cell);
        Ok(())
    }
}
