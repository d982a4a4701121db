//! Who reaches whom.

use std::io::Write;
use std::time::{Duration, Instant};

use orch_core::runtime::{PodNetwork, SandboxConfig};
use orch_podnet::{Bridge, BridgeOptions};

use super::common::{Namespace, SHORT, id, on_a_machine, outside, sh};
use super::{options, sandbox};

#[test]
fn sandboxes_reach_each_other_and_the_machine_with_their_own_addresses() {
    on_a_machine(&[], async || {
        let state = tempfile::tempdir().unwrap();
        let bridge = Bridge::open(options(state.path())).await.unwrap();
        assert_eq!(bridge.subnets(), ["10.77.0.0/24", "fd00:77::/64"]);
        let (one, first) = sandbox(&bridge, "one").await;
        let (two, second) = sandbox(&bridge, "two").await;
        assert_eq!(
            first.ips,
            ["10.77.0.2", "fd00:77::2"].map(|ip| ip.parse::<std::net::IpAddr>().unwrap())
        );
        assert_eq!(
            second.ips,
            ["10.77.0.3", "fd00:77::3"].map(|ip| ip.parse::<std::net::IpAddr>().unwrap())
        );

        // Routes are what the network says, not what another sandbox announces.
        assert_eq!(one.sh("cat /proc/sys/net/ipv6/conf/eth0/accept_ra").trim(), "0");
        let _pods = (two.serve("0.0.0.0:80", "two"), two.serve("[::]:81", "two"));
        let machine = Namespace::here();
        let _machine = (
            machine.serve("10.77.0.1:80", "machine"),
            machine.serve("[fd00:77::1]:80", "machine"),
        );
        for (from, to, word, source) in [
            (&one, "10.77.0.3:80", "two", "10.77.0.2"),
            (&one, "[fd00:77::3]:81", "two", "fd00:77::2"),
            (&one, "10.77.0.1:80", "machine", "10.77.0.2"),
            (&one, "[fd00:77::1]:80", "machine", "fd00:77::2"),
            (&machine, "10.77.0.3:80", "two", "10.77.0.1"),
            (&machine, "[fd00:77::3]:81", "two", "fd00:77::1"),
            (&two, "127.0.0.1:80", "two", "127.0.0.1"),
        ] {
            let answer = from.ask(to).unwrap();
            assert_eq!(
                (answer.word.as_str(), answer.from.to_string().as_str()),
                (word, source),
                "{to}"
            );
        }
    });
}

#[test]
fn a_network_may_be_of_ipv6_alone() {
    on_a_machine(&[], async || {
        let outside = outside();
        let state = tempfile::tempdir().unwrap();
        let bridge = Bridge::open(BridgeOptions::new(state.path()).subnet("fd00:78::/112"))
            .await
            .unwrap();
        let (one, first) = sandbox(&bridge, "one").await;
        let (two, second) = sandbox(&bridge, "two").await;
        let ips = [&first.ips[0], &second.ips[0]].map(ToString::to_string);
        assert_eq!(
            (first.ips.len(), ips),
            (1, ["fd00:78::2".to_owned(), "fd00:78::3".to_owned()])
        );
        let _servers = (two.serve("[::]:80", "two"), outside.serve("[::]:80", "outside"));
        assert_eq!(one.ask("[fd00:78::3]:80").unwrap().from.to_string(), "fd00:78::2");
        assert_eq!(
            one.ask("[2001:db8::2]:80").unwrap().from.to_string(),
            "2001:db8::1"
        );
    });
}

