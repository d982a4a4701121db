//! Commands run beside a container's program, and attaching to the program itself.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::FutureExt;
use futures::stream::{self, StreamExt};
use rustix::process::{Pid, Signal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::container::Cell;
use super::log::Log;
use super::{NAME, os, wrapper};
use crate::runtime::{
    AttachOptions, ContainerState, ExecOutput, ExecRequest, LogChunk, LogStream, RuntimeError, Session,
    SessionInput,
};

/// How long a command may take that says nothing of it.
const TIMEOUT: Duration = Duration::from_secs(600);

/// How much of each output stream a command's caller gets.
const OUTPUT: usize = 1 << 20;

/// How much is read at once.
const CHUNK: usize = 16 << 10;

/// How many pieces wait in a session's channels.
const BACKLOG: usize = 64;

/// How long output is read on once its command has ended and its group was killed; only a process that left
/// the group can keep it open.
const DRAIN: Duration = Duration::from_secs(1);

/// A running command, with its process group; both end with it.
struct Running {
    pid: Pid,
    stdin: Option<pipe::Sender>,
    stdout: Option<pipe::Receiver>,
    stderr: Option<pipe::Receiver>,
    reaped: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.reaped {
            return;
        }
        os::signal_group(self.pid, Signal::KILL);
        let pid = self.pid;
        // Killed, it ends at once; it is waited for beside whatever comes next.
        tokio::spawn(async move {
            os::ended(pid).await;
            os::reap(pid);
        });
    }
}

impl Running {
    /// Returns the exit code when the command has ended, and everything in its group with it.
    async fn wait(&mut self) -> Option<i32> {
        os::ended(self.pid).await;
        os::signal_group(self.pid, Signal::KILL);
        self.reaped = true;
        os::reap(self.pid)
    }
}

fn not_running(cell: &Cell) -> RuntimeError {
    RuntimeError::NotRunning {
        container: cell.id.to_string(),
    }
}

/// What came of starting a command: it runs, or why not, as a shell would say it.
enum Started {
    Running(Running),
    Refused { code: i32, message: String },
}

async fn start(cell: &Arc<Cell>, request: &ExecRequest) -> Result<Started, RuntimeError> {
    let (cell, request) = (cell.clone(), request.clone());
    // Given up meanwhile, what was started is dropped, and ends with that.
    os::blocking(move || spawn(&cell, &request)).await?
}

fn spawn(cell: &Cell, request: &ExecRequest) -> Result<Started, RuntimeError> {
    if request.tty {
        return Err(RuntimeError::Unsupported {
            runtime: NAME,
            what: "terminals".into(),
        });
    }
    let [program, args @ ..] = &request.command[..] else {
        return Err(RuntimeError::InvalidConfig {
            field: "command".into(),
            reason: "must name a program".into(),
        });
    };
    if cell.group().is_none() {
        return Err(not_running(cell));
    }
    let variables = wrapper::environment(&cell.id, &cell.record);
    let directory = wrapper::working_dir(&cell.record.config);
    let refused = |message: String| Started::Refused {
        code: if message.contains("ermission") { 126 } else { 127 },
        message: format!("{message}\n"),
    };
    let program = match wrapper::find(program, &variables, &directory) {
        Ok(program) => program,
        Err(reason) => return Ok(refused(reason)),
    };
    let mut command = Command::new(program);
    command
        .args(args)
        .env_clear()
        .envs(variables)
        .current_dir(directory)
        .process_group(0);
    command.stdin(if request.stdin {
        Stdio::piped()
    } else {
        Stdio::null()
    });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ok(refused(error.to_string())),
    };
    let mut running = Running {
        pid: os::pid(child.id()),
        stdin: None,
        stdout: None,
        stderr: None,
        reaped: false,
    };
    let failed =
        |error: io::Error| RuntimeError::failed(format!("running a command in container {}", cell.id), error);
    let receiver = |fd: Option<OwnedFd>| fd.map(pipe::Receiver::from_owned_fd).transpose();
    running.stdout = receiver(child.stdout.take().map(OwnedFd::from)).map_err(failed)?;
    running.stderr = receiver(child.stderr.take().map(OwnedFd::from)).map_err(failed)?;
    let stdin = child.stdin.take().map(OwnedFd::from);
    running.stdin = stdin
        .map(pipe::Sender::from_owned_fd)
        .transpose()
        .map_err(failed)?;
    Ok(Started::Running(running))
}

