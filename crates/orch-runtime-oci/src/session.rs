//! The ends of a session that are not the caller's.

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::StreamExt;
use futures::stream;
use orch_core::runtime::{LogChunk, LogStream, RuntimeError, Session, SessionInput};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::NAME;

/// How many pieces wait in a session's channels.
const BACKLOG: usize = 64;

/// How often it is looked whether somebody still has the input of a session of which all else was dropped.
const LOOK: Duration = Duration::from_secs(1);

pub(crate) struct Ends {
    pub(crate) input: mpsc::Receiver<SessionInput>,
    pub(crate) output: Output,
    pub(crate) caller: Caller,
}

/// Where output goes.
pub(crate) struct Output(mpsc::Sender<Result<LogChunk, RuntimeError>>);

/// Whether somebody has the session still, and where its end is told.
pub(crate) struct Caller {
    input: mpsc::WeakSender<SessionInput>,
    /// Comes to its end with whoever reads the output.
    reader: oneshot::Receiver<()>,
    exit: oneshot::Sender<Result<i32, RuntimeError>>,
}

pub(crate) fn open() -> (Session, Ends) {
    let (input, inputs) = mpsc::channel(BACKLOG);
    let (outputs, output) = mpsc::channel(BACKLOG);
    let (reading, reader) = oneshot::channel::<()>();
    let (exit, code) = oneshot::channel();
    let ends = Ends {
        input: inputs,
        output: Output(outputs),
        caller: Caller {
            input: input.downgrade(),
            reader,
            exit,
        },
    };
    let code = async {
        code.await.unwrap_or_else(|_| {
            Err(RuntimeError::Unavailable {
                runtime: NAME,
                reason: "the program that held the session is ending; open another from one that goes on"
                    .into(),
            })
        })
    };
    let session = Session {
        input,
        output: stream::unfold((output, reading), async |(mut output, reading)| {
            Some((output.recv().await?, (output, reading)))
        })
        .boxed(),
        exit: code.boxed(),
    };
    (session, ends)
}

impl Output {
    /// Waits for room. What nobody wants any more is dropped.
    pub(crate) async fn put(&self, stream: LogStream, data: impl Into<Bytes>) {
        let data = data.into();
        let _ = self.0.send(Ok(LogChunk { stream, data })).await;
    }

    pub(crate) async fn fail(&self, error: RuntimeError) {
        let _ = self.0.send(Err(error)).await;
    }
}

impl Caller {
    /// Returns once nobody has any part of the session. To be called once.
    pub(crate) async fn dropped(&mut self) {
        self.disconnected().await;
        self.exit.closed().await;
    }

    /// Returns once nobody reads its output to the end, or writes. To be called once.
    pub(crate) async fn disconnected(&mut self) {
        let _ = (&mut self.reader).await;
        while self.input.strong_count() > 0 {
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(crate) fn tell(self, exit: Result<i32, RuntimeError>) {
        // Nobody may want to know.
        let _ = self.exit.send(exit);
    }
}

pub(crate) struct AbortOnDrop(pub(crate) AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
