//! Commands run in containers, and attaching to what already runs.

mod end;

use std::future::Future;
use std::sync::Arc;

use bollard::models::ExecConfig;
use bollard::query_parameters::{ResizeContainerTTYOptionsBuilder, ResizeExecOptionsBuilder};
use bytes::BytesMut;
use hyper::Method;
use orch_core::runtime::{
    AttachOptions, ContainerId, ExecOutput, ExecRequest, LogStream, RuntimeError, Session, TerminalSize,
};
use serde_json::json;
use tokio::io::AsyncReadExt;

use crate::driver::Driver;
use crate::engine::fault::Fault;
use crate::engine::{Lane, path, wire, within};
use crate::frames::Demux;
use crate::session::{self, Connection, Limit, READ_SIZE, Resize};

/// What [`exec`](Driver::exec) keeps of each stream.
const OUTPUT_LIMIT: usize = 1 << 20;

impl Driver {
    pub(crate) async fn exec(
        self: &Arc<Self>,
        id: &ContainerId,
        request: &ExecRequest,
    ) -> Result<ExecOutput, RuntimeError> {
        let limit = request.timeout.unwrap_or(self.bound());
        let mut command = String::new();
        let run = async {
            command = self.create_exec(id, request, false).await?;
            let connection = match self.start_exec(id, &command, request.tty).await? {
                Started::Running(connection) => connection,
                Started::Never(output) => return Ok(output),
            };
            let mut output = collect(connection, request.tty)
                .await
                .map_err(|error| RuntimeError::failed("reading a command's output", error))?;
            output.exit_code = self.exec_ended(id, &command).await?;
            if matches!(output.exit_code, 126 | 127) && output.stdout.starts_with(b"OCI runtime ") {
                // The engine writes why it could not start the command where the command would have written,
                // and takes any reason for 126.
                output.stderr = [std::mem::take(&mut output.stdout), output.stderr]
                    .concat()
                    .into();
                let why = String::from_utf8_lossy(&output.stderr);
                output.exit_code = could_not_start(&why).unwrap_or(output.exit_code);
            }
            Ok(output)
        };
        match tokio::time::timeout(limit, run).await {
            Ok(result) => result,
            Err(_) => {
                if !command.is_empty() {
                    self.kill_exec(&command).await;
                }
                Err(RuntimeError::Timeout {
                    what: format!("command {} in container {id}", request.command.join(" ")),
                    after: limit,
                })
            }
        }
    }

    pub(crate) async fn open_exec(
        self: &Arc<Self>,
        id: &ContainerId,
        request: &ExecRequest,
    ) -> Result<Session, RuntimeError> {
        let command = self.create_exec(id, request, request.stdin).await?;
        let connection = match self.start_exec(id, &command, request.tty).await? {
            Started::Running(connection) => connection,
            Started::Never(output) => {
                let reason = String::from_utf8_lossy(&output.stderr).into_owned();
                return Err(RuntimeError::failed(
                    format!("starting a command in container {id}"),
                    reason,
                ));
            }
        };
        let resize = self.resizer(command.clone(), |driver, command, size| async move {
            let options = ResizeExecOptionsBuilder::new()
                .h(size.height.into())
                .w(size.width.into())
                .build();
            driver
                .engine
                .call(Lane::Light, driver.bound(), |docker| {
                    docker.resize_exec(&command, options)
                })
                .await
        });
        let limit = request.timeout.map(|after| Limit {
            after,
            error: RuntimeError::Timeout {
                what: format!("command {} in container {id}", request.command.join(" ")),
                after,
            },
        });
        let (driver, id, name) = (Arc::clone(self), id.clone(), command.clone());
        let exit = async move { driver.exec_ended(&id, &name).await };
        let driver = Arc::clone(self);
        let kill = async move { driver.kill_exec(&command).await };
        Ok(session::open(connection, request.tty, resize, limit, exit, kill))
    }

    pub(crate) async fn attach(
        self: &Arc<Self>,
        id: &ContainerId,
        options: &AttachOptions,
    ) -> Result<Session, RuntimeError> {
        let known = self.known_container(id).await?;
        let container = self.container(id).await?;
        if !container.state.is_running() {
            return Err(RuntimeError::NotRunning {
                container: id.0.clone(),
            });
        }
        if container.paused {
            return Err(RuntimeError::Paused {
                container: id.0.clone(),
            });
        }
        let failed = |fault: Fault| fault.about(format!("container {id}"), "attaching to");
        // Asked before attaching, so that the answer comes even if the container is removed at its end.
        let wait = path(&format!("/containers/{id}/wait"), &[("condition", "not-running")]);
        let waiting = self.engine.open(Method::POST, &wait).await.map_err(failed)?;
        let stdin = if options.stdin && known.stdin {
            "true"
        } else {
            "false"
        };
        let query = [
            ("stream", "true"),
            ("stdout", "true"),
            ("stderr", "true"),
            ("stdin", stdin),
        ];
        let attach = path(&format!("/containers/{id}/attach"), &query);
        let connection = self.engine.upgrade(&attach, &json!({})).await.map_err(failed)?;
        let resize = self.resizer(id.0.clone(), |driver, id, size| async move {
            let options = ResizeContainerTTYOptionsBuilder::new()
                .h(size.height.into())
                .w(size.width.into())
                .build();
            driver
                .engine
                .call(Lane::Light, driver.bound(), |docker| {
                    docker.resize_container_tty(&id, options)
                })
                .await
        });
        let (driver, what) = (Arc::clone(self), format!("waiting for container {id}"));
        let exit = async move {
            let waited = driver.engine.read_json::<wire::Waited>(waiting).await;
            let waited = waited.map_err(|fault| fault.during(what))?;
            Ok(i32::try_from(waited.status_code).unwrap_or(-1))
        };
        Ok(session::open(
            connection,
            known.tty,
            resize,
            None,
            exit,
            std::future::ready(()),
        ))
    }

