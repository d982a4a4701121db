//! The files in `/etc` that tell a pod's containers of its network and its name. Pure.

use std::net::{IpAddr, Ipv4Addr};

use orch_core::runtime::SandboxConfig;

/// `/etc/hosts` on the machine's network: the machine's, and what was asked for.
pub(crate) fn hosts_of_machine(config: &SandboxConfig, machine: &str) -> String {
    machine.trim_end().to_owned() + "\n" + &aliases(config)
}

/// `/etc/hosts` on a network of its own, as kubelet writes it.
pub(crate) fn hosts(config: &SandboxConfig, ips: &[IpAddr]) -> String {
    let mut text = String::from(
        "# Kubernetes-managed hosts file.\n\
         127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\n\
         fe00::0\tip6-mcastprefix\n\
         fe00::1\tip6-allnodes\n\
         fe00::2\tip6-allrouters\n",
    );
    if !config.hostname.is_empty() {
        text.extend(ips.iter().map(|ip| format!("{ip}\t{}\n", config.hostname)));
    }
    text + &aliases(config)
}

fn aliases(config: &SandboxConfig) -> String {
    if config.host_aliases.is_empty() {
        return String::new();
    }
    let lines = config
        .host_aliases
        .iter()
        .map(|(address, names)| format!("{address}\t{}\n", names.join("\t")));
    "\n# Entries added by HostAliases.\n".to_owned() + &lines.collect::<String>()
}

/// `/etc/resolv.conf`: as asked for, or the machine's, whose files `read` reads. What listens on the machine's own loopback
/// is out of reach from another network.
pub(crate) fn resolv_conf(
    config: &SandboxConfig,
    own_network: bool,
    read: impl Fn(&str) -> String,
) -> String {
    if config.dns_servers.is_empty() && config.dns_searches.is_empty() && config.dns_options.is_empty() {
        let mut machine = read("/etc/resolv.conf");
        if own_network && is_resolveds(&machine) {
            let servers = read(RESOLVED);
            machine = if servers.is_empty() { machine } else { servers };
        }
        let lines = machine.split_inclusive('\n');
        return lines.filter(|line| !own_network || !is_loopback(line)).collect();
    }
    let mut text: String = config
        .dns_servers
        .iter()
        .map(|server| format!("nameserver {server}\n"))
        .collect();
    for (word, values) in [("search", &config.dns_searches), ("options", &config.dns_options)] {
        if !values.is_empty() {
            text += &format!("{word} {}\n", values.join(" "));
        }
    }
    text
}

/// Whether a line names a server on the loopback.
fn is_loopback(line: &str) -> bool {
    server(line).is_some_and(|address| address.is_loopback())
}

/// The server that a line names.
fn server(line: &str) -> Option<IpAddr> {
    let mut words = line.split_whitespace();
    let server = (words.next() == Some("nameserver")).then(|| words.next());
    server.flatten()?.parse().ok()
}

/// Where systemd-resolved has the servers that it asks itself (systemd-resolved.service(8)).
const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";

/// Whether the machine's file leads to systemd-resolved alone, which listens on the machine's loopback. Then other networks
/// get the servers that it asks, as kubeadm has kubelets do it, and Docker.
fn is_resolveds(machine: &str) -> bool {
    const STUBS: [IpAddr; 2] = [
        IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53)),
        IpAddr::V4(Ipv4Addr::new(127, 0, 0, 54)),
    ];
    let mut servers = machine.lines().filter_map(server).peekable();
    servers.peek().is_some() && servers.all(|server| STUBS.contains(&server))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_the_machines_network_the_files_are_the_machines_with_what_was_asked_for() {
        let mut config = SandboxConfig::default();
        let machine = "nameserver 127.0.0.53\nnameserver 9.9.9.9\n";
        let read = |path: &str| match path {
            "/etc/resolv.conf" => machine.into(),
            other => panic!("{other} is not asked for"),
        };
        assert_eq!(resolv_conf(&config, false, read), machine);
        assert_eq!(resolv_conf(&config, true, read), "nameserver 9.9.9.9\n");
        config.dns_servers = vec!["127.0.0.1".parse().unwrap()];
        config.dns_searches = vec!["a.example".into(), "b.example".into()];
        config.dns_options = vec!["ndots:5".into()];
        let expected = "nameserver 127.0.0.1\nsearch a.example b.example\noptions ndots:5\n";
        for own_network in [false, true] {
            assert_eq!(resolv_conf(&config, own_network, read), expected);
        }
        assert_eq!(
            hosts_of_machine(&config, "127.0.0.1 localhost"),
            "127.0.0.1 localhost\n"
        );
        config.host_aliases = vec![("10.1.2.3".parse().unwrap(), vec!["db".into(), "cache".into()])];
        assert_eq!(
            hosts_of_machine(&config, "127.0.0.1 localhost"),
            "127.0.0.1 localhost\n\n# Entries added by HostAliases.\n10.1.2.3\tdb\tcache\n"
        );
    }

    #[test]
    fn of_a_machine_that_asks_resolved_alone_pods_get_the_servers_that_it_asks() {
        let real = "nameserver 192.0.2.1\nnameserver 127.0.0.1\nsearch lan\n";
        for (machine, is_resolveds) in [
            (
                "# by systemd-resolved\nnameserver 127.0.0.53\noptions edns0 trust-ad\nsearch .\n",
                true,
            ),
            ("nameserver 127.0.0.54\nnameserver 127.0.0.53", true),
            ("nameserver 127.0.0.53\nnameserver 9.9.9.9\n", false),
            ("nameserver 127.0.0.1\n", false),
            ("#nameserver 127.0.0.53\n", false),
            ("", false),
        ] {
            let read = |path: &str| match path {
                "/etc/resolv.conf" => machine.to_owned(),
                RESOLVED => real.to_owned(),
                other => panic!("{other} is not asked for"),
            };
            let config = SandboxConfig::default();
            assert_eq!(resolv_conf(&config, false, read), machine);
            let pods = resolv_conf(&config, true, read);
            let expected = "nameserver 192.0.2.1\nsearch lan\n";
            assert_eq!(pods == expected, is_resolveds, "{machine:?}: {pods:?}");
            assert!(!pods.lines().any(is_loopback), "{machine:?}: {pods:?}");
        }
    }

    #[test]
    fn on_a_network_of_its_own_a_pod_finds_itself_by_name() {
        let config = SandboxConfig {
            hostname: "web".into(),
            host_aliases: vec![("10.1.2.3".parse().unwrap(), vec!["db".into()])],
            ..SandboxConfig::default()
        };
        let text = hosts(
            &config,
            &["10.0.0.2".parse().unwrap(), "fd00::2".parse().unwrap()],
        );
        let (above, own) = text.split_once("ip6-allrouters\n").unwrap();
        assert!(above.contains("127.0.0.1\tlocalhost\n"), "{text}");
        assert_eq!(
            own,
            "10.0.0.2\tweb\nfd00::2\tweb\n\n# Entries added by HostAliases.\n10.1.2.3\tdb\n"
        );
    }
}
