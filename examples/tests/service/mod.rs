//! `embed_in_a_service` as its user meets it: over HTTP, with signals, and again after its end.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use super::built;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running service whose temporary files are in a directory of the test.
struct Service {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    address: String,
    dir: PathBuf,
}

impl Service {
    fn start(dir: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(built("embed_in_a_service"))
            .args(["--port", "0"])
            .args(arguments)
            .env("TMPDIR", dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut service = Self {
            child,
            lines,
            address: String::new(),
            dir: dir.to_owned(),
        };
        service.address = service.line("listening on http://");
        service.line("  GET /  ");
        service.line("  POST /replicas/N  ");
        service
    }

    /// Waits for a line that begins so; returns the rest of it.
    fn line(&mut self, beginning: &str) -> String {
        let mut lines = self.lines.by_ref().map(Result::unwrap);
        let found = lines.find_map(|line| line.strip_prefix(beginning).map(str::to_owned));
        found.unwrap_or_else(|| panic!("it ended without saying {beginning:?}"))
    }

    /// Status and body of the answer.
    fn request(&self, method: &str, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: service\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// The table, once it has so many pods, all ready and never restarted.
    fn table_with(&self, pods: usize) -> String {
        let is_wanted = |table: &String| {
            let rows = table
                .lines()
                .skip(1)
                .map(|row| row.split_whitespace().collect::<Vec<_>>());
            let rows: Vec<_> = rows.collect();
            rows.len() == pods && rows.iter().all(|row| row[1..4] == ["1/1", "Running", "0"])
        };
        eventually(|| self.request("GET", "/").1, is_wanted)
    }

    /// Sends SIGTERM; returns what it says at its end.
    fn stop(self) -> String {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(sent.success());
        self.end()
    }

    fn end(mut self) -> String {
        let said = self.line("stopped; ");
        assert!(self.child.wait().unwrap().success());
        said
    }
}

impl Drop for Service {
    /// After a failed test nothing goes on.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            for process in workers(&self.dir) {
                let _ = Command::new("kill").args(["-KILL", &process]).status();
            }
        }
    }
}

