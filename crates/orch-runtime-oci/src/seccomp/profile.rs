//! Profiles of allowed system calls as Docker and Kubernetes write them, and what one comes to for a container. Pure.
//!
//! The format is the runtime specification's `linux.seccomp` with Docker's conditions: a rule may be for some
//! architectures, capabilities or kernels alone.

use std::borrow::Cow;

use serde::Deserialize;

/// Docker's own, see `README.md` beside it.
pub(crate) const DEFAULT: &str = include_str!("default.json");

/// What a profile asks for, as far as it goes for one container on one machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rules {
    /// What becomes of a call that no rule names.
    pub(crate) default: Verdict,
    /// Besides the machine's own: those whose calls it takes too, by libseccomp's names (`SCMP_ARCH_X86`).
    pub(crate) architectures: Vec<String>,
    pub(crate) flags: Vec<Flag>,
    pub(crate) rules: Vec<Rule>,
}

/// What becomes of some calls.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rule {
    pub(crate) names: Vec<String>,
    pub(crate) verdict: Verdict,
    /// All must hold; an argument may be named more than once, and then each is a rule of its own.
    pub(crate) conditions: Vec<Condition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Verdict {
    Allow,
    /// Let through, and written to the kernel's log.
    Log,
    /// Refused with this error's number.
    Error(u16),
    /// For a tracer, with this number.
    Trace(u16),
    Trap,
    KillThread,
    KillProcess,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Condition {
    pub(crate) index: u32,
    #[serde(rename = "op")]
    pub(crate) operator: Operator,
    pub(crate) value: u64,
    #[serde(default)]
    pub(crate) value_two: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub(crate) enum Operator {
    #[serde(rename = "SCMP_CMP_NE")]
    NotEqual,
    #[serde(rename = "SCMP_CMP_LT")]
    Less,
    #[serde(rename = "SCMP_CMP_LE")]
    LessOrEqual,
    #[serde(rename = "SCMP_CMP_EQ")]
    Equal,
    #[serde(rename = "SCMP_CMP_GE")]
    GreaterOrEqual,
    #[serde(rename = "SCMP_CMP_GT")]
    Greater,
    /// Equal to `value_two` where `value` has bits.
    #[serde(rename = "SCMP_CMP_MASKED_EQ")]
    Masked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub(crate) enum Flag {
    #[serde(rename = "SECCOMP_FILTER_FLAG_LOG")]
    Log,
    #[serde(rename = "SECCOMP_FILTER_FLAG_SPEC_ALLOW")]
    SpecAllow,
    /// For programs with threads; what is started here has one.
    #[serde(rename = "SECCOMP_FILTER_FLAG_TSYNC")]
    ThreadSync,
}

/// The machine, and what the container may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    /// As Go calls it: `amd64`, `arm64`.
    pub(crate) arch: &'a str,
    /// As libseccomp calls it: `SCMP_ARCH_X86_64`.
    pub(crate) native: &'a str,
    /// The kernel's version: 6 and 1 of 6.1.0.
    pub(crate) kernel: (u32, u32),
    /// The bounding set, with `CAP_`.
    pub(crate) capabilities: &'a [&'a str],
}

/// As it stands in the file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: Action,
    default_errno_ret: Option<u16>,
    architectures: Option<Vec<String>>,
    arch_map: Option<Vec<Family>>,
    flags: Option<Vec<Flag>>,
    listener_path: Option<String>,
    syscalls: Option<Vec<Entry>>,
}

