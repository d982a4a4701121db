//! Logs, exec and attach.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use super::RuntimeError;

/// Which of a program's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogStream {
    /// Standard output (everything, with a terminal).
    Stdout,
    /// Standard error.
    Stderr,
}

/// Which logs to read. The default is all there is, without waiting for more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Wait for more until the container ends.
    pub follow: bool,
    /// Only lines written at or after this moment.
    pub since: Option<Timestamp>,
    /// Only the last so many of the lines (that `since` lets through).
    pub tail: Option<usize>,
    /// Prefix each line with when it was written (RFC 3339, nanoseconds) and a space.
    pub timestamps: bool,
    /// Only this stream; none: both.
    pub stream: Option<LogStream>,
}

/// A piece of output: whole lines from logs, any bytes from exec and attach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogChunk {
    /// Where it was written.
    pub stream: LogStream,
    /// The bytes, line ends included. A last line that had none has none here.
    pub data: Bytes,
}

/// A command to run in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Give it a terminal.
    pub tty: bool,
    /// Connect its standard input.
    pub stdin: bool,
    /// How long it may take; none: no bound for [`open_exec`](super::Runtime::open_exec), the runtime's own
    /// for [`exec`](super::Runtime::exec).
    pub timeout: Option<Duration>,
}

impl ExecRequest {
    /// A command without terminal or input.
    pub fn new(command: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            command: command.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }
}

/// What a command wrote and how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// Its exit code; 128 plus the signal's number if a signal ended it.
    pub exit_code: i32,
    /// What it wrote to standard output.
    pub stdout: Bytes,
    /// What it wrote to standard error.
    pub stderr: Bytes,
    /// Whether some output was dropped for its length.
    pub truncated: bool,
}

/// What to connect to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttachOptions {
    /// Connect the container's standard input, if it has one.
    pub stdin: bool,
}

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// What can be sent into a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionInput {
    /// Bytes for its standard input.
    Stdin(Bytes),
    /// A new size for its terminal.
    Resize(TerminalSize),
}

/// A connection to a port in a sandbox. Dropping it closes it; shutting down its writing end says that no more comes.
pub type PortStream = Box<dyn ByteStream>;

/// What bytes are read from and written to.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

impl fmt::Debug for dyn ByteStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByteStream")
    }
}

/// The streams of a running command or container.
///
/// Dropping the input sender closes standard input. Dropping the whole session ends a command opened with
/// [`open_exec`](super::Runtime::open_exec), and merely disconnects from an attached container.
pub struct Session {
    /// What goes in. Bounded: a full channel makes the sender wait.
    pub input: mpsc::Sender<SessionInput>,
    /// What comes out, until the end of output.
    pub output: BoxStream<'static, Result<LogChunk, RuntimeError>>,
    /// Resolves to the exit code once the program has ended.
    pub exit: BoxFuture<'static, Result<i32, RuntimeError>>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}