#[test]
fn what_leaves_the_subnet_comes_from_the_machine() {
    on_a_machine(&[], async || {
        let outside = outside();
        let state = tempfile::tempdir().unwrap();
        let bridge = Bridge::open(options(state.path())).await.unwrap();
        let (one, _) = sandbox(&bridge, "one").await;
        let _servers = (
            outside.serve("0.0.0.0:80", "outside"),
            outside.serve("[::]:81", "outside"),
        );
        // The machine's own default route is the sandbox's way out.
        assert_eq!(one.ask("192.0.2.2:80").unwrap().from.to_string(), "192.0.2.1");
        assert_eq!(
            one.ask("[2001:db8::2]:81").unwrap().from.to_string(),
            "2001:db8::1"
        );
        assert_eq!(sh("cat /proc/sys/net/ipv4/ip_forward").trim(), "1");
        assert_eq!(sh("cat /proc/sys/net/ipv6/conf/all/forwarding").trim(), "1");
    });
}

#[test]
fn without_masquerading_who_answers_must_know_the_way() {
    on_a_machine(&[], async || {
        let outside = outside();
        let state = tempfile::tempdir().unwrap();
        let bridge = Bridge::open(options(state.path()).masquerade(false))
            .await
            .unwrap();
        let (one, _) = sandbox(&bridge, "one").await;
        let _server = outside.serve("0.0.0.0:80", "outside");
        assert!(one.ask_within("192.0.2.2:80", SHORT).is_err());
        outside.sh("ip route add 10.77.0.0/24 via 192.0.2.1");
        assert_eq!(one.ask("192.0.2.2:80").unwrap().from.to_string(), "10.77.0.2");
    });
}

