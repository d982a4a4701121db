//! A two-way stream with a program, from a connection of the engine's.

use std::collections::VecDeque;
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
use tokio::sync::{mpsc, oneshot, watch};

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
        let (input_over, mut on_input_over) = watch::channel(false);
        let (output_closed, on_output_closed) = oneshot::channel::<()>();
        let work = async {
            let writing = async {
                write_all(write, inputs, resize, input_over).await;
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
            let _ = on_output_closed.await;
            let _ = on_input_over.wait_for(|over| *over).await;
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

/// Writes what comes in. `over` is so once no more can come, also while the program does not read what came
/// before; and while so much waits that this cannot be told.
async fn write_all(
    mut write: WriteHalf<impl AsyncWrite>,
    mut inputs: mpsc::Receiver<SessionInput>,
    resize: Resize,
    over: watch::Sender<bool>,
) {
    let mut waiting = VecDeque::new();
    loop {
        let next = match waiting.pop_front() {
            Some(input) => Some(input),
            None => inputs.recv().await,
        };
        match next {
            Some(SessionInput::Stdin(bytes)) => {
                let writing = async {
                    write.write_all(&bytes).await?;
                    write.flush().await
                };
                tokio::select! {
                    biased;
                    written = writing => if written.is_err() {
                        // The program reads no more. What is sent goes nowhere, as into a closed pipe.
                        inputs.close();
                        waiting.clear();
                    },
                    () = look_ahead(&mut inputs, &mut waiting, &over) => {}
                }
                over.send_replace(false);
            }
            Some(SessionInput::Resize(size)) => resize(size).await,
            None => break,
        }
    }
    // Half a close: the program's standard input ends, its output goes on.
    let _ = write.shutdown().await;
    over.send_replace(true);
}

/// Takes in what comes while the program does not read, for its end shows only behind it. Never returns.
async fn look_ahead(
    inputs: &mut mpsc::Receiver<SessionInput>,
    waiting: &mut VecDeque<SessionInput>,
    over: &watch::Sender<bool>,
) {
    while waiting.len() < QUEUE
        && let Some(input) = inputs.recv().await
    {
        waiting.push_back(input);
    }
    over.send_replace(true);
    std::future::pending::<()>().await;
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

    #[tokio::test(start_paused = true)]
    async fn dropping_it_ends_a_program_that_does_not_read() {
        let piece = || SessionInput::Stdin(vec![b'x'; 100].into());
        // The first blocks; the last are more than are looked at ahead of their time.
        for pieces in [0, 1, 2, QUEUE, 2 * QUEUE + 1] {
            let (session, program, ended) = opened(None);
            for _ in 0..pieces {
                let sent = tokio::time::timeout(Duration::from_secs(1), session.input.send(piece()));
                sent.await.expect("room for it").expect("a session");
            }
            tokio::task::yield_now().await;
            drop(session);
            let ended = tokio::time::timeout(Duration::from_secs(60), ended).await;
            ended
                .unwrap_or_else(|_| panic!("it goes on with {pieces} pieces unread"))
                .expect("it was ended");
            drop(program);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_only_writes_is_not_cut_off() {
        let (session, mut program, mut ended) = opened(None);
        let Session { input, output, exit } = session;
        drop((output, exit));
        for _ in 0..3 {
            input
                .send(SessionInput::Stdin(vec![b'x'; 100].into()))
                .await
                .unwrap();
            tokio::time::sleep(Duration::from_secs(60)).await;
            let mut read = [0; 100];
            program.read_exact(&mut read).await.expect("what was written");
        }
        assert!(ended.try_recv().is_err());
        drop(input);
        ended.await.expect("nobody is left");
    }
}
