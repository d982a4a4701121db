//! Beside a Docker engine's rules, which are put here as the engine puts them.

use orch_core::runtime::{PodNetwork, Protocol};
use orch_podnet::Bridge;

use super::common::{Namespace, SHORT, id, lacking, on_a_machine, outside, port, sh, with_ports};
use super::{options, sandbox};

/// As dockerd 20 to 28 leave them with one bridge and no container.
fn engine() {
    sh("ip link add docker0 type bridge; ip addr add 172.17.0.1/16 dev docker0; ip link set docker0 up
        echo 1 >/proc/sys/net/ipv4/ip_forward
        for seen in /proc/sys/net/bridge/bridge-nf-call-ip*tables; do [ ! -e $seen ] || echo 1 >$seen; done
        for ipt in iptables ip6tables; do
          $ipt -P FORWARD DROP
          for chain in DOCKER DOCKER-ISOLATION-STAGE-1 DOCKER-ISOLATION-STAGE-2 DOCKER-USER; do $ipt -N $chain; done
          $ipt -A FORWARD -j DOCKER-USER
          $ipt -A FORWARD -j DOCKER-ISOLATION-STAGE-1
          $ipt -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
          $ipt -A FORWARD -o docker0 -j DOCKER
          $ipt -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
          $ipt -A FORWARD -i docker0 -o docker0 -j ACCEPT
          $ipt -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
          $ipt -A DOCKER-ISOLATION-STAGE-1 -j RETURN
          $ipt -A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
          $ipt -A DOCKER-ISOLATION-STAGE-2 -j RETURN
          $ipt -A DOCKER-USER -j RETURN
        done
        iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE");
}

fn chains() -> String {
    sh("iptables-save | grep -v '^[#:]'; ip6tables-save | grep -v '^[#:]'")
}

#[test]
fn sandboxes_reach_everyone_where_an_engine_forwards_nothing_else() {
    on_a_machine(&["iptables", "ip6tables"], async || {
        if !std::path::Path::new("/proc/sys/net/bridge/bridge-nf-call-iptables").exists() {
            return lacking("this kernel has no br_netfilter");
        }
        let outside = outside();
        engine();
        let state = tempfile::tempdir().unwrap();
        let bridge = Bridge::open(options(state.path())).await.unwrap();
        let (one, _) = sandbox(&bridge, "one").await;
        let web = Namespace::new();
        let ports = [port(None, 8080, 80, Protocol::Tcp)];
        bridge
            .attach(&id("web"), &web.path(), &with_ports(&ports))
            .await
            .unwrap();
        let _web = (web.serve("0.0.0.0:80", "web"), web.serve("[::]:81", "web"));
        let _outside = (
            outside.serve("0.0.0.0:80", "outside"),
            outside.serve("[::]:81", "outside"),
        );
        let machine = Namespace::here();
        for (from, to, word, source) in [
            (&one, "10.77.0.3:80", "web", "10.77.0.2"),
            (&one, "[fd00:77::3]:81", "web", "fd00:77::2"),
            (&one, "192.0.2.2:80", "outside", "192.0.2.1"),
            (&one, "[2001:db8::2]:81", "outside", "2001:db8::1"),
            (&outside, "192.0.2.1:8080", "web", "192.0.2.2"),
            (&machine, "127.0.0.1:8080", "web", "10.77.0.1"),
            (&one, "192.0.2.1:8080", "web", "10.77.0.1"),
            (&web, "192.0.2.1:8080", "web", "10.77.0.1"),
        ] {
            let answer = from.ask(to).unwrap();
            assert_eq!(
                (answer.word.as_str(), answer.from.to_string().as_str()),
                (word, source),
                "{to}"
            );
        }
        // What the policy keeps out stays out: nobody outside reaches a sandbox but by a port of the machine.
        outside.sh("ip route add 10.77.0.0/24 via 192.0.2.1");
        assert!(outside.ask_within("10.77.0.3:80", SHORT).is_err());

        // Opened again and looked at again, the rules are there once.
        let with = chains();
        assert_eq!(with.matches("orch-podnet-orch0").count(), 4, "{with}");
        drop(bridge);
        let bridge = Bridge::open(options(state.path())).await.unwrap();
        assert_eq!(bridge.status().await, Ok(()));
        assert_eq!(chains(), with);
        // An engine that starts anew may drop them.
        sh("iptables -F FORWARD; iptables -A FORWARD -j DOCKER-USER");
        assert!(one.ask_within("10.77.0.3:80", SHORT).is_err());
        assert_eq!(bridge.status().await, Ok(()));
        assert_eq!(one.ask("10.77.0.3:80").unwrap().word, "web");
    });
}

#[test]
fn an_engines_rules_are_left_as_they_are() {
    on_a_machine(&["iptables", "ip6tables"], async || {
        engine();
        let before = chains();
        let state = tempfile::tempdir().unwrap();
        let bridge = Bridge::open(options(state.path())).await.unwrap();
        let (_one, _) = sandbox(&bridge, "one").await;
        let ours: Vec<String> = chains()
            .lines()
            .filter(|line| line.contains("orch-podnet"))
            .map(str::to_owned)
            .collect();
        assert_eq!(ours.len(), 4);
        bridge.detach(&id("one"), None).await.unwrap();
        bridge.remove().await.unwrap();
        assert_eq!(chains(), before);
        assert!(!sh("nft list tables").contains("orch-podnet"));
    });
}

#[test]
fn where_nothing_is_dropped_no_rule_is_made() {
    on_a_machine(&["iptables", "ip6tables"], async || {
        let state = tempfile::tempdir().unwrap();
        let _bridge = Bridge::open(options(state.path())).await.unwrap();
        assert!(!sh("iptables -S; ip6tables -S").contains("orch-podnet"));
        assert_eq!(sh("nft list tables").trim(), "table inet orch-podnet-orch0");
    });
}