#[test]
fn sandboxes_do_not_reach_the_machines_loopback() {
    on_a_machine(&[], async || {
        let state = tempfile::tempdir().unwrap();
        let bridge = Bridge::open(options(state.path())).await.unwrap();
        let (one, _) = sandbox(&bridge, "one").await;
        let machine = Namespace::here();
        let _server = machine.serve("127.0.0.1:80", "loopback");
        assert_eq!(machine.ask("127.0.0.1:80").unwrap().word, "loopback");
        // A sandbox that sends to 127.0.0.1 over the bridge, as only one with privileges can.
        one.sh("sysctl -qw net.ipv4.conf.all.route_localnet=1; ip addr del 127.0.0.1/8 dev lo;
                ip route flush table local; ip route add 127.0.0.1/32 via 10.77.0.1; ip route add local 10.77.0.2 dev eth0 table local");
        assert!(one.ask_within("127.0.0.1:80", SHORT).is_err());
        // It is the rule that keeps it away, and nothing that this test did wrong.
        sh("nft flush chain inet orch-podnet-orch0 guard");
        assert_eq!(one.ask("127.0.0.1:80").unwrap().word, "loopback");
    });
}

#[test]
fn two_networks_on_one_machine_leave_each_other_alone() {
    on_a_machine(&[], async || {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let one = Bridge::open(BridgeOptions::new(first.path()).name("one"))
            .await
            .unwrap();
        let two = Bridge::open(BridgeOptions::new(second.path()).name("two"))
            .await
            .unwrap();
        assert_ne!(one.subnets(), two.subnets());
        let (a, _) = sandbox(&one, "a").await;
        let (b, at) = sandbox(&two, "a").await;
        let _server = b.serve("0.0.0.0:80", "two");
        let to = format!("{}:80", at.ips[0]);
        assert_eq!(a.ask(&to).unwrap().word, "two");
        // What one removes, it removes of its own.
        one.retain(&[]).await.unwrap();
        one.remove().await.unwrap();
        assert!(!sh("ip link").contains("one"));
        assert!(!sh("nft list tables").contains("orch-podnet-one"));
        assert_eq!(Namespace::here().ask(&to).unwrap().word, "two");
        assert_eq!(two.status().await, Ok(()));
        let (c, _) = sandbox(&two, "c").await;
        assert_eq!(c.ask(&to).unwrap().word, "two");
    });
}

#[test]
fn attaching_again_gives_the_same_and_detaching_leaves_nothing() {
    on_a_machine(&[], async || {
        let state = tempfile::tempdir().unwrap();
        let bridge = Bridge::open(options(state.path())).await.unwrap();
        let (one, first) = sandbox(&bridge, "one").await;
        let _server = one.serve("0.0.0.0:80", "one");
        let before = sh("ip -o link show type veth");
        let again = bridge
            .attach(&id("one"), &one.path(), &SandboxConfig::default())
            .await
            .unwrap();
        assert_eq!(again, first);
        assert_eq!(sh("ip -o link show type veth"), before, "the links are the same");
        assert_eq!(Namespace::here().ask("10.77.0.2:80").unwrap().word, "one");

        // Another namespace of the same sandbox, as after its first was lost.
        let other = Namespace::new();
        let moved = bridge
            .attach(&id("one"), &other.path(), &SandboxConfig::default())
            .await
            .unwrap();
        assert_eq!(moved, first);
        let _server = other.serve("0.0.0.0:80", "other");
        assert_eq!(Namespace::here().ask("10.77.0.2:80").unwrap().word, "other");

        bridge.detach(&id("one"), Some(&other.path())).await.unwrap();
        bridge.detach(&id("one"), None).await.unwrap();
        assert_eq!(sh("ip -o link show type veth"), "");
        assert!(!other.sh("ip -o link").contains("eth0"));
        assert_eq!(
            std::fs::read_dir(state.path().join("sandboxes")).unwrap().count(),
            0
        );
    });
}

#[test]
fn a_namespace_with_a_link_of_its_own_is_refused_and_left_as_it_is() {
    on_a_machine(&[], async || {
        let state = tempfile::tempdir().unwrap();
        let bridge = Bridge::open(options(state.path())).await.unwrap();
        let taken = Namespace::new();
        taken.sh("ip link add eth0 type bridge");
        let error = bridge
            .attach(&id("one"), &taken.path(), &SandboxConfig::default())
            .await
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("has a link eth0 that is not this network's"),
            "{error}"
        );
        assert!(taken.sh("ip link").contains("eth0"));
        let missing = bridge
            .attach(&id("one"), "/nowhere".as_ref(), &SandboxConfig::default())
            .await
            .unwrap_err();
        assert!(
            missing
                .to_string()
                .contains("opening the network namespace /nowhere"),
            "{missing}"
        );
        let odd = bridge
            .attach(&id("../one"), &taken.path(), &SandboxConfig::default())
            .await
            .unwrap_err();
        assert!(
            odd.to_string()
                .starts_with("sandbox: \"../one\": must begin with"),
            "{odd}"
        );
        assert_eq!(sh("ip -o link show type veth"), "");
        assert_eq!(
            std::fs::read_dir(state.path().join("sandboxes")).unwrap().count(),
            0
        );
    });
}

#[test]
fn a_sandbox_is_connected_in_a_few_milliseconds() {
    on_a_machine(&[], async || {
        let state = tempfile::tempdir().unwrap();
        let bridge = Bridge::open(options(state.path())).await.unwrap();
        let (mut times, mut apart) = (Vec::new(), Vec::new());
        for n in 0..40 {
            let namespace = Namespace::new();
            let begun = Instant::now();
            bridge
                .attach(
                    &id(&format!("s{n}")),
                    &namespace.path(),
                    &SandboxConfig::default(),
                )
                .await
                .unwrap();
            times.push(begun.elapsed());
            let begun = Instant::now();
            bridge.detach(&id(&format!("s{n}")), None).await.unwrap();
            apart.push(begun.elapsed());
        }
        times.sort();
        apart.sort();
        for (what, times) in [("attach", &times), ("detach", &apart)] {
            let (least, median, most) = (times[0], times[20], times[39]);
            let _ = writeln!(
                std::io::stderr(),
                "{what}: least {least:?}, median {median:?}, most {most:?}"
            );
        }
        // A tenth of it on a machine with nothing else to do; one of forty is not disturbed.
        assert!(times[0] < Duration::from_millis(30), "{times:?}");
    });
}
