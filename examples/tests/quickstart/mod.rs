//! `quickstart` as its user meets it: what it runs on, what it refuses, what it leaves.

mod choice;
mod demo;
mod docker;
mod engine;
#[cfg(feature = "oci")]
mod oci;
mod told;

/// Its own tests run here: an example that is a program has none.
#[allow(dead_code)]
#[path = "../../quickstart/main.rs"]
pub(crate) mod program;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::built;

/// An address where no engine is.
const NO_ENGINE: &str = "unix:///dev/null/docker.sock";

/// How long it may be silent where a line is waited for.
const PATIENCE: Duration = Duration::from_secs(90);

/// Where there is no engine, on plain processes unless it is to be on something else: what is found otherwise depends on
/// who runs the tests.
fn quickstart(data: &Path, arguments: &[&str], docker_host: &str) -> Command {
    let mut command = Command::new(built("quickstart"));
    if docker_host == NO_ENGINE && !arguments.contains(&"--runtime") {
        command.args(["--runtime", "process"]);
    }
    command
        .arg("--data")
        .arg(data)
        .args(arguments)
        .env("DOCKER_HOST", docker_host)
        .env_remove("DOCKER_CONTEXT");
    command
}

fn run(data: &Path, arguments: &[&str], docker_host: &str) -> Output {
    quickstart(data, arguments, docker_host).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[track_caller]
fn assert_said(output: &Output, success: bool, wanted: &[&str]) {
    let said = said(output);
    assert_eq!(output.status.success(), success, "{said}");
    for words in wanted {
        assert!(said.contains(words), "{words:?} is missing in:\n{said}");
    }
}

/// A manifest of a namespace and a loose ReplicaSet in it, whose two pods are slow to end.
fn loose(directory: &Path, image: &str) -> PathBuf {
    let text = format!(
        "
apiVersion: v1
kind: Namespace
metadata: {{name: shop}}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {{name: loose, namespace: shop}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: loose}}}}
  template:
    metadata: {{labels: {{app: loose}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{{name: main, image: {image}, command: [sh, -c, \"trap '' TERM; sleep 1000 & wait; wait\"]}}]
"
    );
    let file = directory.join("loose.yaml");
    std::fs::write(&file, text).unwrap();
    file
}

/// What the process runtime still holds in this data directory.
fn containers(data: &Path) -> usize {
    data.join("processes/containers").read_dir().unwrap().count()
}

/// One that runs until it is told to end.
struct Running {
    data: PathBuf,
    docker_host: String,
    /// To clean up with.
    manifest: Option<PathBuf>,
    child: Child,
    /// What it says, line by line; a thread reads it, so that a test does not wait for ever.
    lines: Receiver<String>,
}

impl Running {
    fn start(data: &Path, arguments: &[&str], docker_host: &str) -> Self {
        let command = quickstart(data, arguments, docker_host);
        Self::spawn(data, arguments, docker_host, command)
    }

    fn spawn(data: &Path, arguments: &[&str], docker_host: &str, mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (to, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = to.send(line);
            }
        });
        Self {
            data: data.to_owned(),
            docker_host: docker_host.to_owned(),
            manifest: arguments
                .first()
                .map(PathBuf::from)
                .filter(|first| first.is_file()),
            child,
            lines,
        }
    }

    /// Waits for a line that holds these words; returns all until then.
    fn until(&mut self, words: &str) -> String {
        let mut seen = String::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            seen += &line;
            seen.push('\n');
            if line.contains(words) {
                return seen;
            }
        }
        panic!("it ended, or took too long, without saying {words:?}:\n{seen}");
    }

    /// Returns what it said after the last line that was asked for.
    fn interrupt(self) -> String {
        self.end("-INT", 130)
    }

    fn end(mut self, signal: &str, code: i32) -> String {
        send(signal, &self.child);
        let said: String = self.lines.iter().map(|line| line + "\n").collect();
        assert_eq!(self.child.wait().unwrap().code(), Some(code), "{said}");
        said
    }
}

impl Drop for Running {
    /// After a failed test nothing goes on.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            let _ = quickstart(&self.data, &["--clean"], &self.docker_host)
                .args(&self.manifest)
                .status();
        }
    }
}

fn send(signal: &str, to: &Child) {
    let pid = to.id().to_string();
    let kill = Command::new("kill").args([signal, &pid]).status().unwrap();
    assert!(kill.success());
}

/// The names, restarts and states in the last pod table of what was said.
fn pods(said: &str) -> Vec<Vec<&str>> {
    let lines: Vec<_> = said.lines().collect();
    let head = lines.iter().rposition(|line| line.starts_with("NAME ")).unwrap();
    let rows = lines[head + 1..].iter().take_while(|line| !line.is_empty());
    rows.map(|row| row.split_whitespace().take(4).collect()).collect()
}

