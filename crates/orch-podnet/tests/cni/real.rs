//! Debian's containernetworking-plugins.

use std::path::Path;

use orch_core::runtime::{HostPort, PodNetwork, Protocol, RuntimeError, SandboxConfig};
use orch_podnet::{Cni, PluginError};

use super::common::{Namespace, SHORT, id, on_a_machine, outside, port, sh, skipped, with_ports};
use super::{Place, count};

/// Whether the plugins are where they are looked for.
fn plugins() -> bool {
    let there = ["/opt/cni/bin", "/usr/lib/cni"].iter().any(|dir| {
        ["bridge", "host-local", "portmap", "ptp", "tuning"]
            .iter()
            .all(|plugin| Path::new(dir).join(plugin).is_file())
    });
    if !there {
        skipped("there are no CNI plugins on this machine (Debian: containernetworking-plugins)");
    }
    there
}

fn chain(place: &Place, version: &str, subnet: &str) -> String {
    let data = place.dir("ipam");
    format!(
        r#"{{"cniVersion":"{version}","name":"pods","plugins":[
            {{"type":"bridge","bridge":"cni9","isGateway":true,"ipMasq":true,"hairpinMode":true,
              "ipam":{{"type":"host-local","dataDir":"{}","ranges":[[{{"subnet":"{subnet}"}}]],"routes":[{{"dst":"0.0.0.0/0"}}]}}}},
            {{"type":"portmap","capabilities":{{"portMappings":true}}}},
            {{"type":"tuning","sysctl":{{"net.core.somaxconn":"500"}}}}]}}"#,
        data.display()
    )
}

fn web() -> SandboxConfig {
    with_ports(&[port(None, 8080, 80, Protocol::Tcp)])
}

#[test]
fn a_chain_connects_and_disconnects_in_each_version() {
    if !plugins() {
        return;
    }
    for version in ["0.3.1", "0.4.0", "1.0.0"] {
        on_a_machine(&["iptables"], async || {
            let outside = outside();
            let place = Place::new();
            place.configure("10-pods.conflist", &chain(&place, version, "10.78.0.0/24"));
            let cni = Cni::open(place.options()).await.unwrap();
            assert_eq!(cni.status().await, Ok(()));
            sh("echo 1 >/proc/sys/net/ipv4/ip_forward");
            let (one, two) = (Namespace::new(), Namespace::new());
            let first = cni.attach(&id("one"), &one.path(), &web()).await.unwrap();
            let second = cni
                .attach(&id("two"), &two.path(), &SandboxConfig::default())
                .await
                .unwrap();
            assert_eq!(
                (first.ips[0].to_string(), second.ips[0].to_string()),
                ("10.78.0.2".into(), "10.78.0.3".into())
            );
            assert_eq!(one.sh("cat /proc/sys/net/core/somaxconn").trim(), "500");
            let _one = one.serve("0.0.0.0:80", "one");
            let _outside = outside.serve("0.0.0.0:80", "outside");
            assert_eq!(two.ask("10.78.0.2:80").unwrap().word, "one");
            assert_eq!(one.ask("127.0.0.1:80").unwrap().word, "one");
            assert_eq!(two.ask("192.0.2.2:80").unwrap().from.to_string(), "192.0.2.1");
            assert_eq!(outside.ask("192.0.2.1:8080").unwrap().word, "one");
            assert_eq!(Namespace::here().ask("127.0.0.1:8080").unwrap().word, "one");

            let links = sh("ip -o link show type veth");
            assert_eq!(cni.attach(&id("one"), &one.path(), &web()).await.unwrap(), first);
            assert_eq!(sh("ip -o link show type veth"), links, "it holds, so it is left");

            // Another configuration by now, and another process: it is disconnected as it was connected.
            drop(cni);
            place.configure(
                "10-pods.conflist",
                &chain(&place, version, "10.79.0.0/24").replace("cni9", "cni8"),
            );
            let cni = Cni::open(place.options()).await.unwrap();
            cni.retain(&[id("one")]).await.unwrap();
            assert!(!two.sh("ip link").contains("eth0"));
            assert_eq!(outside.ask("192.0.2.1:8080").unwrap().word, "one");
            cni.detach(&id("one"), Some(&one.path())).await.unwrap();
            cni.detach(&id("one"), None).await.unwrap();
            assert!(outside.ask_within("192.0.2.1:8080", SHORT).is_err());
            assert!(!sh("ip -o link show type veth").contains("cni9"));
            assert_eq!(place.kept(), 0);
            assert!(!sh("iptables-save").contains("8080"), "{}", sh("iptables-save"));
            let third = cni
                .attach(&id("three"), &two.path(), &SandboxConfig::default())
                .await
                .unwrap();
            assert_eq!(third.ips[0].to_string(), "10.79.0.2");
            // Its namespace is gone by the time that it is disconnected.
            drop(two);
            cni.detach(&id("three"), None).await.unwrap();
            // What is left are plugins' own files: the last address and a lock.
            assert!(count(&place.dir("ipam/pods")) <= 3);
        });
    }
}

