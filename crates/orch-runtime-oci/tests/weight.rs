//! What the processes that hold containers cost in memory, and the one that they are born of.
//!
//! With `--release` and `--show-output` it is the table of `benches/RESULTS.md`.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use common::{Oci, PATIENCE, clear, config, open, processes, start};
use rustix::process::Pid;

/// A number of the kernel's summary of a process's memory, in KiB: `Pss`, in which what several have in common is divided
/// among them, or another.
fn weight(pid: Pid, what: &str) -> u64 {
    let path = format!("/proc/{}/smaps_rollup", pid.as_raw_nonzero());
    let summary = fs::read_to_string(path).expect("it runs");
    let line = summary
        .lines()
        .find_map(|line| line.strip_prefix(what)?.strip_prefix(':'));
    let number = line.expect("the kernel's summary").trim().trim_end_matches(" kB");
    number.parse().expect("a number")
}

/// The process that these were born of. While it lives it is their parent.
fn nursery(shims: &[Pid]) -> Pid {
    let parent = |pid: &Pid| {
        let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        line.expect("it has a parent").trim().parse().expect("a number")
    };
    let parents: BTreeSet<i32> = shims.iter().map(parent).collect();
    assert_eq!(parents.len(), 1, "{parents:?}");
    Pid::from_raw(*parents.first().expect("one")).expect("a process")
}

/// What several have in common is divided among so many of them, the process that they are born of, and others who run
/// the same program.
const COUNTS: [usize; 3] = [1, 10, 50];

// One test, for what others hold at the same time would share the weight.
#[tokio::test]
async fn a_shim_weighs_little() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let mut shims = Vec::new();
    for count in COUNTS {
        while shims.len() < count {
            let id = start(&runtime, &config(&format!("c{}", shims.len()), "exec sleep 3600")).await;
            shims.push(processes(&oci, &id).0);
        }
        let nursery = nursery(&shims);
        let begin = Instant::now();
        // A while after the start it gives back what it does not need any more; what it is born of never does.
        while shims
            .iter()
            .any(|shim| 2 * weight(*shim, "Rss") > weight(nursery, "Rss"))
        {
            assert!(begin.elapsed() < PATIENCE, "no memory is given back");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let most = |what: &str| shims.iter().map(|shim| weight(*shim, what)).max().expect("one");
        let (own, all) = (most("Private_Dirty"), most("Pss"));
        say(&format!(
            "{count} shims: at most {all} KiB each, of which {own} are its own; what they are born of: {} KiB",
            weight(nursery, "Pss"),
        ));
        assert!(own <= 400, "{own} KiB are a shim's alone");
        // A program that is not optimised is many times as large.
        let bound = if cfg!(debug_assertions) { 4000 } else { 800 };
        assert!(all <= bound, "{all} KiB");
    }
    clear(&runtime).await;
}

#[allow(clippy::print_stdout, reason = "the table is made of it")]
fn say(words: &str) {
    println!("{words}");
}
