//! Which capabilities a container has. Pure.

use orch_core::runtime::{RuntimeError, Security};

use super::Machine;
use crate::invalid;

/// The kernel's, by their numbers.
const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

const ALL: u64 = (1 << NAMES.len()) - 1;
const MKNOD: u64 = 1 << 27;
const SYS_ADMIN: u64 = 1 << 21;
const SETPCAP: u64 = 1 << 8;

/// Docker's default: chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service, net_raw,
/// sys_chroot, mknod, audit_write, setfcap.
const DEFAULT: u64 = 1 << 0
    | 1 << 1
    | 1 << 3
    | 1 << 4
    | 1 << 5
    | 1 << 6
    | 1 << 7
    | SETPCAP
    | 1 << 10
    | 1 << 13
    | 1 << 18
    | MKNOD
    | 1 << 29
    | 1 << 31;

/// Capabilities, a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) struct Capabilities(pub(crate) u64);

impl Capabilities {
    /// What the container is to have: `ALL` comes first, then what is dropped, then what is added. What this process
    /// cannot hand on is left out of what nobody named, and refused of what was.
    pub(crate) fn of(security: &Security, machine: &Machine) -> Result<Self, RuntimeError> {
        let (add, drop) = (&security.add_capabilities, &security.drop_capabilities);
        let (add_all, added) = read("security.add_capabilities", add)?;
        let (drop_all, dropped) = read("security.drop_capabilities", drop)?;
        if security.privileged {
            return Ok(Self(ALL & machine.capabilities));
        }
        // Where no rule about devices applies, who can make any device can read any disk.
        let unsafe_here = if machine.any_device { MKNOD } else { 0 };
        let usual = match (add_all, drop_all) {
            (true, _) => ALL,
            (false, true) => 0,
            (false, false) => DEFAULT,
        };
        let usual = usual & !dropped & machine.capabilities & !unsafe_here;
        for (name, bit) in NAMES.iter().zip(0..).map(|(name, bit)| (name, 1_u64 << bit)) {
            let reason = if added & bit & !machine.capabilities != 0 {
                "the program that runs this lacks it, and cannot hand it on; start that with it, or leave it out"
            } else if added & bit & unsafe_here != 0 {
                "on cgroup v2 alone, with a kernel without device programs, nothing would keep the container from this machine's disks; leave it out"
            } else {
                continue;
            };
            return Err(invalid("security.add_capabilities", format!("{name}: {reason}")));
        }
        Ok(Self(usual | added))
    }

    /// Whether who has them can make devices.
    pub(crate) fn make_devices(self) -> bool {
        self.0 & MKNOD != 0
    }

    /// With what loading a filter takes, of a program that may still gain privileges.
    pub(crate) fn for_loading(self) -> Self {
        Self(self.0 | SYS_ADMIN | SETPCAP)
    }

    pub(crate) fn names(self) -> Vec<&'static str> {
        let has = |number: &usize| self.0 & (1 << number) != 0;
        (0..NAMES.len()).filter(has).map(|number| NAMES[number]).collect()
    }
}

/// Whether they say `ALL`, and which they name.
fn read(field: &str, names: &[String]) -> Result<(bool, u64), RuntimeError> {
    let (mut all, mut named) = (false, 0);
    for name in names {
        let upper = name.to_uppercase();
        let plain = upper.strip_prefix("CAP_").unwrap_or(&upper);
        match NAMES.iter().position(|known| &known["CAP_".len()..] == plain) {
            Some(number) => named |= 1 << number,
            None if plain == "ALL" => all = true,
            None => {
                let reason =
                    format!("{name:?} is no capability of Linux, such as \"NET_ADMIN\", nor \"ALL\"");
                return Err(invalid(field, reason));
            }
        }
    }
    Ok((all, named))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(add: &[&str], drop: &[&str], machine: &Machine) -> Result<u64, String> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let security = Security {
            add_capabilities: owned(add),
            drop_capabilities: owned(drop),
            ..Security::default()
        };
        let capabilities = Capabilities::of(&security, machine);
        capabilities
            .map(|capabilities| capabilities.0)
            .map_err(|error| error.to_string())
    }

    fn machine(capabilities: u64, unified: bool) -> Machine {
        Machine {
            capabilities,
            any_device: unified,
            kernel: (6, 1),
            has_users: true,
        }
    }

    #[test]
    fn what_is_added_and_dropped_counts_from_dockers_fourteen() {
        let whole = machine(u64::MAX, false);
        for (add, drop, expected) in [
            (&[][..], &[][..], DEFAULT),
            (&["SYS_TIME"], &[], DEFAULT | 1 << 25),
            (&["cap_sys_time"], &["CHOWN"], DEFAULT & !1 | 1 << 25),
            (&["CHOWN"], &["ALL"], 1),
            (&["CHOWN"], &["CHOWN"], DEFAULT),
            (&["ALL"], &["CHOWN"], ALL & !1),
            (&["ALL"], &["ALL"], ALL),
            (&[], &["ALL"], 0),
        ] {
            assert_eq!(of(add, drop, &whole), Ok(expected), "+{add:?} -{drop:?}");
        }
        assert_eq!(Capabilities(DEFAULT).names().len(), 14);
        assert_eq!(Capabilities(1 << 40).names(), ["CAP_CHECKPOINT_RESTORE"]);
    }

    #[test]
    fn what_cannot_be_handed_on_is_left_out_and_refused_if_it_was_asked_for() {
        let poor = machine(1 << 0 | MKNOD, false);
        assert_eq!(of(&[], &[], &poor), Ok(1 << 0 | MKNOD));
        assert_eq!(of(&["ALL"], &[], &poor), Ok(1 << 0 | MKNOD));
        let refused = of(&["SYS_RESOURCE"], &[], &poor).unwrap_err();
        assert!(
            refused.contains("CAP_SYS_RESOURCE: the program that runs this lacks it"),
            "{refused}"
        );
        let unified = machine(u64::MAX, true);
        assert_eq!(of(&[], &[], &unified), Ok(DEFAULT & !MKNOD));
        let refused = of(&["MKNOD"], &[], &unified).unwrap_err();
        assert!(refused.contains("CAP_MKNOD: on cgroup v2"), "{refused}");
        let refused = of(&[], &["NET_ADMIM"], &unified).unwrap_err();
        assert!(refused.contains("security.drop_capabilities"), "{refused}");
        assert!(
            refused.contains("\"NET_ADMIM\" is no capability of Linux"),
            "{refused}"
        );
    }

    #[test]
    fn a_privileged_container_has_all_that_can_be_handed_on() {
        let security = Security {
            privileged: true,
            drop_capabilities: vec!["ALL".into()],
            ..Security::default()
        };
        let given = Capabilities::of(&security, &machine(0b1011, true)).unwrap();
        assert_eq!(given, Capabilities(0b1011));
    }
}