#[derive(Clone, Copy, Deserialize)]
enum Action {
    #[serde(rename = "SCMP_ACT_ALLOW")]
    Allow,
    #[serde(rename = "SCMP_ACT_LOG")]
    Log,
    #[serde(rename = "SCMP_ACT_ERRNO")]
    Error,
    #[serde(rename = "SCMP_ACT_TRACE")]
    Trace,
    #[serde(rename = "SCMP_ACT_TRAP")]
    Trap,
    #[serde(rename = "SCMP_ACT_KILL", alias = "SCMP_ACT_KILL_THREAD")]
    KillThread,
    #[serde(rename = "SCMP_ACT_KILL_PROCESS")]
    KillProcess,
    #[serde(rename = "SCMP_ACT_NOTIFY")]
    Notify,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Family {
    architecture: String,
    sub_architectures: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    names: Option<Vec<String>>,
    /// Of old profiles.
    name: Option<String>,
    action: Action,
    errno_ret: Option<u16>,
    args: Option<Vec<Condition>>,
    includes: Option<Filter>,
    excludes: Option<Filter>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// What the profile comes to; the error is a sentence.
pub(crate) fn resolve(profile: &str, subject: Subject<'_>) -> Result<Rules, String> {
    let profile: Profile = serde_json::from_str(profile).map_err(|error| error.to_string())?;
    if profile.listener_path.is_some() {
        return Err("listenerPath: nothing here can be asked about system calls".into());
    }
    let architectures = match (profile.architectures, profile.arch_map) {
        (Some(own), Some(map)) if !own.is_empty() && !map.is_empty() => {
            return Err("architectures and archMap: use one of the two".into());
        }
        (Some(own), _) if !own.is_empty() => own,
        (_, map) => {
            let mut families = map.into_iter().flatten();
            let family = families.find(|family| family.architecture == subject.native);
            family
                .and_then(|family| family.sub_architectures)
                .unwrap_or_default()
        }
    };
    let mut rules = Vec::new();
    for (number, entry) in profile.syscalls.into_iter().flatten().enumerate() {
        let at = |error: Cow<'_, str>| format!("syscalls[{number}]: {error}");
        if !entry.is_for(subject).map_err(|error| at(error.into()))? {
            continue;
        }
        let names = match (entry.names, entry.name) {
            (Some(names), Some(name)) if !names.is_empty() && !name.is_empty() => {
                return Err(at("name and names: use one of the two".into()));
            }
            (_, Some(name)) if !name.is_empty() => vec![name],
            (names, _) => names.unwrap_or_default(),
        };
        rules.push(Rule {
            names,
            verdict: verdict(entry.action, entry.errno_ret).map_err(|error| at(error.into()))?,
            conditions: entry.args.unwrap_or_default(),
        });
    }
    Ok(Rules {
        default: verdict(profile.default_action, profile.default_errno_ret)?,
        architectures,
        flags: profile.flags.unwrap_or_default(),
        rules,
    })
}

fn verdict(action: Action, error: Option<u16>) -> Result<Verdict, &'static str> {
    /// The kernel's `EPERM`, where a profile names no error.
    const EPERM: u16 = 1;
    let error = error.unwrap_or(EPERM);
    Ok(match action {
        Action::Allow => Verdict::Allow,
        Action::Log => Verdict::Log,
        Action::Error => Verdict::Error(error),
        Action::Trace => Verdict::Trace(error),
        Action::Trap => Verdict::Trap,
        Action::KillThread => Verdict::KillThread,
        Action::KillProcess => Verdict::KillProcess,
        Action::Notify => return Err("SCMP_ACT_NOTIFY: nothing here can be asked about system calls"),
    })
}

impl Entry {
    fn is_for(&self, subject: Subject<'_>) -> Result<bool, String> {
        let has = |name: &String| subject.capabilities.contains(&name.as_str());
        let runs = |name: &String| name == subject.arch;
        if let Some(excludes) = &self.excludes
            && (excludes.arches.iter().flatten().any(runs)
                || excludes.caps.iter().flatten().any(has)
                || excludes.kernel()?.is_some_and(|least| subject.kernel >= least))
        {
            return Ok(false);
        }
        let Some(includes) = &self.includes else {
            return Ok(true);
        };
        let arches = includes.arches.as_ref().filter(|arches| !arches.is_empty());
        Ok(arches.is_none_or(|arches| arches.iter().any(runs))
            && includes.caps.iter().flatten().all(has)
            && includes.kernel()?.is_none_or(|least| subject.kernel >= least))
    }
}

impl Filter {
    fn kernel(&self) -> Result<Option<(u32, u32)>, String> {
        let Some(text) = self.min_kernel.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let version = text
            .split_once('.')
            .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        match version {
            Some((0, 0)) | None => Err(format!("minKernel: {text:?} is no version such as \"4.8\"")),
            version => Ok(version),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PLAIN: Subject<'_> = Subject {
        arch: "amd64",
        native: "SCMP_ARCH_X86_64",
        kernel: (6, 1),
        capabilities: &["CAP_CHOWN", "CAP_SYS_CHROOT"],
    };

    fn verdicts(rules: &Rules, name: &str) -> Vec<(Verdict, usize)> {
        let named = rules
            .rules
            .iter()
            .filter(|rule| rule.names.iter().any(|own| own == name));
        named.map(|rule| (rule.verdict, rule.conditions.len())).collect()
    }

    #[test]
    fn the_default_profile_lets_through_what_docker_lets_through() {
        let rules = resolve(DEFAULT, PLAIN).unwrap();
        let none = Vec::new();
        assert_eq!(rules.default, Verdict::Error(1));
        assert_eq!(rules.architectures, ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]);
        assert_eq!(verdicts(&rules, "read"), [(Verdict::Allow, 0)]);
        assert_eq!(verdicts(&rules, "ptrace"), [(Verdict::Allow, 0)]);
        assert_eq!(verdicts(&rules, "arch_prctl"), [(Verdict::Allow, 0)]);
        assert_eq!(verdicts(&rules, "chroot"), [(Verdict::Allow, 0)]);
        // With flags for no namespace; and clone3, whose flags a filter cannot see, as if the kernel had none.
        assert_eq!(verdicts(&rules, "clone"), [(Verdict::Allow, 1)]);
        assert_eq!(verdicts(&rules, "clone3"), [(Verdict::Error(38), 0)]);
        for refused in [
            "mount",
            "bpf",
            "reboot",
            "kexec_load",
            "add_key",
            "init_module",
            "s390_pci_mmio_read",
        ] {
            assert_eq!(verdicts(&rules, refused), none, "{refused}");
        }
    }

