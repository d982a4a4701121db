//! Limits: which a container gets, and changing them while it runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, io};

use orch_core::runtime::{ContainerId, Resources, RuntimeError, kernel_page_size};

use crate::cgroup::{Hierarchies, Refused, is_gone};
use crate::container::Cell;
use crate::driver::Driver;
use crate::runtime::blocking;
use crate::{NAME, invalid, record};

/// Docker's least limit of memory. With less not even a shell comes up.
pub(crate) const MEMORY_MIN: u64 = 6 << 20;

/// With fewer no command could be started beside the program.
const PIDS_MIN: u64 = 2;

/// `CAP_SYS_RESOURCE`.
const SYS_RESOURCE: u64 = 1 << 24;

/// What this machine can limit, and this process may.
#[derive(Debug)]
pub(crate) struct Limiter {
    cpu: bool,
    memory: bool,
    pids: bool,
    /// The sizes of huge pages that the kernel has, in bytes; none if it does not limit them.
    hugepages: Option<BTreeSet<u64>>,
    /// No score below this can be given to a process.
    lowest_score: i32,
    /// Whether it was told of what is left out.
    told: AtomicBool,
}

impl Limiter {
    pub(crate) fn find(hierarchies: &Hierarchies, capabilities: u64) -> io::Result<Self> {
        let lowest_score = if capabilities & SYS_RESOURCE == 0 {
            let own = std::fs::read_to_string("/proc/self/oom_score_adj")?;
            own.trim().parse().map_err(io::Error::other)?
        } else {
            -1000
        };
        Ok(Self {
            cpu: hierarchies.has("cpu"),
            memory: hierarchies.has("memory"),
            pids: hierarchies.has("pids"),
            hugepages: hierarchies.has("hugetlb").then(page_sizes).transpose()?,
            lowest_score,
            told: AtomicBool::default(),
        })
    }

    pub(crate) fn has_hugepages(&self) -> bool {
        self.hugepages.is_some()
    }

    fn check_pages(&self, asked: &Resources) -> Result<(), RuntimeError> {
        if asked.hugepages.is_empty() {
            return Ok(());
        }
        let Some(sizes) = &self.hugepages else {
            return Err(RuntimeError::Unsupported {
                runtime: NAME,
                what: "resources.hugepages on a machine without the control group hugetlb".into(),
            });
        };
        match asked.hugepages.keys().find(|size| !sizes.contains(size)) {
            Some(size) => {
                let sizes: Vec<_> = sizes.iter().map(ToString::to_string).collect();
                let reason = format!(
                    "{size}: this kernel has no pages of so many bytes; it has those of {}",
                    sizes.join(", ")
                );
                Err(invalid("resources.hugepages", reason))
            }
            None => Ok(()),
        }
    }

    /// Whether every limit is kept, but for that of huge pages, which is refused where it is not.
    pub(crate) fn is_complete(&self) -> bool {
        self.cpu && self.memory && self.pids
    }

    /// The limits that come of what is asked for, as Docker has it: what the machine cannot do is left out, which its
    /// capabilities say before. What means no limit is still there, and takes away one that there is.
    pub(crate) fn settle(&self, asked: &Resources) -> Result<Resources, RuntimeError> {
        check(asked)?;
        self.check_pages(asked)?;
        let settled = Resources {
            cpu_shares: asked.cpu_shares.filter(|_| self.cpu),
            cpu_limit_millis: asked.cpu_limit_millis.filter(|_| self.cpu),
            memory_limit_bytes: asked.memory_limit_bytes.filter(|_| self.memory),
            pids_limit: asked.pids_limit.filter(|_| self.pids),
            oom_score_adj: asked.oom_score_adj.filter(|score| *score >= self.lowest_score),
            hugepages: asked.hugepages.clone(),
        };
        if lacks(&settled, asked) && !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                ?asked,
                ?settled,
                "some of what containers may use is not limited: scores below this program's own need CAP_SYS_RESOURCE, \
                 limits the control groups cpu, memory and pids; this is not told again"
            );
        }
        Ok(settled)
    }
}

/// The sizes of huge pages that this kernel has.
fn page_sizes() -> io::Result<BTreeSet<u64>> {
    let entries = match fs::read_dir("/sys/kernel/mm/hugepages") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries?,
    };
    let size = |entry: io::Result<fs::DirEntry>| {
        let name = entry?.file_name();
        Ok(name.to_str().and_then(kernel_page_size))
    };
    entries.filter_map(|entry| size(entry).transpose()).collect()
}

