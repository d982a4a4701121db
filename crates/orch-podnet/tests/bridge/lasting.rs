//! What lasts: over a restart, over a kill at any point, and when all addresses are given out.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures::future;
use nix::sched::{CloneFlags, unshare};
use orch_core::runtime::{PodNetwork, Protocol, RuntimeError, SandboxConfig};
use orch_podnet::{Bridge, BridgeOptions};

use super::common::{Namespace, id, on_a_machine, port, sh, with_ports};
use super::{V4, options, sandbox};

#[test]
fn sandboxes_stay_connected_over_a_restart() {
    on_a_machine(&[], async || {
        let state = tempfile::tempdir().unwrap();
        let bridge = Bridge::open(options(state.path())).await.unwrap();
        let (one, first) = sandbox(&bridge, "one").await;
        let two = Namespace::new();
        let ports = with_ports(&[port(None, 8080, 80, Protocol::Tcp)]);
        let second = bridge.attach(&id("two"), &two.path(), &ports).await.unwrap();
        let error = Bridge::open(options(state.path())).await.unwrap_err().to_string();
        assert!(
            error.contains("another program, or network of this one, has"),
            "{error}"
        );
        let _two = two.serve("0.0.0.0:80", "two");
        let links = sh("ip -o link show type veth");
        drop(bridge);
        assert_eq!(
            one.ask("10.77.0.3:80").unwrap().word,
            "two",
            "nobody is needed for that"
        );

        let bridge = Bridge::open(options(state.path())).await.unwrap();
        bridge.retain(&[id("one"), id("two")]).await.unwrap();
        assert_eq!(sh("ip -o link show type veth"), links);
        assert_eq!(one.ask("10.77.0.3:80").unwrap().word, "two");
        assert_eq!(Namespace::here().ask("127.0.0.1:8080").unwrap().word, "two");
        let (_three, third) = sandbox(&bridge, "three").await;
        assert_eq!(third.ips[0].to_string(), "10.77.0.4");
        assert_eq!(
            bridge
                .attach(&id("one"), &one.path(), &SandboxConfig::default())
                .await
                .unwrap(),
            first
        );
        assert_eq!(
            bridge.attach(&id("two"), &two.path(), &ports).await.unwrap(),
            second
        );

        // What belongs to nobody goes; its address is given to another as late as can be, also over a restart.
        bridge.retain(&[id("two"), id("three")]).await.unwrap();
        assert!(!one.sh("ip link").contains("eth0"));
        drop(bridge);
        let bridge = Bridge::open(options(state.path())).await.unwrap();
        let (_four, fourth) = sandbox(&bridge, "four").await;
        assert_eq!(fourth.ips[0].to_string(), "10.77.0.5");
        assert_eq!(Namespace::here().ask("127.0.0.1:8080").unwrap().word, "two");
    });
}

#[test]
fn a_subnet_that_is_chosen_stays() {
    on_a_machine(&[], async || {
        sh("ip link add other type bridge; ip addr add 10.64.0.1/16 dev other; ip link set other up");
        let state = tempfile::tempdir().unwrap();
        let open = || Bridge::open(BridgeOptions::new(state.path()));
        let bridge = open().await.unwrap();
        assert_eq!(bridge.subnets(), ["10.65.0.0/16"]);
        let (_one, _) = sandbox(&bridge, "one").await;
        drop(bridge);
        sh("ip link del other");
        let bridge = open().await.unwrap();
        assert_eq!(bridge.subnets(), ["10.65.0.0/16"]);
        drop(bridge);
        // With sandboxes it cannot change, without it can.
        let error = Bridge::open(options(state.path())).await.unwrap_err().to_string();
        assert_eq!(
            error,
            "subnets: 1 sandboxes have addresses of 10.65.0.0/16; disconnect them first"
        );
        let bridge = open().await.unwrap();
        bridge.retain(&[]).await.unwrap();
        drop(bridge);
        let bridge = Bridge::open(options(state.path())).await.unwrap();
        assert!(!sh("ip addr show orch0").contains("10.65."));
        let (_one, attachment) = sandbox(&bridge, "one").await;
        assert!(attachment.ips[0].to_string().starts_with("10.77.0."));
    });
}

