//! What the process that holds a container costs in memory.

mod common;

use std::fs;

use common::{Oci, clear, config, open, processes, start};
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

/// What several have in common is divided among so many of them, the process that they are born of, and others who run
/// the same program.
const SHIMS: usize = 10;

#[tokio::test]
async fn a_shim_weighs_little() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let mut ids = Vec::new();
    for number in 0..SHIMS {
        ids.push(start(&runtime, &config(&format!("c{number}"), "exec sleep 3600")).await);
    }
    for id in &ids {
        let (shim, _) = processes(&oci, id);
        let (own, all) = (weight(shim, "Private_Dirty"), weight(shim, "Pss"));
        assert!(own <= 400, "{own} KiB are a shim's alone");
        // A program that is not optimised is many times as large.
        let most = if cfg!(debug_assertions) { 2000 } else { 800 };
        assert!(all <= most, "{all} KiB");
    }
    clear(&runtime).await;
}
