//! A command in a container: the shim that runs it, and the caller's ends of its streams.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net;
use std::sync::Arc;
use std::time::Duration;

use orch_core::runtime::{ExecRequest, LogStream, RuntimeError};
use rustix::pipe::{PipeFlags, pipe_with};
use serde_json::{Value, json};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use crate::client;
use crate::container::{Cell, KILL_TIMEOUT};
use crate::driver::Driver;
use crate::launch::{self, Process};
use crate::nursery;
use crate::record::{self, gone};
use crate::runtime::blocking;
use crate::spec::TERM;
use crate::stream::Stream;
use crate::wire::{Inbox, Reply, Request, Stage, send};

/// How long a container that is being killed may take to end.
const MOMENT: Duration = Duration::from_secs(1);

/// One that has been asked for. Dropped, it is killed, and with it all that it has started.
pub(super) struct Command {
    pub(super) streams: Streams,
    /// Its end is the command's.
    control: Option<UnixStream>,
    inbox: Inbox,
    shim: Process,
    /// Ends once nothing is left of it; returns what the shim has complained about.
    reaper: Option<JoinHandle<String>>,
    tty: bool,
    stdin: bool,
}

/// The caller's ends.
#[derive(Default)]
pub(super) struct Streams {
    pub(super) stdin: Option<Arc<Stream>>,
    pub(super) output: Vec<(LogStream, Arc<Stream>)>,
    pub(super) terminal: Option<Arc<Stream>>,
}

/// What came of it.
pub(super) enum Started {
    Running,
    /// It cannot be executed: a shell's code for that, and why.
    Refused {
        code: i32,
        text: String,
    },
}

impl Command {
    pub(super) async fn begin(
        driver: &Arc<Driver>,
        cell: &Arc<Cell>,
        request: &ExecRequest,
    ) -> Result<Self, RuntimeError> {
        let (driver, cell, request) = (driver.clone(), cell.clone(), request.clone());
        // Given up meanwhile, it is dropped, and ends with that.
        blocking(move || {
            cell.must_run()?;
            cell.must_go_on()?;
            let begun = Self::spawn(&driver, &cell, &request);
            begun.map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => cell.must_run().err().unwrap_or_else(|| failed(&cell, error)),
                _ => failed(&cell, error),
            })
        })
        .await?
    }

    fn spawn(driver: &Driver, cell: &Cell, request: &ExecRequest) -> io::Result<Self> {
        let (id, shim, control) = match Self::bear(driver, cell, request) {
            // If its shim was born all the same it has not been told to run anything, and ends by that. By another name, for
            // then it removes what goes by the first.
            Err(error) if nursery::went(&error) => Self::bear(driver, cell, request)?,
            born => born?,
        };
        let place = cell.dir.exec(&id);
        let (ground, group, process) = (
            cell.ground.clone(),
            format!("{}/exec-{id}", cell.group()),
            shim.try_clone()?,
        );
        let reaper = tokio::spawn(async move {
            if let Err(error) = process.ended().await {
                tracing::error!(group, %error, "cannot wait for a command's end");
                return String::new();
            }
            let reaping = blocking(move || {
                launch::reap();
                let said = fs::read_to_string(place.complaints()).unwrap_or_default();
                // There is something only if the shim was killed.
                let swept = ground.hierarchies.sweep(&group);
                if let Err(error) = swept.and_then(|()| gone(fs::remove_dir_all(place.0))) {
                    tracing::warn!(group, %error, "cannot sweep what a command's shim left");
                }
                said
            });
            reaping.await.unwrap_or_default()
        });
        let (streams, theirs) = if request.tty {
            (Streams::default(), Vec::new())
        } else {
            pipes(request.stdin)?
        };
        let fds: Vec<_> = theirs.iter().map(AsFd::as_fd).collect();
        match send(&control, &Request::Run.encode(), &fds) {
            // Its shim has ended already: there is no answer, then.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            sent => sent?,
        }
        control.set_nonblocking(true)?;
        Ok(Self {
            streams,
            control: Some(UnixStream::from_std(control)?),
            inbox: Inbox::default(),
            shim,
            reaper: Some(reaper),
            tty: request.tty,
            stdin: request.stdin,
        })
    }

    /// Has its shim born, by a new name, which waits to be told to run it.
    fn bear(
        driver: &Driver,
        cell: &Cell,
        request: &ExecRequest,
    ) -> io::Result<(String, Process, net::UnixStream)> {
        let id = driver.dir.new_id();
        let place = cell.dir.exec(&id);
        let spawn = || {
            match fs::create_dir(cell.dir.execs()) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => made?,
            }
            fs::create_dir(&place.0)?;
            record::write(&place.process(), &process(cell, request)?)?;
            driver.nursery.exec(&cell.dir, &id)
        };
        match spawn() {
            Ok((shim, control)) => Ok((id, shim, control)),
            Err(error) => {
                gone(fs::remove_dir_all(&place.0))?;
                Err(error)
            }
        }
    }

    /// Returns once it runs, or cannot.
    pub(super) async fn started(
        &mut self,
        cell: &Arc<Cell>,
        bound: Duration,
    ) -> Result<Started, RuntimeError> {
        let Ok(reply) = tokio::time::timeout(bound, self.reply()).await else {
            let what = format!("starting a command in container {}", cell.record.config.name);
            return Err(RuntimeError::Timeout { what, after: bound });
        };
        let text = match reply {
            Ok(Some(Reply::Started)) => {
                return match self.take_terminal() {
                    Ok(()) => Ok(Started::Running),
                    Err(error) => Err(failed(cell, error)),
                };
            }
            Ok(Some(Reply::Failed(Stage::NotFound, text))) => {
                return Ok(Started::Refused { code: 127, text });
            }
            Ok(Some(Reply::Failed(Stage::NotExecutable, text))) => {
                return Ok(Started::Refused { code: 126, text });
            }
            Ok(Some(Reply::Failed(Stage::Ended, _))) => return Err(cell.not_running()),
            Ok(Some(Reply::Failed(Stage::Other, text))) => text,
            Ok(Some(other)) => format!("its shim answered {other:?}"),
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => error.to_string(),
            Ok(None) | Err(_) => {
                let said = self.complaint().await;
                // Who killed its shim may be killing the container, whose turn comes in a moment.
                cell.ended_within(MOMENT).await;
                said
            }
        };
        // Its shim may have ended with the container, which is not written down yet.
        let looked = cell.clone();
        let runs = blocking(move || match record::is_alive(&looked.dir) {
            true => looked.must_run(),
            false => Err(looked.not_running()),
        });
        let runs = runs.await?;
        Err(runs.err().unwrap_or_else(|| failed(cell, text)))
    }

    fn take_terminal(&mut self) -> io::Result<()> {
        if !self.tty {
            return Ok(());
        }
        let master = self.inbox.fds().pop();
        let master = master.ok_or_else(|| io::Error::other("its shim sent no terminal"))?;
        let master = Arc::new(Stream::new(master, Interest::READABLE | Interest::WRITABLE)?);
        self.streams = Streams {
            stdin: self.stdin.then(|| master.clone()),
            output: vec![(LogStream::Stdout, master.clone())],
            terminal: Some(master),
        };
        Ok(())
    }

    /// Its exit code, once it has ended and nothing is left of it.
    pub(super) async fn exited(&mut self) -> Result<i32, RuntimeError> {
        let what = "waiting for a command";
        loop {
            match self.reply().await {
                Ok(Some(Reply::Exited(code))) => return Ok(code),
                Ok(Some(_)) => {}
                Ok(None) => return Err(RuntimeError::failed(what, self.complaint().await)),
                Err(error) => return Err(RuntimeError::failed(what, error)),
            }
        }
    }

    /// Kills it, and all that it has started; returns once that has gone.
    pub(super) async fn end(&mut self) {
        self.control = None;
        let Some(reaper) = &mut self.reaper else { return };
        if tokio::time::timeout(KILL_TIMEOUT, &mut *reaper).await.is_err() {
            // The reaper then kills what it has held.
            self.shim.kill();
            let _ = reaper.await;
        }
        self.reaper = None;
    }

    async fn reply(&mut self) -> io::Result<Option<Reply>> {
        match &self.control {
            Some(control) => client::reply(control, &mut self.inbox).await,
            None => Ok(None),
        }
    }

    /// Why its shim has ended without an answer.
    async fn complaint(&mut self) -> String {
        let said = match self.reaper.take() {
            Some(reaper) => reaper.await.unwrap_or_default(),
            None => String::new(),
        };
        match said.trim() {
            "" => "its shim ended and said nothing".into(),
            said => said.to_owned(),
        }
    }
}

