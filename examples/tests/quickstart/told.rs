//! What the quickstart tells of what goes wrong, while it waits, while it goes on, and when it comes back.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::{NO_ENGINE, Running, assert_said, containers, run, said};

/// The time it takes an endless loop to look again.
const LOOK: &str = "sleep 0.05";

/// A manifest of one object with one container, of this kind and with these further fields.
fn one(directory: &Path, kind: &str, pod: &str, container: &str) -> PathBuf {
    let spec = format!("{{{pod}containers: [{{name: main, image: host, {container}}}]}}");
    let text = match kind {
        "Pod" => format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: one}}\nspec: {spec}\n"),
        _ => format!(
            "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {{name: one}}\nspec:\n  selector: {{matchLabels: {{app: one}}}}\n  \
             template: {{metadata: {{labels: {{app: one}}}}, spec: {spec}}}\n"
        ),
    };
    let file = directory.join("one.yaml");
    std::fs::write(&file, text).unwrap();
    file
}

/// A container's command that runs until a file is there, and then exits with 7.
fn until_told(file: &Path) -> String {
    let file = file.display();
    format!("command: [sh, -c, \"while [ ! -e {file} ]; do {LOOK}; done; echo gone away; exit 7\"]")
}

#[test]
fn while_it_goes_on_it_tells_what_dies_loops_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (data, die) = (dir.path().join("data"), dir.path().join("die"));
    let manifest = one(dir.path(), "ReplicaSet", "", &until_told(&die));
    let mut running = Running::start(&data, &[manifest.to_str().unwrap(), "--keep"], NO_ENGINE);
    running.until("going on until Ctrl-C");
    std::fs::write(&die, "").unwrap();
    let said = running.until("container main waits: CrashLoopBackOff, back-off ");
    assert!(said.contains("container main ended with code 7"), "{said}");
    running.until("its log ends with: gone away");
    std::fs::remove_file(&die).unwrap();
    running.until("container main was started again (restart ");
    let said = running.interrupt();
    assert!(!said.contains("warning"), "the state says as much:\n{said}");
    let output = run(&data, &[manifest.to_str().unwrap(), "--clean"], NO_ENGINE);
    assert_said(&output, true, &["replicaset/one deleted"]);
}

#[test]
fn started_again_it_tells_what_died_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let (data, die) = (dir.path().join("data"), dir.path().join("die"));
    let manifest = one(dir.path(), "ReplicaSet", "", &until_told(&die));
    let arguments = [manifest.to_str().unwrap(), "--keep"];
    let mut first = Running::start(&data, &arguments, NO_ENGINE);
    first.until("going on until Ctrl-C");
    first.interrupt();

    std::fs::write(&die, "").unwrap();
    let container = data.join("processes/containers").read_dir().unwrap().next();
    let container = container.unwrap().unwrap().path();
    while !container.join("exit").exists() {
        std::thread::yield_now();
    }
    std::fs::remove_file(&die).unwrap();

    let mut again = Running::start(&data, &arguments, NO_ENGINE);
    let said = again.until("going on until Ctrl-C");
    again.interrupt();
    for words in [
        "found 1 pod of an earlier run, which is not as it was:",
        "container main ended with code 7",
        "one-",
        "the manifest has not changed: all is left as it is now",
    ] {
        assert!(said.contains(words), "{words:?} is missing in:\n{said}");
    }
    let output = run(&data, &[arguments[0], "--clean"], NO_ENGINE);
    assert_said(&output, true, &["everything the manifest made is gone"]);
}

#[test]
fn warnings_of_the_manifests_objects_are_told_while_it_waits() {
    let sleep = "command: [sleep, \"1000\"]";
    // (fields of the pod, of its container; what is told, in this order)
    let cases: [(&str, String, &[&str]); 3] = [
        (
            "",
            format!(
                "{sleep}, readinessProbe: {{exec: {{command: [sh, -c, \"echo not yet; exit 1\"]}}, periodSeconds: 1}}"
            ),
            &[
                "warning Unhealthy: Readiness probe failed: not yet (3 times)",
                "still waiting for everything to be ready: pod one: runs, and is not ready",
            ],
        ),
        (
            "nodeSelector: {disk: ssd}, ",
            sleep.to_owned(),
            &[
                "warning FailedScheduling: 0/1 nodes fit: 1 does not match the node selector disk=ssd",
                "still waiting for everything to be ready: pod one: 0/1 nodes fit",
            ],
        ),
        (
            "",
            "command: [nosuchprogram]".to_owned(),
            &[
                "CrashLoopBackOff: container main could not be started: program \"nosuchprogram\" not found in PATH (/",
            ],
        ),
    ];
    for (pod, container, told) in cases {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let manifest = one(dir.path(), "Pod", pod, &container);
        let mut running = Running::start(&data, &[manifest.to_str().unwrap()], NO_ENGINE);
        for words in told {
            running.until(words);
        }
        let said = running.interrupt();
        assert!(said.contains("stopped"), "{said}");
        let output = run(&data, &[manifest.to_str().unwrap(), "--clean"], NO_ENGINE);
        assert_said(&output, true, &["pod/one deleted"]);
    }
}

