//! Logs, exec and attach of fake containers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::machine::{End, Machine, Pause};
use super::script::ExecCall;
use super::state::{ContainerRecord, State};
use super::{Inner, NAME, not_found};
use crate::runtime::line::LogLine;
use crate::runtime::{
    AttachOptions, ContainerId, ContainerState, ExecOutput, ExecRequest, LogChunk, LogOptions, LogStream,
    PortStream, RuntimeError, SandboxId, SandboxState, Session, SessionInput,
};
use crate::testing::runtime::Program;
use crate::time;

/// How long a command may take that says nothing of it.
const EXEC_TIMEOUT: Duration = Duration::from_secs(600);

/// How much of each output stream a command's caller gets.
const EXEC_OUTPUT: usize = 1 << 20;

/// How much of what is sent back waits to be read.
const OUTPUT_HELD: usize = 64 << 10;

/// How many pieces wait in a session's channels.
const SESSION_BACKLOG: usize = 64;

type Chunks = BoxStream<'static, Result<LogChunk, RuntimeError>>;

impl Inner {
    pub(super) async fn exec(
        &self,
        id: &ContainerId,
        request: &ExecRequest,
    ) -> Result<ExecOutput, RuntimeError> {
        let machine = self.machine_for(id, request)?;
        let mut outputs = [BytesMut::new(), BytesMut::new()];
        let mut truncated = false;
        let emit = |chunk: LogChunk| {
            let output = &mut outputs[chunk.stream as usize];
            let room = (EXEC_OUTPUT - output.len()).min(chunk.data.len());
            output.extend_from_slice(&chunk.data[..room]);
            truncated |= room < chunk.data.len();
            std::future::ready(())
        };
        let after = request.timeout.unwrap_or(EXEC_TIMEOUT);
        let work = drive(machine, None, emit);
        let exit_code = tokio::select! {
            biased;
            ended = tokio::time::timeout(after, work) => ended.map_err(|_| RuntimeError::Timeout {
                what: format!("command {:?} in container {id}", request.command),
                after,
            })?,
            () = self.ended(id) => End::KILLED.code,
        };
        let [stdout, stderr] = outputs.map(BytesMut::freeze);
        Ok(ExecOutput {
            exit_code,
            stdout,
            stderr,
            truncated,
        })
    }

    pub(super) fn open_exec(
        self: &Arc<Self>,
        id: &ContainerId,
        request: &ExecRequest,
    ) -> Result<Session, RuntimeError> {
        let machine = self.machine_for(id, request)?;
        let (input, from_caller) = mpsc::channel(SESSION_BACKLOG);
        let (to_caller, output) = mpsc::channel(SESSION_BACKLOG);
        let (done, exit) = oneshot::channel();
        let (inner, id, limit) = (self.clone(), id.clone(), request.timeout);
        let stdin = request.stdin.then_some(from_caller);
        let task = tokio::spawn(async move {
            let emit = |chunk| {
                let to_caller = to_caller.clone();
                // A caller that drops the output alone still gets the exit code.
                async move { drop(to_caller.send(Ok(chunk)).await) }
            };
            let expired = async move {
                match limit {
                    Some(limit) => tokio::time::sleep(limit).await,
                    None => std::future::pending().await,
                }
            };
            let code = tokio::select! {
                biased;
                code = drive(machine, stdin, emit) => code,
                () = inner.ended(&id) => End::KILLED.code,
                () = expired => End::KILLED.code,
            };
            let _ = done.send(code);
        });
        let guard = Arc::new(AbortOnDrop(task.abort_handle()));
        Ok(Session {
            input,
            output: receive(output, guard.clone()),
            exit: exit_code(exit, guard),
        })
    }

