//! What can go wrong in a call to the engine, before it is known what the call was for.

use std::time::Duration;

use bollard::errors::Error as BollardError;
use orch_core::runtime::RuntimeError;

use crate::NAME;

/// Why a call to the engine failed.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The engine answered with an error status.
    #[error("{message} (status {status})")]
    Refused { status: u16, message: String },
    /// The engine does not answer. The text says where it was looked for and what to do.
    #[error("{0}")]
    Away(String),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The answer cannot be read.
    #[error("the engine's answer cannot be read: {0}")]
    Malformed(String),
    /// The engine speaks no version of the API that we do.
    #[error("{0}")]
    Version(String),
}

impl Fault {
    /// The engine knows no such thing.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// What is there is in the way.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { status: 409, .. })
    }

    /// The engine's words, if it refused.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Refused { message, .. } => message,
            _ => "",
        }
    }

    /// The error for a caller who was trying `what` (`creating container web`).
    pub(crate) fn during(self, what: impl Into<String>) -> RuntimeError {
        match self {
            Self::Away(reason) | Self::Version(reason) => RuntimeError::Unavailable {
                runtime: NAME,
                reason,
            },
            Self::Timeout(after) => RuntimeError::Timeout {
                what: what.into(),
                after,
            },
            refused @ (Self::Refused { .. } | Self::Malformed(_)) => RuntimeError::failed(what, refused),
        }
    }

    /// As [`during`](Self::during), but a missing thing is [`RuntimeError::NotFound`].
    pub(crate) fn about(self, thing: impl Into<String>, doing: &str) -> RuntimeError {
        let thing = thing.into();
        if self.is_missing() {
            RuntimeError::NotFound { what: thing }
        } else {
            self.during(format!("{doing} {thing}"))
        }
    }

    /// Sorts a client error; `address` is where the engine was looked for.
    pub(crate) fn from_bollard(error: BollardError, address: &crate::options::Address) -> Self {
        match error {
            BollardError::DockerResponseServerError { status_code, message } => Self::Refused {
                status: status_code,
                message,
            },
            BollardError::DockerStreamError { error } => Self::Refused {
                status: 500,
                message: error,
            },
            BollardError::RequestTimeoutError => Self::Timeout(Duration::ZERO),
            BollardError::IOError { err } => Self::away(address, &err),
            BollardError::HyperResponseError { err } => Self::away(address, &err),
            other => Self::Malformed(other.to_string()),
        }
    }

    /// The engine at `address` could not be reached or hung up.
    pub(crate) fn away(address: &crate::options::Address, cause: &(dyn std::error::Error + 'static)) -> Self {
        let kind = io_kind(cause);
        let advice = match kind {
            Some(std::io::ErrorKind::PermissionDenied) => {
                "run as root, or as a member of the group that owns the socket (docker)"
            }
            Some(std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused) => {
                "start it (dockerd, systemctl start docker), or say where it is with DOCKER_HOST"
            }
            _ => "see whether it runs and what its log says",
        };
        Self::Away(format!(
            "no engine answers at {address} ({}); {advice}",
            chain(cause)
        ))
    }
}

fn io_kind(error: &(dyn std::error::Error + 'static)) -> Option<std::io::ErrorKind> {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        at = error.source();
    }
    None
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(cause) = at {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        at = cause.source();
    }
    text
}
