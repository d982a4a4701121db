//! What no runtime can make of a configuration, and what comes into force of limits: the same on all of them.

use super::{ContainerConfig, Mount, Resources, RuntimeError, SandboxConfig};

/// The least processor time that the kernel takes in a period of 100 ms, in thousandths of one processor.
const CPU_LEAST: u64 = 10;

/// The most that it can count in such a period (its `MAX_BW`, in microseconds).
const CPU_MOST: u64 = ((1 << 44) - 1) / 100;

/// What it shows of a group whose memory is not limited: whole pages (its `PAGE_COUNTER_MAX`).
const MEMORY_UNLIMITED: u64 = i64::MAX as u64 & !4095;

/// The most processes that there can be on a machine (its `PID_MAX_LIMIT`).
const PIDS_MOST: u64 = 4 << 20;

impl Resources {
    /// The fewest shares of processor time (the kernel's `MIN_SHARES`): what the kubelet gives to pods that ask for none.
    pub const CPU_SHARES_MIN: u64 = 2;

    /// The most shares of processor time (the kernel's `MAX_SHARES`).
    pub const CPU_SHARES_MAX: u64 = 262_144;

    /// Refuses to limit a container to less memory than `least` bytes, the runtime's own
    /// [`memory_limit_min`](super::Capabilities::memory_limit_min).
    ///
    /// # Errors
    ///
    /// [`RuntimeError::InvalidConfig`] with the field, the value and what is allowed.
    pub fn check_memory(&self, least: u64) -> Result<(), RuntimeError> {
        match self.memory_limit_bytes.filter(|bytes| (1..least).contains(bytes)) {
            Some(bytes) => Err(invalid(
                "resources.memory_limit_bytes",
                format!("{bytes}: must be at least {least}, or unset or 0 for no limit"),
            )),
            None => Ok(()),
        }
    }

    /// What comes into force of this on a machine that can limit all of it: without what means no limit, and with the least or
    /// the most in place of what the kernel does not take. The fields say which.
    #[must_use]
    pub fn in_force(&self) -> Self {
        let limits = |least: u64, most: u64| move |asked: &u64| (least..=most).contains(asked);
        Self {
            cpu_shares: self
                .cpu_shares
                .map(|shares| shares.clamp(Self::CPU_SHARES_MIN, Self::CPU_SHARES_MAX)),
            cpu_limit_millis: self
                .cpu_limit_millis
                .filter(limits(1, CPU_MOST))
                .map(|millis| millis.max(CPU_LEAST)),
            memory_limit_bytes: self.memory_limit_bytes.filter(limits(1, MEMORY_UNLIMITED - 1)),
            pids_limit: self.pids_limit.filter(limits(1, PIDS_MOST)),
            oom_score_adj: self.oom_score_adj,
            hugepages: self.hugepages.clone(),
        }
    }
}

impl SandboxConfig {
    /// Refuses what no runtime can make a sandbox of, which every runtime's
    /// [`run_sandbox`](super::Runtime::run_sandbox) does by this.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::InvalidConfig`] with the field, the value and what is allowed.
    pub fn check(&self) -> Result<(), RuntimeError> {
        if self.uid.is_empty() {
            return Err(invalid(
                "uid",
                "\"\": must not be empty; by it the same pod is known again",
            ));
        }
        Ok(())
    }
}

impl ContainerConfig {
    /// Refuses what no runtime can make a container of, which every runtime's
    /// [`create_container`](super::Runtime::create_container) does by this.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::InvalidImage`] without an image, and [`RuntimeError::InvalidConfig`] for the rest, with the field, the value
    /// and what is allowed.
    pub fn check(&self) -> Result<(), RuntimeError> {
        if self.name.is_empty() {
            return Err(invalid(
                "name",
                "\"\": must not be empty; by it the same container of a pod is known again",
            ));
        }
        if self.image.is_empty() {
            return Err(RuntimeError::InvalidImage {
                image: String::new(),
                reason: "must not be empty; name an image that is present; `host`, where a runtime has it, is the machine's \
                         own root"
                    .into(),
            });
        }
        self.check_ids()?;
        self.check_mounts()
    }

    fn check_ids(&self) -> Result<(), RuntimeError> {
        let security = &self.security;
        let one = [
            ("security.run_as_user", security.run_as_user),
            ("security.run_as_group", security.run_as_group),
        ];
        let more = security.supplemental_groups.iter();
        let more = more.map(|id| ("security.supplemental_groups", Some(*id)));
        match one.into_iter().chain(more).find(|(_, id)| *id == Some(u32::MAX)) {
            Some((field, _)) => Err(invalid(
                field,
                format!(
                    "{}: must be from 0 to {}; the kernel takes this number for -1, which is nobody",
                    u32::MAX,
                    u32::MAX - 1
                ),
            )),
            None => Ok(()),
        }
    }

    /// As Kubernetes has it of `volumeMounts`: what is mounted first would never be seen.
    fn check_mounts(&self) -> Result<(), RuntimeError> {
        let mut earlier = self.mounts.iter().enumerate();
        let twice = earlier.find_map(|(at, mount)| {
            // Paths are the same with a `/` at the end, or two in between.
            let same = |other: &&Mount| other.target == mount.target;
            Some((self.mounts[..at].iter().find(same)?, mount))
        });
        match twice {
            Some((first, second)) => Err(invalid(
                "mounts",
                format!(
                    "{:?}: both {:?} and {:?} are to be mounted there; each mount must have a target of its own",
                    second.target, first.source, second.source
                ),
            )),
            None => Ok(()),
        }
    }
}