#[test]
fn pods_that_have_ended_well_are_told_as_that_and_nothing_is_called_ready() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let container =
        "command: [\"true\"], readinessProbe: {exec: {command: [\"true\"]}, initialDelaySeconds: 9}";
    let manifest = one(dir.path(), "Pod", "restartPolicy: Never, ", container);
    let output = run(&data, &[manifest.to_str().unwrap()], NO_ENGINE);
    let told = [
        "pod one has ended: Succeeded",
        "0/1     Succeeded",
        "applied to ready or ended ",
        "cleaned up",
    ];
    assert_said(&output, true, &told);
    for words in ["applied to ready  ", "to end (", "failed"] {
        assert!(
            !said(&output).contains(words),
            "{words:?} is in:\n{}",
            said(&output)
        );
    }
    assert_eq!(containers(&data), 0);
}

#[test]
fn a_pod_that_is_to_end_is_not_waited_for_where_it_goes_on_and_its_end_is_told_then() {
    let dir = tempfile::tempdir().unwrap();
    let (data, end) = (dir.path().join("data"), dir.path().join("end"));
    let manifest = one(dir.path(), "Pod", "restartPolicy: Never, ", &until_told(&end));
    let mut kept = Running::start(&data, &[manifest.to_str().unwrap(), "--keep"], NO_ENGINE);
    let said = kept.until("going on until Ctrl-C");
    let waits = "pod one runs, and is to end (restartPolicy: Never), which is not waited for\n";
    assert!(said.contains(waits), "{said}");
    std::fs::write(&end, "").unwrap();
    kept.until("pod one  has ended: Failed: container main ended with code 7");
    kept.until("its log ends with: gone away");
    kept.interrupt();
    let output = run(&data, &[manifest.to_str().unwrap(), "--clean"], NO_ENGINE);
    assert_said(&output, true, &["pod/one deleted"]);
}

/// A pod that fails, and one that is not ready until the file is there.
fn one_fails(directory: &Path, ready: &Path) -> PathBuf {
    let ready = ready.display();
    let text = format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: fails}}
