//! How long to wait before each try of something that fails for a while.

use std::time::Duration;

/// Delays that double, up to a bound: 50 ms, 100 ms, 200 ms… For one who waits alone; where many wait at once, a
/// [`Backoff`](crate::controller::Backoff) spreads them.
///
/// ```
/// use std::time::Duration;
///
/// use orch_core::delays::Delays;
///
/// let mut delays = Delays::new(Duration::from_secs(1), Duration::from_secs(3));
/// let seconds = [(); 4].map(|()| delays.grow().as_secs());
/// assert_eq!(seconds, [1, 2, 3, 3]);
/// delays.reset();
/// assert_eq!(delays.grow(), Duration::from_secs(1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delays {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Delays {
    /// From `first` to `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            next: first,
        }
    }

    /// The delay to wait now; the next is twice as long.
    pub fn grow(&mut self) -> Duration {
        let now = self.next.min(self.longest);
        self.next = now.saturating_mul(2);
        now
    }

    /// Waits for it.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.grow()).await;
    }

    /// Starts again from the first: it did not fail.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}
