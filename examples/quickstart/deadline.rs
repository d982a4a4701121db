//! By when everything must be ready.

use std::fmt;
use std::future::{Future, pending};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Error;

/// A time that all waits until then share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    began: Instant,
    timeout: Option<Duration>,
}

impl Deadline {
    /// So long from now on; none: never.
    pub(crate) fn after(timeout: Option<Duration>) -> Self {
        Self {
            began: Instant::now(),
            timeout,
        }
    }

    /// Resolves when it has passed, and says so.
    pub(crate) async fn passed(self) -> Passed {
        let Some(timeout) = self.timeout else {
            return pending().await;
        };
        // The time that is left, for an instant can be too far away to be one.
        sleep(timeout.saturating_sub(self.began.elapsed())).await;
        Passed(timeout)
    }

    /// Does it, or fails when the deadline has passed: `what` it waits for then.
    pub(crate) async fn bound<T>(
        self,
        what: &str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::select! {
            done = work => done,
            passed = self.passed() => Err(format!("{passed} while waiting for {what}").into()),
        }
    }
}

/// That it has passed.
pub(crate) struct Passed(Duration);

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the timeout of {:?} has passed", self.0)
    }
}