pub(super) async fn exec(cell: &Arc<Cell>, request: &ExecRequest) -> Result<ExecOutput, RuntimeError> {
    let mut running = match start(cell, request).await? {
        Started::Running(running) => running,
        Started::Refused { code, message } => {
            let stderr = Bytes::from(message);
            return Ok(ExecOutput {
                exit_code: code,
                stderr,
                ..ExecOutput::default()
            });
        }
    };
    drop(running.stdin.take());
    let (mut stdout, mut stderr) = (Captured::default(), Captured::default());
    let (out, err) = (running.stdout.take(), running.stderr.take());
    let after = request.timeout.unwrap_or(TIMEOUT);
    let work = async {
        let reading = async {
            tokio::join!(stdout.read(out), stderr.read(err));
        };
        let (mut reading, mut read) = (std::pin::pin!(reading), false);
        let code = loop {
            tokio::select! {
                () = &mut reading, if !read => read = true,
                code = running.wait() => break code,
                () = cell.wait() => return None,
            }
        };
        if !read {
            // It has ended, and all that it wrote is in the pipes.
            let _ = tokio::time::timeout(DRAIN, reading).await;
        }
        code
    };
    let ended = tokio::time::timeout(after, work).await;
    let code = ended.map_err(|_| RuntimeError::Timeout {
        what: format!("command {:?} in container {}", request.command, cell.id),
        after,
    })?;
    Ok(ExecOutput {
        // The container ended first, and it with it.
        exit_code: code.unwrap_or(128 + Signal::KILL.as_raw()),
        truncated: stdout.truncated || stderr.truncated,
        stdout: stdout.bytes.freeze(),
        stderr: stderr.bytes.freeze(),
    })
}

/// The beginning of an output stream.
#[derive(Default)]
struct Captured {
    bytes: BytesMut,
    truncated: bool,
}

impl Captured {
    async fn read(&mut self, output: Option<pipe::Receiver>) {
        let Some(mut output) = output else { return };
        let mut chunk = vec![0; CHUNK];
        while let Ok(count @ 1..) = output.read(&mut chunk).await {
            let room = (OUTPUT - self.bytes.len()).min(count);
            self.bytes.extend_from_slice(&chunk[..room]);
            self.truncated |= room < count;
        }
    }
}

pub(super) async fn open(cell: &Arc<Cell>, request: &ExecRequest) -> Result<Session, RuntimeError> {
    let (input, from_caller) = mpsc::channel(BACKLOG);
    let (to_caller, output) = mpsc::channel(BACKLOG);
    let (done, exit) = oneshot::channel();
    let task = match start(cell, request).await? {
        Started::Running(running) => {
            let (cell, limit) = (cell.clone(), request.timeout);
            tokio::spawn(async move {
                let code = serve(&cell, running, limit, from_caller, to_caller).await;
                let _ = done.send(code);
            })
        }
        Started::Refused { code, message } => tokio::spawn(async move {
            let data = Bytes::from(message);
            let _ = to_caller
                .send(Ok(LogChunk {
                    stream: LogStream::Stderr,
                    data,
                }))
                .await;
            let _ = done.send(code);
        }),
    };
    let guard = Arc::new(AbortOnDrop(task.abort_handle()));
    let held = guard.clone();
    let exit = async move {
        let code = exit.await;
        drop(guard);
        code.map_err(|_| RuntimeError::failed("waiting for a command", "it was given up"))
    };
    Ok(Session {
        input,
        output: receive(output, held).boxed(),
        exit: exit.boxed(),
    })
}

