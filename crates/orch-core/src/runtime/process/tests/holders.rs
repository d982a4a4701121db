//! What outlives the embedding process: it is run as a process of its own here, and killed.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout};

use super::*;

const ROLE: &str = "ORCH_TEST_HOLDER";
const DIR: &str = "ORCH_TEST_DIR";

/// Runs this test program again, to hold the runtime in a directory.
struct Holder {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Holder {
    fn spawn(role: &str, dir: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([
            "--exact",
            "runtime::process::tests::holders::holder",
            "--nocapture",
        ]);
        command
            .env(ROLE, role)
            .env(DIR, dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// What it says after a word that only it would say.
    fn hear(&mut self, word: &str) -> String {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            if let Some((_, rest)) = line.split_once(word) {
                return rest.trim().to_owned();
            }
            line.clear();
        }
        panic!("the holder ended without {word:?}");
    }

    /// Kills it; nothing of it gets to run any more.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[allow(clippy::print_stdout, reason = "its parent listens")]
fn say(what: &str) {
    println!("{what}");
}

const COUNTER: &str = "i=0; while [ $i -lt 100 ]; do n=0; while [ $n -lt 100 ]; do echo $((i*100+n)); n=$((n+1)); done; \
     i=$((i+1)); sleep 0.02; done; exit 42";

/// Not a test of itself: what the tests below run as a process, told by the environment.
#[tokio::test]
async fn holder() {
    let (Ok(role), Ok(dir)) = (std::env::var(ROLE), std::env::var(DIR)) else {
        return;
    };
    let runtime = ProcessRuntime::open(PathBuf::from(dir)).await.unwrap();
    match role.as_str() {
        "counter" => {
            let id = started(&runtime, &shell("counter", COUNTER)).await;
            let soon = started(&runtime, &shell("soon", "sleep 0.3; exit 7")).await;
            said(&runtime, &id, "150").await;
            say(&format!("counting {id} {soon}"));
        }
        "again" => {
            say("holding");
            // Starts containers until it is killed, somewhere in between.
            for number in 0.. {
                let script = format!("echo ran; sleep 0.0{}; exit 5", number % 10);
                started(
                    &runtime,
                    &shell(&format!("{}-{number}", std::process::id()), &script),
                )
                .await;
                tokio::task::yield_now().await;
            }
        }
        "idle" => {
            for number in 0..20 {
                let id = started(
                    &runtime,
                    &shell(&format!("c{number}"), "echo ready; exec sleep 1000"),
                )
                .await;
                said(&runtime, &id, "ready").await;
            }
            // A first second for what starting left to do.
            tokio::time::sleep(Duration::from_secs(1)).await;
            let before = processor_time();
            tokio::time::sleep(Duration::from_secs(3)).await;
            say(&format!("micros {}", (processor_time() - before).as_micros()));
        }
        role => panic!("no role {role}"),
    }
    std::future::pending::<()>().await;
}

/// Processor time that the threads of this process have had, as the scheduler counts it.
fn processor_time() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let nanos = threads.map(|thread| {
        let stat = std::fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap();
        stat.split(' ').next().unwrap().parse::<u64>().unwrap()
    });
    Duration::from_nanos(nanos.sum())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_survive_holders_that_are_killed_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut holder = Holder::spawn("counter", dir.path());
    let ids = holder.hear("counting ");
    let ids: Vec<ContainerId> = ids.split(' ').map(|id| ContainerId(id.into())).collect();
    holder.kill();
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..6 {
        let mut holder = Holder::spawn("again", dir.path());
        holder.hear("holding");
        std::thread::sleep(Duration::from_millis(random.u64(1..60)));
        holder.kill();
    }

    let runtime = ProcessRuntime::open(dir.path()).await.unwrap();
    let numbers = lines(&runtime, &ids[0]).await;
    let expected: Vec<String> = (0..10_000).map(|number| number.to_string()).collect();
    assert!(
        numbers == expected,
        "{} lines, none lost and none twice",
        numbers.len()
    );
    assert_eq!(exit_code(&runtime, &ids[0]).await, Some(42));
    assert_eq!(
        exit_code(&runtime, &ids[1]).await,
        Some(7),
        "it ended while no one held the runtime"
    );

    // Of the containers that were being made or started at a kill, each ran once or not at all.
    let all = runtime.containers(&Default::default()).await.unwrap();
    assert!(all.len() > 10, "{} containers", all.len());
    for container in all.iter().filter(|container| !ids.contains(&container.id)) {
        runtime
            .start_container(&container.id)
            .await
            .or_else(|error| match error {
                RuntimeError::Ended { .. } => Ok(()),
                error => Err(error),
            })
            .unwrap();
        assert_eq!(lines(&runtime, &container.id).await, ["ran"], "{container:?}");
        assert_eq!(exit_code(&runtime, &container.id).await, Some(5));
    }
    runtime.remove_sandbox(&sandbox(&runtime).await).await.unwrap();
    for container in &all {
        none_marked(&container.id).await;
    }
    let left = |name: &str| std::fs::read_dir(dir.path().join(name)).unwrap().count();
    assert_eq!((left("containers"), left("sandboxes"), left("trash")), (0, 0, 0));
}

#[tokio::test]
async fn idle_containers_cost_no_processor_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut holder = Holder::spawn("idle", dir.path());
    let micros: u64 = holder.hear("micros ").parse().unwrap();
    holder.kill();
    let runtime = ProcessRuntime::open(dir.path()).await.unwrap();
    runtime.remove_sandbox(&sandbox(&runtime).await).await.unwrap();
    assert!(micros < 1_000, "{micros} µs in three seconds");
}
