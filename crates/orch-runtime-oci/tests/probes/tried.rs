//! What a program may try in a container.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::libc::{self, c_int, c_long};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use super::raw::{Word, call};

/// A word for how it went.
type Outcome = Result<&'static str, Errno>;

pub(crate) struct Probe {
    pub(crate) name: &'static str,
    run: fn() -> Outcome,
}

const ALLOWED: &str = "allowed";

/// Tries it, in this process. `allowed`, the error's name, or another word.
pub(crate) fn run(name: &str) -> Option<String> {
    let probe = PROBES.iter().find(|probe| probe.name == name)?;
    Some(match (probe.run)() {
        Ok(word) => word.to_owned(),
        Err(error) => format!("{error:?}"),
    })
}

fn made<const N: usize>(number: c_long, words: [Word; N]) -> Outcome {
    call(number, words).map(|_| ALLOWED)
}

/// A call that makes a process, which is none of ours.
fn born<const N: usize>(number: c_long, words: [Word; N]) -> Outcome {
    match call(number, words)? {
        0 => std::process::exit(0),
        _ => Ok(ALLOWED),
    }
}

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)
}

fn opened(path: &str, write: bool) -> Outcome {
    let opened = File::options().read(!write).write(write).open(path);
    opened.map(|_| ALLOWED).map_err(|error| errno(&error))
}

/// `empty` for what is there and has nothing to say.
fn read(path: &str) -> Outcome {
    let mut byte = [0];
    let count = File::open(path).and_then(|mut file| file.read(&mut byte));
    let count = count.map_err(|error| errno(&error))?;
    Ok(if count == 0 { "empty" } else { ALLOWED })
}

fn listed(path: &str) -> Outcome {
    let mut entries = fs::read_dir(path).map_err(|error| errno(&error))?;
    Ok(if entries.next().is_none() {
        "empty"
    } else {
        ALLOWED
    })
}

fn written(path: &str, text: &str) -> Outcome {
    fs::write(path, text)
        .map(|()| ALLOWED)
        .map_err(|error| errno(&error))
}

fn unshared(flag: c_int) -> Outcome {
    made(libc::SYS_unshare, [flag.into()])
}

fn socket(family: c_int, kind: c_int, protocol: c_int) -> Outcome {
    made(libc::SYS_socket, [family.into(), kind.into(), protocol.into()])
}

fn device(path: &str, kind: FileType, (major, minor): (u32, u32)) -> Outcome {
    let mode = Mode::from_raw_mode(0o600);
    let made = mknodat(CWD, path, kind, mode, makedev(major, minor));
    made.map(|()| ALLOWED)
        .map_err(|error| Errno::from_raw(error.raw_os_error()))
}

/// A device that whoever may make any has made.
fn device_opened(path: &str, kind: FileType, number: (u32, u32)) -> Outcome {
    device(path, kind, number)?;
    opened(path, false)
}

fn file() -> Result<&'static CStr, Errno> {
    fs::write("/tmp/probe", "").map_err(|error| errno(&error))?;
    Ok(c"/tmp/probe")
}

fn own() -> usize {
    std::process::id() as usize
}

fn iopl() -> Outcome {
    #[cfg(target_arch = "x86_64")]
    return made(libc::SYS_iopl, [3.into()]);
    #[cfg(not(target_arch = "x86_64"))]
    Err(Errno::ENOSYS)
}

const NOTHING: c_int = 0;
const NONE: c_int = -1;

macro_rules! probes {
    ($($name:literal => $run:expr,)*) => {
        pub(crate) const PROBES: &[Probe] = &[$(Probe { name: $name, run: || $run },)*];
    };
}