/// Runs a session's command to its end.
async fn serve(
    cell: &Cell,
    mut running: Running,
    limit: Option<Duration>,
    from_caller: mpsc::Receiver<SessionInput>,
    to_caller: mpsc::Sender<Result<LogChunk, RuntimeError>>,
) -> i32 {
    let (stdin, stdout, stderr) = (running.stdin.take(), running.stdout.take(), running.stderr.take());
    let feeding = tokio::spawn(feed(stdin, from_caller));
    let _feeding = AbortOnDrop(feeding.abort_handle());
    // Apart from this task: a caller that reads no output must still learn of the end, and what was written
    // stays readable after it. Ends with the pipes, or when no one listens.
    tokio::spawn(forward(stdout, stderr, to_caller));
    let expired = async {
        match limit {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    let code = tokio::select! {
        code = running.wait() => code,
        () = cell.wait() => None,
        () = expired => None,
    };
    code.unwrap_or(128 + Signal::KILL.as_raw())
}

async fn feed(stdin: Option<pipe::Sender>, mut from_caller: mpsc::Receiver<SessionInput>) {
    let Some(mut stdin) = stdin else { return };
    while let Some(input) = from_caller.recv().await {
        if let SessionInput::Stdin(bytes) = input
            && stdin.write_all(&bytes).await.is_err()
        {
            return;
        }
    }
}

async fn forward(
    stdout: Option<pipe::Receiver>,
    stderr: Option<pipe::Receiver>,
    to_caller: mpsc::Sender<Result<LogChunk, RuntimeError>>,
) {
    let forward_one = async |stream: LogStream, output: Option<pipe::Receiver>| {
        let Some(mut output) = output else { return };
        let mut chunk = vec![0; CHUNK];
        while let Ok(count @ 1..) = output.read(&mut chunk).await {
            let data = Bytes::copy_from_slice(&chunk[..count]);
            if to_caller.send(Ok(LogChunk { stream, data })).await.is_err() {
                return;
            }
        }
    };
    let both = async {
        tokio::join!(
            forward_one(LogStream::Stdout, stdout),
            forward_one(LogStream::Stderr, stderr)
        );
    };
    tokio::select! {
        () = both => {}
        () = to_caller.closed() => {}
    }
}

pub(super) fn attach(cell: &Arc<Cell>, options: &AttachOptions) -> Result<Session, RuntimeError> {
    if !cell.state.borrow().is_running() {
        return Err(not_running(cell));
    }
    let failed =
        |error: io::Error| RuntimeError::failed(format!("attaching to container {}", cell.id), error);
    let (input, from_caller) = mpsc::channel(BACKLOG);
    let (to_caller, output) = mpsc::channel(BACKLOG);
    cell.log.attach(to_caller).map_err(failed)?;
    if options.stdin && cell.record.config.stdin {
        let stdin = pipe::OpenOptions::new()
            .open_sender(cell.stdin_path())
            .map_err(failed)?;
        let (cell, once) = (Arc::downgrade(cell), cell.record.config.stdin_once);
        tokio::spawn(async move {
            feed(Some(stdin), from_caller).await;
            if let Some(cell) = cell.upgrade().filter(|_| once) {
                cell.close_stdin();
            }
        });
    }
    let mut state = cell.state.subscribe();
    let id = cell.id.clone();
    let exit = async move {
        let ended = state.wait_for(ContainerState::is_exited).await;
        match ended.as_deref() {
            Ok(ContainerState::Exited {
                exit_code: Some(code),
                ..
            }) => Ok(*code),
            _ => Err(RuntimeError::failed(
                format!("waiting for container {id}"),
                "nobody knows its exit code",
            )),
        }
    };
    let mut attached = Attached {
        output,
        log: Arc::downgrade(&cell.log),
    };
    Ok(Session {
        input,
        output: stream::poll_fn(move |context| attached.output.poll_recv(context))
            .map(Ok)
            .boxed(),
        exit: exit.boxed(),
    })
}

/// What an attached reader gets; a quiet container would not notice that it has gone.
struct Attached {
    output: mpsc::Receiver<LogChunk>,
    log: Weak<Log>,
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.output.close();
        if let Some(log) = self.log.upgrade() {
            log.detach();
        }
    }
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn receive(
    mut output: mpsc::Receiver<Result<LogChunk, RuntimeError>>,
    guard: Arc<AbortOnDrop>,
) -> impl stream::Stream<Item = Result<LogChunk, RuntimeError>> {
    stream::poll_fn(move |context| {
        let _guard = &guard;
        output.poll_recv(context)
    })
}
