//! Containers that stand still.

use orch_core::runtime::{ContainerId, RuntimeError};

use crate::driver::Driver;
use crate::engine::Lane;
use crate::engine::fault::Fault;

impl Driver {
    pub(crate) async fn pause(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.hold(id, true).await
    }

    pub(crate) async fn resume(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.hold(id, false).await
    }

    async fn hold(&self, id: &ContainerId, paused: bool) -> Result<(), RuntimeError> {
        let known = self.known_container(id).await?;
        let call = self.engine.call(Lane::Light, self.bound(), |docker| async move {
            match paused {
                true => docker.pause_container(&id.0).await,
                false => docker.unpause_container(&id.0).await,
            }
        });
        known.forget_seen();
        let done = call.await;
        known.forget_seen();
        match done {
            Ok(()) => Ok(()),
            Err(fault) if fault.is_missing() => Err(self.gone(id)),
            // It is so already, or does not run. Some engines call either an error of theirs.
            Err(fault @ Fault::Refused { .. }) => {
                let container = self.container(id).await?;
                match container.state.is_running() {
                    true if container.paused == paused => Ok(()),
                    true => Err(fault.during(format!("{} container {id}", word(paused)))),
                    false => Err(RuntimeError::NotRunning {
                        container: id.0.clone(),
                    }),
                }
            }
            Err(fault) => Err(fault.during(format!("{} container {id}", word(paused)))),
        }
    }
}

fn word(paused: bool) -> &'static str {
    if paused { "pausing" } else { "resuming" }
}