#[test]
fn the_shipped_manifest_heals_rolls_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let output = run(&data, &[], NO_ENGINE);
    assert_said(
        &output,
        true,
        &[
            "runtime: process (as asked for)",
            "deployment/web created",
            "applied to ready ",
            "killed to ready again ",
            "rolled to the new version ",
            "rolled back ",
            " pods to end (they have 2 s for it)",
            "cleaned up",
        ],
    );
    assert_eq!(containers(&data), 0);
    let said = said(&output);
    for words in ["nodes fit", "warning", "still waiting"] {
        assert!(!said.contains(words), "{words:?} is in:\n{said}");
    }
}

/// As `quickstart | head -n 1` does, and `quickstart | grep -m 1 WORDS`.
#[test]
fn where_nobody_reads_on_it_ends_quietly_and_leaves_nothing() {
    for words in ["runtime: ", "default/web  ", "killing container"] {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let mut child = quickstart(&data, &[], NO_ENGINE)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let read = lines.map(Result::unwrap).find(|line| line.contains(words));
        assert!(read.is_some(), "{words}");
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words}");
        // What a shell says of a program that SIGPIPE ended.
        assert_eq!(output.status.code(), Some(141), "{words}");
        let left = data.join("processes/containers").read_dir();
        assert_eq!(left.map_or(0, Iterator::count), 0, "{words}");
    }
}

#[test]
fn what_was_kept_is_found_again_and_clean_waits_for_its_last_container() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let manifest = loose(dir.path(), "host");
    let arguments = [manifest.to_str().unwrap(), "--keep"];

    let mut first = Running::start(&data, &arguments, NO_ENGINE);
    let before = first.until("going on until Ctrl-C");
    let output = run(&data, &arguments, NO_ENGINE);
    assert_said(
        &output,
        false,
        &[
            "state.redb: in use by process ",
            "end that, or choose another directory",
        ],
    );
    first.interrupt();

    let output = run(&data, &[arguments[0], "--runtime", "docker"], NO_ENGINE);
    assert_said(
        &output,
        false,
        &[
            "run on the process runtime",
            "--runtime process --clean",
            "another --data",
        ],
    );

    let mut again = Running::start(&data, &arguments, NO_ENGINE);
    let after = again.until("going on until Ctrl-C");
    assert!(
        after.contains("found 2 pods of an earlier run, all as they were"),
        "{after}"
    );
    assert!(after.contains("everything is as it was, and left so"), "{after}");
    assert_eq!(pods(&after), pods(&before));
    assert_eq!(pods(&after).len(), 2);
    again.interrupt();
    assert_eq!(containers(&data), 2);

    let output = run(&data, &[arguments[0], "--clean"], NO_ENGINE);
    assert_said(&output, true, &["everything the manifest made is gone"]);
    assert_eq!(containers(&data), 0);

    // Nothing runs there any more: the next run may choose again.
    let output = run(&data, &[arguments[0], "--runtime", "docker"], NO_ENGINE);
    assert_said(&output, false, &[NO_ENGINE]);
}

#[test]
fn a_data_directory_that_cannot_be_used_is_named() {
    let output = run(Path::new("/dev/null/data"), &[], NO_ENGINE);
    assert_said(&output, false, &["--data /dev/null/data: Not a directory"]);
    let output = run(Path::new("/dev/null"), &[], NO_ENGINE);
    let told = "--data /dev/null: must be a directory, and is none";
    assert_said(&output, false, &[told]);
}

#[test]
fn a_bad_manifest_is_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let manifest = dir.path().join("bad.yaml");
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {A: 1, B: [2]}\nfoo: 3\n";
    std::fs::write(&manifest, text).unwrap();
    let output = run(&data, &[manifest.to_str().unwrap()], NO_ENGINE);
    assert_said(
        &output,
        false,
        &["bad.yaml:4 (", "data.A: ", "data.B: ", "bad.yaml:5 (", "foo"],
    );
    assert!(!data.exists());
}

#[test]
fn a_manifest_without_objects_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = dir.path().join("empty.yaml");
    std::fs::write(&manifest, "---\n# to be done\n---\n").unwrap();
    let output = run(&dir.path().join("data"), &[manifest.to_str().unwrap()], NO_ENGINE);
    assert_said(&output, false, &["empty.yaml: holds no objects"]);
    std::fs::write(&manifest, b"---\n# \xe4\n").unwrap();
    let output = run(&dir.path().join("data"), &[manifest.to_str().unwrap()], NO_ENGINE);
    assert_said(&output, false, &["empty.yaml:2: must be UTF-8"]);
}

