//! From a container's configuration to the runtime specification that libcontainer reads. Pure.
//!
//! It is written as JSON with every field that matters: where one is missing, the library's own defaults apply,
//! which are weaker than they look (a host name, three capabilities in all five sets).

use std::path::Path;

use orch_core::runtime::{ContainerConfig, RuntimeError, SandboxConfig};
use serde_json::{Value, json};

use crate::confine::Confinement;
use crate::defaults::Program;
use crate::namespaces::{Kind, Shared};
use crate::{invalid, users};

pub(crate) use self::capabilities::Capabilities;
pub(crate) use self::devices::of_the_machine;
pub(crate) use self::mounts::follow;
use self::mounts::mounts;

/// What is known of the machine.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    /// The capabilities that this process can hand on, a bit each.
    pub(crate) capabilities: u64,
    /// No rule about devices applies: there is version 2 of control groups alone, and the kernel takes no programs for it.
    pub(crate) any_device: bool,
    /// The kernel's version: 6 and 1 of 6.1.0.
    pub(crate) kernel: (u32, u32),
    /// Pods may have users of their own.
    pub(crate) has_users: bool,
}

impl Machine {
    pub(crate) fn find(any_device: bool) -> std::io::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let set = |name: &str| {
            let digits = status.lines().find_map(|line| line.strip_prefix(name));
            let set = digits.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
            set.ok_or_else(|| std::io::Error::other(format!("/proc/self/status lacks {name}")))
        };
        let capabilities = set("CapBnd:")? & set("CapPrm:")?;
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
        let kernel = version(&release)
            .ok_or_else(|| std::io::Error::other(format!("the kernel calls its version {release:?}")))?;
        Ok(Self {
            capabilities,
            any_device,
            kernel,
            has_users: users::can(kernel),
        })
    }
}

/// The first two numbers of a kernel's release, `6.1.0-13-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Where the parts of a container are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places<'a> {
    pub(crate) rootfs: &'a Path,
    pub(crate) cgroup: &'a str,
    /// Its root is the machine's own.
    pub(crate) is_host: bool,
    pub(crate) state: &'a Path,
    pub(crate) hosts: &'a Path,
    pub(crate) resolv_conf: &'a Path,
    /// None: it has the machine's name.
    pub(crate) hostname: Option<&'a Path>,
    /// Where its shim sees the pod's `/dev/shm`.
    pub(crate) shm: &'a Path,
    pub(crate) shared: &'a Shared,
}

/// What programs with a terminal are told of it, as Docker does.
pub(crate) const TERM: &str = "xterm";

/// What Docker hides, and what it makes read-only.
const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// Refuses what cannot be done here, ever.
pub(crate) fn check(config: &ContainerConfig) -> Result<(), RuntimeError> {
    let signal = config.stop_signal.as_deref();
    if let Some(name) = signal.filter(|name| crate::signal::parse(name).is_none()) {
        return Err(invalid(
            "stop_signal",
            format!("{name:?}: must be a signal's name, TERM or SIGTERM for one, or its number"),
        ));
    }
    for mount in &config.mounts {
        if !mount.source.is_absolute() || !mount.target.is_absolute() {
            let reason = format!(
                "{:?} to {:?}: both must be absolute paths",
                mount.source, mount.target
            );
            return Err(invalid("mounts", reason));
        }
        if mount
            .target
            .components()
            .any(|part| part == std::path::Component::ParentDir)
        {
            return Err(invalid(
                "mounts",
                format!("{:?}: a target must not have `..` in it", mount.target),
            ));
        }
        // What is made in each of them would be made on the machine, in what is mounted there.
        if ["/", "/dev", "/proc"]
            .iter()
            .any(|own| mount.target == Path::new(own))
        {
            let reason = format!(
                "{}: a container has its own there; mount what it needs of it below, or elsewhere",
                mount.target.display()
            );
            return Err(invalid("mounts", reason));
        }
    }
    let words = |field, words: &[String]| (field, words.iter().find(|word| word.contains('\0')).cloned());
    let values: Vec<String> = config.env.iter().map(|(_, value)| value.clone()).collect();
    for (field, bad) in [
        words("command", &config.command),
        words("args", &config.args),
        words("working_dir", config.working_dir.as_slice()),
        words("env", &values),
    ] {
        if let Some(bad) = bad {
            return Err(invalid(
                field,
                format!("{bad:?}: must not contain a NUL character"),
            ));
        }
    }
    match config
        .env
        .iter()
        .find(|(name, _)| name.is_empty() || name.contains(['=', '\0']))
    {
        Some((name, _)) => Err(invalid(
            "env",
            format!("{name:?}: a variable's name must not be empty, or contain `=` or NUL"),
        )),
        None => Ok(()),
    }
}

/// On the machine's network a container has the machine's name.
pub(crate) fn hostname(sandbox: &SandboxConfig) -> Option<&str> {
    (!sandbox.host_network && !sandbox.hostname.is_empty()).then_some(&sandbox.hostname)
}

pub(crate) fn build(
    config: &ContainerConfig,
    program: &Program,
    sandbox: &SandboxConfig,
    confinement: Confinement,
    devices: &[Value],
    places: Places<'_>,
) -> Value {
    let mut namespaces = vec![json!({"type": "mount"})];
    if !sandbox.host_pid && !places.shared.kinds().contains(&Kind::Pid) {
        namespaces.push(json!({"type": "pid"}));
    }
    let joined = places.shared.kinds().iter();
    // Its shim puts what it has opened in place of the files.
    namespaces.extend(joined.map(|kind| json!({"type": kind.word(), "path": places.shared.file(*kind)})));
    let capabilities = confinement.until_then().names();
    let security = &config.security;
    let mut spec = json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": config.tty,
            // The shim puts another in its place, once it can look into the image. The primary group is named again:
            // an empty list would keep the groups of whoever starts it.
            "user": {"uid": 0, "gid": 0, "additionalGids": [0]},
            "args": program.args,
            "env": program.env,
            "cwd": program.cwd,
            "capabilities": {
                "bounding": capabilities,
                "effective": capabilities,
                "permitted": capabilities,
            },
        },
        "root": {"path": places.rootfs, "readonly": security.read_only_root},
        "mounts": mounts(config, places),
        "linux": {
            // Resources are its shim's to set. If any were named, libcontainer would refuse where it sees no control groups.
            "cgroupsPath": places.cgroup,
            "namespaces": namespaces,
        },
    });
    if confinement.no_new_privileges {
        // Never false, which keeps libcontainer from what it does where nothing is said.
        spec["process"]["noNewPrivileges"] = json!(true);
    }
    if security.privileged {
        spec["linux"]["devices"] = json!(devices);
    } else {
        spec["linux"]["maskedPaths"] = json!(MASKED);
        spec["linux"]["readonlyPaths"] = json!(READ_ONLY);
    }
    spec
}

/// Has what a container executes run under a profile of AppArmor's: commands in it are described by the same `process`.
pub(crate) fn put_under(spec: &mut Value, profile: &str) {
    spec["process"]["apparmorProfile"] = json!(profile);
}

mod capabilities;
mod devices;
mod mounts;
#[cfg(test)]
mod tests;
