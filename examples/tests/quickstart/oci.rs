//! On the kernel alone.

use std::io::Write;

use super::{NO_ENGINE, Running, assert_said, loose, run};

/// Whether containers can be run here; says so if not.
fn possible() -> bool {
    let root =
        std::fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("\nUid:\t0\t0\t"));
    if !root {
        // Not by a macro, whose output the test harness keeps to itself.
        let _ = writeln!(std::io::stderr(), "skipped: needs root");
    }
    root
}

#[test]
fn the_shipped_manifest_heals_rolls_and_leaves_nothing() {
    if !possible() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let output = run(&data, &["--runtime", "oci"], NO_ENGINE);
    assert_said(
        &output,
        true,
        &[
            "runtime: oci (as asked for)",
            "deployment/web created",
            "applied to ready ",
            "killed to ready again ",
            "rolled to the new version ",
            "rolled back ",
            "cleaned up",
        ],
    );
    assert_eq!(data.join("oci/containers").read_dir().unwrap().count(), 0);
}

#[test]
fn containers_go_on_without_it_and_are_found_again() {
    if !possible() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let manifest = loose(dir.path(), "host");
    let arguments = [manifest.to_str().unwrap(), "--runtime", "oci", "--keep"];
    let mut first = Running::start(&data, &arguments, NO_ENGINE);
    first.until("going on until Ctrl-C");
    first.interrupt();
    let held = || data.join("oci/containers").read_dir().unwrap().count();
    assert_eq!(held(), 2);

    let mut again = Running::start(&data, &[arguments[0], "--keep"], NO_ENGINE);
    let said = again.until("going on until Ctrl-C");
    assert!(
        said.contains("runtime: oci (pods of an earlier run are on it)"),
        "{said}"
    );
    assert_eq!(held(), 2);
    again.interrupt();

    let output = run(&data, &[arguments[0], "--clean"], NO_ENGINE);
    assert_said(&output, true, &["everything the manifest made is gone"]);
    assert_eq!(held(), 0);
}
