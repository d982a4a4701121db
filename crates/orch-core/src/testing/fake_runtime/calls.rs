//! The calls a fake runtime gets, and the faults a test puts in their way.

use std::time::Duration;

use jiff::Timestamp;

use crate::runtime::Container;

/// A method of [`Runtime`](crate::runtime::Runtime).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each is the method of the same name")]
pub enum Call {
    Image,
    PullImage,
    Images,
    RemoveImage,
    RunSandbox,
    StopSandbox,
    RemoveSandbox,
    Sandboxes,
    CreateContainer,
    StartContainer,
    StopContainer,
    Pause,
    Resume,
    RemoveContainer,
    Containers,
    Container,
    Exec,
    OpenExec,
    Attach,
    PortForward,
    Logs,
    Stats,
    UpdateResources,
    UpdateSandbox,
}

/// What goes wrong with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It fails as [`Unavailable`](crate::runtime::RuntimeError::Unavailable) for this reason; nothing is done.
    Fails(String),
    /// It is done, and yet fails as [`Unavailable`](crate::runtime::RuntimeError::Unavailable).
    DoneButFails(String),
    /// It never returns; nothing is done.
    Hangs,
    /// It is done, and yet never returns.
    DoneButHangs,
    /// It takes this much longer.
    Slow(Duration),
}

/// A call as it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// When.
    pub at: Timestamp,
    /// Which.
    pub call: Call,
    /// On what: an id, an image, `uid/attempt` of a sandbox to run, the name of a container to create.
    pub subject: String,
}

/// A container that ran until a call came that ends it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CutOff {
    /// When it came.
    pub at: Timestamp,
    /// Which: `StopContainer`, `RemoveContainer`, `StopSandbox` or `RemoveSandbox`.
    pub call: Call,
    /// The container as it was.
    pub container: Container,
}

#[derive(Clone, Debug)]
pub(super) struct Injected {
    pub(super) call: Call,
    pub(super) fault: Fault,
    pub(super) left: u32,
}
