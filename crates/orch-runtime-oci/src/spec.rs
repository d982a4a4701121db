//! From a container's configuration to the runtime specification that libcontainer reads. Pure.
//!
//! It is written as JSON with every field that matters: where one is missing, the library's own defaults apply,
//! which are weaker than they look (a host name, three capabilities in all five sets).

use std::path::Path;

use orch_core::runtime::{ContainerConfig, RuntimeError, SandboxConfig, Security};
use serde_json::{Value, json};

use crate::defaults::Program;
use crate::invalid;

use self::mounts::mounts;

/// What is known of the machine.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    /// The capabilities that this process can hand on, a bit each.
    pub(crate) capabilities: u64,
    /// Version 2 of control groups alone, where no rule about devices applies.
    pub(crate) unified: bool,
}

impl Machine {
    pub(crate) fn find(unified: bool) -> std::io::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let set = |name: &str| {
            let digits = status.lines().find_map(|line| line.strip_prefix(name));
            let set = digits.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
            set.ok_or_else(|| std::io::Error::other(format!("/proc/self/status lacks {name}")))
        };
        let capabilities = set("CapBnd:")? & set("CapPrm:")?;
        Ok(Self {
            capabilities,
            unified,
        })
    }
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
}

/// What programs with a terminal are told of it, as Docker does.
pub(crate) const TERM: &str = "xterm";

/// Docker's default capabilities, by their numbers.
const CAPABILITIES: [(u32, &str); 14] = [
    (0, "CAP_CHOWN"),
    (1, "CAP_DAC_OVERRIDE"),
    (3, "CAP_FOWNER"),
    (4, "CAP_FSETID"),
    (5, "CAP_KILL"),
    (6, "CAP_SETGID"),
    (7, "CAP_SETUID"),
    (8, "CAP_SETPCAP"),
    (10, "CAP_NET_BIND_SERVICE"),
    (13, "CAP_NET_RAW"),
    (18, "CAP_SYS_CHROOT"),
    (27, "CAP_MKNOD"),
    (29, "CAP_AUDIT_WRITE"),
    (31, "CAP_SETFCAP"),
];

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
            format!("{name:?} is no signal's name or number"),
        ));
    }
    let asked = Security {
        run_as_user: None,
        run_as_group: None,
        supplemental_groups: Vec::new(),
        run_as_non_root: false,
        ..config.security.clone()
    };
    if asked != Security::default() {
        let reason = "the oci runtime runs containers with Docker's default capabilities and cannot change that yet, but only the user and groups";
        return Err(invalid("security", reason));
    }
    for mount in &config.mounts {
        if !mount.source.is_absolute() || !mount.target.is_absolute() {
            let reason = format!(
                "{} to {}: both must be absolute",
                mount.source.display(),
                mount.target.display()
            );
            return Err(invalid("mounts", reason));
        }
        if mount
            .target
            .components()
            .any(|part| part == std::path::Component::ParentDir)
        {
            return Err(invalid("mounts", format!("{} goes up", mount.target.display())));
        }
    }
    let words = config
        .command
        .iter()
        .chain(&config.args)
        .chain(&config.working_dir);
    if words
        .chain(config.env.iter().map(|(_, value)| value))
        .any(|text| text.contains('\0'))
    {
        return Err(invalid(
            "command, args, working_dir, env",
            "must not contain a NUL character",
        ));
    }
    match config
        .env
        .iter()
        .find(|(name, _)| name.is_empty() || name.contains(['=', '\0']))
    {
        Some((name, _)) => Err(invalid("env", format!("{name:?} is no variable's name"))),
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
    machine: &Machine,
    places: Places<'_>,
) -> Value {
    let namespaces = [
        ("mount", true),
        ("ipc", true),
        ("pid", !sandbox.host_pid),
        ("uts", hostname(sandbox).is_some()),
    ];
    let namespaces = namespaces.into_iter().filter(|(_, wanted)| *wanted);
    let capabilities = capabilities(machine);
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
        "root": {"path": places.rootfs, "readonly": false},
        "mounts": mounts(config, places),
        "linux": {
            // libcontainer then allows the usual ones.
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "cgroupsPath": places.cgroup,
            "namespaces": namespaces.map(|(name, _)| json!({"type": name})).collect::<Vec<_>>(),
            "maskedPaths": MASKED,
            "readonlyPaths": READ_ONLY,
        },
    });
    if let Some(name) = hostname(sandbox) {
        spec["hostname"] = json!(name);
    }
    spec
}

/// Docker's, as far as they can be handed on: asking for one that this process lacks fails.
fn capabilities(machine: &Machine) -> Vec<&'static str> {
    let has = |number: u32| machine.capabilities & (1 << number) != 0;
    // Where no rule about devices applies, who can make any device can read any disk.
    let safe = |name: &str| !(machine.unified && name == "CAP_MKNOD");
    CAPABILITIES
        .into_iter()
        .filter(|(number, name)| has(*number) && safe(name))
        .map(|(_, name)| name)
        .collect()
}

mod mounts;
#[cfg(test)]
mod tests;
