//! A soak: an application brings two thousand containers through their lives, eight at a time, and is killed ten times
//! meanwhile. Each that follows goes on where the one before was; none of the containers notices, and in the end nothing
//! is left.
//!
//! What containers do, and the moments of the kills, are by a seed that is printed; `ORCH_SOAK_SEED` gives the same again.
//! `ORCH_SOAK_CONTAINERS` is how many containers there are. The application is this program, which is its own shim.

#[path = "../common/mod.rs"]
mod common;

mod application;
mod plan;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use orch_runtime_oci::{OciOptions, OciRuntime};
use rustix::process::{WaitOptions, wait};

use application::{IMAGE, Job};
use common::{Oci, PATIENCE, images};
use plan::Moment;

const CONTAINERS: usize = 2_000;

/// Says what the program is started as, in the place of its first argument.
const APPLICATION: &str = "--soaked";

fn main() {
    orch_runtime_oci::init();
    let arguments: Vec<_> = std::env::args().collect();
    if let [_, first, arguments @ ..] = &*arguments
        && first == APPLICATION
    {
        return apply(arguments);
    }
    soak();
}

fn tokio() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().expect("a tokio runtime")
}

/// Is the application.
fn apply(arguments: &[String]) {
    let [seed, containers, root, group, told, archive] = arguments else {
        panic!("{arguments:?}")
    };
    let job = Job {
        seed: seed.parse().expect("a number"),
        containers: containers.parse().expect("a number"),
        root: root.into(),
        group: group.clone(),
        told: told.into(),
        archive: (!archive.is_empty()).then(|| archive.into()),
    };
    tokio().block_on(application::run(job));
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}: {text:?} is no whole number")),
    )
}

fn soak() {
    let Some(oci) = Oci::new() else { return };
    let seed =
        number("ORCH_SOAK_SEED").unwrap_or_else(|| orch_core::random::Random::from_os().below(1 << 32));
    let containers =
        number("ORCH_SOAK_CONTAINERS").map_or(CONTAINERS, |count| usize::try_from(count).expect("a count"));
    say(&format!(
        "soak: ORCH_SOAK_SEED={seed} ORCH_SOAK_CONTAINERS={containers}"
    ));
    // What an application leaves when it is killed becomes this process's: so it can be counted.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).expect("adopting");
    let begin = Instant::now();
    let mut soak = Soak::new(&oci, seed, containers);
    let moments = plan::moments(seed, containers);
    for (kill, moment) in moments.iter().enumerate() {
        let before = soak.lines;
        soak.kill_at(moment);
        say(&format!(
            "soak: kill {} after {} more lines, {:?}",
            kill + 1,
            soak.lines - before,
            begin.elapsed()
        ));
    }
    soak.go_on_to_the_end();
    soak.check(containers);
    say(&format!("soak: {containers} containers in {:?}", begin.elapsed()));
    assert_eq!(
        tree(&oci.root()),
        tree_of_an_empty_one(),
        "files are left in the state directory"
    );
    all_have_ended();
}

#[allow(clippy::print_stderr, reason = "by this it can be done again")]
fn say(words: &str) {
    eprintln!("{words}");
}

/// One that runs no longer than it is of use.
struct Application(Child);

impl Drop for Application {
    fn drop(&mut self) {
        // It has ended, unless this one has failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Soak {
    command: Box<dyn Fn() -> Command>,
    /// What was told, for the next application.
    told: File,
    lines: u64,
    through: Vec<usize>,
    done: bool,
}

impl Soak {
    fn new(oci: &Oci, seed: u64, containers: usize) -> Self {
        let place = oci.beside("told");
        let told = File::create(&place).expect("a file beside the state");
        let archive = images::shell(&serde_json::json!({ "Env": ["PATH=/bin"] })).map(|image| {
            let archive = oci.beside("archive.tar");
            images::archive(&archive, &image, IMAGE);
            archive
        });
        let mut arguments = vec![APPLICATION.into(), seed.to_string(), containers.to_string()];
        arguments.push(oci.root().display().to_string());
        arguments.push(oci.group().to_owned());
        arguments.push(place.display().to_string());
        arguments.push(archive.map(|path| path.display().to_string()).unwrap_or_default());
        let command = move || {
            let mut command = Command::new("/proc/self/exe");
            command
                .args(&arguments)
                .stdin(Stdio::null())
                .stdout(Stdio::piped());
            command
        };
        Self {
            command: Box::new(command),
            told,
            lines: 0,
            through: Vec::new(),
            done: false,
        }
    }

