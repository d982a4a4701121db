//! Control groups of pods, and of the classes that pods are in: made before the first container is in them, and removed
//! with the last sandbox that asks for them.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use orch_core::runtime::{Resources, RuntimeError, SandboxConfig, SandboxId};

use crate::cgroup::{Refused, is_gone};
use crate::container::Ground;
use crate::driver::{Driver, not_found};
use crate::index::Index;
use crate::resources::{MEMORY_MIN, merged};
use crate::runtime::blocking;
use crate::sandbox::{Phase, Pod};
use crate::{NAME, invalid};

/// How deep a pod's group may be.
const DEEPEST: usize = 8;

/// Of what one has in the processor where nothing is said, as the kernel has it.
const SHARES: u64 = 1024;

impl Driver {
    /// Refuses what cannot be done here.
    pub(crate) fn check_group(&self, config: &SandboxConfig) -> Result<(), RuntimeError> {
        if config.wants_group() && !self.limiter.is_complete() {
            return Err(RuntimeError::Unsupported {
                runtime: NAME,
                what: "control groups of pods on a machine without the control groups cpu, memory and pids"
                    .into(),
            });
        }
        check(config)?;
        self.limiter.settle(&limits(&config.resources)).map(drop)
    }

    /// Makes the control group that a new sandbox asks for, with its limits.
    pub(crate) fn group(&self, pod: &Pod) -> Result<(), RuntimeError> {
        let config = &pod.record.config;
        if config.cgroup_parent.is_empty() {
            return Ok(());
        }
        // Nobody removes it meanwhile.
        let _one = self.making.lock();
        if self.pod(&pod.id).is_none() {
            return Err(not_found("sandbox", &pod.id));
        }
        if pod.phase() != Phase::Made {
            return Ok(());
        }
        let limits = self.limiter.settle(&limits(&pod.resources()))?;
        let (group, hierarchies) = (self.ground.below(&config.cgroup_parent), &self.ground.hierarchies);
        let made = hierarchies.make(&group).and_then(|()| {
            hierarchies
                .group(&group)
                .limit(&limits)
                .map_err(io::Error::other)?;
            self.weigh_above(pod)
        });
        made.map_err(|error| pod.failed("making the control group of", error))
    }

    /// Changes what the containers of a sandbox may use together.
    pub(crate) async fn update_sandbox(
        self: &Arc<Self>,
        id: &SandboxId,
        update: &Resources,
    ) -> Result<(), RuntimeError> {
        let pod = self.pod(id).ok_or_else(|| not_found("sandbox", id))?;
        if !self.limiter.is_complete() {
            return Err(RuntimeError::Unsupported {
                runtime: NAME,
                what: "changing limits on a machine without the control groups cpu, memory and pids".into(),
            });
        }
        check(&SandboxConfig {
            resources: update.clone(),
            cgroup_parent: pod.record.config.cgroup_parent.clone(),
            ..SandboxConfig::default()
        })?;
        let settled = self.limiter.settle(&limits(update))?;
        // It is readied, or taken down, by one at a time.
        let _one = pod.gate.lock().await;
        let (driver, changed, update) = (self.clone(), pod.clone(), update.clone());
        blocking(move || driver.limit_pod(&changed, &update, &settled)).await?
    }

    /// Writes files.
    fn limit_pod(&self, pod: &Pod, update: &Resources, settled: &Resources) -> Result<(), RuntimeError> {
        let failed = |error| pod.failed("changing the limits of", error);
        // Nobody removes its group meanwhile.
        let _one = self.making.lock();
        if self.pod(&pod.id).is_none() {
            return Err(not_found("sandbox", &pod.id));
        }
        if !pod.is_ready() {
            return Err(failed(io::Error::other(
                "it has ended, or never came up; run the pod's next attempt",
            )));
        }
        let group = self.ground.below(&pod.record.config.cgroup_parent);
        match self.ground.hierarchies.group(&group).limit(settled) {
            Ok(()) => {}
            Err(Refused::InUse(used)) => {
                let asked = settled.memory_limit_bytes.unwrap_or_default();
                let reason = format!(
                    "{asked}: the containers of sandbox {} use {used} bytes that cannot be taken from them; the limit must \
                     be more",
                    pod.id
                );
                return Err(invalid("resources.memory_limit_bytes", reason));
            }
            Err(Refused::Failed(path, error)) => {
                let error = io::Error::new(error.kind(), format!("{}: {error}", path.display()));
                return Err(failed(error));
            }
        }
        // Last: what was not told of is asked for again.
        pod.set_resources(merged(&pod.resources(), update))
            .and_then(|()| self.weigh_above(pod))
            .map_err(failed)
    }

