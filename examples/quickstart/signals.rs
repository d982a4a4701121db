//! Ctrl-C, and what a service manager says in its place.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Error;
use super::say::Early;

/// From when it is made, no signal ends the program by itself, and none that comes is missed.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits until the program is asked to end.
    pub(crate) async fn asked(&mut self) -> Early {
        tokio::select! {
            _ = self.interrupt.recv() => Early::Interrupted,
            _ = self.terminate.recv() => Early::Terminated,
        }
    }
}
