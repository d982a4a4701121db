//! Limits: which a container gets.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use orch_core::runtime::{Resources, RuntimeError};

use crate::cgroup::Hierarchies;
use crate::invalid;

/// Docker's least limit of memory. With less not even a shell comes up.
const MEMORY_MIN: u64 = 6 << 20;

/// With fewer no command could be started beside the program.
const PIDS_MIN: u64 = 2;

/// The least processor time that the kernel takes, in thousandths of one processor.
const CPU_MIN: u64 = 10;

/// `CAP_SYS_RESOURCE`.
const SYS_RESOURCE: u64 = 1 << 24;

/// What this machine can limit, and this process may.
#[derive(Debug)]
pub(crate) struct Limiter {
    cpu: bool,
    memory: bool,
    pids: bool,
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
            lowest_score,
            told: AtomicBool::default(),
        })
    }

    /// The limits that come of what is asked for, as Docker has it: what the machine cannot do is left out, which its
    /// capabilities say before.
    pub(crate) fn settle(&self, asked: &Resources) -> Result<Resources, RuntimeError> {
        check(asked)?;
        let settled = Resources {
            cpu_shares: asked
                .cpu_shares
                .filter(|_| self.cpu)
                .map(|shares| shares.clamp(2, 262_144)),
            cpu_limit_millis: asked
                .cpu_limit_millis
                .filter(|_| self.cpu)
                .map(|millis| millis.max(CPU_MIN)),
            memory_limit_bytes: asked.memory_limit_bytes.filter(|_| self.memory),
            pids_limit: asked.pids_limit.filter(|_| self.pids),
            oom_score_adj: asked.oom_score_adj.filter(|score| *score >= self.lowest_score),
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
    if let Some(bytes) = asked.memory_limit_bytes.filter(|bytes| *bytes < MEMORY_MIN) {
        return Err(invalid(
            "resources.memory_limit_bytes",
            format!("{bytes}: must be at least {MEMORY_MIN} (6 MiB); leave it unset for no limit"),
        ));
    }
    if let Some(most) = asked.pids_limit.filter(|most| *most < PIDS_MIN) {
        return Err(invalid(
            "resources.pids_limit",
            format!("{most}: must be at least {PIDS_MIN}; leave it unset for no limit"),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(all: bool, lowest_score: i32) -> Limiter {
        Limiter {
            cpu: all,
            memory: all,
            pids: all,
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
        }
    }

    #[test]
    fn what_can_be_done_is_done_and_the_rest_is_left_out_and_told_once() {
        let able = limiter(true, -1000);
        let expected = Resources {
            cpu_shares: Some(2),
            cpu_limit_millis: Some(10),
            ..asked()
        };
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
}
