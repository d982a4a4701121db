//! What can go wrong in a runtime.

use std::borrow::Cow;
use std::time::Duration;

/// Why a runtime call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// There is no such sandbox, container or (to remove or run from) image.
    #[error("{what} not found")]
    NotFound {
        /// Which: `container abc123`.
        what: String,
    },
    /// The image is not on this machine.
    #[error(
        "image {image} is not present on this machine; pull it first (Runtime::pull_image), or import it where the runtime \
         has means for that"
    )]
    ImageNotFound {
        /// The reference.
        image: String,
    },
    /// The image could not be fetched.
    #[error("pulling image {image}: {reason}")]
    PullFailed {
        /// The reference.
        image: String,
        /// Why, in the registry's or engine's words.
        reason: String,
        /// Whether trying again later may help.
        retryable: bool,
    },
    /// The image reference cannot be read as one.
    #[error("image {}: {reason}", if image.is_empty() { "\"\"" } else { image })]
    InvalidImage {
        /// What was given.
        image: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The container's program could not be started. The container has ended.
    #[error("container {container} could not be started: {reason}")]
    StartFailed {
        /// Its name.
        container: String,
        /// Why: no such program, no permission…
        reason: String,
    },
    /// The container has already ended and cannot be started again.
    #[error("container {container} has ended; make a new attempt")]
    Ended {
        /// Its id.
        container: String,
    },
    /// The container does not run.
    #[error("container {container} is not running")]
    NotRunning {
        /// Its id.
        container: String,
    },
    /// The container is paused, and cannot do this until it goes on.
    #[error("container {container} is paused; resume it first")]
    Paused {
        /// Its id.
        container: String,
    },
    /// Nothing listens on a port of a sandbox.
    #[error("nothing listens on port {port} of {sandbox}")]
    NotListening {
        /// The pod: `pod default/web`.
        sandbox: String,
        /// The port.
        port: u16,
    },
    /// Something still needs it.
    #[error("{what} is in use by {by}")]
    InUse {
        /// What was to be removed.
        what: String,
        /// What needs it.
        by: String,
    },
    /// The configuration asks for something that cannot be done here, ever.
    #[error("{field}: {reason}")]
    InvalidConfig {
        /// Which field of the configuration.
        field: String,
        /// What is wrong, and what is allowed.
        reason: String,
    },
    /// The runtime does not declare this ability.
    #[error("the {runtime} runtime does not support {what}")]
    Unsupported {
        /// The runtime's name.
        runtime: &'static str,
        /// What was asked of it.
        what: Cow<'static, str>,
    },
    /// It took too long and was given up.
    #[error("{what} took longer than {after:?}")]
    Timeout {
        /// What was tried.
        what: String,
        /// The bound.
        after: Duration,
    },
    /// The engine does not answer. It may come back.
    #[error("runtime {runtime} is unavailable: {reason}")]
    Unavailable {
        /// The runtime's name.
        runtime: &'static str,
        /// Why, and what to do about it.
        reason: String,
    },
    /// The engine or the kernel refused.
    #[error("{what}: {source}")]
    Failed {
        /// What was tried: `creating container web`.
        what: String,
        /// What came back.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl RuntimeError {
    /// A [`Failed`](Self::Failed) with what was being tried.
    pub fn failed(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Failed {
            what: what.into(),
            source: source.into(),
        }
    }
}
