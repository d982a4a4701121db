//! What the safe crates have no safe call for. All of this crate's `unsafe` is in this folder.
#![allow(unsafe_code)]

use nix::sys::signal::{SigHandler, Signal, signal};

/// Has the process that calls it die of a broken pipe again, as programs expect; Rust's start has it ignored.
pub(crate) fn die_of_broken_pipes() -> nix::Result<()> {
    // SAFETY: `signal` is unsafe for handlers, which must be safe to run at any moment. The default action is
    // none of this program's code, and what was set before (by Rust's start: to ignore it) is no handler either.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.map(drop)
}
