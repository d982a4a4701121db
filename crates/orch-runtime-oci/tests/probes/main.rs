//! What a program may do in a container with nothing but defaults: as much as in one of Docker's, or the table beside this
//! says what else, and why.
//!
//! Has a `main` of its own, for it is also the program that tries: each thing in a process of its own.

mod raw;
mod tried;

#[path = "../common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Oci, clear, config, ended, exit_code, open, start, text};
use orch_core::runtime::{ContainerConfig, Mount};

/// `what is tried | here`, or `what is tried | here | on a Docker engine | why`. Several words are alternatives.
const TABLE: &str = include_str!("table.txt");

/// An image with nothing but a shell, made by `scripts/engine image`.
const BUSYBOX: &str = "orch-test/busybox:latest";

/// Where the program is in a container.
const PROBE: &str = "/probe";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--probe", name] => say(&tried::run(name).expect("a probe")),
        ["--probes"] => all(),
        _ => {
            let Some(oci) = Oci::new() else { return };
            let tokio = tokio::runtime::Runtime::new().expect("a tokio runtime");
            let here = tokio.block_on(here(&oci));
            compare(&here);
        }
    }
}

fn say(words: &str) {
    let _ = writeln!(std::io::stdout(), "{words}");
}

/// Tries everything, and says how it went.
fn all() {
    for probe in tried::PROBES {
        let tried = Command::new("/proc/self/exe")
            .args(["--probe", probe.name])
            .stdin(Stdio::null())
            .output()
            .expect("this program once more");
        let said = String::from_utf8_lossy(&tried.stdout);
        let word = match tried.status.code() {
            Some(0) => said.trim(),
            _ => &format!("{}: {}", tried.status, String::from_utf8_lossy(&tried.stderr)),
        };
        say(&format!("{} | {word}", probe.name));
    }
}

/// By what was tried, how it went.
type Outcomes = BTreeMap<String, String>;

fn outcomes(said: &str) -> Outcomes {
    let lines = said.lines().filter_map(|line| line.split_once(" | "));
    let outcomes: Outcomes = lines.map(|(name, word)| (name.into(), word.into())).collect();
    assert_eq!(outcomes.len(), tried::PROBES.len(), "{said}");
    outcomes
}

async fn here(oci: &Oci) -> Outcomes {
    let runtime = open(oci).await;
    let config = ContainerConfig {
        command: vec![PROBE.into(), "--probes".into()],
        mounts: vec![Mount {
            source: std::env::current_exe().expect("this program"),
            target: PROBE.into(),
            read_only: true,
        }],
        ..config("main", "")
    };
    let id = start(&runtime, &config).await;
    let state = ended(&runtime, &id).await;
    let said = text(&runtime, &id, false).await;
    assert_eq!(exit_code(&state), Some(0), "{said}");
    clear(&runtime).await;
    outcomes(&said)
}

/// The same on an engine, with its defaults and the machine's network; none where there is no engine.
fn on_docker() -> Option<Outcomes> {
    let image = Command::new("docker")
        .args(["image", "inspect", BUSYBOX])
        .output();
    let found = image.is_ok_and(|image| image.status.success());
    let why = format!("no Docker engine with the image {BUSYBOX} answers; `scripts/engine up` brings one up");
    if !common::there(found, &why) {
        return None;
    }
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new("docker");
    command.args(["run", "--rm", "--network", "host"]);
    command.arg(format!("--volume={}:{PROBE}:ro", program.display()));
    for library in libraries(&program) {
        command.arg(format!("--volume={library}:{library}:ro"));
    }
    let output = command
        .args([BUSYBOX, PROBE, "--probes"])
        .output()
        .expect("docker");
    assert!(output.status.success(), "{output:?}");
    Some(outcomes(&String::from_utf8_lossy(&output.stdout)))
}

/// What a program is loaded with, by the loader's own word.
fn libraries(program: &Path) -> Vec<String> {
    let output = Command::new("ldd")
        .arg(program)
        .output()
        .expect("ldd, of the C library");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = text.split_whitespace();
    words
        .filter(|word| word.starts_with('/'))
        .map(str::to_owned)
        .collect()
}

fn compare(here: &Outcomes) {
    let docker = on_docker();
    let mut wrong = Vec::new();
    let mut left = here.clone();
    for line in TABLE
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let (name, ours, theirs) = match columns[..] {
            [name, ours] => (name, ours, ours),
            [name, ours, theirs, reason] if !reason.is_empty() => (name, ours, theirs),
            _ => panic!("table.txt: {line:?} has neither two columns nor four"),
        };
        let found = left.remove(name);
        let found = found.unwrap_or_else(|| panic!("table.txt: {name} is not tried, or told twice"));
        let is = |expected: &str, found: &str| expected.split_whitespace().any(|word| word == found);
        if !is(ours, &found) {
            wrong.push(format!("{name}: {found}, and not {ours}"));
        }
        let Some(docker) = &docker else { continue };
        // A newer engine may have come to do what this one does.
        if !is(theirs, &docker[name]) && docker[name] != found {
            wrong.push(format!("{name}: {} on Docker, and not {theirs}", docker[name]));
        }
    }
    for (name, word) in left {
        let theirs = docker.as_ref().map(|docker| &docker[&name]);
        wrong.push(format!("{name} | {word} | {theirs:?}: not in table.txt"));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