#[test]
fn a_sandbox_that_lost_its_link_is_connected_again() {
    if !plugins() {
        return;
    }
    on_a_machine(&["iptables"], async || {
        let place = Place::new();
        // Without masquerading: the plugin leaves a rule behind if the link is gone, and stumbles over it then.
        let chain = chain(&place, "1.0.0", "10.78.0.0/24").replace(r#""ipMasq":true"#, r#""ipMasq":false"#);
        place.configure("10-pods.conflist", &chain);
        let cni = Cni::open(place.options()).await.unwrap();
        let one = Namespace::new();
        cni.attach(&id("one"), &one.path(), &web()).await.unwrap();
        one.sh("ip link del eth0");
        let again = cni.attach(&id("one"), &one.path(), &web()).await.unwrap();
        let server = one.serve("0.0.0.0:80", "one");
        let machine = Namespace::here();
        assert_eq!(machine.ask(&format!("{}:80", again.ips[0])).unwrap().word, "one");
        assert_eq!(machine.ask("127.0.0.1:8080").unwrap().word, "one");
        drop(server);
        // Another namespace of the same sandbox, and other ports.
        let other = Namespace::new();
        let config = with_ports(&[port(None, 8081, 80, Protocol::Tcp)]);
        cni.attach(&id("one"), &other.path(), &config).await.unwrap();
        let _other = other.serve("0.0.0.0:80", "other");
        assert_eq!(machine.ask("127.0.0.1:8081").unwrap().word, "other");
        assert!(machine.ask_within("127.0.0.1:8080", SHORT).is_err());
    });
}

#[test]
fn a_single_plugin_of_an_old_version_is_enough() {
    if !plugins() {
        return;
    }
    on_a_machine(&[], async || {
        let place = Place::new();
        let data = place.dir("ipam");
        place.configure(
            "10-ptp.conf",
            &format!(
                r#"{{"cniVersion":"0.3.1","name":"ptp","type":"ptp","ipam":{{"type":"host-local","dataDir":"{}",
                    "ranges":[[{{"subnet":"10.78.0.0/24"}}],[{{"subnet":"fd00:78::/64"}}]]}}}}"#,
                data.display()
            ),
        );
        let cni = Cni::open(place.options()).await.unwrap();
        let one = Namespace::new();
        let attachment = cni
            .attach(&id("one"), &one.path(), &SandboxConfig::default())
            .await
            .unwrap();
        let ips: Vec<String> = attachment.ips.iter().map(ToString::to_string).collect();
        assert_eq!(ips, ["10.78.0.2", "fd00:78::2"]);
        let ports: [HostPort; 1] = [port(None, 8080, 80, Protocol::Tcp)];
        let error = cni
            .attach(&id("two"), &Namespace::new().path(), &with_ports(&ports))
            .await
            .unwrap_err();
        let expected = "host_ports: no plugin of the CNI network ptp has the capability portMappings";
        assert_eq!(error.to_string(), expected);
        cni.retain(&[]).await.unwrap();
        assert!(!one.sh("ip link").contains("eth0"));
    });
}

#[test]
fn a_plugins_refusal_is_told_and_leaves_nothing() {
    if !plugins() {
        return;
    }
    on_a_machine(&[], async || {
        let place = Place::new();
        place.configure("10-pods.conflist", &chain(&place, "1.0.0", "10.78.0.0/31"));
        let cni = Cni::open(place.options()).await.unwrap();
        let one = Namespace::new();
        let error = cni.attach(&id("one"), &one.path(), &web()).await.unwrap_err();
        let RuntimeError::Failed { what, source } = &error else {
            panic!("{error}")
        };
        assert_eq!(what, "connecting sandbox one to the CNI network pods");
        let refusal = source.downcast_ref::<PluginError>().unwrap();
        assert_eq!((refusal.plugin.as_str(), refusal.verb), ("bridge", "ADD"));
        assert!(
            refusal.code.is_some() && refusal.message.contains("10.78.0.0/31"),
            "{refusal:?}"
        );
        assert!(!one.sh("ip link").contains("eth0"));
        assert_eq!(place.kept(), 0);

        let full = Place::new();
        full.configure(
            "10-pods.conflist",
            &chain(&full, "1.0.0", "10.78.0.0/30").replace("cni9", "cni7"),
        );
        let cni = Cni::open(full.options()).await.unwrap();
        cni.attach(&id("one"), &one.path(), &SandboxConfig::default())
            .await
            .unwrap();
        let error = cni
            .attach(&id("two"), &Namespace::new().path(), &SandboxConfig::default())
            .await
            .unwrap_err();
        assert!(error.to_string().contains("no IP addresses available"), "{error}");
        assert_eq!(full.kept(), 1);
    });
}
