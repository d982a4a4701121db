//! A two-way stream with a program, from a connection of the engine's.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures::StreamExt;
use futures::future::BoxFuture;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use orch_core::runtime::{LogChunk, RuntimeError, Session, SessionInput, TerminalSize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};

use crate::NAME;
use crate::frames::Demux;

/// Pieces waiting to be read or written by the other side.
const QUEUE: usize = 64;
pub(crate) const READ_SIZE: usize = 16 << 10;

pub(crate) type Connection = TokioIo<Upgraded>;
pub(crate) type Resize = Arc<dyn Fn(TerminalSize) -> BoxFuture<'static, ()> + Send + Sync>;

/// How long a program may take.
#[derive(Debug)]
pub(crate) struct Limit {
    pub(crate) after: Duration,
    /// What is said of its end when it took longer.
    pub(crate) error: RuntimeError,
}

/// Makes a session of a connection. `exit` is asked for the exit code once the output has ended. If the session
/// is dropped before, or takes longer than it may, `end` is run instead.
pub(crate) fn open(
    connection: impl AsyncRead + AsyncWrite + Send + 'static,
    tty: bool,
    resize: Resize,
    limit: Option<Limit>,
    exit: impl Future<Output = Result<i32, RuntimeError>> + Send + 'static,
    end: impl Future<Output = ()> + Send + 'static,
) -> Session {
    let (input, inputs) = mpsc::channel(QUEUE);
    let (outputs, output) = mpsc::channel(QUEUE);
    let (mut exited, exit_code) = oneshot::channel();
    tokio::spawn(async move {
        let (read, write) = tokio::io::split(connection);
        let (input_closed, on_input_closed) = oneshot::channel::<()>();
        let (output_closed, on_output_closed) = oneshot::channel::<()>();
        let work = async {
            let writing = async {
                write_all(write, inputs, resize, input_closed).await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = writing => {}
                () = read_all(read, tty, outputs, output_closed) => {}
            }
            exit.await
        };
        let dropped = async {
            exited.closed().await;
            // Either is also over when its end was reached.
            let _ = on_input_closed.await;
            let _ = on_output_closed.await;
        };
        // Counted here, whether or not anybody asks for the exit code.
        let late = async {
            match limit {
                Some(limit) => {
                    tokio::time::sleep(limit.after).await;
                    limit.error
                }
                None => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            code = work => Ended::Exited(code),
            error = late => Ended::Late(error),
            () = dropped => Ended::Dropped,
        };
        // Nobody may be listening any more.
        match ended {
            Ended::Exited(code) => drop(exited.send(code)),
            Ended::Late(error) => {
                end.await;
                drop(exited.send(Err(error)));
            }
            Ended::Dropped => end.await,
        }
    });
    Session {
        input,
        output: futures::stream::unfold(output, async |mut output| Some((output.recv().await?, output)))
            .boxed(),
        exit: Box::pin(async {
            exit_code.await.unwrap_or_else(|_| {
                Err(RuntimeError::Unavailable {
                    runtime: NAME,
                    reason: "the program that held the session has ended".into(),
                })
            })
        }),
    }
}

enum Ended {
    Exited(Result<i32, RuntimeError>),
    Late(RuntimeError),
    Dropped,
}

async fn write_all(
    mut write: WriteHalf<impl AsyncWrite>,
    mut inputs: mpsc::Receiver<SessionInput>,
    resize: Resize,
    _closed: oneshot::Sender<()>,
) {
    while let Some(input) = inputs.recv().await {
        match input {
            SessionInput::Stdin(bytes) => {
                if write.write_all(&bytes).await.is_err() || write.flush().await.is_err() {
                    // The program reads no more. What is sent goes nowhere, as into a closed pipe.
                    inputs.close();
                }
            }
            SessionInput::Resize(size) => resize(size).await,
        }
    }
    // Half a close: the program's standard input ends, its output goes on.
    let _ = write.shutdown().await;
}

async fn read_all(
    mut read: ReadHalf<impl AsyncRead>,
    tty: bool,
    outputs: mpsc::Sender<Result<LogChunk, RuntimeError>>,
    closed: oneshot::Sender<()>,
) {
    let mut closed = Some(closed);
    let mut demux = Demux::new(tty);
    let mut buffer = BytesMut::with_capacity(READ_SIZE);
    loop {
        buffer.clear();
        buffer.reserve(READ_SIZE);
        let got = tokio::select! {
            got = read.read_buf(&mut buffer) => got,
            // Nobody reads: go on without keeping, for the program must not block and its end is awaited.
            () = outputs.closed(), if closed.is_some() => {
                closed = None;
                continue;
            }
        };
        match got {
            Ok(0) => return,
            Ok(_) => {
                demux.push(&buffer);
                while let Some(piece) = demux.next() {
                    let chunk = LogChunk {
                        stream: piece.stream,
                        data: piece.data,
                    };
                    if !chunk.data.is_empty() && closed.is_some() && outputs.send(Ok(chunk)).await.is_err() {
                        closed = None;
                    }
                }
            }
            Err(error) => {
                let error = RuntimeError::failed("reading a program's output", error);
                let _ = outputs.send(Err(error)).await;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;

    use super::*;

    /// A session that never ends by itself, the program's side of it, and whether it was told to end.
    fn opened(limit: Option<Limit>) -> (Session, DuplexStream, oneshot::Receiver<()>) {
        let (ours, program) = tokio::io::duplex(64);
        let (ending, ended) = oneshot::channel();
        let resize: Resize = Arc::new(|_| Box::pin(std::future::ready(())));
        let end = async { ending.send(()).unwrap_or_default() };
        let session = open(ours, true, resize, limit, std::future::pending(), end);
        (session, program, ended)
    }

    #[tokio::test(start_paused = true)]
    async fn its_time_runs_also_while_only_its_output_is_read() {
        let error = RuntimeError::Timeout {
            what: "a command".into(),
            after: Duration::from_secs(1),
        };
        let after = Duration::from_secs(1);
        let (session, mut program, ended) = opened(Some(Limit { after, error }));
        program.write_all(b"begun").await.unwrap();
        let begun = tokio::time::Instant::now();
        let output = tokio::time::timeout(Duration::from_secs(60), session.output.collect::<Vec<_>>());
        assert_eq!(output.await.expect("the end of output").len(), 1);
        ended.await.expect("it was ended");
        assert_eq!(begun.elapsed(), after);
        let exit = session.exit.await;
        assert!(matches!(exit, Err(RuntimeError::Timeout { .. })), "{exit:?}");
    }
}
