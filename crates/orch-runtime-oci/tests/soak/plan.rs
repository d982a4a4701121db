//! What each container of the soak is to do, and when its application is killed: all by a seed. Pure.

use std::time::Duration;

use orch_core::random::Random;
use orch_core::runtime::{ContainerConfig, SandboxConfig};

use super::common;

/// How often the application is killed.
pub(crate) const KILLS: usize = 10;

/// Pods that many containers are in, one after the other and at once.
const SHARED: u64 = 4;

/// What the application is told, and tells, of one container at most: made, started, ended, being removed, removed.
const WORDS: u64 = 5;

/// What a container does, and what is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It writes so many lines to each stream, with pauses, and ends by itself.
    Ends { lines: u32, code: i32 },
    /// It runs until it is asked to end.
    Stopped { code: i32 },
    /// The same, after a command was run in it.
    Commanded { code: i32 },
    /// It takes no notice of being asked to end, and is killed.
    Killed,
}

/// What one container of all is.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) number: usize,
    pub(crate) kind: Kind,
    /// Of the pods that are shared, or one of its own.
    shared: Option<u64>,
    from_image: bool,
}

impl Part {
    pub(crate) fn of(seed: u64, number: usize) -> Self {
        let random = Random::seeded(seed ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let code = i32::try_from(random.below(100)).expect("a small number");
        let kind = match random.below(8) {
            0 => Kind::Stopped { code },
            1 => Kind::Commanded { code },
            2 => Kind::Killed,
            lines => Kind::Ends {
                lines: u32::try_from(random.below(10 * lines)).expect("a small number"),
                code,
            },
        };
        Self {
            number,
            kind,
            shared: (random.below(3) > 0).then(|| random.below(SHARED)),
            from_image: random.below(3) == 0,
        }
    }

    pub(crate) fn name(&self) -> String {
        format!("c{}", self.number)
    }

    /// Which it is, by its name.
    pub(crate) fn number_of(name: &str) -> Option<usize> {
        name.strip_prefix('c')?.parse().ok()
    }

    pub(crate) fn exit_code(&self) -> i32 {
        match self.kind {
            Kind::Ends { code, .. } | Kind::Stopped { code } | Kind::Commanded { code } => code,
            Kind::Killed => 137,
        }
    }

    /// What it writes to standard output.
    pub(crate) fn output(&self) -> String {
        match self.kind {
            Kind::Ends { lines, .. } => (1..=lines).map(|line| format!("{self} out {line}\n")).collect(),
            Kind::Stopped { .. } | Kind::Commanded { .. } => "ready\nasked to end\n".into(),
            Kind::Killed => "ready\n".into(),
        }
    }

    /// And to standard error.
    pub(crate) fn errors(&self) -> String {
        match self.kind {
            Kind::Ends { lines, .. } => (1..=lines).map(|line| format!("{self} err {line}\n")).collect(),
            _ => String::new(),
        }
    }

    pub(crate) fn config(&self, image: Option<&str>) -> ContainerConfig {
        let until_killed =
            |trap: &str| format!("trap {trap} TERM; echo ready; while :; do sleep 3600 & wait; done");
        let script = match self.kind {
            Kind::Ends { lines, code } => format!(
                "i=0; while [ $i -lt {lines} ]; do i=$((i+1)); echo {self} out $i; echo {self} err $i >&2; \
                 [ $((i%8)) -gt 0 ] || sleep 0.0$((i/8%10)); done; exit {code}"
            ),
            Kind::Stopped { code } | Kind::Commanded { code } => {
                until_killed(&format!("'echo asked to end; exit {code}'"))
            }
            Kind::Killed => until_killed("''"),
        };
        let mut config = common::config(&self.name(), &script);
        if let Some(image) = image.filter(|_| self.from_image) {
            config.image = image.into();
        }
        config
    }

    pub(crate) fn is_alone(&self) -> bool {
        self.shared.is_none()
    }

    pub(crate) fn sandbox(&self) -> SandboxConfig {
        match self.shared {
            None => common::pods::pod(&format!("own-{}", self.number)),
            Some(which) => SandboxConfig {
                host_network: which == 0,
                share_process_namespace: which == 1,
                cgroup_parent: if which == 2 {
                    "class/podshared".into()
                } else {
                    String::new()
                },
                ..common::pods::pod(&format!("shared-{which}"))
            },
        }
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.number)
    }
}

/// When an application is killed: so long after it has told of so many things.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) told: u64,
    pub(crate) later: Duration,
}

/// Of each kill, in order. The last application is killed by none of them.
pub(crate) fn moments(seed: u64, containers: usize) -> Vec<Moment> {
    let random = Random::seeded(seed);
    let share = (containers as u64 * WORDS / (KILLS as u64 + 1)).max(2);
    let moment = |_| match random.below(4) {
        // While it opens its state directory, and finds what runs.
        0 => Moment {
            told: 1,
            later: Duration::from_micros(random.below(300_000)),
        },
        _ => Moment {
            told: share / 2 + random.below(share / 2),
            later: Duration::from_micros(random.below(5_000)),
        },
    };
    (0..KILLS).map(moment).collect()
}
