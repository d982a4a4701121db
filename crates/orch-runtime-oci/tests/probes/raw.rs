//! System calls as the kernel has them.
#![allow(unsafe_code, reason = "what is tried here no safe call does")]

use std::ffi::CStr;

use nix::errno::Errno;
use nix::libc;

/// A number, or where something is in memory.
pub(crate) struct Word(usize);

impl From<usize> for Word {
    fn from(number: usize) -> Self {
        Self(number)
    }
}

impl From<libc::c_int> for Word {
    fn from(number: libc::c_int) -> Self {
        // Sign-extended, as the C library does.
        Self(number as isize as usize)
    }
}

impl From<&CStr> for Word {
    fn from(text: &CStr) -> Self {
        Self(text.as_ptr().expose_provenance())
    }
}

impl<T, const N: usize> From<&mut [T; N]> for Word {
    fn from(place: &mut [T; N]) -> Self {
        Self(place.as_mut_ptr().expose_provenance())
    }
}

/// What a call returns, or its error.
pub(crate) fn call<const N: usize>(number: libc::c_long, words: [Word; N]) -> Result<usize, Errno> {
    let mut all = [0; 6];
    for (place, word) in all.iter_mut().zip(&words) {
        *place = word.0;
    }
    let [a, b, c, d, e, f] = all;
    // SAFETY: what is given by its place is alive until the call returns, and long enough for what this kernel reads and
    // writes there; a place that is 0 the kernel refuses. A new process gets a copy of this one's memory, which has one
    // thread. Each call is made by a process of its own that ends after it, whatever the call has done to it.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    Errno::result(result).map(|result| result.unsigned_abs() as usize)
}
