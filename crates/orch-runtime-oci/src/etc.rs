//! The files in `/etc` that tell a pod's containers of its network and its name. Pure.

use std::net::IpAddr;

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

/// `/etc/resolv.conf`: as asked for, or the machine's. What listens on the machine's own loopback is out of reach from
/// another network.
pub(crate) fn resolv_conf(config: &SandboxConfig, machine: &str, own_network: bool) -> String {
    if config.dns_servers.is_empty() && config.dns_searches.is_empty() && config.dns_options.is_empty() {
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
    let mut words = line.split_whitespace();
    let server = (words.next() == Some("nameserver")).then(|| words.next());
    let address = server.flatten().and_then(|word| word.parse::<IpAddr>().ok());
    address.is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_the_machines_network_the_files_are_the_machines_with_what_was_asked_for() {
        let mut config = SandboxConfig::default();
        let machine = "nameserver 127.0.0.53\nnameserver 9.9.9.9\n";
        assert_eq!(resolv_conf(&config, machine, false), machine);
        assert_eq!(resolv_conf(&config, machine, true), "nameserver 9.9.9.9\n");
        config.dns_servers = vec!["127.0.0.1".parse().unwrap()];
        config.dns_searches = vec!["a.example".into(), "b.example".into()];
        config.dns_options = vec!["ndots:5".into()];
        let expected = "nameserver 127.0.0.1\nsearch a.example b.example\noptions ndots:5\n";
        for own_network in [false, true] {
            assert_eq!(resolv_conf(&config, machine, own_network), expected);
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
