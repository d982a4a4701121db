//! Commands run in containers, each through a shim of its own.

mod command;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use orch_core::runtime::{
    ContainerId, ExecOutput, ExecRequest, LogStream, RuntimeError, Session, SessionInput,
};
use rustix::termios::tcsetwinsize;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use self::command::{Command, Started};
use crate::driver::Driver;
use crate::invalid;
use crate::session::{self, AbortOnDrop, Ends, Output};
use crate::stream::Stream;
use crate::terminal;

/// How long a command may take of which nothing is said.
const TIMEOUT: Duration = Duration::from_secs(120);

/// How much of each output stream a command's caller gets.
const OUTPUT: usize = 1 << 20;

/// How much is read at once.
const CHUNK: usize = 16 << 10;

/// More than a pipe holds, unless it was made larger by root.
const PIPE: usize = 1 << 20;

impl Driver {
    pub(crate) async fn exec(
        self: &Arc<Self>,
        id: &ContainerId,
        request: &ExecRequest,
    ) -> Result<ExecOutput, RuntimeError> {
        let request = ExecRequest {
            stdin: false,
            timeout: Some(request.timeout.unwrap_or(TIMEOUT)),
            ..request.clone()
        };
        let session = self.open_exec(id, &request).await?;
        let (mut stdout, mut stderr) = (Captured::default(), Captured::default());
        let mut output = session.output;
        while let Some(chunk) = output.next().await {
            let chunk = chunk?;
            match chunk.stream {
                LogStream::Stdout => stdout.keep(&chunk.data),
                LogStream::Stderr => stderr.keep(&chunk.data),
            }
        }
        Ok(ExecOutput {
            exit_code: session.exit.await?,
            truncated: stdout.truncated || stderr.truncated,
            stdout: stdout.bytes.freeze(),
            stderr: stderr.bytes.freeze(),
        })
    }

    pub(crate) async fn open_exec(
        self: &Arc<Self>,
        id: &ContainerId,
        request: &ExecRequest,
    ) -> Result<Session, RuntimeError> {
        let cell = self.cell(id)?;
        check(request)?;
        let limit = request.timeout.map(|after| Limit {
            at: Instant::now() + after,
            after,
            what: format!(
                "command {:?} in container {}",
                request.command, cell.record.config.name
            ),
        });
        let going = cell.going.read().await;
        let mut command = Command::begin(self, &cell, request).await?;
        let started = tokio::select! {
            started = command.started(&cell, self.options.start_timeout) => started,
            error = Limit::over(&limit) => {
                command.end().await;
                return Err(error);
            }
        };
        drop(going);
        let (session, ends) = session::open();
        match started {
            Ok(Started::Running) => {
                tokio::spawn(serve(command, ends, limit));
            }
            // As a shell would say it.
            Ok(Started::Refused { code, text }) => {
                ends.output.put(LogStream::Stderr, Bytes::from(text + "\n")).await;
                ends.caller.tell(Ok(code));
            }
            Err(error) => {
                command.end().await;
                return Err(error);
            }
        }
        Ok(session)
    }
}

fn check(request: &ExecRequest) -> Result<(), RuntimeError> {
    if request.command.is_empty() {
        return Err(invalid(
            "command",
            "[]: must not be empty; its first word names the program",
        ));
    }
    match request.command.iter().find(|word| word.contains('\0')) {
        Some(word) => Err(invalid(
            "command",
            format!("{word:?}: must not contain a NUL character"),
        )),
        None => Ok(()),
    }
}

/// The beginning of an output stream.
#[derive(Default)]
struct Captured {
    bytes: BytesMut,
    truncated: bool,
}

impl Captured {
    fn keep(&mut self, data: &[u8]) {
        let room = (OUTPUT - self.bytes.len()).min(data.len());
        self.bytes.extend_from_slice(&data[..room]);
        self.truncated |= room < data.len();
    }
}

/// How long a command may take.
struct Limit {
    at: Instant,
    after: Duration,
    what: String,
}

