//! Bounds of what a request may be.

use std::time::Duration;

/// What times are at least, and at most.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Bounds of the API. Each has Kubernetes' own value unless it is changed.
///
/// ```
/// use std::time::Duration;
///
/// use orch_api::ApiOptions;
///
/// let options = ApiOptions::default().body_bytes(1 << 20).watch_timeout(Duration::from_secs(60));
/// assert!(format!("{options:?}").contains("1048576"));
/// ```
#[derive(Clone, Debug)]
pub struct ApiOptions {
    pub(crate) body_bytes: usize,
    pub(crate) watch_timeout: Duration,
    pub(crate) bookmark_interval: Duration,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self {
            body_bytes: 3 << 20,
            watch_timeout: Duration::from_secs(1800),
            bookmark_interval: Duration::from_secs(60),
        }
    }
}

impl ApiOptions {
    /// How long the body of a request may be, in bytes; 3 MiB by default, as kube-apiserver's `MaxRequestBodyBytes`. A longer one is
    /// refused with 413.
    #[must_use]
    pub fn body_bytes(mut self, bytes: usize) -> Self {
        self.body_bytes = bytes;
        self
    }

    /// How long a watch goes on that does not say for how long (`timeoutSeconds`), and the most that one may say; half an hour by
    /// default, the least that kube-apiserver gives (`--min-request-timeout`). From a second to a year.
    #[must_use]
    pub fn watch_timeout(mut self, timeout: Duration) -> Self {
        self.watch_timeout = timeout.clamp(SHORTEST, LONGEST);
        self
    }

    /// How often a watch that takes bookmarks is told how far it is; a minute by default, as in kube-apiserver. From a
    /// second to a year.
    #[must_use]
    pub fn bookmark_interval(mut self, interval: Duration) -> Self {
        self.bookmark_interval = interval.clamp(SHORTEST, LONGEST);
        self
    }
}
