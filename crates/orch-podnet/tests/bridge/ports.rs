//! Ports of the machine.

use std::io::Read;
use std::net::{SocketAddr, UdpSocket};

use orch_core::runtime::{HostPort, PodNetwork, Protocol, RuntimeError};
use orch_podnet::Bridge;
use socket2::{Domain, Socket, Type};

use super::common::{Namespace, PATIENCE, SHORT, id, lacking, on_a_machine, outside, port, sh, with_ports};
use super::options;

const WEB: u16 = 8080;

fn tcp(host_port: u16) -> HostPort {
    port(None, host_port, 80, Protocol::Tcp)
}

async fn with(bridge: &Bridge, name: &str, ports: &[HostPort]) -> Namespace {
    let namespace = Namespace::new();
    bridge
        .attach(&id(name), &namespace.path(), &with_ports(ports))
        .await
        .unwrap();
    namespace
}

/// Whether the kernel has frames that cross a bridge seen by iptables, as Docker wants it.
fn frames_seen_by_iptables(seen: bool) {
    let value = u8::from(seen);
    sh(&format!(
        "for name in iptables ip6tables; do
           setting=/proc/sys/net/bridge/bridge-nf-call-$name; [ ! -e $setting ] || echo {value} >$setting
         done"
    ));
}

#[test]
fn a_port_leads_in_from_outside_from_the_machine_and_from_sandboxes() {
    for seen in [false, true] {
        on_a_machine(&[], async || {
            frames_seen_by_iptables(seen);
            let outside = outside();
            let state = tempfile::tempdir().unwrap();
            let bridge = Bridge::open(options(state.path())).await.unwrap();
            let web = with(&bridge, "web", &[tcp(WEB)]).await;
            let other = with(&bridge, "other", &[]).await;
            let _web = (web.serve("0.0.0.0:80", "web"), web.serve("[::]:81", "web"));
            let machine = Namespace::here();
            // Whence the sandbox sees it come: outside by its own address, a sandbox as the bridge.
            for (from, to, source) in [
                (&outside, "192.0.2.1:8080", "192.0.2.2"),
                (&machine, "127.0.0.1:8080", "10.77.0.1"),
                (&machine, "192.0.2.1:8080", "192.0.2.1"),
                (&machine, "10.77.0.1:8080", "10.77.0.1"),
                (&other, "192.0.2.1:8080", "10.77.0.1"),
                (&other, "10.77.0.1:8080", "10.77.0.1"),
                (&web, "192.0.2.1:8080", "10.77.0.1"),
            ] {
                let answer = from
                    .ask(to)
                    .unwrap_or_else(|error| panic!("{error}, seen by iptables: {seen}"));
                assert_eq!(
                    (answer.word.as_str(), answer.from.to_string().as_str()),
                    ("web", source),
                    "{to}"
                );
            }
            // And no other port does.
            assert!(outside.ask_within("192.0.2.1:8081", SHORT).is_err());
            bridge.detach(&id("web"), None).await.unwrap();
            assert!(machine.ask_within("127.0.0.1:8080", SHORT).is_err());
        });
    }
}

#[test]
fn a_port_leads_in_over_ipv6() {
    on_a_machine(&[], async || {
        let outside = outside();
        let state = tempfile::tempdir().unwrap();
        let bridge = Bridge::open(options(state.path())).await.unwrap();
        let web = with(&bridge, "web", &[tcp(WEB)]).await;
        let _web = web.serve("[::]:80", "web");
        for (from, to, source) in [
            (&outside, "[2001:db8::1]:8080", "2001:db8::2"),
            (&Namespace::here(), "[2001:db8::1]:8080", "2001:db8::1"),
            (&web, "[2001:db8::1]:8080", "fd00:77::1"),
        ] {
            let answer = from.ask(to).unwrap();
            assert_eq!(
                (answer.word.as_str(), answer.from.to_string().as_str()),
                ("web", source),
                "{to}"
            );
        }
    });
}

#[test]
fn a_port_of_one_address_leads_in_by_that_alone() {
    on_a_machine(&[], async || {
        let outside = outside();
        sh("ip addr add 192.0.2.77/24 dev up0");
        let state = tempfile::tempdir().unwrap();
        let bridge = Bridge::open(options(state.path())).await.unwrap();
        let one = with(&bridge, "one", &[port(Some("192.0.2.1"), WEB, 80, Protocol::Tcp)]).await;
        let two = with(
            &bridge,
            "two",
            &[port(Some("192.0.2.77"), WEB, 80, Protocol::Tcp)],
        )
        .await;
        let three = with(
            &bridge,
            "three",
            &[port(Some("127.0.0.1"), WEB, 80, Protocol::Tcp)],
        )
        .await;
        let _servers = (
            one.serve("0.0.0.0:80", "one"),
            two.serve("0.0.0.0:80", "two"),
            three.serve("0.0.0.0:80", "three"),
        );
        assert_eq!(outside.ask("192.0.2.1:8080").unwrap().word, "one");
        assert_eq!(outside.ask("192.0.2.77:8080").unwrap().word, "two");
        assert_eq!(Namespace::here().ask("127.0.0.1:8080").unwrap().word, "three");
        assert!(Namespace::here().ask_within("10.77.0.1:8080", SHORT).is_err());
    });
}