impl Limit {
    /// Returns when it took longer.
    async fn over(limit: &Option<Self>) -> RuntimeError {
        let Some(limit) = limit else {
            return std::future::pending().await;
        };
        tokio::time::sleep_until(limit.at).await;
        RuntimeError::Timeout {
            what: limit.what.clone(),
            after: limit.after,
        }
    }
}

/// Runs a session's command to its end.
async fn serve(mut command: Command, ends: Ends, limit: Option<Limit>) {
    let Ends {
        input,
        output,
        mut caller,
    } = ends;
    let streams = std::mem::take(&mut command.streams);
    let (over, ended) = watch::channel(false);
    let output = Arc::new(output);
    for (name, stream) in streams.output {
        // Apart from this task: a caller that reads no output must still learn of the end, and what was written
        // stays readable after it.
        tokio::spawn(forward(stream, name, output.clone(), ended.clone()));
    }
    drop(output);
    let feeding = tokio::spawn(feed(streams.stdin, streams.terminal, input));
    let _feeding = AbortOnDrop(feeding.abort_handle());
    let exit = tokio::select! {
        code = command.exited() => code,
        error = Limit::over(&limit) => {
            command.end().await;
            Err(error)
        }
        () = caller.dropped() => {
            command.end().await;
            return;
        }
    };
    over.send_replace(true);
    caller.tell(exit);
}

async fn feed(
    mut stdin: Option<Arc<Stream>>,
    terminal: Option<Arc<Stream>>,
    mut input: mpsc::Receiver<SessionInput>,
) {
    while let Some(input) = input.recv().await {
        match (input, &stdin, &terminal) {
            // Fails if the command reads no more. What is sent goes nowhere then, as into a closed pipe.
            (SessionInput::Stdin(bytes), Some(to), _) if to.write_all(&bytes).await.is_err() => stdin = None,
            // One that nobody has open any more has no size to change.
            (SessionInput::Resize(size), _, Some(terminal)) => {
                let _ = tcsetwinsize(terminal.fd(), terminal::winsize(size));
            }
            _ => {}
        }
    }
    // A pipe ends with this. A terminal is told as a person would tell it.
    if let (Some(stdin), Some(terminal)) = (stdin, terminal)
        && let Some(key) = terminal::end_of_input(terminal.fd())
    {
        let _ = stdin.write_all(&[key]).await;
    }
}

/// Hands on what the command writes, until the end of that or the command's.
async fn forward(
    stream: Arc<Stream>,
    name: LogStream,
    output: Arc<Output>,
    mut ended: watch::Receiver<bool>,
) {
    let mut chunk = vec![0; CHUNK];
    let put = async |bytes: &[u8]| output.put(name, Bytes::copy_from_slice(bytes)).await;
    let mut ended = std::pin::pin!(async move { drop(ended.wait_for(|ended| *ended).await) });
    loop {
        let read = tokio::select! {
            read = stream.read(&mut chunk) => read,
            () = &mut ended => break,
        };
        let Ok(count @ 1..) = read else { return };
        put(&chunk[..count]).await;
    }
    // All that it wrote is there. What it has left running may have the other end still, and go on writing.
    let mut rest = PIPE;
    while rest > 0
        && let Ok(Some(count @ 1..)) = stream.try_read(&mut chunk)
    {
        put(&chunk[..count]).await;
        rest = rest.saturating_sub(count);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};

    use tokio::io::Interest;

    use super::*;

    #[tokio::test]
    async fn what_was_written_before_the_end_is_handed_on_though_another_may_write_still() {
        // Once for each way in which the end and the output may be seen.
        for _ in 0..20 {
            let (read, mut write) = io::pipe().unwrap();
            write.write_all(&[b'x'; 60_000]).unwrap();
            let stream = Arc::new(Stream::new(read.into(), Interest::READABLE).unwrap());
            let (session, ends) = session::open();
            let (_over, ended) = watch::channel(true);
            forward(stream, LogStream::Stdout, Arc::new(ends.output), ended).await;
            let chunks: Vec<_> = session.output.collect().await;
            let got: usize = chunks.into_iter().map(|chunk| chunk.unwrap().data.len()).sum();
            assert_eq!(got, 60_000);
            drop(write);
        }
    }
}