spec:
  restartPolicy: Never
  containers: [{{name: main, image: host, command: [sh, -c, \"echo first; echo no such table >&2; exit 3\"]}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: slow}}
spec:
  containers:
  - name: main
    image: host
    command: [sleep, \"1000\"]
    readinessProbe: {{exec: {{command: [test, -e, {ready}]}}, periodSeconds: 1}}
"
    );
    let file = directory.join("fails.yaml");
    std::fs::write(&file, text).unwrap();
    file
}

#[test]
fn a_pod_that_has_failed_for_good_is_told_with_its_last_words_while_others_are_waited_for_and_is_a_failure() {
    let told = [
        "pod fails  has ended: Failed: container main ended with code 3",
        "pod fails  its log ends with: no such table",
    ];
    let dir = tempfile::tempdir().unwrap();
    let (data, ready) = (dir.path().join("data"), dir.path().join("ready"));
    let manifest = one_fails(dir.path(), &ready);
    let manifest = manifest.to_str().unwrap();
    let mut kept = Running::start(&data, &[manifest, "--keep"], NO_ENGINE);
    for words in told {
        kept.until(words);
    }
    std::fs::write(&ready, "").unwrap();
    let said = kept.until("going on until Ctrl-C");
    assert!(
        said.contains("failed for good: pod fails: Failed: container main"),
        "{said}"
    );
    kept.interrupt();

    let output = run(&data, &[manifest], NO_ENGINE);
    assert_said(&output, false, &told);
    let told = [
        "\nfailed for good: pod fails: Failed: container main ended with code 3\n",
        "cleaned up",
    ];
    assert_said(&output, false, &told);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(containers(&data), 0);
}

#[test]
fn a_timeout_says_what_is_missing_and_cleans_up_unless_it_is_to_be_kept() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let crashes = one(dir.path(), "ReplicaSet", "", "command: [nosuchprogram]");
    let crashes = crashes.to_str().unwrap();
    // Before the second restart, at ten seconds.
    let late = [
        "the timeout of 8s has passed while waiting for everything to be ready: pod one-",
        "CrashLoopBackOff: container main could not be started: program \"nosuchprogram\" not found",
    ];
    let output = run(&data, &[crashes, "--timeout", "8s", "--keep"], NO_ENGINE);
    assert_said(&output, false, &late);
    assert_said(&output, false, &["what runs goes on: "]);
    assert_eq!(output.status.code(), Some(1));
    assert!(containers(&data) > 0);
    let output = run(&data, &[crashes, "--timeout", "3s"], NO_ENGINE);
    let late = "the timeout of 3s has passed while waiting for everything to be ready: pod one-";
    assert_said(&output, false, &[late, "failed, and cleaning up\n", "cleaned up"]);
    assert_eq!(said(&output).matches(late).count(), 1, "once is enough");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(containers(&data), 0);
}

/// Reads until a line holds these words, and no further: what it says after that goes nowhere.
fn read_until(child: &mut std::process::Child, words: &str) {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let read = lines.find(|line| line.as_ref().unwrap().contains(words));
    assert!(read.is_some(), "{words}");
}

#[test]
fn a_failure_is_told_on_standard_error_though_nobody_reads_standard_output() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let manifest = one(
        dir.path(),
        "Pod",
        "nodeSelector: {disk: ssd}, ",
        "command: [\"true\"]",
    );
    // Less than it takes until it says again what it waits for.
    let mut child = super::quickstart(&data, &[manifest.to_str().unwrap(), "--timeout", "4s"], NO_ENGINE)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    read_until(&mut child, "warning FailedScheduling");
    let output = child.wait_with_output().unwrap();
    let failed =
        "the timeout of 4s has passed while waiting for everything to be ready: pod one: 0/1 nodes fit";
    assert_said(&output, false, &[failed]);
    assert_eq!(output.status.code(), Some(1));
    let output = run(&data, &[manifest.to_str().unwrap(), "--clean"], NO_ENGINE);
    assert_said(&output, true, &["pod/one not found"]);
}

#[test]
fn ctrl_c_ends_it_while_it_cleans_up_for_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (data, ready, told) = (
        dir.path().join("data"),
        dir.path().join("ready"),
        dir.path().join("told"),
    );
    let container = format!(
        "command: [sh, -c, \"trap 'touch {}' TERM; while true; do {LOOK}; done\"], \
         readinessProbe: {{exec: {{command: [test, -e, {}]}}, periodSeconds: 1}}",
        told.display(),
        ready.display()
    );
    let manifest = one(
        dir.path(),
        "Pod",
        "terminationGracePeriodSeconds: 9, ",
        &container,
    );
    let mut child = super::quickstart(&data, &[manifest.to_str().unwrap()], NO_ENGINE)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    read_until(&mut child, "warning Unhealthy");
    std::fs::write(&ready, "").unwrap();
    while !told.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it has nine seconds");
        std::thread::yield_now();
    }
    super::send("-INT", &child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(containers(&data), 1);
    let output = run(&data, &[manifest.to_str().unwrap(), "--clean"], NO_ENGINE);
    assert_said(&output, true, &["everything the manifest made is gone"]);
    assert_eq!(containers(&data), 0);
}

#[test]
fn what_an_interrupted_clean_up_was_removing_is_gone_before_it_is_applied_again() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let stubborn = format!("command: [sh, -c, \"trap '' TERM; while true; do {LOOK}; done\"]");
    let manifest = one(
        dir.path(),
        "ReplicaSet",
        "terminationGracePeriodSeconds: 3, ",
        &stubborn,
    );
    let arguments = [manifest.to_str().unwrap(), "--timeout", "60s"];
    let mut first = Running::start(&data, &arguments, NO_ENGINE);
    first.until("waiting for 1 pod to end (it has 3 s for it)");
    let said = first.interrupt();
    assert!(said.contains("what runs goes on: "), "{said}");

    let output = run(&data, &arguments, NO_ENGINE);
    let told = [
        "waiting for replicaset/one to be gone: an earlier run was removing it",
        "replicaset/one created",
        "applied to ready ",
        "cleaned up",
    ];
    assert_said(&output, true, &told);
    assert_eq!(containers(&data), 0);
}