    /// Writes down what one application tells, until it has told of so many things, or ends.
    fn listen(&mut self, output: &mut impl BufRead, bound: u64) {
        for _ in 0..bound {
            let mut line = String::new();
            if output.read_line(&mut line).expect("what an application tells") == 0 {
                return;
            }
            self.told.write_all(line.as_bytes()).expect("writing it down");
            self.lines += 1;
            let mut words = line.trim_end().split(' ');
            match (words.next(), words.next()) {
                (Some("removed"), Some(number)) => self.through.push(number.parse().expect("a number")),
                (Some("done"), None) => self.done = true,
                _ => {}
            }
        }
    }

    fn kill_at(&mut self, moment: &Moment) {
        let (mut child, mut output) = self.start();
        self.listen(&mut output, moment.told);
        std::thread::sleep(moment.later);
        let early = child.0.try_wait().expect("looking after an application");
        assert!(
            early.is_none(),
            "the application has ended before it was killed: {early:?}"
        );
        child.0.kill().expect("killing an application");
        child.0.wait().expect("its end");
        // What it has told before.
        self.listen(&mut output, u64::MAX);
    }

    fn go_on_to_the_end(&mut self) {
        let (mut child, mut output) = self.start();
        self.listen(&mut output, u64::MAX);
        let ended = child.0.wait().expect("its end");
        assert!(ended.success(), "the last application: {ended}");
    }

    fn start(&self) -> (Application, BufReader<ChildStdout>) {
        let mut child = (self.command)().spawn().expect("starting an application");
        let output = child.stdout.take().expect("it is piped");
        (Application(child), BufReader::new(output))
    }

    fn check(&self, containers: usize) {
        assert!(self.done, "the last application has come to its end");
        let through: BTreeSet<_> = self.through.iter().copied().collect();
        assert_eq!(self.through.len(), through.len(), "each was brought through once");
        assert!(through.into_iter().eq(0..containers), "all were brought through");
    }
}

/// The paths of all that is below a directory, from it on.
fn tree(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut left = vec![root.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).expect("a directory") {
            let path = entry.expect("what is in it").path();
            let name = path.strip_prefix(root).expect("it is below");
            found.insert(name.display().to_string());
            if path.is_dir() && !path.is_symlink() {
                left.push(path);
            }
        }
    }
    found
}

/// The same of a state directory that had one container, and has none any more.
fn tree_of_an_empty_one() -> BTreeSet<String> {
    let oci = Oci::new().expect("there is one already");
    tokio().block_on(async {
        let options = OciOptions::new(oci.root()).cgroup_parent(oci.group());
        let runtime = OciRuntime::open(options).await.expect("opening the runtime");
        let id = common::start(&runtime, &common::config("main", "true")).await;
        common::ended(&runtime, &id).await;
        common::clear(&runtime).await;
    });
    tree(&oci.root())
}

/// Whatever the applications have started has ended: there is no child any more, after all that have ended are waited for.
fn all_have_ended() {
    let begin = Instant::now();
    loop {
        match wait(WaitOptions::NOHANG) {
            Err(rustix::io::Errno::CHILD) => return,
            Ok(Some(_)) => {}
            other => {
                other.expect("waiting for children");
                assert!(begin.elapsed() < PATIENCE, "processes are left: {:?}", children());
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// The command lines of this process's children.
fn children() -> Vec<String> {
    let list = fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    let line = |pid: &str| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    list.split_whitespace()
        .map(|pid| line(pid).replace('\0', " "))
        .collect()
}
