//! Being called before `main`, for the feature `auto-shim`.

use std::ffi::{c_char, c_int};

#[cfg(not(target_env = "gnu"))]
compile_error!(
    "orch-runtime-oci: the feature `auto-shim` is for the GNU C library, with which it is tested; call \
     orch_runtime_oci::init() first thing in main instead"
);

/// As the GNU C library calls what is in the section: with the arguments and the environment of the program.
type Hook = extern "C" fn(c_int, *const *const c_char, *const *const c_char);

// SAFETY: what is in this section is called as a function, so it must be one, of this type; it is. It is called in the
// program's only thread unless a library has started another, when the C library, the libraries that the program is linked
// with and its own relocations are done, and what may come before `main` without being ordered is not: other entries of the
// section, and Rust's own start. So what is called must need neither:
//
// - Rust's arguments (`std::env::args`) come from another entry of this section. They are not asked for; the kernel is.
// - Rust's start has broken pipes ignored, sees to it that the three standard streams are open, and notes the main thread's
//   name and where its stack ends, for a better message when that overflows. A process that goes on to be a shim ignores
//   broken pipes itself, and is started with its streams. Nothing else there is needed by what std does: threads that it
//   has not started are known to it anyhow, as those of a C program that calls Rust are, and environment variables are the
//   C library's.
// - An allocator may be called: those of C and of the program's choice alike serve constructors of C++, in this section,
//   and set themselves up at the first call.
// - A panic does not leave: a function of this kind aborts.
//
// In a process that is no shim, all that happens is that two files of `/proc` are read and a number is stored. One that is
// a shim never comes back, and ends by `exit`; what other entries of the section would have set up is not there then, nor
// is it used: only who has registered himself already is told of the end.
#[used]
#[unsafe(link_section = ".init_array")]
static HOOK: Hook = before_main;

extern "C" fn before_main(_: c_int, _: *const *const c_char, _: *const *const c_char) {
    crate::launch::before_main();
}

/// Where in memory it is. To ask has it linked: of a library, the linker takes what is referred to.
pub(crate) fn place() -> usize {
    (&raw const HOOK).addr()
}
