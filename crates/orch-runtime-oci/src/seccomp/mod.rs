//! Which system calls a container may make: a profile, resolved for the container and compiled to what the kernel takes.
//!
//! It is compiled where containers are made, by libseccomp, once for all that ask for the same; their shims load the
//! bytes and need no library. libcontainer's own way is not used: it has the two values of a masked comparison the
//! wrong way round, which forbids programs to fork under Docker's profile, compiles anew for every start, and gives
//! commands run in a container no filter at all.
//!
//! `default.json` is Docker's profile, `seccomp/default.json` of <https://github.com/moby/profiles> at commit cd3bed8,
//! unchanged (Apache License 2.0, Copyright The Moby Authors).

mod compile;
mod profile;
mod ranges;

pub(crate) use compile::compile;
pub(crate) use profile::{DEFAULT, Subject, resolve};

/// What this machine is: as Go calls it, and as libseccomp does.
pub(crate) const ARCHITECTURE: (&str, &str) = if cfg!(target_arch = "x86_64") {
    ("amd64", "SCMP_ARCH_X86_64")
} else if cfg!(target_arch = "aarch64") {
    ("arm64", "SCMP_ARCH_AARCH64")
} else if cfg!(target_arch = "riscv64") {
    ("riscv64", "SCMP_ARCH_RISCV64")
} else {
    // The profile's rules for all architectures apply.
    (std::env::consts::ARCH, "SCMP_ARCH_NATIVE")
};