/// Whether something that is asked for is not given at all.
fn lacks(settled: &Resources, asked: &Resources) -> bool {
    asked.cpu_shares.is_some() != settled.cpu_shares.is_some()
        || asked.cpu_limit_millis.is_some() != settled.cpu_limit_millis.is_some()
        || asked.memory_limit_bytes != settled.memory_limit_bytes
        || asked.pids_limit != settled.pids_limit
        || asked.oom_score_adj != settled.oom_score_adj
}

/// Refuses what makes no sense anywhere.
fn check(asked: &Resources) -> Result<(), RuntimeError> {
    let limits = asked.in_force();
    limits.check_memory(MEMORY_MIN)?;
    if let Some(most) = limits.pids_limit.filter(|most| *most < PIDS_MIN) {
        return Err(invalid(
            "resources.pids_limit",
            format!("{most}: must be at least {PIDS_MIN}, or unset or 0 for no limit"),
        ));
    }
    match asked
        .oom_score_adj
        .filter(|score| !(-1000..=1000).contains(score))
    {
        Some(score) => Err(invalid(
            "resources.oom_score_adj",
            format!("{score}: must be from -1000 to 1000"),
        )),
        None => Ok(()),
    }
}

/// What is in force once an update was, which leaves what it does not set.
pub(crate) fn merged(now: &Resources, update: &Resources) -> Resources {
    Resources {
        cpu_shares: update.cpu_shares.or(now.cpu_shares),
        cpu_limit_millis: update.cpu_limit_millis.or(now.cpu_limit_millis),
        memory_limit_bytes: update.memory_limit_bytes.or(now.memory_limit_bytes),
        pids_limit: update.pids_limit.or(now.pids_limit),
        oom_score_adj: now.oom_score_adj,
        hugepages: now
            .hugepages
            .iter()
            .chain(&update.hugepages)
            .map(|(size, bytes)| (*size, *bytes))
            .collect(),
    }
    .in_force()
}

impl Driver {
    pub(crate) async fn update_resources(
        self: &Arc<Self>,
        id: &ContainerId,
        update: &Resources,
    ) -> Result<(), RuntimeError> {
        let cell = self.cell(id)?;
        if !self.limiter.is_complete() {
            return Err(RuntimeError::Unsupported {
                runtime: NAME,
                what: "changing limits on a machine without the control groups cpu, memory and pids".into(),
            });
        }
        if let Some(score) = update.oom_score_adj {
            return Err(invalid(
                "resources.oom_score_adj",
                format!("{score}: cannot change while the container runs; leave it unset"),
            ));
        }
        let update = self.limiter.settle(update)?;
        // Others who change it, or remove it, wait.
        let _one = cell.gate.lock().await;
        self.cell(id)?;
        let cell = cell.clone();
        blocking(move || cell.limit(&update)).await?
    }
}