    async fn create_exec(
        &self,
        id: &ContainerId,
        request: &ExecRequest,
        stdin: bool,
    ) -> Result<String, RuntimeError> {
        self.known_container(id).await?;
        if request.command.is_empty() {
            return Err(RuntimeError::InvalidConfig {
                field: "command".into(),
                reason: "must name a program".into(),
            });
        }
        let config = ExecConfig {
            cmd: Some(request.command.clone()),
            attach_stdin: Some(stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(request.tty),
            ..ExecConfig::default()
        };
        let path = format!("/containers/{id}/exec");
        let made: Result<wire::Made, Fault> = self.engine.post(Lane::Light, &path, &config).await;
        made.map(|made| made.id)
            .map_err(|fault| self.exec_fault(id, fault))
    }

    async fn start_exec(&self, id: &ContainerId, command: &str, tty: bool) -> Result<Started, RuntimeError> {
        let body = json!({ "Detach": false, "Tty": tty });
        match self
            .engine
            .upgrade(&format!("/exec/{command}/start"), &body)
            .await
        {
            Ok(connection) => Ok(Started::Running(connection)),
            // Some engines say so at once, some in the command's output.
            Err(Fault::Refused { message, .. }) if could_not_start(&message).is_some() => {
                Ok(Started::Never(ExecOutput {
                    exit_code: could_not_start(&message).unwrap_or(127),
                    stderr: message.into_bytes().into(),
                    ..ExecOutput::default()
                }))
            }
            Err(fault) => Err(self.exec_fault(id, fault)),
        }
    }

    fn exec_fault(&self, id: &ContainerId, fault: Fault) -> RuntimeError {
        match fault {
            fault if fault.is_missing() => self.gone(id),
            // The engine has one status for both.
            fault if fault.is_conflict() && fault.message().contains("paused") => RuntimeError::Paused {
                container: id.0.clone(),
            },
            fault if fault.is_conflict() => RuntimeError::NotRunning {
                container: id.0.clone(),
            },
            fault => fault.during(format!("running a command in container {id}")),
        }
    }

    /// Kills a command. The engine has no call for it, so the kernel is asked, which only works where the
    /// engine is on this machine; elsewhere the command goes on, and the log says so.
    async fn kill_exec(&self, command: &str) {
        let killed = within(self.bound(), self.try_kill_exec(command)).await;
        match killed {
            Ok(true) => {}
            Ok(false) => tracing::warn!(
                command,
                "a command could not be killed: the engine's processes cannot be signalled from here"
            ),
            Err(fault) => tracing::warn!(command, %fault, "a command could not be killed"),
        }
    }

    async fn try_kill_exec(&self, command: &str) -> Result<bool, Fault> {
        let inspect = format!("/exec/{command}/json");
        let exec: wire::Exec = self.engine.get(&inspect).await?;
        if !exec.running {
            return Ok(true);
        }
        let Some(process) = crate::process::Process::find(exec.pid, &exec.container_id) else {
            return Ok(false);
        };
        // A process id can change hands; one that the engine still calls running is the one we hold.
        let again: wire::Exec = self.engine.get(&inspect).await?;
        if !again.running {
            return Ok(true);
        }
        Ok(again.pid == exec.pid && process.kill())
    }

    fn resizer<F>(
        self: &Arc<Self>,
        id: String,
        call: impl Fn(Arc<Self>, String, TerminalSize) -> F + Send + Sync + 'static,
    ) -> Resize
    where
        F: Future<Output = Result<(), Fault>> + Send + 'static,
    {
        let driver = Arc::clone(self);
        Arc::new(move |size| {
            let resized = call(Arc::clone(&driver), id.clone(), size);
            Box::pin(async move {
                if let Err(fault) = resized.await {
                    tracing::debug!(%fault, "a terminal was not resized");
                }
            })
        })
    }
}

enum Started {
    Running(Connection),
    Never(ExecOutput),
}

/// The shell's code for a program that cannot be executed, if the engine's words mean that.
fn could_not_start(message: &str) -> Option<i32> {
    let has = |words: &str| message.contains(words);
    if has("permission denied") {
        Some(126)
    } else if has("executable file not found") || has("no such file or directory") {
        Some(127)
    } else {
        None
    }
}

async fn collect(mut connection: Connection, tty: bool) -> std::io::Result<ExecOutput> {
    let mut demux = Demux::new(tty);
    let mut read = BytesMut::with_capacity(READ_SIZE);
    let (mut stdout, mut stderr) = (BytesMut::new(), BytesMut::new());
    let mut truncated = false;
    while connection.read_buf(&mut read).await? > 0 {
        demux.push(&read);
        read.clear();
        while let Some(piece) = demux.next() {
            let kept = match piece.stream {
                LogStream::Stdout => &mut stdout,
                LogStream::Stderr => &mut stderr,
            };
            let room = OUTPUT_LIMIT - kept.len();
            truncated |= piece.data.len() > room;
            kept.extend_from_slice(&piece.data[..room.min(piece.data.len())]);
        }
    }
    Ok(ExecOutput {
        exit_code: 0,
        stdout: stdout.freeze(),
        stderr: stderr.freeze(),
        truncated,
    })
}