probes! {
    "mount a tmpfs" => made(libc::SYS_mount, [c"none".into(), c"/tmp".into(), c"tmpfs".into(), NOTHING.into(), NOTHING.into()]),
    "bind a directory" => made(libc::SYS_mount, [c"/".into(), c"/tmp".into(), NOTHING.into(), 4096.into(), NOTHING.into()]),
    "mount the root again" => made(libc::SYS_mount, [c"none".into(), c"/".into(), NOTHING.into(), 32.into(), NOTHING.into()]),
    "unmount /proc" => made(libc::SYS_umount2, [c"/proc".into(), libc::MNT_DETACH.into()]),
    "open_tree" => made(libc::SYS_open_tree, [libc::AT_FDCWD.into(), c"/".into(), 1.into()]),
    "fsopen" => made(libc::SYS_fsopen, [c"tmpfs".into(), NOTHING.into()]),
    "fspick" => made(libc::SYS_fspick, [libc::AT_FDCWD.into(), c"/".into(), NOTHING.into()]),
    "move_mount" => made(libc::SYS_move_mount, [NONE.into(), c"".into(), NONE.into(), c"".into(), NOTHING.into()]),
    "mount_setattr" => made(libc::SYS_mount_setattr, [NONE.into(), c"".into(), NOTHING.into(), NOTHING.into(), NOTHING.into()]),
    "pivot_root" => made(libc::SYS_pivot_root, [c"/".into(), c"/".into()]),
    "chroot" => made(libc::SYS_chroot, [c"/".into()]),
    "swapon" => made(libc::SYS_swapon, [c"/no/such/file".into(), NOTHING.into()]),
    "swapoff" => made(libc::SYS_swapoff, [c"/no/such/file".into()]),
    "acct" => made(libc::SYS_acct, [c"/no/such/file".into()]),
    "quotactl" => made(libc::SYS_quotactl, [NOTHING.into(), NOTHING.into(), NOTHING.into(), NOTHING.into()]),
    "unshare user" => unshared(libc::CLONE_NEWUSER),
    "unshare mount" => unshared(libc::CLONE_NEWNS),
    "unshare pid" => unshared(libc::CLONE_NEWPID),
    "unshare network" => unshared(libc::CLONE_NEWNET),
    "unshare ipc" => unshared(libc::CLONE_NEWIPC),
    "unshare uts" => unshared(libc::CLONE_NEWUTS),
    "unshare cgroup" => unshared(libc::CLONE_NEWCGROUP),
    "unshare time" => unshared(0x80),
    "unshare files" => unshared(libc::CLONE_FILES),
    "setns" => {
        let namespace = File::open("/proc/self/ns/net").map_err(|error| errno(&error))?;
        made(libc::SYS_setns, [namespace.as_raw_fd().into(), NOTHING.into()])
    },
    "clone with a user namespace" => {
        let flags = libc::CLONE_NEWUSER | libc::SIGCHLD;
        born(libc::SYS_clone, [flags.into(), NOTHING.into(), NOTHING.into(), NOTHING.into(), NOTHING.into()])
    },
    "clone3 with a user namespace" => {
        let signal = 17_u64;
        let mut arguments = [libc::CLONE_NEWUSER as u64, 0, 0, 0, signal, 0, 0, 0];
        born(libc::SYS_clone3, [(&mut arguments).into(), size_of_val(&arguments).into()])
    },
    "sethostname" => made(libc::SYS_sethostname, [c"probe".into(), 5.into()]),
    "setdomainname" => made(libc::SYS_setdomainname, [c"probe".into(), 5.into()]),
    "keyctl" => made(libc::SYS_keyctl, [NOTHING.into(), (-3).into(), NOTHING.into()]),
    "add_key" => made(libc::SYS_add_key, [c"user".into(), c"probe".into(), c"x".into(), 1.into(), (-3).into()]),
    "request_key" => made(libc::SYS_request_key, [c"user".into(), c"probe".into(), NOTHING.into(), NOTHING.into()]),
    "bpf" => made(libc::SYS_bpf, [NOTHING.into(), NOTHING.into(), NOTHING.into()]),
    "perf_event_open" => made(libc::SYS_perf_event_open, [NOTHING.into(), NOTHING.into(), NONE.into(), NONE.into(), NOTHING.into()]),
    "kexec_load" => made(libc::SYS_kexec_load, [NOTHING.into(), NOTHING.into(), NOTHING.into(), NOTHING.into()]),
    "kexec_file_load" => made(libc::SYS_kexec_file_load, [NONE.into(), NONE.into(), NOTHING.into(), NOTHING.into(), NOTHING.into()]),
    // With neither of the numbers that it wants to be sure.
    "reboot" => made(libc::SYS_reboot, [NOTHING.into(), NOTHING.into(), NOTHING.into(), NOTHING.into()]),
    "init_module" => made(libc::SYS_init_module, [NOTHING.into(), NOTHING.into(), c"".into()]),
    "finit_module" => made(libc::SYS_finit_module, [NONE.into(), c"".into(), NOTHING.into()]),
    "delete_module" => made(libc::SYS_delete_module, [c"no_such_module".into(), libc::O_NONBLOCK.into()]),
    "syslog" => made(libc::SYS_syslog, [10.into(), NOTHING.into(), NOTHING.into()]),
    // A time that there is not.
    "settimeofday" => made(libc::SYS_settimeofday, [(&mut [0_i64, 2_000_000]).into(), NOTHING.into()]),
    "clock_settime" => made(libc::SYS_clock_settime, [NOTHING.into(), (&mut [0_i64, 2_000_000_000]).into()]),
    "iopl" => iopl(),
    "personality of its own" => made(libc::SYS_personality, [NOTHING.into()]),
    "personality without randomness" => made(libc::SYS_personality, [0x004_0000.into()]),
    "userfaultfd" => made(libc::SYS_userfaultfd, [NOTHING.into()]),
    "io_uring_setup" => made(libc::SYS_io_uring_setup, [1.into(), (&mut [0_u64; 15]).into()]),
    "vhangup" => made(libc::SYS_vhangup, []),
    "name_to_handle_at" => made(libc::SYS_name_to_handle_at, [
        libc::AT_FDCWD.into(), c"/dev".into(), (&mut [128_u32; 40]).into(), (&mut [0_u64]).into(), NOTHING.into(),
    ]),
    "open_by_handle_at" => made(libc::SYS_open_by_handle_at, [NONE.into(), (&mut [0_u32; 40]).into(), NOTHING.into()]),
    "process_vm_readv" => {
        made(libc::SYS_process_vm_readv, [own().into(), NOTHING.into(), NOTHING.into(), NOTHING.into(), NOTHING.into(), NOTHING.into()])
    },
    "trace a child" => {
        let child = Command::new("/bin/sh").args(["-c", "read it"]).stdin(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| errno(&error))?;
        let seize = 0x4206;
        let traced = made(libc::SYS_ptrace, [seize.into(), (child.id() as usize).into(), NOTHING.into(), NOTHING.into()]);
        let _ = child.kill();
        traced
    },
    "kcmp" => made(libc::SYS_kcmp, [own().into(), own().into(), NOTHING.into(), NOTHING.into(), NOTHING.into()]),
    "pidfd_getfd" => made(libc::SYS_pidfd_getfd, [NONE.into(), NOTHING.into(), NOTHING.into()]),
    "process_madvise" => made(libc::SYS_process_madvise, [NONE.into(), NOTHING.into(), NOTHING.into(), NOTHING.into(), NOTHING.into()]),
    "set_mempolicy" => made(libc::SYS_set_mempolicy, [NOTHING.into(), NOTHING.into(), NOTHING.into()]),
    "mbind" => made(libc::SYS_mbind, [NOTHING.into(), NOTHING.into(), NOTHING.into(), NOTHING.into(), NOTHING.into(), NOTHING.into()]),
    "fanotify_init" => made(libc::SYS_fanotify_init, [NOTHING.into(), NOTHING.into()]),
    "raw socket" => socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP),
    "packet socket" => socket(libc::AF_PACKET, libc::SOCK_RAW, 0),
    "netlink socket" => socket(libc::AF_NETLINK, libc::SOCK_RAW, 0),
    "socket to the hypervisor" => socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0),
    "listen on a port below 1024" => {
        let mut last = Errno::EADDRINUSE;
        for port in (900..1000).rev() {
            match TcpListener::bind(("127.0.0.1", port)) {
                Ok(_) => return Ok(ALLOWED),
                Err(error) => last = errno(&error),
            }
            if last != Errno::EADDRINUSE {
                break;
            }
        }
        Err(last)
    },
    "chown" => made(libc::SYS_fchownat, [libc::AT_FDCWD.into(), file()?.into(), 12345.into(), 12345.into(), NOTHING.into()]),
    "setuid" => made(libc::SYS_setuid, [12345.into()]),
    "setgid" => made(libc::SYS_setgid, [12345.into()]),
    "setgroups" => made(libc::SYS_setgroups, [1.into(), (&mut [12345_u32]).into()]),
    "raise a limit" => {
        let mut limits = [0_u64; 2];
        let files = 7;
        made(libc::SYS_prlimit64, [NOTHING.into(), files.into(), NOTHING.into(), (&mut limits).into()])?;
        limits[1] = limits[1].saturating_add(1);
        made(libc::SYS_prlimit64, [NOTHING.into(), files.into(), (&mut limits).into(), NOTHING.into()])
    },
    "be nicer to itself" => made(libc::SYS_setpriority, [NOTHING.into(), NOTHING.into(), (-5).into()]),
    "run in real time" => made(libc::SYS_sched_setscheduler, [NOTHING.into(), 1.into(), (&mut [1_i32]).into()]),
    "be killed last" => written("/proc/self/oom_score_adj", "-1000"),
    "trusted attribute" => {
        made(libc::SYS_setxattr, [file()?.into(), c"trusted.probe".into(), c"x".into(), 1.into(), NOTHING.into()])
    },
    "give a file capabilities" => {
        let mut data = [0x0200_0000_u32, 1, 0, 0, 0];
        made(libc::SYS_setxattr, [
            file()?.into(), c"security.capability".into(), (&mut data).into(), 20.into(), NOTHING.into(),
        ])
    },
    "make a disk" => device("/dev/probe-disk-made", FileType::BlockDevice, (8, 0)),
    "open a disk" => device_opened("/dev/probe-disk", FileType::BlockDevice, (8, 0)),
    "open the machine's memory" => device_opened("/dev/probe-mem", FileType::CharacterDevice, (1, 1)),
    "open the kernel's log" => device_opened("/dev/probe-kmsg", FileType::CharacterDevice, (1, 11)),
    "open /dev/fuse, if made" => device_opened("/dev/probe-fuse", FileType::CharacterDevice, (10, 229)),
    "open /dev/net/tun, if made" => device_opened("/dev/probe-tun", FileType::CharacterDevice, (10, 200)),
    "make a zero device" => device_opened("/dev/probe-zero", FileType::CharacterDevice, (1, 5)),
    "open /dev/mem" => opened("/dev/mem", false),
    "open /dev/kmsg" => opened("/dev/kmsg", false),
    "open /dev/fuse" => opened("/dev/fuse", false),
    "open /dev/null" => opened("/dev/null", true),
    "write /proc/sys" => opened("/proc/sys/kernel/hostname", true),
    "write /proc/sysrq-trigger" => opened("/proc/sysrq-trigger", true),
    "write /proc/irq" => opened("/proc/irq/default_smp_affinity", true),
    "write /sys" => opened("/sys/kernel/uevent_seqnum", true),
    "read /proc/kcore" => read("/proc/kcore"),
    "read /proc/keys" => read("/proc/keys"),
    "read /proc/timer_list" => read("/proc/timer_list"),
    "read /proc/interrupts" => read("/proc/interrupts"),
    "read /proc/sys" => read("/proc/sys/kernel/hostname"),
    "list /sys/firmware" => listed("/sys/firmware"),
    "list /proc/acpi" => listed("/proc/acpi"),
    "landlock_create_ruleset" => made(libc::SYS_landlock_create_ruleset, [NOTHING.into(), NOTHING.into(), 1.into()]),
    "memfd_secret" => made(libc::SYS_memfd_secret, [NOTHING.into()]),
    "futex_waitv" => made(libc::SYS_futex_waitv, [NOTHING.into(), NOTHING.into(), NOTHING.into(), NOTHING.into(), NOTHING.into()]),
    "openat2" => made(libc::SYS_openat2, [libc::AT_FDCWD.into(), c"/".into(), (&mut [0_u64; 3]).into(), 24.into()]),
    "close_range" => made(libc::SYS_close_range, [1000.into(), 1000.into(), NOTHING.into()]),
    "a call that is none" => made(4000, []),
}