#[test]
fn a_state_directory_that_was_moved_keeps_its_network_and_a_copy_has_none() {
    on_a_machine(&[], async || {
        let place = tempfile::tempdir().unwrap();
        let [old, new, copy] = ["old", "new", "copy"].map(|name| place.path().join(name));
        let bridge = Bridge::open(options(&old)).await.unwrap();
        let (one, attachment) = sandbox(&bridge, "one").await;
        drop(bridge);
        sh(&format!("mv {} {}", old.display(), new.display()));
        // What cannot be looked at, on a machine that does not answer for one, may be there and open.
        std::os::unix::fs::symlink(&old, &old).unwrap();
        let error = Bridge::open(options(&new)).await.unwrap_err().to_string();
        let looped = rustix::io::Errno::LOOP;
        let (before, why) = (old.display(), std::io::Error::from(looped).to_string());
        assert!(
            error.contains(&format!("whose state is in {before}, and")) && error.contains(&why),
            "{error}"
        );
        std::fs::remove_file(&old).unwrap();
        for _ in 0..2 {
            let bridge = Bridge::open(options(&new)).await.unwrap();
            bridge.retain(&[id("one")]).await.unwrap();
            let config = SandboxConfig::default();
            let again = bridge.attach(&id("one"), &one.path(), &config).await;
            assert_eq!(again.unwrap(), attachment);
        }
        sh(&format!("cp -r {} {}", new.display(), copy.display()));
        let error = Bridge::open(options(&copy)).await.unwrap_err().to_string();
        assert!(
            error.ends_with(&format!(
                "whose state is in {}: choose another name, or remove it",
                new.display()
            )),
            "{error}"
        );
    });
}

#[test]
fn networks_opened_at_once_choose_subnets_of_their_own() {
    on_a_machine(&[], async || {
        let place = tempfile::tempdir().unwrap();
        let open = (0..6).map(|n| {
            Bridge::open(BridgeOptions::new(place.path().join(n.to_string())).name(format!("orch{n}")))
        });
        let opened = future::join_all(open).await;
        let subnets: BTreeSet<String> = opened
            .iter()
            .flat_map(|bridge| bridge.as_ref().unwrap().subnets())
            .collect();
        assert_eq!(subnets.len(), 6, "{subnets:?}");
    });
}

#[test]
fn of_a_new_network_that_cannot_be_made_nothing_is_left() {
    on_a_machine(&[], async || {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let links = sh("ip -o link show");
        let place = tempfile::tempdir().unwrap();
        let state = place.path().join("state");
        sh("mount --make-rprivate /; mount --bind /bin/false $(command -v nft)");
        let error = Bridge::open(options(&state)).await.unwrap_err().to_string();
        assert!(
            error.contains("making the table: nft") && error.contains("exit code 1"),
            "{error}"
        );
        assert_eq!(sh("ip -o link show"), links);
        assert!(!state.join("network.json").exists());
        sh("umount $(command -v nft)");
        // One that was there stays, for who is connected to it.
        let bridge = Bridge::open(options(&state)).await.unwrap();
        let (one, _) = sandbox(&bridge, "one").await;
        drop(bridge);
        sh("mount --bind /bin/false $(command -v nft)");
        Bridge::open(options(&state)).await.unwrap_err();
        sh("umount $(command -v nft)");
        let _server = Namespace::here().serve("10.77.0.1:80", "machine");
        assert_eq!(one.ask("10.77.0.1:80").unwrap().word, "machine");
    });
}