    #[test]
    fn capabilities_architectures_and_kernels_decide_which_rules_go() {
        let admin = resolve(
            DEFAULT,
            Subject {
                capabilities: &["CAP_SYS_ADMIN"],
                ..PLAIN
            },
        )
        .unwrap();
        assert_eq!(verdicts(&admin, "mount"), [(Verdict::Allow, 0)]);
        assert_eq!(verdicts(&admin, "clone3"), [(Verdict::Allow, 0)]);
        assert_eq!(verdicts(&admin, "chroot"), []);
        let old = resolve(
            DEFAULT,
            Subject {
                kernel: (4, 7),
                ..PLAIN
            },
        )
        .unwrap();
        assert_eq!(verdicts(&old, "ptrace"), []);
        let arm = Subject {
            arch: "arm64",
            native: "SCMP_ARCH_AARCH64",
            ..PLAIN
        };
        let arm = resolve(DEFAULT, arm).unwrap();
        assert_eq!(arm.architectures, ["SCMP_ARCH_ARM"]);
        assert_eq!(verdicts(&arm, "arch_prctl"), []);
    }

    #[test]
    fn a_profile_that_cannot_be_kept_is_refused_in_words() {
        let entry =
            |entry: serde_json::Value| json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [entry]});
        for (profile, expected) in [
            (json!({}), "missing field `defaultAction`"),
            (
                json!({"defaultAction": "SCMP_ACT_PONDER"}),
                "unknown variant `SCMP_ACT_PONDER`",
            ),
            (
                json!({"defaultAction": "SCMP_ACT_NOTIFY"}),
                "SCMP_ACT_NOTIFY: nothing here can be asked",
            ),
            (
                json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/agent"}),
                "listenerPath: nothing here can be asked",
            ),
            (
                json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "archMap":
                    [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": null}]}),
                "architectures and archMap: use one of the two",
            ),
            (
                entry(json!({"names": ["read"], "name": "write", "action": "SCMP_ACT_TRAP"})),
                "syscalls[0]: name and names: use one of the two",
            ),
            (
                entry(json!({"name": "read", "action": "SCMP_ACT_TRAP", "includes": {"minKernel": "new"}})),
                "syscalls[0]: minKernel: \"new\" is no version such as \"4.8\"",
            ),
            (
                entry(
                    json!({"name": "read", "action": "SCMP_ACT_TRAP", "args": [{"index": 0, "op": "IS", "value": 1}]}),
                ),
                "unknown variant `IS`",
            ),
        ] {
            let error = resolve(&profile.to_string(), PLAIN).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn what_old_profiles_and_the_specification_itself_say_is_understood() {
        let rules = json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 13, "architectures": ["SCMP_ARCH_X86"],
            "flags": ["SECCOMP_FILTER_FLAG_LOG"], "syscalls": [{"name": "read", "action": "SCMP_ACT_ALLOW", "args": null},
            {"names": ["write"], "action": "SCMP_ACT_KILL", "args": [{"index": 0, "op": "SCMP_CMP_MASKED_EQ", "value": 6,
            "valueTwo": 2}]}]});
        let rules = resolve(&rules.to_string(), PLAIN).unwrap();
        let masked = Condition {
            index: 0,
            operator: Operator::Masked,
            value: 6,
            value_two: 2,
        };
        let expected = Rules {
            default: Verdict::Error(13),
            architectures: vec!["SCMP_ARCH_X86".into()],
            flags: vec![Flag::Log],
            rules: vec![
                Rule {
                    names: vec!["read".into()],
                    verdict: Verdict::Allow,
                    conditions: Vec::new(),
                },
                Rule {
                    names: vec!["write".into()],
                    verdict: Verdict::KillThread,
                    conditions: vec![masked],
                },
            ],
        };
        assert_eq!(rules, expected);
    }
}
