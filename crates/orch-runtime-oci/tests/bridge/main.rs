//! Real containers on a real network: this runtime and `orch-podnet`'s bridge together, on a machine of the test's own.

#[path = "../common/mod.rs"]
mod common;

mod killed;
mod machine;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use common::pods::{idle, pod, run, seen};
use common::{Oci, clear, config, says};
use machine::Machine;
use orch_core::runtime::{
    ContainerId, HostPort, InterfaceStats, Protocol, Runtime, RuntimeError, SandboxConfig, SandboxId,
};
use orch_podnet::BridgeOptions;
use orch_runtime_oci::OciRuntime;
use tokio::sync::{Mutex, MutexGuard};

/// One at a time: what the others have open would be taken for left over.
static ONE: Mutex<()> = Mutex::const_new(());

/// A place for containers, and a machine to connect them on.
pub(crate) struct Place {
    pub(crate) machine: Machine,
    pub(crate) oci: Oci,
    /// The machine's links before there was a bridge.
    links: String,
    /// Let go of once it was looked what the test has left.
    _one: MutexGuard<'static, ()>,
}

/// What a network has of pods.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Connected {
    pub(crate) links: usize,
    /// What is written of addresses.
    pub(crate) records: usize,
    /// Ports of the machine that lead to one: two each, for both families.
    pub(crate) ports: usize,
}

impl Place {
    pub(crate) async fn new() -> Option<Self> {
        let one = ONE.lock().await;
        let (oci, machine) = (Oci::new()?, Machine::new()?);
        let links = machine.sh("ip -o link show");
        Some(Self {
            machine,
            oci,
            links,
            _one: one,
        })
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.oci.beside("network")
    }

    pub(crate) async fn open(&self) -> OciRuntime {
        let bridge = self.machine.bridge(network(self.state()));
        let options = self
            .oci
            .options()
            .network(Arc::new(bridge.expect("opening the bridge")));
        OciRuntime::open(options).await.expect("opening the runtime")
    }

    pub(crate) fn connected(&self) -> Connected {
        let records = std::fs::read_dir(self.state().join("sandboxes")).expect("it is there");
        let table = self.machine.sh("nft list table inet orch-podnet-orch0");
        Connected {
            links: self.machine.sh("ip -o link show type veth").lines().count(),
            records: records.count(),
            ports: table.matches("tcp . ").count(),
        }
    }

    /// Removes everything; nothing is left of it.
    pub(crate) async fn remove(&self, runtime: OciRuntime) {
        clear(&runtime).await;
        let none = Connected {
            links: 0,
            records: 0,
            ports: 0,
        };
        assert_eq!(self.connected(), none);
        let sandboxes = self.oci.root().join("sandboxes");
        assert_eq!(sandboxes.read_dir().expect("it is there").count(), 0);
        drop(runtime);
        let bridge = self
            .machine
            .bridge(network(self.state()))
            .expect("opening the bridge");
        bridge.remove().await.expect("nobody is connected");
        assert_eq!(self.machine.sh("ip -o link show"), self.links);
        assert_eq!(self.machine.sh("nft list tables"), "");
    }
}

pub(crate) fn network(state: PathBuf) -> BridgeOptions {
    BridgeOptions::new(state)
        .subnet("10.77.0.0/24")
        .subnet("fd00:77::/64")
}

/// A pod that a port of the machine leads to.
pub(crate) fn with_port(name: &str, port: u16) -> SandboxConfig {
    SandboxConfig {
        host_ports: vec![HostPort {
            host_ip: None,
            host_port: port,
            container_port: 80,
            protocol: Protocol::Tcp,
        }],
        ..pod(name)
    }
}

/// A container that serves a page with its pod's name on port 80, once it does.
pub(crate) async fn serve(runtime: &OciRuntime, sandbox: &SandboxId) -> ContainerId {
    let script = "mkdir /tmp/www && hostname >/tmp/www/index.html && exec busybox httpd -f -p 80 -h /tmp/www";
    let created = runtime.create_container(sandbox, &config("server", script)).await;
    let id = created.expect("creating a container");
    runtime.start_container(&id).await.expect("starting a container");
    let until = "until busybox wget -q -O /dev/null http://127.0.0.1/; do sleep 0.02; done";
    says(runtime, &id, until).await;
    id
}

/// The page at an address, asked for in a container.
pub(crate) async fn asks(runtime: &OciRuntime, id: &ContainerId, address: &str) -> String {
    says(runtime, id, &format!("busybox wget -q -O - http://{address}/")).await
}

