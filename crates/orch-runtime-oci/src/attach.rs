//! Attaching to a container's program, through the socket of its shim.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use orch_core::runtime::{AttachOptions, ContainerId, ContainerState, RuntimeError, Session, SessionInput};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::NAME;
use crate::client;
use crate::container::Cell;
use crate::driver::Driver;
use crate::place::Place;
use crate::record::SOCKET;
use crate::runtime::blocking;
use crate::session::{self, AbortOnDrop, Caller, Output};
use crate::wire::{Inbox, MAX, Reply, Request};

/// How long a shim may take to take one in.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long one that nobody has any more stays connected for what the program has not read yet.
const LINGER: Duration = Duration::from_secs(5);

/// How long a shim may take from the end of its connections to its own.
const ENDING: Duration = Duration::from_secs(5);

impl Driver {
    pub(crate) async fn attach(
        self: &Arc<Self>,
        id: &ContainerId,
        options: &AttachOptions,
    ) -> Result<Session, RuntimeError> {
        let cell = self.cell(id)?;
        let stdin = options.stdin && cell.record.config.stdin;
        let connecting = blocking({
            let cell = cell.clone();
            move || {
                cell.must_run()?;
                let socket = Place::open(cell.dir.run()).and_then(|place| place.connect(SOCKET));
                socket.map_err(|error| cell.must_run().err().unwrap_or_else(|| failed(&cell, error)))
            }
        });
        let socket = connecting.await??;
        let mut inbox = Inbox::default();
        let greeting = async {
            socket.set_nonblocking(true)?;
            let socket = UnixStream::from_std(socket)?;
            let asked = client::request(&socket, &Request::Attach { stdin }.encode()).await;
            let reply = client::reply(&socket, &mut inbox).await?;
            // It may have answered before it was asked, and be done with it.
            if reply.is_none() {
                asked?;
            }
            Ok::<_, io::Error>((reply, socket))
        };
        let socket = match tokio::time::timeout(PATIENCE, greeting).await {
            Ok(Ok((Some(Reply::Hello), socket))) => socket,
            Ok(Ok((Some(Reply::Failed(_, text)), _))) => return Err(failed(&cell, text)),
            Err(_) => {
                let what = format!("attaching to container {}", cell.record.config.name);
                return Err(RuntimeError::Timeout {
                    what,
                    after: PATIENCE,
                });
            }
            Ok(other) => {
                // Most likely it is about to end.
                cell.ended_within(ENDING).await;
                let looked = cell.clone();
                let runs = blocking(move || looked.must_run()).await?;
                let error = other.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into());
                return Err(runs.err().unwrap_or_else(|| failed(&cell, error)));
            }
        };
        let (mut session, ends) = session::open();
        session.exit = exit(&cell).boxed();
        let socket = Arc::new(socket);
        let feeding = tokio::spawn(feed(socket.clone(), stdin, ends.input));
        let name = cell.record.config.name.clone();
        tokio::spawn(talk(socket, inbox, ends.output, ends.caller, feeding, name));
        Ok(session)
    }
}

fn failed(cell: &Cell, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> RuntimeError {
    cell.failed("attaching to", error)
}

/// The container's exit code, whether or not one is connected to it. Holds no part of the runtime.
fn exit(cell: &Arc<Cell>) -> impl Future<Output = Result<i32, RuntimeError>> + use<> {
    let (mut ended, end) = (cell.ended.subscribe(), cell.end.clone());
    let what = format!("waiting for container {}", cell.record.config.name);
    async move {
        if ended.wait_for(|ended| *ended).await.is_err() {
            return Err(RuntimeError::Unavailable {
                runtime: NAME,
                reason: "it was closed while the container ran; open it again and attach anew".into(),
            });
        }
        match end.get() {
            Some(ContainerState::Exited {
                exit_code: Some(code),
                ..
            }) => Ok(*code),
            _ => Err(RuntimeError::failed(
                what,
                "nobody knows the exit code: who held the container was killed before it ended",
            )),
        }
    }
}

/// Sends on what the caller writes.
async fn feed(socket: Arc<UnixStream>, stdin: bool, mut input: mpsc::Receiver<SessionInput>) {
    let send = async |request: Request| client::request(&socket, &request.encode()).await.is_ok();
    while let Some(input) = input.recv().await {
        let sent = match input {
            SessionInput::Stdin(bytes) if stdin => {
                let mut sent = true;
                for piece in bytes.chunks(MAX) {
                    sent = sent && send(Request::Stdin(piece.to_vec())).await;
                }
                sent
            }
            SessionInput::Stdin(_) => true,
            SessionInput::Resize(size) => send(Request::Resize(size)).await,
        };
        if !sent {
            return;
        }
    }
    send(Request::CloseStdin).await;
}

/// Hands on what the program writes until the container ends, or nobody has the session.
async fn talk(
    socket: Arc<UnixStream>,
    mut inbox: Inbox,
    output: Output,
    mut caller: Caller,
    mut feeding: JoinHandle<()>,
    name: String,
) {
    let _feeding = AbortOnDrop(feeding.abort_handle());
    let reading = async {
        loop {
            match client::reply(&socket, &mut inbox).await {
                Ok(Some(Reply::Out(stream, bytes))) => output.put(stream, bytes).await,
                Ok(Some(Reply::Exited(_))) => return,
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        let text = "there was more than this session could be shown: it fell too far behind, or the container's \
            shim was killed. The log has all";
        let what = format!("attached to container {name}");
        output.fail(RuntimeError::failed(what, text)).await;
    };
    tokio::select! {
        () = reading => {}
        () = caller.disconnected() => {
            // What was taken from the caller is delivered, if the program reads.
            let _ = tokio::time::timeout(LINGER, &mut feeding).await;
        }
    }
}
