//! What the quickstart shows of a Deployment of one's own, and what it leaves alone.

use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use super::{NO_ENGINE, assert_said, quickstart, run, said};

#[test]
fn a_deployment_of_no_pods_is_applied_and_not_killed() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = dir.path().join("zero.yaml");
    let text = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: host, command: [sleep, \"1000\"]}]}
";
    std::fs::write(&manifest, text).unwrap();
    let output = run(&dir.path().join("data"), &[manifest.to_str().unwrap()], NO_ENGINE);
    assert_said(
        &output,
        true,
        &[
            "default/web is not killed or rolled: it wants no pods",
            "cleaned up",
        ],
    );
}

/// A Deployment of one pod, which takes a port of the machine.
fn takes_a_port(strategy: &str) -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  {strategy}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {{name: web, image: host, command: [sleep, \"1000\"], ports: [{{containerPort: 28080, hostPort: 28080}}]}}
"
    )
}

#[test]
fn a_deployment_that_cannot_be_rolled_on_one_node_is_healed_and_one_that_can_is_rolled() {
    let dir = tempfile::tempdir().unwrap();
    let (data, manifest) = (dir.path().join("data"), dir.path().join("port.yaml"));
    let one_less = "strategy: {rollingUpdate: {maxUnavailable: 1}}";
    for (strategy, rolls) in [("replicas: 1", false), (one_less, true)] {
        std::fs::write(&manifest, takes_a_port(strategy)).unwrap();
        let output = run(
            &data,
            &[manifest.to_str().unwrap(), "--timeout", "60s"],
            NO_ENGINE,
        );
        assert_said(&output, true, &["killed to ready again ", "cleaned up"]);
        let not = "deployment default/web is not rolled: its pods take host port 28080 of the one node, so no new one fits";
        for (words, told) in [
            (not, !rolls),
            ("rolled to the new version ", rolls),
            ("rolled back ", rolls),
        ] {
            assert_eq!(
                said(&output).contains(words),
                told,
                "{words:?} in:\n{}",
                said(&output)
            );
        }
    }
}

#[test]
fn a_roll_for_which_the_node_has_no_room_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = dir.path().join("large.yaml");
    let cores = std::thread::available_parallelism().unwrap().get() * 700;
    let large = format!("resources: {{requests: {{cpu: {cores}m}}}}}}");
    let text =
        takes_a_port("replicas: 1").replace("ports: [{containerPort: 28080, hostPort: 28080}]}", &large);
    std::fs::write(&manifest, text).unwrap();
    let arguments = [manifest.to_str().unwrap(), "--timeout", "60s"];
    let output = run(&dir.path().join("data"), &arguments, NO_ENGINE);
    let told = [
        "rolling default/web to version v2",
        "deployment default/web is not rolled on: 0/1 nodes fit: 1 lacks cpu (",
        "and no old pod may go before that; with `strategy: {type: Recreate}` or `maxUnavailable: 1` it could be rolled",
        "rolling default/web back",
        "killed to ready again ",
        "cleaned up",
    ];
    assert_said(&output, true, &told);
    assert!(!said(&output).contains("\nrolled back"), "{}", said(&output));
}

/// Runs it with `text` as its standard input.
fn piped(data: &Path, arguments: &[&str], text: &str) -> Output {
    let mut child = quickstart(data, arguments, NO_ENGINE)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that is refused is not read to its end.
    let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn a_manifest_is_read_from_standard_input() {
    let dir = tempfile::tempdir().unwrap();
    let text = takes_a_port("replicas: 0");
    let output = piped(&dir.path().join("data"), &["-"], &text);
    assert_said(&output, true, &["deployment/web created", "cleaned up"]);
}

#[test]
fn without_the_demo_a_deployment_is_made_ready_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = dir.path().join("port.yaml");
    std::fs::write(&manifest, takes_a_port("replicas: 1")).unwrap();
    let arguments = [manifest.to_str().unwrap(), "--no-demo"];
    let output = run(&dir.path().join("data"), &arguments, NO_ENGINE);
    let told = [
        "deployment default/web is not killed or rolled: --no-demo",
        "applied to ready ",
        "cleaned up",
    ];
    assert_said(&output, true, &told);
    for words in ["killing", "rolling"] {
        assert!(!said(&output).contains(words), "{}", said(&output));
    }
}

#[test]
fn what_is_wrong_with_standard_input_is_told_of_stdin_and_nothing_is_applied() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    // What is read of it ends in the middle of a letter.
    let long = "#".repeat(16 << 20) + "\u{e9}";
    for (text, told) in [
        (
            takes_a_port("replicas: -1"),
            "stdin:6 (document 1, Deployment default/web): spec.replicas: ",
        ),
        (long, "stdin: more than 16 MiB, which is the most that is read"),
    ] {
        let output = piped(&data, &["-"], &text);
        assert_said(&output, false, &[told]);
        assert!(!said(&output).contains("created"), "{}", said(&output));
    }
}