fn invalid(field: &str, reason: impl Into<String>) -> RuntimeError {
    RuntimeError::InvalidConfig {
        field: field.into(),
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Security;
    use super::*;

    #[test]
    fn what_means_no_limit_is_none_and_what_the_kernel_does_not_take_is_its_least_or_most() {
        let of = |cpu_shares, cpu_limit_millis, memory_limit_bytes, pids_limit| Resources {
            cpu_shares,
            cpu_limit_millis,
            memory_limit_bytes,
            pids_limit,
            oom_score_adj: Some(-5),
            hugepages: [(2 << 20, 0)].into(),
        };
        for (asked, expected) in [
            (of(None, None, None, None), of(None, None, None, None)),
            (
                of(Some(0), Some(0), Some(0), Some(0)),
                of(Some(2), None, None, None),
            ),
            (
                of(Some(1), Some(1), Some(1), Some(1)),
                of(Some(2), Some(10), Some(1), Some(1)),
            ),
            (
                of(Some(512), Some(11), Some(7 << 20), Some(9)),
                of(Some(512), Some(11), Some(7 << 20), Some(9)),
            ),
            (
                of(
                    Some(262_144),
                    Some(175_921_860_444),
                    Some(9_223_372_036_854_771_711),
                    Some(4_194_304),
                ),
                of(
                    Some(262_144),
                    Some(175_921_860_444),
                    Some(9_223_372_036_854_771_711),
                    Some(4_194_304),
                ),
            ),
            (
                of(
                    Some(262_145),
                    Some(175_921_860_445),
                    Some(9_223_372_036_854_771_712),
                    Some(4_194_305),
                ),
                of(Some(262_144), None, None, None),
            ),
            (
                of(Some(u64::MAX), Some(u64::MAX), Some(u64::MAX), Some(u64::MAX)),
                of(Some(262_144), None, None, None),
            ),
        ] {
            assert_eq!(asked.in_force(), expected, "{asked:?}");
            assert_eq!(expected.in_force(), expected, "once is as good as twice");
        }
    }

    fn container() -> ContainerConfig {
        ContainerConfig {
            name: "main".into(),
            image: "busybox".into(),
            ..ContainerConfig::default()
        }
    }

    fn mount(source: &str, target: &str) -> Mount {
        Mount {
            source: source.into(),
            target: target.into(),
            read_only: false,
        }
    }

    #[test]
    fn what_no_runtime_can_make_is_refused_with_the_field_the_value_and_what_is_allowed() {
        let unnamed = ContainerConfig {
            name: String::new(),
            ..container()
        };
        let imageless = ContainerConfig {
            image: String::new(),
            ..container()
        };
        let secured = |security: Security| ContainerConfig {
            security,
            ..container()
        };
        let user = secured(Security {
            run_as_user: Some(u32::MAX),
            ..Security::default()
        });
        let group = secured(Security {
            run_as_group: Some(u32::MAX),
            ..Security::default()
        });
        let more = secured(Security {
            supplemental_groups: vec![7, u32::MAX],
            ..Security::default()
        });
        let mounted = |targets: &[&str]| ContainerConfig {
            mounts: targets.iter().map(|target| mount("/from", target)).collect(),
            ..container()
        };
        for (config, expected) in [
            (unnamed, "name: \"\": must not be empty"),
            (imageless, "image \"\": must not be empty"),
            (
                user,
                "security.run_as_user: 4294967295: must be from 0 to 4294967294",
            ),
            (
                group,
                "security.run_as_group: 4294967295: must be from 0 to 4294967294",
            ),
            (
                more,
                "security.supplemental_groups: 4294967295: must be from 0 to 4294967294",
            ),
            (
                mounted(&["/a", "/b", "/a"]),
                "mounts: \"/a\": both \"/from\" and \"/from\" are to be mounted there",
            ),
            (mounted(&["/a/b", "/a//b/"]), "mounts: \"/a//b/\": both"),
        ] {
            let refused = config.check().unwrap_err().to_string();
            assert!(refused.starts_with(expected), "{refused}");
        }
        let refused = SandboxConfig::default().check().unwrap_err().to_string();
        assert!(refused.starts_with("uid: \"\": must not be empty"), "{refused}");
    }

    #[test]
    fn what_a_runtime_may_be_able_to_make_is_left_to_it() {
        let most = Security {
            run_as_user: Some(u32::MAX - 1),
            run_as_group: Some(0),
            supplemental_groups: vec![1, u32::MAX - 1],
            ..Security::default()
        };
        let config = ContainerConfig {
            security: most,
            mounts: vec![mount("/from", "/a"), mount("/from", "/a/b"), mount("/b", "/b")],
            ..container()
        };
        config.check().unwrap();
        let sandbox = SandboxConfig {
            uid: "7".into(),
            ..SandboxConfig::default()
        };
        sandbox.check().unwrap();
    }
}