#[test]
fn what_others_have_is_refused() {
    on_a_machine(&[], async || {
        sh("ip link add taken type bridge; ip link add eth9 type veth peer name eth8; ip addr add 10.9.0.7/16 dev eth9; ip link set eth9 up
            ip route add 10.20.30.0/24 via 10.9.0.1");
        let state = tempfile::tempdir().unwrap();
        let refused = async |options: BridgeOptions| Bridge::open(options).await.unwrap_err().to_string();
        let new = || BridgeOptions::new(state.path());
        for (options, expected) in [
            (
                new().name("taken"),
                r#"name: "taken": a link of this name is there and not this network's"#,
            ),
            (
                new().name("eth9"),
                r#"name: "eth9": a link of this name is there and not this network's"#,
            ),
            (
                new().subnet("10.9.128.0/24"),
                "subnets[0]: 10.9.128.0/24 overlaps 10.9.0.7/16, which eth9 has; choose another",
            ),
            (
                new().subnet("10.20.0.0/16"),
                "subnets[0]: 10.20.0.0/16 overlaps 10.20.30.0/24, which leads to eth9; choose another",
            ),
            (
                BridgeOptions::new("state"),
                "state: state: must be an absolute path",
            ),
        ] {
            let error = refused(options).await;
            assert!(error.starts_with(expected), "{error} should be {expected}");
        }
        assert!(!sh("ip link").contains("orch0") && !sh("nft list tables").contains("orch"));
        let _bridge = Bridge::open(options(state.path())).await.unwrap();
        let other = tempfile::tempdir().unwrap();
        let error = refused(BridgeOptions::new(other.path())).await;
        let whose = format!(
            r#"name: "orch0": a link of this name is of the network whose state is in {}"#,
            state.path().display()
        );
        assert!(error.starts_with(&whose), "{error}");
        let error = refused(BridgeOptions::new(other.path()).name("orch1").subnet(V4)).await;
        assert!(error.contains("10.77.0.1/24, which orch0 has"), "{error}");
    });
}

#[test]
fn what_is_of_no_record_is_removed_and_what_is_of_others_is_not() {
    on_a_machine(&[], async || {
        let state = tempfile::tempdir().unwrap();
        let bridge = Bridge::open(options(state.path())).await.unwrap();
        let (lost, _) = sandbox(&bridge, "lost").await;
        let (_torn, _) = sandbox(&bridge, "torn").await;
        drop(bridge);
        // Files that a power failure, or somebody, took.
        std::fs::remove_file(state.path().join("sandboxes/lost.json")).unwrap();
        std::fs::write(state.path().join("sandboxes/torn.json"), "").unwrap();
        std::fs::remove_file(state.path().join("last.json")).unwrap();
        sh("ip link add orch0-x-y type veth peer name other; ip link set other master orch0");
        let bridge = Bridge::open(options(state.path())).await.unwrap();
        bridge.retain(&[]).await.unwrap();
        assert!(!lost.sh("ip link").contains("eth0"));
        let links = sh("ip -o link show type veth");
        assert_eq!(
            (links.lines().count(), links.contains("other")),
            (2, true),
            "{links}"
        );
        let (_next, attachment) = sandbox(&bridge, "next").await;
        assert_eq!(attachment.ips[0].to_string(), "10.77.0.2");
    });
}

#[test]
fn a_bridge_half_made_is_finished_and_has_the_size_of_now() {
    on_a_machine(&[], async || {
        // As one leaves it that is killed before it could say whose it is.
        sh("ip link add orch0 address 0a:58:0a:4d:00:01 type bridge");
        let state = tempfile::tempdir().unwrap();
        let bridge = Bridge::open(options(state.path()).mtu(1300)).await.unwrap();
        let (one, _) = sandbox(&bridge, "one").await;
        assert!(one.sh("ip link show eth0").contains("mtu 1300"));
        drop(bridge);
        let bridge = Bridge::open(options(state.path()).mtu(1400)).await.unwrap();
        let (two, _) = sandbox(&bridge, "two").await;
        assert!(two.sh("ip link show eth0").contains("mtu 1400"));
        let _server = one.serve("0.0.0.0:80", "one");
        assert_eq!(two.ask("10.77.0.2:80").unwrap().word, "one");
    });
}

#[test]
fn settings_that_cannot_be_written_are_said_before_anything_is_made() {
    on_a_machine(&[], async || {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        sh("mount --make-rprivate /; mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys");
        let state = tempfile::tempdir().unwrap();
        let error = Bridge::open(options(state.path())).await.unwrap_err();
        assert!(matches!(error, RuntimeError::Unavailable { .. }));
        let expected = "cannot be written (Read-only file system (os error 30)): in a container, have /proc/sys writable";
        assert!(error.to_string().ends_with(expected), "{error}");
        assert!(!sh("ip link").contains("orch0"));
        let deep = state.path().join("x".repeat(200));
        sh("mount -o remount,bind,rw /proc/sys");
        let error = Bridge::open(options(&deep)).await.unwrap_err().to_string();
        assert!(
            error.starts_with("state: ") && error.ends_with("must be no longer than 200 bytes"),
            "{error}"
        );
    });
}

#[test]
fn no_address_is_given_twice_and_none_is_given_beyond_the_last() {
    on_a_machine(&[], async || {
        let state = tempfile::tempdir().unwrap();
        let bridge = Bridge::open(BridgeOptions::new(state.path()).subnet("10.77.0.0/26"))
            .await
            .unwrap();
        let spaces: Vec<Namespace> = (0..62).map(|_| Namespace::new()).collect();
        let config = SandboxConfig::default();
        let attach = async |n: usize| {
            let (sandbox, path) = (id(&format!("s{n}")), spaces[n].path());
            bridge.attach(&sandbox, &path, &config).await
        };
        let all = future::join_all((0..61).map(&attach)).await;
        let ips: BTreeSet<IpAddr> = all
            .iter()
            .map(|attachment| attachment.as_ref().unwrap().ips[0])
            .collect();
        assert_eq!(ips.len(), 61);
        let error = attach(61).await.unwrap_err();
        assert!(matches!(error, RuntimeError::Unavailable { .. }));
        assert_eq!(
            error.to_string(),
            "runtime bridge is unavailable: all 61 addresses of 10.77.0.0/26 are given out"
        );
        bridge.detach(&id("s7"), None).await.unwrap();
        assert_eq!(attach(61).await.unwrap().ips, all[7].as_ref().unwrap().ips);
        // All of them work.
        let _server = Namespace::here().serve("10.77.0.1:80", "machine");
        for n in (0..62).filter(|&n| n != 7) {
            assert_eq!(spaces[n].ask("10.77.0.1:80").unwrap().word, "machine");
        }
        bridge.retain(&[]).await.unwrap();
        assert_eq!(sh("ip -o link show type veth"), "");
    });
}

#[test]
fn what_cannot_be_written_down_is_not_given() {
    on_a_machine(&[], async || {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let state = tempfile::tempdir().unwrap();
        let place = state.path().display();
        sh(&format!(
            "mount --make-rprivate /; mount -t tmpfs -o size=64k none {place}"
        ));
        let bridge = Bridge::open(options(state.path())).await.unwrap();
        let (one, first) = sandbox(&bridge, "one").await;
        sh(&format!("cat /dev/zero >{place}/full 2>/dev/null || true"));
        let two = Namespace::new();
        let error = bridge
            .attach(&id("two"), &two.path(), &SandboxConfig::default())
            .await
            .unwrap_err();
        assert!(error.to_string().contains("No space left on device"), "{error}");
        assert!(!two.sh("ip link").contains("eth0"));
        let ports = with_ports(&[port(None, 8080, 80, Protocol::Tcp)]);
        bridge.attach(&id("one"), &one.path(), &ports).await.unwrap_err();
        sh(&format!("rm {place}/full"));
        let second = bridge.attach(&id("two"), &two.path(), &ports).await.unwrap();
        assert_eq!(second.ips[0].to_string(), "10.77.0.4");
        let _two = two.serve("0.0.0.0:80", "two");
        assert_eq!(one.ask("10.77.0.4:80").unwrap().from, first.ips[0]);
    });
}

#[test]
fn calls_for_one_sandbox_take_turns() {
    on_a_machine(&[], async || {
        let state = tempfile::tempdir().unwrap();
        let bridge = Bridge::open(options(state.path())).await.unwrap();
        let namespace = Namespace::new();
        let (sandbox, path, config) = (id("one"), namespace.path(), SandboxConfig::default());
        let all = future::join_all((0..8).map(|_| bridge.attach(&sandbox, &path, &config))).await;
        assert!(
            all.iter()
                .all(|attachment| attachment.as_ref().unwrap().ips[0].to_string() == "10.77.0.2")
        );
        let detach = bridge.detach(&sandbox, None);
        let attach = bridge.attach(&sandbox, &path, &config);
        let (detached, attached) = future::join(detach, attach).await;
        detached.unwrap();
        attached.unwrap();
        let _server = namespace.serve("0.0.0.0:80", "one");
        let ip = bridge.attach(&sandbox, &path, &config).await.unwrap().ips[0];
        assert_eq!(Namespace::here().ask(&format!("{ip}:80")).unwrap().word, "one");
        // One who gives up early leaves nothing half done for the next.
        for _ in 0..10 {
            let _ = tokio::time::timeout(Duration::from_micros(500), bridge.detach(&sandbox, None)).await;
            let _ = tokio::time::timeout(
                Duration::from_micros(500),
                bridge.attach(&sandbox, &path, &config),
            )
            .await;
        }
        bridge.detach(&sandbox, None).await.unwrap();
        assert_eq!(sh("ip -o link show type veth"), "");
    });
}

/// What the killed process does: attaches and detaches, to namespaces of its parent, until it is killed.
#[test]
#[ignore = "run by the test below, in a process of its own"]
fn attaching_until_killed() {
    let Some(arguments) = std::env::var("ORCH_PODNET_KILLED").ok() else {
        return;
    };
    let mut arguments = arguments.split(' ');
    let state: PathBuf = arguments.next().unwrap().into();
    let spaces: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tokio.block_on(async {
        let bridge = Bridge::open(options(&state)).await.unwrap();
        bridge.retain(&[id("stays")]).await.unwrap();
        let one = async |n: usize, space: &Path| {
            let config = with_ports(&[port(None, 9000 + n as u16, 80, Protocol::Tcp)]);
            loop {
                bridge
                    .attach(&id(&format!("s{n}")), space, &config)
                    .await
                    .unwrap();
                bridge.detach(&id(&format!("s{n}")), None).await.unwrap();
            }
        };
        future::join_all(spaces.iter().enumerate().map(|(n, space)| one(n, space))).await;
    });
}

fn killed_after(state: &Path, spaces: &[Namespace], pause: Duration) {
    let mut arguments = state.display().to_string();
    for space in spaces {
        arguments.push_str(&format!(" {}", space.path().display()));
    }
    let mut child: Child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "lasting::attaching_until_killed"])
        .env("ORCH_PODNET_KILLED", arguments)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(pause);
    assert_eq!(child.try_wait().unwrap(), None, "it works until it is killed");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_kill_at_any_point_leaves_nothing_that_stays() {
    on_a_machine(&[], async || {
        let state = tempfile::tempdir().unwrap();
        let bridge = Bridge::open(options(state.path())).await.unwrap();
        let (stays, kept) = sandbox(&bridge, "stays").await;
        drop(bridge);
        let _server = stays.serve("0.0.0.0:80", "stays");
        let spaces: Vec<Namespace> = (0..4).map(|_| Namespace::new()).collect();
        let random = orch_core::random::Random::from_os();
        for round in 0..12 {
            // From the first file to some way into the second or third round of all.
            let pause = Duration::from_micros(random.below(250_000));
            killed_after(state.path(), &spaces, pause);
            let bridge = Bridge::open(options(state.path())).await.unwrap();
            bridge.retain(&[id("stays")]).await.unwrap();
            let links = sh("ip -o link show type veth");
            assert_eq!(
                links.lines().count(),
                1,
                "round {round}, killed after {pause:?}: {links}"
            );
            assert_eq!(
                std::fs::read_dir(state.path().join("sandboxes")).unwrap().count(),
                1
            );
            let rules = sh("nft list table inet orch-podnet-orch0");
            assert!(!rules.contains("elements"), "{rules}");
            assert_eq!(
                bridge
                    .attach(&id("stays"), &stays.path(), &SandboxConfig::default())
                    .await
                    .unwrap(),
                kept
            );
            let (next, attachment) = sandbox(&bridge, "next").await;
            assert_ne!(attachment.ips, kept.ips);
            assert_eq!(next.ask("10.77.0.2:80").unwrap().word, "stays");
            // What was cut short can go on where it was.
            let config = SandboxConfig::default();
            bridge
                .attach(&id("s0"), &spaces[0].path(), &config)
                .await
                .unwrap();
            assert_eq!(spaces[0].ask("10.77.0.2:80").unwrap().word, "stays");
            bridge.retain(&[id("stays")]).await.unwrap();
        }
    });
}
