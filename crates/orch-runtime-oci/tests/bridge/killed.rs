//! What is left of a program that is killed while it makes and removes pods.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use orch_core::random::Random;
use orch_core::runtime::{Runtime, SandboxConfig, SandboxState};
use orch_podnet::Bridge;
use orch_runtime_oci::{OciOptions, OciRuntime};

use super::common::SHIM;
use super::common::pods::{idle, run, seen};
use super::{Connected, Place, asks, network, serve, with_port};

/// For the killed one: the state directory, the control group and the network's directory.
const KILLED: &str = "ORCH_TEST_OCI_BRIDGE";

/// Pods that it makes and removes at the same time.
const PODS: u16 = 4;

fn changing(number: u16) -> SandboxConfig {
    with_port(&format!("pod-{number}"), 9000 + number)
}

/// Not a test by itself: the program that is killed.
#[test]
fn at_work_until_killed() {
    let Some(arguments) = std::env::var_os(KILLED) else {
        return;
    };
    let arguments = arguments.into_string().unwrap();
    let [root, group, state] = arguments.split(':').collect::<Vec<_>>().try_into().unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let bridge = Bridge::open(network(state.into())).await.unwrap();
        let options = OciOptions::new(root)
            .shim(SHIM)
            .cgroup_parent(group)
            .network(Arc::new(bridge));
        let runtime = &OciRuntime::open(options).await.unwrap();
        std::fs::write(Path::new(state).join("../at-work"), "").unwrap();
        let pods = (0..PODS).map(|number| async move {
            loop {
                let sandbox = run(runtime, &changing(number)).await;
                if number % 2 == 0 {
                    idle(runtime, &sandbox, "main").await;
                }
                runtime.remove_sandbox(&sandbox).await.unwrap();
            }
        });
        join_all(pods).await;
    });
}

/// Runs it for that long, from where it has begun.
fn killed_after(place: &Place, pause: Duration) {
    let at_work = place.oci.beside("at-work");
    let _ = std::fs::remove_file(&at_work);
    let paths = [place.oci.root(), place.oci.group().into(), place.state()];
    let mut killed = Command::new("nsenter")
        .arg(format!("--net={}", place.machine.path().display()))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "killed::at_work_until_killed", "--nocapture"])
        .env(KILLED, paths.map(|path| path.display().to_string()).join(":"))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while !at_work.exists() {
        assert_eq!(killed.try_wait().unwrap(), None, "it does not come up");
        std::thread::sleep(Duration::from_millis(2));
    }
    std::thread::sleep(pause);
    assert_eq!(killed.try_wait().unwrap(), None, "it works until it is killed");
    killed.kill().unwrap();
    killed.wait().unwrap();
}

#[tokio::test]
async fn whatever_it_was_at_the_next_to_open_finds_each_pod_whole_or_lets_go_of_it() {
    let Some(place) = Place::new().await else { return };
    let runtime = place.open().await;
    let stays = run(&runtime, &with_port("stays", 8080)).await;
    serve(&runtime, &stays).await;
    let ips = seen(&runtime, &stays).await.ips;
    drop(runtime);
    let random = Random::from_os();
    for round in 0..8 {
        let pause = Duration::from_micros(random.below(250_000));
        killed_after(&place, pause);
        let told = format!("round {round}, killed after {pause:?}");
        assert_eq!(place.machine.get("127.0.0.1:8080").unwrap(), "stays\n", "{told}");
        let runtime = place.open().await;
        let found = runtime.sandboxes(&Default::default()).await.unwrap();
        let ready = found.iter().filter(|one| one.state == SandboxState::Ready);
        let ready = ready.count();
        let expected = Connected {
            links: ready,
            records: ready,
            ports: 2 * ready,
        };
        assert_eq!(place.connected(), expected, "{told}: {found:#?}");
        assert_eq!(seen(&runtime, &stays).await.ips, ips, "{told}");
        for number in 0..PODS {
            let mut config = changing(number);
            let mut sandbox = runtime.run_sandbox(&config).await.expect(&told);
            if sandbox.state != SandboxState::Ready {
                // It was being removed; what comes after it is another.
                config.attempt = 1;
                sandbox = runtime.run_sandbox(&config).await.expect(&told);
            }
            let id = idle(&runtime, &sandbox.id, "late").await;
            assert_eq!(asks(&runtime, &id, "10.77.0.2").await, "stays\n", "{told}");
        }
        for sandbox in runtime.sandboxes(&Default::default()).await.unwrap() {
            if sandbox.id != stays {
                runtime.remove_sandbox(&sandbox.id).await.expect(&told);
            }
        }
        let one = Connected {
            links: 1,
            records: 1,
            ports: 2,
        };
        assert_eq!(place.connected(), one, "{told}");
    }
    let runtime = place.open().await;
    place.remove(runtime).await;
}
