//! What the safe crates have no safe call for. All of this crate's `unsafe` is in this folder.
#![allow(unsafe_code)]

mod devices;
mod filter;
mod fork;
#[cfg(feature = "auto-shim")]
pub(crate) mod hook;
mod memory;
mod mounts;

pub(crate) use devices::{DeviceInstruction, DeviceProgram};
pub(crate) use filter::{Compare, Filter, Instruction, Step};
pub(crate) use fork::{Forked, fork, fork_as_first};
pub(crate) use memory::let_go_of_files;
pub(crate) use mounts::{make_read_only, map_owners};

use std::os::fd::RawFd;

use nix::libc;
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

/// Closes every descriptor but the standard streams and this one, for a process whose next step is to become another program,
/// or to say why not and end.
///
/// # Errors
///
/// `ENOSYS` before Linux 5.9.
pub(crate) fn close_all_but(kept: RawFd) -> nix::Result<()> {
    let kept = libc::c_uint::try_from(kept).map_err(|_| nix::errno::Errno::EBADF)?;
    for (first, last) in [
        (3, kept.saturating_sub(1)),
        (kept.saturating_add(1).max(3), libc::c_uint::MAX),
    ] {
        if first > last {
            continue;
        }
        // SAFETY: the call takes numbers, and no memory. Others in this process believe to own what is closed here; in the
        // caller's process none of them does more with it than to close it again or to fail at writing to it, and nothing
        // is opened that stays open and could have got their numbers.
        let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        nix::errno::Errno::result(result)?;
    }
    Ok(())
}