#[test]
fn what_could_only_be_waited_for_in_vain_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (data, manifest) = (dir.path().join("data"), dir.path().join("vain.yaml"));
    let web = |spec: &str, port: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec:\n  {spec}\n  selector: \
             {{matchLabels: {{app: web}}}}\n  template: {{metadata: {{labels: {{app: web}}}}, spec: {{containers: \
             [{{name: a, image: host, command: [sleep, '9'], ports: [{{containerPort: 80{port}}}]}}]}}}}\n"
        )
    };
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: typo}\nspec: {nodeName: locl, containers: [{name: a, image: \
               host, command: [sleep, '9']}]}\n";
    for (text, why) in [
        (
            pod.to_owned(),
            "vain.yaml:4 (document 1, Pod default/typo): spec.nodeName: node \"locl\" does not exist (there is: local)",
        ),
        (
            web("replicas: 2", ", hostPort: 80"),
            "vain.yaml:5 (document 1, Deployment default/web): spec.replicas: each pod takes host port 80",
        ),
        (
            web("paused: true", ""),
            "deployment default/web would be waited for in vain: it is paused",
        ),
    ] {
        std::fs::write(&manifest, text).unwrap();
        let output = run(&data, &[manifest.to_str().unwrap()], NO_ENGINE);
        assert_said(&output, false, &[why]);
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn what_another_manifest_made_is_still_there_after_cleaning_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let manifest = loose(dir.path(), "host");
    let arguments = [manifest.to_str().unwrap(), "--keep"];
    let mut running = Running::start(&data, &arguments, NO_ENGINE);
    running.until("going on until Ctrl-C");
    running.interrupt();
    let output = run(&data, &["--clean"], NO_ENGINE);
    let told = [
        "deployment/web not found",
        "still there in this --data: replicaset/loose (namespace shop); remove it with --clean and its manifest",
    ];
    assert_said(&output, true, &told);
    assert_eq!(containers(&data), 2);
    // The same of a run that cleans up at its end.
    let other = dir.path().join("other.yaml");
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n---\napiVersion: v1\nkind: Namespace\nmetadata: \
               {name: default}\n";
    std::fs::write(&other, map).unwrap();
    let output = run(&data, &[other.to_str().unwrap()], NO_ENGINE);
    let told = [
        told[1],
        "cleaned up",
        "namespace/default kept: every cluster has it",
    ];
    assert_said(&output, true, &told);
    assert!(!said(&output).contains("what runs goes on"), "{}", said(&output));
    let output = run(&data, &[arguments[0], "--clean"], NO_ENGINE);
    assert_said(&output, true, &["replicaset/loose deleted"]);
    assert!(!said(&output).contains("still there"), "{}", said(&output));
    assert_eq!(containers(&data), 0);
}

#[test]
fn what_the_runtime_can_never_give_is_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let manifest = loose(dir.path(), "host, volumeMounts: [{name: v, mountPath: /v}]");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let text = text.replace(
        "containers:",
        "volumes: [{name: v, emptyDir: {}}]\n      containers:",
    );
    std::fs::write(&manifest, text).unwrap();
    let output = run(&data, &[manifest.to_str().unwrap()], NO_ENGINE);
    let told = [
        "loose.yaml:17 (document 2, ReplicaSet shop/loose): spec.template.spec.containers[0].volumeMounts: ",
        "cannot mount volumes",
        "nothing of the manifest was applied",
    ];
    assert_said(&output, false, &told);
    assert!(!said(&output).contains("created"), "{}", said(&output));
    let output = run(&data, &[manifest.to_str().unwrap(), "--clean"], NO_ENGINE);
    assert_said(
        &output,
        true,
        &[
            "replicaset/loose not found",
            "everything the manifest made is gone",
        ],
    );
}

#[test]
fn help_says_what_there_is_and_a_wrong_option_what_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let options = [
        "--runtime",
        "--data",
        "--timeout",
        "--no-demo",
        "--keep",
        "--clean",
        "yours too, it kills a container and rolls the pods",
        "130",
        "141",
        "143",
    ];
    assert_said(&run(&data, &["--help"], NO_ENGINE), true, &options);
    for (arguments, why) in [
        (["--keep", "--clean"], "--keep and --clean: say which"),
        (["--no-demo", "--clean"], "--clean and --no-demo: say which"),
        (
            ["--timeout", "90"],
            "--timeout 90: must be a time of more than nothing, such as 90s",
        ),
        (
            ["--runtime", "podman"],
            "--runtime podman: must be auto, docker, oci or process",
        ),
    ] {
        let output = run(&data, &arguments, NO_ENGINE);
        assert!(said(&output).starts_with(why), "{}", said(&output));
        assert!(said(&output).ends_with("\nsee --help\n"), "{}", said(&output));
        assert_eq!(said(&output).lines().count(), 2);
        assert_eq!(output.status.code(), Some(2));
    }
    assert!(!data.exists());
}
