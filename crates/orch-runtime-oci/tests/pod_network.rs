//! Pods on networks of their own.

mod common;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use common::network::{Loopbacks, ip_is_here, within};
use common::pods::{idle, namespace, own, pod, run, seen};
use common::{Oci, PATIENCE, clear, config, processes, says};
use orch_core::runtime::{HostPort, Protocol, Runtime, RuntimeError, SandboxConfig, SandboxState};
use orch_runtime_oci::OciRuntime;

/// A place for containers, and a network.
fn place() -> Option<(Oci, Arc<Loopbacks>)> {
    let oci = Oci::new().filter(|_| ip_is_here())?;
    Some((oci, Loopbacks::new()))
}

async fn open(oci: &Oci, network: &Arc<Loopbacks>) -> OciRuntime {
    let options = oci.options().network(network.clone());
    OciRuntime::open(options).await.expect("opening the runtime")
}

#[tokio::test]
async fn a_pod_has_its_own_network_with_its_address_and_finds_itself_there() {
    let Some((oci, network)) = place() else { return };
    let runtime = open(&oci, &network).await;
    let web = SandboxConfig {
        dns_servers: vec!["10.9.9.9".parse().unwrap()],
        dns_searches: vec!["example".into()],
        host_aliases: vec![("10.1.2.3".parse().unwrap(), vec!["db".into()])],
        ..pod("web")
    };
    let sandbox = run(&runtime, &web).await;
    let ip = seen(&runtime, &sandbox).await.ip().expect("an address");
    let (one, two) = (
        idle(&runtime, &sandbox, "one").await,
        idle(&runtime, &sandbox, "two").await,
    );
    assert_ne!(namespace(&oci, &one, "net"), own("net"));
    assert_eq!(namespace(&oci, &one, "net"), namespace(&oci, &two, "net"));
    let addresses = says(
        &runtime,
        &one,
        "ip -o address show; cat /etc/hosts /etc/resolv.conf",
    )
    .await;
    assert!(addresses.contains(&format!("inet {ip}/32")), "{addresses}");
    assert!(addresses.contains(&format!("{ip}\tweb\n")), "{addresses}");
    assert!(addresses.contains("10.1.2.3\tdb\n"), "{addresses}");
    assert!(
        addresses.ends_with("nameserver 10.9.9.9\nsearch example\n"),
        "{addresses}"
    );
    // The devices of /sys are those of the network that the container is on.
    assert_eq!(says(&runtime, &one, "ls /sys/class/net").await, "lo\n");
    let shared = SandboxConfig {
        host_network: true,
        ..pod("shared")
    };
    let shared = run(&runtime, &shared).await;
    let third = idle(&runtime, &shared, "one").await;
    assert_eq!(namespace(&oci, &third, "net"), own("net"));
    assert_eq!(seen(&runtime, &shared).await.ip(), None);
    clear(&runtime).await;
    assert_eq!(network.taken(), []);
    let path = oci.root().join("ns").join(&sandbox.0).join("net");
    let expected = [
        "retain".to_owned(),
        format!("attach {sandbox}"),
        format!("detach {sandbox} {}", path.display()),
    ];
    assert_eq!(network.calls(), expected);
}

#[tokio::test]
async fn what_a_runtime_says_of_itself_depends_on_its_network() {
    let Some((oci, network)) = place() else { return };
    let without = common::open(&oci).await;
    let said = without.capabilities();
    assert!(!said.sandbox_network && !said.host_ports);
    let port = SandboxConfig {
        host_ports: vec![HostPort {
            host_ip: None,
            host_port: 8080,
            container_port: 80,
            protocol: Protocol::Tcp,
        }],
        ..pod("web")
    };
    let refused = without.run_sandbox(&port).await.unwrap_err();
    assert!(refused.to_string().contains("host_ports"), "{refused}");
    drop(without);
    let with = open(&oci, &network).await;
    let said = with.capabilities();
    assert!(said.sandbox_network && said.host_ports);
    run(&with, &port).await;
    assert!(with.status().await.ready);
    network.fail(Some("status"));
    let status = with.status().await;
    let message = status.message.unwrap();
    assert!(
        !status.ready && message.contains("loopbacks") && message.contains("make some"),
        "{message}"
    );
    clear(&with).await;
}