#[tokio::test]
async fn pods_reach_each_other_and_the_machine_reaches_them_by_their_addresses_and_its_ports() {
    let Some(place) = Place::new().await else { return };
    let runtime = place.open().await;
    let web = run(&runtime, &with_port("web", 8080)).await;
    let client = run(&runtime, &pod("client")).await;
    serve(&runtime, &web).await;
    let ips = seen(&runtime, &web).await.ips;
    assert_eq!(
        ips,
        ["10.77.0.2", "fd00:77::2"].map(|ip| ip.parse::<IpAddr>().unwrap())
    );
    let client = idle(&runtime, &client, "main").await;
    for address in ["10.77.0.2", "[fd00:77::2]", "10.77.0.1:8080"] {
        assert_eq!(asks(&runtime, &client, address).await, "web\n", "{address}");
    }
    for address in ["10.77.0.2:80", "[fd00:77::2]:80", "127.0.0.1:8080"] {
        assert_eq!(place.machine.get(address).unwrap(), "web\n", "{address}");
    }
    let expected = Connected {
        links: 2,
        records: 2,
        ports: 2,
    };
    assert_eq!(place.connected(), expected);
    place.remove(runtime).await;
}

#[tokio::test]
async fn pods_with_users_of_their_own_are_connected_as_others_are() {
    let Some(place) = Place::new().await else { return };
    let runtime = place.open().await;
    let owned = |config| SandboxConfig {
        user_namespace: true,
        ..config
    };
    let web = run(&runtime, &owned(with_port("web", 8080))).await;
    let client = run(&runtime, &owned(pod("client"))).await;
    // It listens on a port that takes a capability in the network.
    serve(&runtime, &web).await;
    let client = idle(&runtime, &client, "main").await;
    for address in ["10.77.0.2", "[fd00:77::2]", "10.77.0.1:8080"] {
        assert_eq!(asks(&runtime, &client, address).await, "web\n", "{address}");
    }
    assert_eq!(place.machine.get("127.0.0.1:8080").unwrap(), "web\n");
    place.remove(runtime).await;
}

#[tokio::test]
async fn a_pod_finds_itself_by_its_name_and_others_by_the_servers_that_it_was_given() {
    let Some(place) = Place::new().await else { return };
    let runtime = place.open().await;
    let web = SandboxConfig {
        dns_servers: vec!["10.9.9.9".parse().unwrap()],
        dns_searches: vec!["default.svc.cluster.local".into(), "example".into()],
        dns_options: vec!["ndots:5".into()],
        host_aliases: vec![("10.1.2.3".parse().unwrap(), vec!["db".into(), "cache".into()])],
        ..pod("web")
    };
    let id = idle(&runtime, &run(&runtime, &web).await, "main").await;
    let hosts = says(&runtime, &id, "cat /etc/hosts").await;
    let own = "\n10.77.0.2\tweb\nfd00:77::2\tweb\n\n# Entries added by HostAliases.\n10.1.2.3\tdb\tcache\n";
    assert!(hosts.ends_with(own), "{hosts}");
    let found = says(
        &runtime,
        &id,
        "getent ahostsv4 web | head -n 1; cat /etc/resolv.conf",
    )
    .await;
    assert!(found.starts_with("10.77.0.2 "), "{found}");
    let resolv = "nameserver 10.9.9.9\nsearch default.svc.cluster.local example\noptions ndots:5\n";
    assert!(found.ends_with(resolv), "{found}");
    let links = says(
        &runtime,
        &id,
        "ls /sys/class/net; ip route show; ip -6 route show default",
    )
    .await;
    assert!(links.starts_with("eth0\nlo\n"), "{links}");
    assert!(links.contains("default via 10.77.0.1 dev eth0"), "{links}");
    assert!(links.contains("default via fd00:77::1 dev eth0"), "{links}");
    place.remove(runtime).await;
}

#[tokio::test]
async fn what_goes_through_a_pods_network_is_told_as_the_kernel_counts_it() {
    let Some(place) = Place::new().await else { return };
    let runtime = place.open().await;
    let web = run(&runtime, &pod("web")).await;
    let id = serve(&runtime, &web).await;
    let told = async || {
        let network = runtime.stats(&id).await.unwrap().network.unwrap();
        let [eth0] = <[InterfaceStats; 1]>::try_from(network).unwrap();
        assert_eq!(eth0.name, "eth0");
        [eth0.rx_bytes, eth0.rx_errors, eth0.tx_bytes, eth0.tx_errors]
    };
    let counted = async || {
        let script = "cd /sys/class/net/eth0/statistics && cat rx_bytes rx_errors tx_bytes tx_errors";
        let numbers = says(&runtime, &id, script).await;
        let numbers: Vec<u64> = numbers.lines().map(|line| line.parse().unwrap()).collect();
        <[u64; 4]>::try_from(numbers).unwrap()
    };
    let first = told().await;
    says(
        &runtime,
        &id,
        "head -c 100000 /dev/zero | tr '\\0' x >/tmp/www/index.html",
    )
    .await;
    assert_eq!(place.machine.get("10.77.0.2:80").unwrap().len(), 100_000);
    // Something may come in between.
    let (before, now, after) = (counted().await, told().await, counted().await);
    for ((least, number), most) in before.iter().zip(now).zip(after) {
        assert!((*least..=most).contains(&number), "{before:?} {now:?} {after:?}");
    }
    assert!(
        now[2] - first[2] > 100_000,
        "what is sent is what was asked for: {first:?} {now:?}"
    );
    assert!((1..100_000).contains(&(now[0] - first[0])), "{first:?} {now:?}");
    // By a container of the machine's network that is none.
    let shared = SandboxConfig {
        host_network: true,
        ..pod("shared")
    };
    let shared = idle(&runtime, &run(&runtime, &shared).await, "main").await;
    assert_eq!(runtime.stats(&shared).await.unwrap().network, None);
    place.remove(runtime).await;
}