impl Cell {
    /// Changes the limits of what runs. Reads and writes files.
    fn limit(&self, update: &Resources) -> Result<(), RuntimeError> {
        self.must_run()?;
        let failed = |error: io::Error| self.failed("changing the limits of", error);
        match self.ground.hierarchies.group(&self.group()).limit(update) {
            Ok(()) => {}
            Err(Refused::InUse(used)) => {
                let asked = update.memory_limit_bytes.unwrap_or_default();
                return Err(invalid(
                    "resources.memory_limit_bytes",
                    format!(
                        "{asked}: container {} uses {used} bytes that cannot be taken from it; the limit must be more",
                        self.record.config.name
                    ),
                ));
            }
            Err(Refused::Failed(path, error)) => {
                if is_gone(&error) {
                    // It ended meanwhile, if it is not the file alone that is missing.
                    self.must_run()?;
                }
                let error = io::Error::new(error.kind(), format!("{}: {error}", path.display()));
                return Err(failed(error));
            }
        }
        // Last: what was not told of is asked for again.
        let mut limits = self.limits.lock();
        let now = merged(&limits, update);
        record::write(&self.dir.resources(), &now).map_err(failed)?;
        *limits = now;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn limiter(all: bool, lowest_score: i32) -> Limiter {
        Limiter {
            cpu: all,
            memory: all,
            pids: all,
            hugepages: all.then(|| [2 << 20, 1 << 30].into()),
            lowest_score,
            told: AtomicBool::default(),
        }
    }

    fn asked() -> Resources {
        Resources {
            cpu_shares: Some(1),
            cpu_limit_millis: Some(3),
            memory_limit_bytes: Some(MEMORY_MIN),
            pids_limit: Some(2),
            oom_score_adj: Some(-5),
            hugepages: BTreeMap::new(),
        }
    }

    #[test]
    fn what_can_be_done_is_done_and_the_rest_is_left_out_and_told_once() {
        let able = limiter(true, -1000);
        assert!(able.is_complete());
        let expected = asked();
        assert_eq!(able.settle(&asked()).unwrap(), expected);
        assert!(!able.told.load(Ordering::Relaxed));
        let powerless = limiter(true, 0);
        let expected = Resources {
            oom_score_adj: None,
            ..expected
        };
        assert_eq!(powerless.settle(&asked()).unwrap(), expected);
        assert!(powerless.told.load(Ordering::Relaxed));
        let poor = limiter(false, 0);
        assert!(!poor.is_complete());
        assert_eq!(poor.settle(&asked()).unwrap(), Resources::default());
        let nothing = limiter(false, 0);
        assert_eq!(
            nothing.settle(&Resources::default()).unwrap(),
            Resources::default()
        );
        assert!(!nothing.told.load(Ordering::Relaxed), "nothing was asked for");
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_field_the_value_and_what_is_allowed() {
        let base = Resources::default;
        for (resources, field, words) in [
            (
                Resources {
                    memory_limit_bytes: Some(MEMORY_MIN - 1),
                    ..base()
                },
                "resources.memory_limit_bytes",
                ["6291455", "at least 6291456"],
            ),
            (
                Resources {
                    memory_limit_bytes: Some(1),
                    ..base()
                },
                "resources.memory_limit_bytes",
                ["1:", "0 for no limit"],
            ),
            (
                Resources {
                    pids_limit: Some(1),
                    ..base()
                },
                "resources.pids_limit",
                ["1:", "at least 2"],
            ),
            (
                Resources {
                    oom_score_adj: Some(1001),
                    ..base()
                },
                "resources.oom_score_adj",
                ["1001", "-1000 to 1000"],
            ),
            (
                Resources {
                    oom_score_adj: Some(-1001),
                    ..base()
                },
                "resources.oom_score_adj",
                ["-1001", "-1000 to 1000"],
            ),
        ] {
            match limiter(false, 0).settle(&resources) {
                Err(RuntimeError::InvalidConfig { field: told, reason }) => {
                    assert_eq!(told, field);
                    assert!(words.iter().all(|word| reason.contains(word)), "{reason}");
                }
                other => panic!("{resources:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn huge_pages_are_refused_of_sizes_that_the_kernel_lacks_and_where_nothing_limits_them() {
        let pages = |size: u64| Resources {
            hugepages: [(size, 4 << 20)].into(),
            ..Resources::default()
        };
        let able = limiter(true, 0);
        assert_eq!(able.settle(&pages(2 << 20)).unwrap(), pages(2 << 20));
        match able.settle(&pages(4 << 20)) {
            Err(RuntimeError::InvalidConfig { field, reason }) => {
                assert_eq!(field, "resources.hugepages");
                assert!(
                    reason.contains("4194304") && reason.contains("2097152, 1073741824"),
                    "{reason}"
                );
            }
            other => panic!("{other:?}"),
        }
        let refused = limiter(false, 0).settle(&pages(2 << 20));
        assert!(
            matches!(refused, Err(RuntimeError::Unsupported { .. })),
            "{refused:?}"
        );
        let now = Resources {
            hugepages: [(2 << 20, 1), (1 << 30, 1)].into(),
            ..Resources::default()
        };
        let expected = [(2 << 20, 4 << 20), (1 << 30, 1)].into();
        assert_eq!(merged(&now, &pages(2 << 20)).hugepages, expected);
    }

    #[test]
    fn an_update_changes_what_it_sets() {
        let update = |bytes: u64| Resources {
            memory_limit_bytes: Some(bytes),
            ..Resources::default()
        };
        let now = asked().in_force();
        let left = |memory_limit_bytes: Option<u64>| Resources {
            memory_limit_bytes,
            ..now.clone()
        };
        for (bytes, expected) in [(7, left(Some(7))), (0, left(None)), (u64::MAX, left(None))] {
            assert_eq!(merged(&now, &update(bytes)), expected, "{bytes}");
        }
        assert_eq!(merged(&Resources::default(), &asked()).oom_score_adj, None);
    }
}