#[tokio::test]
async fn addresses_are_kept_across_restarts_and_given_back_for_what_was_stopped() {
    let Some((oci, network)) = place() else { return };
    let runtime = open(&oci, &network).await;
    let (kept, stopped) = (
        run(&runtime, &pod("kept")).await,
        run(&runtime, &pod("stopped")).await,
    );
    let ip = seen(&runtime, &kept).await.ip();
    assert!(ip.is_some());
    network.fail(Some("detach"));
    let failed = runtime.stop_sandbox(&stopped).await.unwrap_err();
    assert!(failed.to_string().contains("the test has it fail"), "{failed}");
    assert_eq!(network.taken().len(), 2);
    network.fail(None);
    drop(runtime);
    network.calls();
    let runtime = open(&oci, &network).await;
    assert_eq!(network.calls(), [format!("retain {kept}")]);
    assert_eq!(network.taken(), std::slice::from_ref(&kept));
    assert_eq!(seen(&runtime, &kept).await.ip(), ip);
    assert_eq!(run(&runtime, &pod("kept")).await, kept);
    assert_eq!(network.calls(), <[String; 0]>::default(), "it is connected still");
    let id = idle(&runtime, &kept, "main").await;
    let addresses = says(&runtime, &id, "ip -o address show").await;
    assert!(addresses.contains(&ip.unwrap().to_string()), "{addresses}");
    clear(&runtime).await;
    drop(runtime);
    // Opened without a network, there is nobody to tell, and what there is goes all the same.
    let runtime = open(&oci, &network).await;
    run(&runtime, &pod("left")).await;
    drop(runtime);
    let runtime = common::open(&oci).await;
    clear(&runtime).await;
}

#[tokio::test]
async fn a_network_that_fails_leaves_a_sandbox_to_be_readied_again() {
    let Some((oci, network)) = place() else { return };
    let runtime = open(&oci, &network).await;
    network.fail(Some("attach"));
    let failed = runtime.run_sandbox(&pod("web")).await.unwrap_err();
    assert!(failed.to_string().contains("the test has it fail"), "{failed}");
    let all = runtime.sandboxes(&Default::default()).await.unwrap();
    assert_eq!(
        (all.len(), all[0].state, all[0].ip()),
        (1, SandboxState::NotReady, None)
    );
    let refused = runtime
        .create_container(&all[0].id, &config("main", "true"))
        .await;
    assert!(refused.is_err());
    let held = oci.root().join("ns").join(&all[0].id.0);
    assert!(!held.exists(), "nothing is held for what may never be readied");
    network.fail(None);
    assert_eq!(run(&runtime, &pod("web")).await, all[0].id);
    assert!(seen(&runtime, &all[0].id).await.ip().is_some());
    idle(&runtime, &all[0].id, "main").await;
    clear(&runtime).await;
}

#[tokio::test]
async fn a_slow_network_does_not_hold_up_a_stop_and_is_asked_again_by_the_next_who_opens() {
    let Some((oci, network)) = place() else { return };
    let runtime = open(&oci, &network).await;
    let sandbox = run(&runtime, &pod("web")).await;
    let id = idle(&runtime, &sandbox, "main").await;
    network.slow.send_replace(true);
    let stopping = tokio::time::timeout(PATIENCE / 2, runtime.stop_sandbox(&sandbox));
    stopping.await.expect("it is bounded").unwrap();
    assert!(runtime.container(&id).await.unwrap().state.is_exited());
    assert_eq!(seen(&runtime, &sandbox).await.state, SandboxState::NotReady);
    assert_eq!(network.taken(), std::slice::from_ref(&sandbox), "it goes on");
    let removing = tokio::time::timeout(PATIENCE / 2, runtime.remove_sandbox(&sandbox));
    removing.await.expect("it is bounded").unwrap();
    network.calls();
    // Who is at it still does not keep the directory from being opened again.
    drop(runtime);
    let runtime = open(&oci, &network).await;
    assert_eq!(
        (network.calls(), network.taken()),
        (vec!["retain".to_owned()], vec![])
    );
    network.slow.send_replace(false);
    drop(runtime);
}

