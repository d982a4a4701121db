//! The files in `/etc` that tell a pod's containers of its network and its name. Pure.

use orch_core::runtime::SandboxConfig;

pub(crate) fn hosts(config: &SandboxConfig, machine: &str) -> String {
    let mut text = machine.trim_end().to_owned() + "\n";
    for (address, names) in &config.host_aliases {
        text += &format!("{address}\t{}\n", names.join("\t"));
    }
    text
}

pub(crate) fn resolv_conf(config: &SandboxConfig, machine: &str) -> String {
    if config.dns_servers.is_empty() && config.dns_searches.is_empty() && config.dns_options.is_empty() {
        return machine.to_owned();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_about_the_network_are_the_machines_with_what_was_asked_for() {
        let mut config = SandboxConfig::default();
        assert_eq!(
            resolv_conf(&config, "nameserver 9.9.9.9\n"),
            "nameserver 9.9.9.9\n"
        );
        config.dns_servers = vec!["10.0.0.1".parse().unwrap()];
        config.dns_searches = vec!["a.example".into(), "b.example".into()];
        config.dns_options = vec!["ndots:5".into()];
        let expected = "nameserver 10.0.0.1\nsearch a.example b.example\noptions ndots:5\n";
        assert_eq!(resolv_conf(&config, "nameserver 9.9.9.9\n"), expected);
        config.host_aliases = vec![("10.1.2.3".parse().unwrap(), vec!["db".into(), "cache".into()])];
        assert_eq!(
            hosts(&config, "127.0.0.1 localhost"),
            "127.0.0.1 localhost\n10.1.2.3\tdb\tcache\n"
        );
    }
}