#[test]
fn udp_ports_lead_to_whoever_has_them_now() {
    on_a_machine(&[], async || {
        let outside = outside();
        let state = tempfile::tempdir().unwrap();
        let bridge = Bridge::open(options(state.path())).await.unwrap();
        let dns = port(None, 53, 5353, Protocol::Udp);
        let one = with(&bridge, "one", std::slice::from_ref(&dns)).await;
        one.serve_udp("0.0.0.0:5353", "one");
        for from in [&outside, &Namespace::here()] {
            assert_eq!(from.ask_udp("192.0.2.1:53", SHORT).unwrap().word, "one");
        }
        assert_eq!(
            Namespace::here().ask_udp("127.0.0.1:53", SHORT).unwrap().word,
            "one"
        );
        // The port is another protocol's too, of another sandbox.
        let two = with(&bridge, "two", &[port(None, 53, 80, Protocol::Tcp)]).await;
        let _server = two.serve("0.0.0.0:80", "two");
        assert_eq!(outside.ask("192.0.2.1:53").unwrap().word, "two");
        assert_eq!(outside.ask_udp("192.0.2.1:53", SHORT).unwrap().word, "one");
    });
}

#[test]
fn who_goes_on_sending_over_udp_is_led_to_the_next_sandbox() {
    on_a_machine(&[], async || {
        let outside = outside();
        let state = tempfile::tempdir().unwrap();
        let bridge = Bridge::open(options(state.path())).await.unwrap();
        let socket = outside.run(|| UdpSocket::bind("192.0.2.2:4000").unwrap());
        socket.set_read_timeout(Some(SHORT)).unwrap();
        let ask = || {
            let mut buffer = [0; 64];
            socket.send_to(b"?", "192.0.2.1:53").unwrap();
            let length = socket.recv(&mut buffer).ok()?;
            Some(
                String::from_utf8_lossy(&buffer[..length])
                    .split(' ')
                    .next()
                    .unwrap()
                    .to_owned(),
            )
        };
        // One who asks before there is anybody is as one whom the machine itself would answer.
        assert_eq!(ask(), None);
        let dns = port(None, 53, 5353, Protocol::Udp);
        let one = with(&bridge, "one", std::slice::from_ref(&dns)).await;
        one.serve_udp("0.0.0.0:5353", "one");
        assert_eq!(ask().as_deref(), Some("one"));
        bridge.detach(&id("one"), None).await.unwrap();
        let two = with(&bridge, "two", &[dns]).await;
        two.serve_udp("0.0.0.0:5353", "two");
        assert_eq!(ask().as_deref(), Some("two"));
    });
}

/// The first packet of an association from port 4000, as RFC 9260 has it.
fn sctp_init(to: u16) -> Vec<u8> {
    let mut packet = Vec::new();
    packet.extend(4000_u16.to_be_bytes());
    packet.extend(to.to_be_bytes());
    packet.extend([0; 8]); // no tag yet; the checksum
    packet.extend([1, 0, 0, 20, 0, 0, 0, 7, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 9]); // INIT
    let mut sum = u32::MAX;
    for byte in &packet {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 {
                (sum >> 1) ^ 0x82f6_3b78
            } else {
                sum >> 1
            };
        }
    }
    packet[8..12].copy_from_slice(&(!sum).to_le_bytes());
    packet
}

#[test]
fn sctp_ports_lead_in() {
    on_a_machine(&[], async || {
        let outside = outside();
        let state = tempfile::tempdir().unwrap();
        let bridge = Bridge::open(options(state.path())).await.unwrap();
        if !std::path::Path::new("/proc/sys/net/netfilter/nf_conntrack_sctp_timeout_established").exists() {
            return lacking("this kernel does not track SCTP");
        }
        let one = with(&bridge, "one", &[port(None, 3868, 38680, Protocol::Sctp)]).await;
        // Without SCTP itself in the kernel: as packets.
        let raw = || Socket::new(Domain::IPV4, Type::RAW, Some(socket2::Protocol::from(132))).unwrap();
        let (mut server, client) = (one.run(raw), outside.run(raw));
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        let to: SocketAddr = "192.0.2.1:0".parse().unwrap();
        client.send_to(&sctp_init(3868), &to.into()).unwrap();
        let mut packet = [0; 128];
        let length = server.read(&mut packet).unwrap();
        let (ip, sctp) = packet[..length].split_at(20);
        assert_eq!(
            (&ip[12..16], &ip[16..20]),
            (&[192, 0, 2, 2][..], &[10, 77, 0, 2][..])
        );
        assert_eq!(sctp, sctp_init(38680));
    });
}

