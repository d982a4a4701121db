//! What the safe crates have no safe call for. All of this crate's `unsafe` is in this folder.
#![allow(unsafe_code)]

mod devices;
mod filter;
mod fork;
#[cfg(feature = "auto-shim")]
pub(crate) mod hook;
mod mounts;

pub(crate) use devices::{DeviceInstruction, DeviceProgram};
pub(crate) use filter::{Filter, Instruction};
pub(crate) use fork::{Forked, fork};
pub(crate) use mounts::make_read_only;

use nix::sys::signal::{SigHandler, Signal, signal};

/// Gives every signal its default action again, as programs expect: Rust's start has broken pipes ignored, and who
/// started this may have had more.
pub(crate) fn default_signals() -> nix::Result<()> {
    let fixed = [Signal::SIGKILL, Signal::SIGSTOP];
    for each in Signal::iterator().filter(|each| !fixed.contains(each)) {
        // SAFETY: `signal` is unsafe for handlers, which must be safe to run at any moment. The default action is
        // none of this program's code. What is taken away is Rust's own handler for stack overflows, which nothing
        // relies on in a process that is about to become another program.
        unsafe { signal(each, SigHandler::SigDfl) }?;
    }
    Ok(())
}

/// Has a write to what nobody reads any more fail instead of ending this process. Rust's own start does so before `main`.
pub(crate) fn ignore_broken_pipes() -> nix::Result<()> {
    // SAFETY: as above; to ignore is none of this program's code either.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) }.map(drop)
}