/// Looks until it is good. Over HTTP, and at processes, nothing rings when something changes.
fn eventually<T: Debug>(look: impl Fn() -> T, is_good: impl Fn(&T) -> bool) -> T {
    let began = Instant::now();
    loop {
        let seen = look();
        if is_good(&seen) {
            return seen;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "after {PATIENCE:?} there is still {seen:?}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The processes of all workers whose state is below the directory, by number.
fn workers(dir: &Path) -> BTreeSet<String> {
    let listed = Command::new("ps")
        .args(["-A", "-ww", "-o", "pgid=,pid=,args="])
        .output()
        .unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let columns = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .take(2)
            .collect::<Vec<_>>()
    };
    // The shell that leads a container's group has the container's directory among its arguments.
    let leaders = listed
        .lines()
        .filter(|line| line.contains("orch-container-") && line.contains(dir.to_str().unwrap()));
    let groups: BTreeSet<_> = leaders.map(|line| columns(line).remove(0)).collect();
    let members = listed
        .lines()
        .map(columns)
        .filter(|columns| groups.contains(&columns[0]));
    members.map(|mut columns| columns.remove(1)).collect()
}

/// The processes of so many workers: a shell and a program for each.
fn workers_of(count: usize, dir: &Path) -> BTreeSet<String> {
    eventually(|| workers(dir), |processes| processes.len() == 2 * count)
}

fn names(dir: &Path) -> Vec<String> {
    let entries = dir.read_dir().unwrap().map(|entry| entry.unwrap().file_name());
    entries.map(|name| name.into_string().unwrap()).collect()
}

#[test]
fn a_service_scales_its_workers_and_takes_them_over_when_it_is_started_again() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let data_option = ["--data", data.to_str().unwrap()];
    let service = Service::start(dir.path(), &data_option);
    service.table_with(1);
    let scaled = service.request("POST", "/replicas/3");
    assert_eq!(scaled, (202, "3 workers wanted\n".to_owned()));
    service.table_with(3);
    assert_eq!(service.request("POST", "/replicas/2").0, 202);
    let table = service.table_with(2);
    let processes = workers_of(2, dir.path());
    let said = service.stop();
    assert_eq!(
        said,
        "the workers go on, and started with the same --data it takes them over"
    );
    assert_eq!(workers(dir.path()), processes);

    let service = Service::start(dir.path(), &data_option);
    assert_eq!(service.table_with(2), table);
    assert_eq!(workers(dir.path()), processes);

    assert_eq!(service.request("POST", "/replicas/0").0, 202);
    service.table_with(0);
    workers_of(0, dir.path());
    service.stop();
    assert_eq!(names(dir.path()), ["data"], "nothing lies beside its data");
    for kind in ["sandboxes", "containers"] {
        assert_eq!(names(&data.join("processes").join(kind)), [""; 0], "{kind}");
    }
}

#[test]
fn a_service_refuses_what_makes_no_sense_and_says_what_does() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path(), &[]);
    let table = service.table_with(1);
    for (method, path, status, text) in [
        (
            "POST",
            "/replicas/many",
            400,
            r#"replicas: "many": must be a whole number from 0 to 10"#,
        ),
        (
            "POST",
            "/replicas/99999999999",
            400,
            r#"replicas: "99999999999": must be a whole"#,
        ),
        (
            "POST",
            "/replicas/-3",
            422,
            "spec.replicas: Invalid value: -3: must be greater than or equal to 0",
        ),
        (
            "POST",
            "/replicas/11",
            403,
            "spec.replicas: 11: the plan allows at most 10",
        ),
        ("GET", "/replicas/1", 405, "endpoints:\n  GET /  "),
        ("GET", "/pods", 404, "endpoints:\n  GET /  "),
    ] {
        let (got, body) = service.request(method, path);
        assert_eq!(got, status, "{method} {path}: {body}");
        assert!(body.contains(text), "{method} {path}: {body}");
    }
    assert_eq!(service.request("GET", "/"), (200, table), "nothing has changed");
    assert_eq!(service.stop(), "nothing is left");
}

#[test]
fn a_service_without_data_leaves_nothing_whether_it_is_stopped_or_its_time_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(dir.path(), &[]);
    service.table_with(1);
    workers_of(1, dir.path());
    assert_eq!(service.stop(), "nothing is left");
    workers_of(0, dir.path());
    assert_eq!(names(dir.path()), [""; 0]);

    assert_eq!(
        Service::start(dir.path(), &["--seconds", "0"]).end(),
        "nothing is left"
    );
    workers_of(0, dir.path());
    assert_eq!(names(dir.path()), [""; 0]);
}

#[test]
fn a_service_says_of_a_wrong_number_what_is_allowed() {
    for (arguments, why) in [
        (
            ["--port", "99999"],
            "--port 99999: must be a whole number from 0 to 65535\n",
        ),
        (
            ["--seconds", "-1"],
            "--seconds -1: must be a whole number from 0 to ",
        ),
    ] {
        let output = Command::new(built("embed_in_a_service"))
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with(why), "{said}");
    }
}

#[test]
fn a_service_says_how_it_is_used_when_asked_and_when_it_is_used_otherwise() {
    for (argument, success) in [("--help", true), ("-h", true), ("--prot", false)] {
        let output = Command::new(built("embed_in_a_service"))
            .arg(argument)
            .output()
            .unwrap();
        assert_eq!(output.status.success(), success, "{argument}: {output:?}");
        let said = if success { output.stdout } else { output.stderr };
        let said = String::from_utf8(said).unwrap();
        for words in ["--port N", "--data DIR", "--seconds N", "POST /replicas/N"] {
            assert!(
                said.contains(words),
                "{argument}: {words:?} is missing in:\n{said}"
            );
        }
    }
}
