//! What a container is, from what is on disk and whether its shim lives. Pure.

use orch_core::runtime::{ContainerState, ExitReason};

use crate::record::{End, Started, Why};

/// What was found of a container. Whether the shim lives is asked first, for one that ends in between has then
/// left its end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub(crate) shim: bool,
    pub(crate) end: Option<End>,
    pub(crate) started: Option<Started>,
    pub(crate) begun: bool,
    /// What was in memory of it is gone: so are its processes.
    pub(crate) lost: bool,
}

/// What that means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// So it is.
    Is(ContainerState),
    /// A start is under way.
    Starting,
    /// Its shim died and left it: it is to be swept, and its end written down, with this message.
    Abandoned(Why, &'static str),
}

pub(crate) fn meaning(found: &Found) -> Meaning {
    match found {
        Found { end: Some(end), .. } => Meaning::Is(exited(end)),
        Found {
            shim: true,
            started: Some(started),
            ..
        } => Meaning::Is(ContainerState::Running {
            started_at: started.at,
        }),
        Found { shim: true, .. } => Meaning::Starting,
        Found { lost: true, .. } => Meaning::Abandoned(
            Why::Unknown,
            "the machine was restarted, or what the runtime keeps in memory unmounted, before it ended",
        ),
        Found { begun: false, .. } => Meaning::Is(ContainerState::Created),
        Found { started: Some(_), .. } => Meaning::Abandoned(
            Why::Unknown,
            "the shim that held it was killed, and it was killed for that",
        ),
        Found { .. } => Meaning::Abandoned(Why::StartError, "its shim ended while it was being started"),
    }
}

pub(crate) fn exited(end: &End) -> ContainerState {
    ContainerState::Exited {
        started_at: end.started_at,
        finished_at: end.at,
        exit_code: end.code,
        reason: match end.why {
            Why::Exited => ExitReason::of(end.code, end.out_of_memory),
            Why::StartError => ExitReason::StartError,
            Why::Unknown => ExitReason::Unknown,
        },
        message: end.message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn each_combination_of_traces_means_one_thing() {
        let at: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        let started = Some(Started { pid: 7, ticks: 1, at });
        let end = End {
            started_at: Some(at),
            at,
            code: Some(3),
            why: Why::Exited,
            out_of_memory: false,
            message: None,
        };
        let running = Meaning::Is(ContainerState::Running { started_at: at });
        let ended = Meaning::Is(exited(&end));
        let found = |shim, end, started, begun| Found {
            shim,
            end,
            started,
            begun,
            lost: false,
        };
        let lost = Found {
            lost: true,
            ..found(false, None, None, false)
        };
        for (found, expected) in [
            (
                found(false, None, None, false),
                Meaning::Is(ContainerState::Created),
            ),
            (found(true, None, None, false), Meaning::Starting),
            (found(true, None, None, true), Meaning::Starting),
            (found(true, None, started.clone(), true), running),
            (
                found(true, Some(end.clone()), started.clone(), true),
                ended.clone(),
            ),
            (
                Found {
                    end: Some(end),
                    ..lost.clone()
                },
                ended,
            ),
        ] {
            assert_eq!(meaning(&found), expected, "{found:?}");
        }
        for (found, why) in [
            (found(false, None, started, true), Why::Unknown),
            (lost, Why::Unknown),
            (found(false, None, None, true), Why::StartError),
        ] {
            let meaning = meaning(&found);
            assert!(
                matches!(meaning, Meaning::Abandoned(so, _) if so == why),
                "{found:?}: {meaning:?}"
            );
        }
    }

    #[test]
    fn a_kill_over_memory_is_why_it_ended_unless_it_ended_well_or_was_asked_to() {
        let at = Timestamp::UNIX_EPOCH;
        for (why, code, out_of_memory, expected) in [
            (Why::Exited, Some(0), false, ExitReason::Completed),
            (Why::Exited, Some(0), true, ExitReason::Completed),
            (Why::Exited, Some(137), false, ExitReason::Error),
            (Why::Exited, Some(137), true, ExitReason::OutOfMemory),
            (Why::Exited, Some(143), true, ExitReason::Error),
            (Why::Exited, Some(1), true, ExitReason::OutOfMemory),
            (Why::StartError, None, true, ExitReason::StartError),
            (Why::Unknown, None, false, ExitReason::Unknown),
        ] {
            let end = End {
                started_at: None,
                at,
                code,
                why,
                out_of_memory,
                message: None,
            };
            let ContainerState::Exited { reason, .. } = exited(&end) else {
                panic!("it ended")
            };
            assert_eq!(reason, expected);
        }
    }
}
