//! How a command ended, which is not told on its connection.

use std::time::Duration;

use orch_core::runtime::{ContainerId, RuntimeError};
use serde_json::json;

use crate::driver::Driver;
use crate::engine::wire;
use crate::events::Subscription;

/// How soon a command is asked about again, should no event tell of its end: an engine may send none (Podman), or
/// lose it.
const ASK_FIRST: Duration = Duration::from_millis(2);
const ASK_LAST: Duration = Duration::from_secs(1);

impl Driver {
    /// The exit code of a command whose output has ended, once it has ended too. That is nearly always the first
    /// answer; a command that closed its output and goes on is waited for.
    pub(super) async fn exec_ended(&self, id: &ContainerId, command: &str) -> Result<i32, RuntimeError> {
        if let Some(code) = self.exec_code(command).await? {
            return Ok(code);
        }
        let filters = json!({ "type": ["container"], "container": [id.0], "event": ["exec_die"] });
        let mut events = self.subscribe(&filters).await.ok();
        let mut pause = ASK_FIRST;
        loop {
            // It may have ended before the events began.
            if let Some(code) = self.exec_code(command).await? {
                return Ok(code);
            }
            let told = async {
                match &mut events {
                    Some(events) => self.death_of(command, events).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                told = told => match told {
                    Some(code) => return Ok(code),
                    None => events = None,
                },
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(ASK_LAST);
        }
    }

    async fn exec_code(&self, command: &str) -> Result<Option<i32>, RuntimeError> {
        let exec: wire::Exec = self
            .engine
            .get(&format!("/exec/{command}/json"))
            .await
            .map_err(|fault| fault.about(format!("command {command}"), "inspecting"))?;
        let code = exec.exit_code.filter(|_| !exec.running);
        Ok(code.map(|code| i32::try_from(code).unwrap_or(-1)))
    }

    /// The exit code of a command from the event of its end; none if the events end before.
    async fn death_of(&self, command: &str, events: &mut Subscription) -> Option<i32> {
        loop {
            // One that cannot be read may be the one; it is asked about anyway.
            let Ok(event) = events.next(&self.engine).await.ok()?? else {
                continue;
            };
            let said = |name: &str| event.actor.attributes.get(name).map(String::as_str);
            if event.action == "exec_die"
                && said("execID") == Some(command)
                && let Some(code) = said("exitCode").and_then(|code| code.parse().ok())
            {
                return Some(code);
            }
        }
    }
}