fn failed(cell: &Cell, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> RuntimeError {
    cell.failed("running a command in", error)
}

/// The specification's `process`: the container's own, with another program.
fn process(cell: &Cell, request: &ExecRequest) -> io::Result<Value> {
    let spec: Option<Value> = record::read(&cell.dir.bundle().join("config.json"))?;
    let mut process = spec.ok_or(io::ErrorKind::NotFound)?["process"].take();
    process["args"] = json!(request.command);
    process["terminal"] = json!(request.tty);
    let set = |variable: &Value| variable.as_str().is_some_and(|text| text.starts_with("TERM="));
    if let Some(env) = process["env"].as_array_mut()
        && request.tty
        && !env.iter().any(set)
    {
        env.push(json!(format!("TERM={TERM}")));
    }
    Ok(process)
}

/// Pipes, and the ends that are the command's: input, output, errors.
fn pipes(stdin: bool) -> io::Result<(Streams, Vec<OwnedFd>)> {
    let pipe = || pipe_with(PipeFlags::CLOEXEC);
    let (stdout, stderr) = (pipe()?, pipe()?);
    let (input, write) = if stdin {
        let (read, write) = pipe()?;
        (read, Some(Arc::new(Stream::new(write, Interest::WRITABLE)?)))
    } else {
        (File::open("/dev/null")?.into(), None)
    };
    let read = |end| Stream::new(end, Interest::READABLE).map(Arc::new);
    let streams = Streams {
        stdin: write,
        output: vec![
            (LogStream::Stdout, read(stdout.0)?),
            (LogStream::Stderr, read(stderr.0)?),
        ],
        terminal: None,
    };
    Ok((streams, vec![input, stdout.1, stderr.1]))
}
