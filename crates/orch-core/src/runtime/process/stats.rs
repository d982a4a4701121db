//! What a container uses, added up over its processes.

use crate::runtime::{ContainerStats, RuntimeError};

use super::container::Cell;

#[cfg(target_os = "linux")]
pub(super) fn stats(cell: &Cell) -> Result<ContainerStats, RuntimeError> {
    use rustix::process::Pid;

    let not_running = || RuntimeError::NotRunning {
        container: cell.id.to_string(),
    };
    let group = cell.group().ok_or_else(not_running)?;
    let page = rustix::param::page_size() as u64;
    let tick_nanos = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
    let (mut ticks, mut resident, mut anonymous, mut pids) = (0, 0, 0, 0);
    for pid in super::os::processes() {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", pid.as_raw_nonzero()));
        let Some(process) = read("stat").ok().and_then(|stat| parse_stat(&stat)) else {
            continue;
        };
        if Pid::from_raw(process.group) != Some(group) {
            continue;
        }
        // The wrapper counts for the time of the processes that have ended, and for nothing else.
        ticks += process.ticks;
        if pid == group {
            continue;
        }
        pids += 1;
        resident += process.resident_pages * page;
        anonymous += read("status")
            .ok()
            .and_then(|status| parse_anonymous(&status))
            .unwrap_or(0);
    }
    Ok(ContainerStats {
        at: crate::time::now(),
        cpu_nanos: ticks * tick_nanos,
        memory_working_set_bytes: resident,
        memory_rss_bytes: Some(anonymous),
        pids: Some(pids),
        network: None,
    })
}

#[cfg(not(target_os = "linux"))]
pub(super) fn stats(cell: &Cell) -> Result<ContainerStats, RuntimeError> {
    cell.group().ok_or_else(|| RuntimeError::NotRunning {
        container: cell.id.to_string(),
    })?;
    Err(RuntimeError::Unsupported {
        runtime: super::NAME,
        what: "stats on this system".into(),
    })
}

/// Of `/proc/PID/stat`, see proc_pid_stat(5).
#[cfg(target_os = "linux")]
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    group: i32,
    /// Processor time of its own and of its children that have ended.
    ticks: u64,
    resident_pages: u64,
}

#[cfg(target_os = "linux")]
fn parse_stat(text: &str) -> Option<Stat> {
    // The second field, the name, may itself hold spaces and parentheses.
    let (_, rest) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    // Numbered from 1 in the manual, and the first here is its third.
    let field = |number: usize| fields.get(number - 3).copied();
    let number = |of: usize| field(of)?.trim().parse::<u64>().ok();
    Some(Stat {
        group: field(5)?.parse().ok()?,
        ticks: number(14)? + number(15)? + number(16)? + number(17)?,
        resident_pages: number(24)?,
    })
}

#[cfg(target_os = "linux")]
fn parse_anonymous(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_may_look_like_fields() {
        let text =
            "7 (a) S 1) b) S 1 42 7 0 -1 0 1 2 3 4 10 20 30 40 20 0 1 0 9 8192 250 18446744073709551615\n";
        assert_eq!(
            parse_stat(text),
            Some(Stat {
                group: 42,
                ticks: 100,
                resident_pages: 250
            })
        );
        assert_eq!(parse_stat("7 (cut"), None);
    }

    #[test]
    fn anonymous_memory_is_in_kilobytes() {
        assert_eq!(
            parse_anonymous("Name:\tx\nRssAnon:\t     640 kB\n"),
            Some(640 << 10)
        );
        assert_eq!(parse_anonymous("Name:\tkthreadd\n"), None);
    }
}