#[test]
fn a_port_that_is_taken_is_refused_and_nothing_is_left() {
    on_a_machine(&[], async || {
        let state = tempfile::tempdir().unwrap();
        let bridge = Bridge::open(options(state.path())).await.unwrap();
        let namespace = Namespace::new();
        let one = with(&bridge, "one", &[tcp(WEB)]).await;
        let machine = Namespace::here();
        let _listens = machine.serve("127.0.0.1:9090", "machine");
        let refused = async |ports: &[HostPort]| {
            let error = bridge
                .attach(&id("two"), &namespace.path(), &with_ports(ports))
                .await
                .unwrap_err();
            assert!(!namespace.sh("ip link").contains("eth0"));
            assert_eq!(
                std::fs::read_dir(state.path().join("sandboxes")).unwrap().count(),
                1
            );
            error
        };
        let error = refused(&[tcp(WEB)]).await;
        assert_eq!(
            error.to_string(),
            "the machine's port 8080/TCP is in use by sandbox one"
        );
        let error = refused(&[tcp(8081), tcp(9090)]).await;
        assert_eq!(
            error.to_string(),
            "the machine's port 9090/TCP is in use by a program that listens on it"
        );
        for (port, expected) in [
            (
                port(None, 0, 80, Protocol::Tcp),
                "host_ports[0].host_port: 0: must be 1 to 65535",
            ),
            (
                port(None, 80, 0, Protocol::Tcp),
                "host_ports[0].container_port: 0: must be 1 to 65535",
            ),
            (
                port(Some("::1"), 80, 80, Protocol::Tcp),
                "host_ports[0].host_ip: ::1: the kernel takes nothing",
            ),
        ] {
            let error = refused(&[port]).await;
            assert!(
                matches!(error, RuntimeError::InvalidConfig { .. })
                    && error.to_string().starts_with(expected),
                "{error}"
            );
        }
        // One that is connected stays so when it asks for what it cannot have.
        let _server = one.serve("0.0.0.0:80", "one");
        for port in [tcp(9090), port(None, 0, 80, Protocol::Tcp)] {
            let ports = with_ports(&[tcp(WEB), port]);
            bridge.attach(&id("one"), &one.path(), &ports).await.unwrap_err();
            assert_eq!(machine.ask("127.0.0.1:8080").unwrap().word, "one");
        }
        // Its own it may ask for again, and others.
        bridge
            .attach(&id("one"), &one.path(), &with_ports(&[tcp(WEB), tcp(8081)]))
            .await
            .unwrap();
        bridge
            .attach(&id("one"), &one.path(), &with_ports(&[tcp(8082)]))
            .await
            .unwrap();
        assert_eq!(machine.ask("127.0.0.1:8082").unwrap().word, "one");
        assert!(machine.ask_within("127.0.0.1:8080", SHORT).is_err());
        // What one gave up another may have.
        bridge
            .attach(&id("two"), &namespace.path(), &with_ports(&[tcp(WEB)]))
            .await
            .unwrap();
    });
}

#[test]
fn without_ipv6_addresses_its_ports_are_refused() {
    on_a_machine(&[], async || {
        let state = tempfile::tempdir().unwrap();
        let bridge = Bridge::open(orch_podnet::BridgeOptions::new(state.path()))
            .await
            .unwrap();
        let ports = [port(Some("2001:db8::1"), 80, 80, Protocol::Tcp)];
        let error = bridge
            .attach(&id("one"), &Namespace::new().path(), &with_ports(&ports))
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "host_ports[0].host_ip: 2001:db8::1: sandboxes have no IPv6 address"
        );
    });
}

#[test]
fn rules_that_somebody_flushed_come_back() {
    on_a_machine(&[], async || {
        let state = tempfile::tempdir().unwrap();
        let bridge = Bridge::open(options(state.path())).await.unwrap();
        let web = with(&bridge, "web", &[tcp(WEB)]).await;
        let _web = web.serve("0.0.0.0:80", "web");
        let machine = Namespace::here();
        sh("nft flush ruleset");
        assert!(machine.ask_within("127.0.0.1:8080", SHORT).is_err());
        assert_eq!(bridge.status().await, Ok(()));
        assert_eq!(machine.ask("127.0.0.1:8080").unwrap().word, "web");
        // Whoever comes or goes first finds it out as well.
        sh("nft flush ruleset");
        let more = with(&bridge, "more", &[tcp(8081)]).await;
        let _more = more.serve("0.0.0.0:80", "more");
        assert_eq!(machine.ask("127.0.0.1:8080").unwrap().word, "web");
        assert_eq!(machine.ask("127.0.0.1:8081").unwrap().word, "more");
        sh("nft flush ruleset");
        bridge.detach(&id("more"), None).await.unwrap();
        assert_eq!(machine.ask("127.0.0.1:8080").unwrap().word, "web");
        // So does the bridge, with those that were on it.
        sh("ip link del orch0");
        assert!(machine.ask_within("10.77.0.2:80", SHORT).is_err());
        assert_eq!(bridge.status().await, Ok(()));
        assert_eq!(machine.ask("127.0.0.1:8080").unwrap().word, "web");
    });
}