#[test]
fn what_runs_of_a_lost_state_is_named_and_removed_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let sleeps = one(dir.path(), "Pod", "", "command: [sleep, \"1000\"]");
    let arguments = [sleeps.to_str().unwrap(), "--keep"];
    let mut running = Running::start(&data, &arguments, NO_ENGINE);
    running.until("going on until Ctrl-C");
    running.interrupt();
    std::fs::remove_file(data.join("state.redb")).unwrap();

    let warning = "warning: the process runtime still has 1 pod of an earlier run whose state is lost (one): nobody looks";
    let mut again = Running::start(&data, &arguments, NO_ENGINE);
    let said = again.until("going on until Ctrl-C");
    assert!(said.contains(warning), "{said}");
    again.interrupt();
    assert_eq!(containers(&data), 2);
    // One that cleans up after itself leaves it, and the word of which runtime it is on.
    let output = run(&data, &[arguments[0]], NO_ENGINE);
    let left = [
        warning,
        "cleaned up",
        "something of this --data still runs: --clean removes it",
    ];
    assert_said(&output, true, &left);
    assert_eq!(containers(&data), 1);
    let output = run(
        &data,
        &[arguments[0], "--runtime", "docker", "--clean"],
        NO_ENGINE,
    );
    assert_said(&output, false, &["run on the process runtime"]);
    let output = run(&data, &[arguments[0], "--runtime", "auto", "--clean"], NO_ENGINE);
    let told = [
        "(pods of an earlier run are on it)",
        "pod/one not found",
        "removing 1 pod of an earlier run whose state is lost (one)",
    ];
    assert_said(&output, true, &told);
    assert_eq!(containers(&data), 0);
}

#[test]
fn a_slow_end_is_waited_for_aloud_and_sigterm_is_as_good_as_ctrl_c() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let stubborn = format!("command: [sh, -c, \"trap '' TERM; while true; do {LOOK}; done\"]");
    let manifest = one(dir.path(), "Pod", "terminationGracePeriodSeconds: 7, ", &stubborn);
    let mut running = Running::start(&data, &[manifest.to_str().unwrap(), "--keep"], NO_ENGINE);
    running.until("going on until Ctrl-C");
    let said = running.end("-TERM", 143);
    assert!(said.contains("stopped\nwhat runs goes on: "), "{said}");
    assert_eq!(containers(&data), 1);

    let output = run(&data, &[manifest.to_str().unwrap(), "--clean"], NO_ENGINE);
    let told = [
        "waiting for 1 pod to end (it has 7 s for it)",
        "still waiting for 1 pod to end: pod one was told to end and has 7 s for it",
        "pod/one deleted",
    ];
    assert_said(&output, true, &told);
    let output = run(&data, &[manifest.to_str().unwrap(), "--clean"], NO_ENGINE);
    assert_said(&output, true, &["pod/one not found"]);
}

#[test]
fn nothing_is_left_where_every_user_of_the_machine_writes() {
    let dir = tempfile::tempdir().unwrap();
    let (data, shared) = (dir.path().join("data"), dir.path().join("tmp"));
    std::fs::create_dir(&shared).unwrap();
    let mut command = super::quickstart(&data, &["--keep"], NO_ENGINE);
    command.env("TMPDIR", &shared);
    let mut running = Running::spawn(&data, &[], NO_ENGINE, command);
    running.until("going on until Ctrl-C");
    assert_eq!(data.join("ports").read_dir().unwrap().count(), 3);
    assert_eq!(shared.read_dir().unwrap().count(), 0);
    running.interrupt();
    assert_said(
        &run(&data, &["--clean"], NO_ENGINE),
        true,
        &["deployment/web deleted"],
    );
    assert!(!data.join("ports").exists());
}

#[test]
fn a_pod_that_fails_at_once_is_no_success_though_it_is_ready_for_an_instant() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let fails = "command: [sh, -c, \"echo no such table; exit 3\"]";
    let never = one(dir.path(), "Pod", "restartPolicy: Never, ", fails);
    let output = run(&data, &[never.to_str().unwrap()], NO_ENGINE);
    let told = [
        "pod one  its log ends with: no such table",
        "failed for good: pod one: Failed: container main ended with code 3",
        "cleaned up",
    ];
    assert_said(&output, false, &told);
    assert_eq!(output.status.code(), Some(1));

    // One that is started again and again, also where an earlier run has left it.
    let looping = one(dir.path(), "ReplicaSet", "", fails);
    let looping = looping.to_str().unwrap();
    for further in [&["--keep"][..], &[]] {
        let arguments = [&[looping, "--timeout", "4s"], further].concat();
        let output = run(&data, &arguments, NO_ENGINE);
        let late = [
            "the timeout of 4s has passed while waiting for everything to be ready: pod one-",
            "CrashLoopBackOff: container main ended with code 3",
            "its log ends with: no such table",
        ];
        assert_said(&output, false, &late);
        assert_eq!(output.status.code(), Some(1));
    }
    assert_eq!(containers(&data), 0);
}