    /// The machine for a command in a running container.
    fn machine_for(&self, id: &ContainerId, request: &ExecRequest) -> Result<Machine, RuntimeError> {
        if !self.capabilities.exec {
            return Err(RuntimeError::Unsupported {
                runtime: NAME,
                what: "exec".into(),
            });
        }
        if request.command.is_empty() {
            return Err(RuntimeError::InvalidConfig {
                field: "command".into(),
                reason: "must name a program".into(),
            });
        }
        let mut state = self.state.lock();
        let record = state.running(id)?;
        if record.container.paused {
            return Err(RuntimeError::Paused {
                container: id.to_string(),
            });
        }
        let nth = record.execs;
        record.execs += 1;
        let running_for = match record.container.state {
            ContainerState::Running { started_at } => time::now().duration_since(started_at),
            _ => jiff::SignedDuration::ZERO,
        };
        let call = ExecCall {
            container: &record.container,
            command: &request.command,
            running_for: running_for.unsigned_abs(),
            nth,
        };
        let scripted = record.behavior.exec.as_ref().map(|exec| exec(&call));
        let program = scripted
            .or_else(|| Program::from_command(&request.command))
            .unwrap_or_default();
        Ok(Machine::new(program, record.config.clone(), request.tty))
    }

    pub(super) fn attach(
        self: &Arc<Self>,
        id: &ContainerId,
        options: &AttachOptions,
    ) -> Result<Session, RuntimeError> {
        if !self.capabilities.attach {
            return Err(RuntimeError::Unsupported {
                runtime: NAME,
                what: "attach".into(),
            });
        }
        let (input, mut from_caller) = mpsc::channel(SESSION_BACKLOG);
        let (to_caller, mut output) = mpsc::channel(SESSION_BACKLOG);
        let mut state = self.state.lock();
        let record = state.running(id)?;
        record.attached.push(to_caller);
        let task = (options.stdin && record.config.stdin).then(|| {
            let (inner, id, once) = (self.clone(), id.clone(), record.config.stdin_once);
            tokio::spawn(async move {
                while let Some(input) = from_caller.recv().await {
                    if let SessionInput::Stdin(bytes) = input {
                        inner.feed(&id, Some(bytes));
                    }
                }
                if once {
                    inner.feed(&id, None);
                }
            })
        });
        drop(task);
        let (inner, id) = (self.clone(), id.clone());
        let exit = async move {
            inner.ended(&id).await;
            match inner.state.lock().container(&id)?.container.state {
                ContainerState::Exited {
                    exit_code: Some(code),
                    ..
                } => Ok(code),
                _ => Err(RuntimeError::NotRunning {
                    container: id.to_string(),
                }),
            }
        };
        Ok(Session {
            input,
            output: stream::poll_fn(move |context| output.poll_recv(context))
                .map(Ok)
                .boxed(),
            exit: exit.boxed(),
        })
    }

    pub(super) fn port_forward(&self, id: &SandboxId, port: u16) -> Result<PortStream, RuntimeError> {
        if !self.capabilities.port_forward {
            return Err(RuntimeError::Unsupported {
                runtime: NAME,
                what: "connecting to ports of pods".into(),
            });
        }
        let state = self.state.lock();
        let record = state.sandboxes.get(id).ok_or_else(|| not_found("sandbox", id))?;
        let pod = record.config.pod();
        if record.sandbox.state != SandboxState::Ready {
            let what = format!("connecting to port {port} of {pod}");
            return Err(RuntimeError::failed(what, format!("sandbox {id} is not ready")));
        }
        let mut machines = record
            .containers
            .iter()
            .filter_map(|id| state.containers[id].machine.as_ref());
        if !machines.any(|machine| machine.echoes(port)) {
            return Err(RuntimeError::NotListening { sandbox: pod, port });
        }
        let (ours, theirs) = tokio::io::duplex(OUTPUT_HELD);
        tokio::spawn(async move {
            let (mut read, mut write) = tokio::io::split(theirs);
            // It ends with the connection, however that ends.
            let _ = tokio::io::copy(&mut read, &mut write).await;
            let _ = write.shutdown().await;
        });
        Ok(Box::new(ours))
    }

    fn feed(self: &Arc<Self>, id: &ContainerId, bytes: Option<Bytes>) {
        let mut state = self.state.lock();
        let Ok(record) = state.running(id) else { return };
        if let Some(held) = &mut record.held {
            held.input.push(bytes);
            return;
        }
        self.take_in(record, bytes);
    }

