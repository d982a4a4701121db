//! Programs that decide which devices the processes of a control group of version 2 may have.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc;

/// The kernel's `BPF_PROG_LOAD` and `BPF_PROG_ATTACH`.
const LOAD: libc::c_int = 5;
const ATTACH: libc::c_int = 8;

/// `BPF_PROG_TYPE_CGROUP_DEVICE` and `BPF_CGROUP_DEVICE`.
const KIND: u32 = 15;
const PLACE: u32 = 6;

/// `BPF_F_ALLOW_MULTI`: groups in this one may have programs of their own, and all must allow.
const WITH_OTHERS: u32 = 2;

/// One of the kernel's `struct bpf_insn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct DeviceInstruction {
    pub(crate) code: u8,
    /// The one that is written to in the lower four bits, the one that is read above.
    pub(crate) registers: u8,
    pub(crate) offset: i16,
    pub(crate) value: i32,
}

/// What `union bpf_attr` begins with for loading. What comes after it the kernel takes for zeros.
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel: u32,
    flags: u32,
}

#[repr(C)]
struct Attach {
    target: RawFd,
    program: RawFd,
    place: u32,
    flags: u32,
}

/// A program that the kernel has taken.
pub(crate) struct DeviceProgram(OwnedFd);

impl DeviceProgram {
    /// # Errors
    ///
    /// Of a kernel that knows no such programs, `EINVAL` or `ENOSYS`; `EPERM` for who may not load any.
    pub(crate) fn load(instructions: &[DeviceInstruction]) -> nix::Result<Self> {
        let license = c"";
        let load = Load {
            kind: KIND,
            count: u32::try_from(instructions.len()).map_err(|_| Errno::E2BIG)?,
            instructions: instructions.as_ptr() as u64,
            license: license.as_ptr() as u64,
            log_level: 0,
            log_size: 0,
            log: 0,
            kernel: 0,
            flags: 0,
        };
        // SAFETY: the kernel reads of `load` as many bytes as it is told, which it has, then so many instructions, each of
        // the layout that it expects, and the license to its zero. All of that lives until the call has returned, and it
        // keeps none of it: a program is checked and copied, and one that it cannot show to be harmless it does not take.
        let fd = unsafe { libc::syscall(libc::SYS_bpf, LOAD, &raw const load, size_of::<Load>()) };
        let fd = RawFd::try_from(Errno::result(fd)?).map_err(|_| Errno::EBADF)?;
        // SAFETY: the call has just made this descriptor, and nobody else knows of it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Puts a group, open as a directory, and the groups in it under the program, for as long as it exists.
    pub(crate) fn attach(&self, group: impl AsFd) -> nix::Result<()> {
        let attach = Attach {
            target: group.as_fd().as_raw_fd(),
            program: self.0.as_raw_fd(),
            place: PLACE,
            flags: WITH_OTHERS,
        };
        // SAFETY: the kernel reads of `attach` as many bytes as it is told, which it has, and keeps none; it lives until the
        // call has returned, as do both descriptors. No memory of this process depends on which devices a group may have.
        let done = unsafe { libc::syscall(libc::SYS_bpf, ATTACH, &raw const attach, size_of::<Attach>()) };
        Errno::result(done).map(drop)
    }
}