#[tokio::test]
async fn the_network_of_a_removed_pod_really_goes_while_others_run() {
    let Some((oci, network)) = place() else { return };
    let runtime = open(&oci, &network).await;
    // One before and one after, whose processes have copied mount tables that had the files.
    let (gone, before) = (
        run(&runtime, &pod("gone")).await,
        run(&runtime, &pod("before")).await,
    );
    let container = idle(&runtime, &gone, "main").await;
    let witness = idle(&runtime, &before, "main").await;
    let after = run(&runtime, &pod("after")).await;
    idle(&runtime, &after, "main").await;
    // A cable between two: when the network at one end is gone, so is the other end.
    let (_, first) = processes(&oci, &witness);
    let files = oci.root().join("ns").join(&gone.0).join("net");
    let cable = format!(
        "ip link add near type veth peer name far netns {}",
        first.as_raw_nonzero()
    );
    within(&files, &cable);
    let devices = format!("/proc/{}/net/dev", first.as_raw_nonzero());
    let is_there = || fs::read_to_string(&devices).unwrap().contains("far:");
    assert!(is_there());
    runtime.stop_container(&container, Duration::ZERO).await.unwrap();
    assert!(is_there(), "it is the pod's, not the container's");
    runtime.remove_sandbox(&gone).await.unwrap();
    let going = async {
        while is_there() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, going).await.expect("it goes");
    clear(&runtime).await;
}

#[tokio::test]
async fn kernel_settings_are_the_pods_own() {
    let Some((oci, network)) = place() else { return };
    let runtime = open(&oci, &network).await;
    let of_machine = || {
        ["net/core/somaxconn", "kernel/shm_rmid_forced"]
            .map(|name| fs::read_to_string(format!("/proc/sys/{name}")).unwrap())
    };
    let before = of_machine();
    let set = |settings: &[(&str, &str)]| SandboxConfig {
        sysctls: settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..pod("web")
    };
    let web = set(&[
        ("net.core.somaxconn", "77"),
        ("kernel.shm_rmid_forced", "1"),
        ("fs/mqueue/msg_max", "12"),
    ]);
    let sandbox = run(&runtime, &web).await;
    let id = idle(&runtime, &sandbox, "main").await;
    let script = "cd /proc/sys; cat net/core/somaxconn kernel/shm_rmid_forced fs/mqueue/msg_max";
    assert_eq!(says(&runtime, &id, script).await, "77\n1\n12\n");
    assert_eq!(of_machine(), before);
    clear(&runtime).await;
    for (name, value, expected) in [
        ("kernel.pid_max", "100", "whole machine's"),
        ("net.core.nonesuch", "1", "No such file"),
        ("kernel.shm_rmid_forced", "many", "Invalid argument"),
    ] {
        match runtime.run_sandbox(&set(&[(name, value)])).await {
            Err(RuntimeError::InvalidConfig { field, reason }) => {
                assert_eq!(field, "sysctls");
                assert!(reason.starts_with(name) && reason.contains(expected), "{reason}");
            }
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(network.taken(), [], "{name}");
        clear(&runtime).await;
    }
    drop(runtime);
    // Without a network of its own a pod has messages of its own still.
    let runtime = common::open(&oci).await;
    let refused = runtime.run_sandbox(&set(&[("net.core.somaxconn", "77")])).await;
    assert!(refused.unwrap_err().to_string().contains("machine's network"));
    let sandbox = run(&runtime, &set(&[("kernel.shm_rmid_forced", "1")])).await;
    let id = idle(&runtime, &sandbox, "main").await;
    assert_eq!(
        says(&runtime, &id, "cat /proc/sys/kernel/shm_rmid_forced").await,
        "1\n"
    );
    assert_eq!(of_machine(), before);
    clear(&runtime).await;
}