    /// Removes the control groups that no other sandbox asks for. Nothing runs in them.
    pub(crate) fn ungroup(&self, pod: &Pod) -> io::Result<()> {
        let pods = self.pods();
        let others = || pods.iter().filter(|other| other.id != pod.id);
        for path in upwards(&pod.record.config.cgroup_parent) {
            if others().any(|other| is_within(&other.record.config.cgroup_parent, path)) {
                break;
            }
            self.ground.hierarchies.sweep(&self.ground.below(path))?;
        }
        Ok(())
    }

    /// Gives the groups above a pod's own the shares of the pods in them.
    pub(crate) fn weigh_above(&self, pod: &Pod) -> io::Result<()> {
        let paths = upwards(&pod.record.config.cgroup_parent).skip(1);
        self.weigh(paths)
    }

    /// The same of all there are.
    pub(crate) fn weigh_all(&self) -> io::Result<()> {
        let pods = self.pods();
        let above = pods
            .iter()
            .flat_map(|pod| upwards(&pod.record.config.cgroup_parent).skip(1));
        self.weigh(above.collect::<BTreeSet<_>>())
    }

    fn weigh<'a>(&self, paths: impl IntoIterator<Item = &'a str>) -> io::Result<()> {
        let pods = self.pods();
        for path in paths {
            let live = pods.iter().filter(|pod| pod.phase() != Phase::Stopped);
            let asked = live.map(|pod| {
                (
                    pod.record.config.cgroup_parent.as_str(),
                    pod.resources().cpu_shares,
                )
            });
            let shares = Resources {
                cpu_shares: Some(together(asked, path)),
                ..Resources::default()
            };
            let group = self.ground.hierarchies.group(&self.ground.below(path));
            match group.limit(&shares) {
                // The machine was restarted, and what was in it is lost.
                Err(Refused::Failed(_, error)) if is_gone(&error) => {}
                // What is to be stopped is stopped all the same.
                Err(error) => {
                    tracing::warn!(group = path, %error, "the weight of a class of pods is not what its pods ask for");
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }
}

/// What a pod's containers may use together. Less memory than the least that one may have is not refused: its containers are,
/// and told why.
fn limits(asked: &Resources) -> Resources {
    let memory = asked.in_force().memory_limit_bytes;
    let least = memory.map(|bytes| bytes.max(MEMORY_MIN));
    Resources {
        // What means no limit stays what it is.
        memory_limit_bytes: least.or(asked.memory_limit_bytes),
        ..asked.clone()
    }
}

/// The shares of all pods in a group, of the groups and shares of all.
fn together<'a>(pods: impl Iterator<Item = (&'a str, Option<u64>)>, path: &str) -> u64 {
    let inside = pods.filter(|(group, _)| is_within(group, path));
    let counted = inside.map(|(_, shares)| match shares {
        Some(..=Resources::CPU_SHARES_MIN) => 0,
        shares => shares.unwrap_or(SHARES),
    });
    counted
        .fold(0, u64::saturating_add)
        .clamp(Resources::CPU_SHARES_MIN, Resources::CPU_SHARES_MAX)
}

/// A path, and those above it, the longest first; none of an empty one.
fn upwards(path: &str) -> impl Iterator<Item = &str> {
    let path = (!path.is_empty()).then_some(path);
    std::iter::successors(path, |path| Some(path.rsplit_once('/')?.0))
}