    /// Gives a container's machine standard input, none at its end.
    pub(super) fn take_in(self: &Arc<Self>, record: &mut ContainerRecord, bytes: Option<Bytes>) {
        let mut went_on = false;
        let pause = record.proceed(|machine, emit| {
            let pause = machine.input(bytes, emit);
            went_on = pause.is_some();
            pause.unwrap_or(Pause::Input)
        });
        if went_on {
            self.settle(record, pause);
        }
    }

    pub(super) fn logs(
        self: &Arc<Self>,
        id: &ContainerId,
        options: &LogOptions,
    ) -> Result<Chunks, RuntimeError> {
        let mut reader = LogReader {
            inner: self.clone(),
            id: id.clone(),
            options: options.clone(),
            next: 0,
            ready: VecDeque::new(),
            complete: false,
        };
        reader.read(&self.state.lock())?;
        if let Some(tail) = options.tail {
            reader.ready.drain(..reader.ready.len().saturating_sub(tail));
        }
        Ok(stream::unfold(reader, |mut reader| async move {
            let line = reader.next_line().await?;
            let chunk = line.render(&reader.options);
            Some((Ok(chunk), reader))
        })
        .boxed())
    }
}

/// A reader of one container's log.
struct LogReader {
    inner: Arc<Inner>,
    id: ContainerId,
    options: LogOptions,
    next: usize,
    ready: VecDeque<LogLine>,
    complete: bool,
}

impl LogReader {
    /// Takes what has been written since the last time.
    fn read(&mut self, state: &State) -> Result<(), RuntimeError> {
        let record = state.container(&self.id)?;
        let (lines, next) = record.log.since(self.next);
        self.ready
            .extend(lines.filter(|line| line.wanted(&self.options)).cloned());
        self.next = next;
        if !record.is_running() || !self.options.follow {
            let partial = record.log.partial().into_iter();
            self.ready
                .extend(partial.filter(|line| line.wanted(&self.options)));
            self.complete = true;
        }
        Ok(())
    }

    async fn next_line(&mut self) -> Option<LogLine> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(line);
            }
            if self.complete {
                return None;
            }
            let inner = self.inner.clone();
            let changed = {
                let mut state = inner.state.lock();
                self.read(&state).ok()?;
                if !self.ready.is_empty() || self.complete {
                    continue;
                }
                state.containers.get_mut(&self.id)?.changed().notified_owned()
            };
            changed.await;
        }
    }
}

/// Runs a command's machine to its end.
async fn drive<F: Future<Output = ()>>(
    mut machine: Machine,
    mut stdin: Option<mpsc::Receiver<SessionInput>>,
    mut emit: impl FnMut(LogChunk) -> F,
) -> i32 {
    let mut chunks = Vec::new();
    let mut pause = machine.run(&mut |stream, data| chunks.push(LogChunk { stream, data }));
    loop {
        for chunk in chunks.drain(..) {
            emit(chunk).await;
        }
        let mut keep = |stream: LogStream, data: Bytes| chunks.push(LogChunk { stream, data });
        match pause {
            Pause::Ended(end) => return end.code,
            Pause::Wait => std::future::pending().await,
            Pause::Sleep(duration) => {
                tokio::time::sleep(duration).await;
                pause = machine.run(&mut keep);
            }
            Pause::Input => {
                let input = match &mut stdin {
                    Some(stdin) => stdin.recv().await,
                    None => None,
                };
                let bytes = match input {
                    Some(SessionInput::Stdin(bytes)) => Some(bytes),
                    Some(SessionInput::Resize(_)) => continue,
                    None => None,
                };
                pause = machine.input(bytes, &mut keep).unwrap_or(Pause::Input);
            }
        }
    }
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn receive(mut output: mpsc::Receiver<Result<LogChunk, RuntimeError>>, guard: Arc<AbortOnDrop>) -> Chunks {
    stream::poll_fn(move |context| {
        let _guard = &guard;
        output.poll_recv(context)
    })
    .boxed()
}

fn exit_code(
    exit: oneshot::Receiver<i32>,
    guard: Arc<AbortOnDrop>,
) -> BoxFuture<'static, Result<i32, RuntimeError>> {
    async move {
        let code = exit.await;
        drop(guard);
        code.map_err(|_| RuntimeError::failed("waiting for a command", "it was given up"))
    }
    .boxed()
}