#[tokio::test]
async fn what_is_connected_stays_so_while_nobody_looks_and_is_found_again() {
    let Some(place) = Place::new().await else { return };
    let runtime = place.open().await;
    let web = run(&runtime, &with_port("web", 8080)).await;
    let other = run(&runtime, &pod("other")).await;
    serve(&runtime, &web).await;
    let client = idle(&runtime, &other, "main").await;
    let (ips, links) = (
        seen(&runtime, &web).await.ips,
        place.machine.sh("ip -o link show type veth"),
    );
    let before = place.connected();
    drop(runtime);
    assert_eq!(place.machine.get("127.0.0.1:8080").unwrap(), "web\n");

    let runtime = place.open().await;
    assert_eq!(place.machine.sh("ip -o link show type veth"), links);
    assert_eq!(place.connected(), before);
    assert_eq!(seen(&runtime, &web).await.ips, ips);
    assert_eq!(run(&runtime, &with_port("web", 8080)).await, web);
    assert_eq!(place.machine.get("127.0.0.1:8080").unwrap(), "web\n");
    assert_eq!(asks(&runtime, &client, "10.77.0.2").await, "web\n");
    // Also for what is made now, in an old pod and in a new one, which gets an address of its own.
    let late = idle(&runtime, &other, "late").await;
    assert_eq!(asks(&runtime, &late, "10.77.0.2").await, "web\n");
    let next = run(&runtime, &pod("next")).await;
    assert_eq!(seen(&runtime, &next).await.ip(), "10.77.0.4".parse().ok());
    let next = idle(&runtime, &next, "main").await;
    assert_eq!(asks(&runtime, &next, "10.77.0.2").await, "web\n");
    assert!(runtime.status().await.ready);
    place.remove(runtime).await;
}

#[tokio::test]
async fn of_what_is_stopped_nothing_is_left_and_its_port_is_the_next_ones() {
    let Some(place) = Place::new().await else { return };
    let runtime = place.open().await;
    let (old, next) = (with_port("old", 8080), with_port("next", 8080));
    let first = run(&runtime, &old).await;
    serve(&runtime, &first).await;
    match runtime.run_sandbox(&next).await {
        Err(RuntimeError::InUse { what, by }) => {
            assert_eq!(what, "the machine's port 8080/TCP");
            assert_eq!(by, format!("sandbox {first}"));
        }
        other => panic!("{other:?}"),
    }
    let one = Connected {
        links: 1,
        records: 1,
        ports: 2,
    };
    assert_eq!(place.connected(), one, "nothing of what was refused");
    runtime.stop_sandbox(&first).await.unwrap();
    let none = Connected {
        links: 0,
        records: 0,
        ports: 0,
    };
    assert_eq!(place.connected(), none);
    assert!(place.machine.get("127.0.0.1:8080").is_err());
    // The one that was refused gets it now, beside what is left of the other.
    let second = run(&runtime, &next).await;
    serve(&runtime, &second).await;
    assert_eq!(place.machine.get("127.0.0.1:8080").unwrap(), "next\n");
    runtime.remove_sandbox(&first).await.unwrap();
    assert_eq!(place.machine.get("127.0.0.1:8080").unwrap(), "next\n");
    assert_eq!(place.connected(), one);
    place.remove(runtime).await;
}

#[tokio::test]
async fn pods_made_and_removed_at_once_have_each_an_address_of_their_own() {
    let Some(place) = Place::new().await else { return };
    let runtime = &place.open().await;
    let web = run(runtime, &pod("web")).await;
    serve(runtime, &web).await;
    let pods = (0..12).map(|number| async move {
        let sandbox = run(runtime, &pod(&format!("pod-{number}"))).await;
        let id = idle(runtime, &sandbox, "main").await;
        assert_eq!(asks(runtime, &id, "10.77.0.2").await, "web\n");
        (seen(runtime, &sandbox).await.ip(), sandbox)
    });
    let (mut ips, sandboxes): (Vec<_>, Vec<_>) = futures::future::join_all(pods).await.into_iter().unzip();
    ips.sort();
    ips.dedup();
    assert_eq!(ips.len(), 12);
    let removals = sandboxes.iter().map(|sandbox| runtime.remove_sandbox(sandbox));
    for removed in futures::future::join_all(removals).await {
        removed.unwrap();
    }
    assert_eq!(place.connected().records, 1);
    assert_eq!(place.machine.get("10.77.0.2:80").unwrap(), "web\n");
    clear(runtime).await;
}