/// Whether a group is at a path, or below it.
fn is_within(group: &str, path: &str) -> bool {
    let rest = group.strip_prefix(path);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Refuses what makes no sense anywhere.
fn check(config: &SandboxConfig) -> Result<(), RuntimeError> {
    let parent = &config.cgroup_parent;
    if parent.is_empty() && config.wants_group() {
        let reason = "limits what is in a control group; name one with cgroup_parent";
        return Err(invalid("resources", reason));
    }
    if let Some(score) = config.resources.oom_score_adj {
        let reason = format!("{score}: is each container's own; leave it unset for a pod");
        return Err(invalid("resources.oom_score_adj", reason));
    }
    // No file of the kernel's is called like this, all of which have a dot.
    let plain = |name: &str| {
        let fits = (1..=255).contains(&name.len());
        fits && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let names = || parent.split('/');
    if !parent.is_empty()
        && (names().count() > DEEPEST || !names().all(plain) || names().next() == Some("shims"))
    {
        let reason = format!(
            "{parent:?}: must be at most {DEEPEST} names with `/` between them, each of at most 255 letters, digits, `-` and \
             `_`, the first of which is not `shims`"
        );
        return Err(invalid("cgroup_parent", reason));
    }
    Ok(())
}

/// Sweeps the control groups of what is not there any more.
pub(crate) fn sweep_strays(ground: &Ground, index: &Index) -> io::Result<()> {
    let containers = index.cells.values().map(|cell| cell.group());
    let mut kept: BTreeSet<_> = containers.chain([ground.shims()]).collect();
    let mut passed = BTreeSet::new();
    for pod in index.pods.values() {
        passed.extend(upwards(&pod.record.config.cgroup_parent).map(|path| ground.below(path)));
    }
    kept.retain(|group| !passed.contains(group));
    sweep_in(ground, &ground.group, &kept, &passed)
}

fn sweep_in(
    ground: &Ground,
    group: &str,
    kept: &BTreeSet<String>,
    passed: &BTreeSet<String>,
) -> io::Result<()> {
    for name in ground.hierarchies.children(group) {
        let inner = format!("{group}/{name}");
        if passed.contains(&inner) {
            sweep_in(ground, &inner, kept, passed)?;
        } else if !kept.contains(&inner) {
            tracing::warn!(
                group = inner,
                "sweeping the control group of something that is gone"
            );
            ground.hierarchies.sweep(&inner)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(cgroup_parent: &str, cpu_shares: Option<u64>) -> SandboxConfig {
        SandboxConfig {
            cgroup_parent: cgroup_parent.into(),
            resources: Resources {
                cpu_shares,
                ..Resources::default()
            },
            ..SandboxConfig::default()
        }
    }

    #[test]
    fn a_class_has_the_shares_of_its_pods_and_those_that_ask_for_none_count_for_nothing() {
        let pods = [
            config("burstable/a", Some(512)),
            config("burstable/b", Some(256)),
            config("burstable/c", Some(2)),
            config("burstable-too/a", Some(4096)),
            config("besteffort/a", Some(2)),
            config("besteffort/b", Some(2)),
            config("plain/a", None),
            config("many/a", Some(262_144)),
            config("many/b", Some(262_144)),
            config("", None),
        ];
        for (path, expected) in [
            ("burstable", 768),
            ("besteffort", 2),
            ("plain", 1024),
            ("many", 262_144),
            ("empty", 2),
        ] {
            let asked = pods
                .iter()
                .map(|pod| (pod.cgroup_parent.as_str(), pod.resources.cpu_shares));
            assert_eq!(together(asked, path), expected, "{path}");
        }
    }

    #[test]
    fn a_pod_may_have_as_much_memory_as_the_least_of_containers() {
        for (asked, expected) in [
            (None, None),
            (Some(1), Some(MEMORY_MIN)),
            (Some(7 << 20), Some(7 << 20)),
        ] {
            let mut pod = config("pod1", Some(3));
            pod.resources.memory_limit_bytes = asked;
            let limits = limits(&pod.resources);
            assert_eq!(
                (limits.memory_limit_bytes, limits.cpu_shares),
                (expected, Some(3))
            );
        }
    }

    #[test]
    fn paths_go_upwards_by_whole_names() {
        assert_eq!(upwards("a/bc/d").collect::<Vec<_>>(), ["a/bc/d", "a/bc", "a"]);
        assert_eq!(upwards("").count(), 0);
        for (group, path, expected) in [
            ("a/b", "a", true),
            ("a", "a", true),
            ("ab", "a", false),
            ("a", "a/b", false),
        ] {
            assert_eq!(is_within(group, path), expected, "{group} in {path}");
        }
    }

    #[test]
    fn what_is_no_path_or_limits_nothing_is_refused_with_what_is_allowed() {
        let long = "x".repeat(256);
        let limited = SandboxConfig {
            cgroup_parent: String::new(),
            ..config("", Some(2))
        };
        let mut scored = config("pod1", None);
        scored.resources.oom_score_adj = Some(3);
        let bad = |parent: &str| (config(parent, None), "cgroup_parent");
        for (config, field) in [
            bad("a//b"),
            bad("/a"),
            bad("a/"),
            bad("a/.."),
            bad("cpu.shares"),
            bad("a b"),
            bad("shims/x"),
            bad("1/2/3/4/5/6/7/8/9"),
            bad(&long),
            (limited, "resources"),
            (scored, "resources.oom_score_adj"),
        ] {
            match check(&config) {
                Err(RuntimeError::InvalidConfig { field: told, reason }) => {
                    assert_eq!(told, field, "{config:?}");
                    assert!(
                        field != "cgroup_parent" || reason.contains("at most 8 names"),
                        "{reason}"
                    );
                }
                other => panic!("{config:?}: {other:?}"),
            }
        }
        for fine in ["", "pod1", "burstable/podA-b_c", "1/2/3/4/5/6/7/8"] {
            check(&config(fine, None)).unwrap();
        }
    }
}
