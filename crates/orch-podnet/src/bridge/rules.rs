//! The network's own nftables table, as text for `nft -f -`: pure.
//!
//! Everything that does not depend on a sandbox is a rule made once; a port of the machine is an element of a map. So
//! a sandbox without such ports costs no call of `nft`, which takes as long as all the rest. There is no crate for
//! nftables whose licence and upkeep would do and that knows address translation; `nft` is there wherever these
//! rules can be looked at.

use std::fmt::Write;
use std::net::IpAddr;

use ipnet::IpNet;
use orch_core::runtime::{HostPort, Protocol};

use super::addresses::Plan;

/// The table of a network.
pub(super) fn table(plan: &Plan) -> String {
    format!("orch-podnet-{}", plan.name)
}

/// Makes the table anew, in one change: nobody sees it gone.
pub(super) fn whole<'a>(
    plan: &Plan,
    masquerade: bool,
    sandboxes: impl Iterator<Item = (u32, &'a [HostPort])>,
) -> String {
    let (table, bridge) = (table(plan), &plan.name);
    // What a sandbox sends to a port of the machine that leads back into the subnet, and what the machine sends from its
    // loopback address, would be answered past the translation, or not at all.
    let mut leaving = format!("\t\toifname \"{bridge}\" ip saddr 127.0.0.0/8 masquerade\n");
    for subnet in &plan.subnets {
        let (ip, many) = match subnet {
            IpNet::V4(_) => ("ip", "224.0.0.0/4"),
            IpNet::V6(_) => ("ip6", "ff00::/8"),
        };
        let _ = writeln!(
            leaving,
            "\t\toifname \"{bridge}\" {ip} saddr {subnet} ct status dnat masquerade"
        );
        if masquerade {
            let _ = writeln!(
                leaving,
                "\t\t{ip} saddr {subnet} {ip} daddr != {{ {subnet}, {many} }} masquerade fully-random"
            );
        }
    }
    let mut text = format!(
        r#"table inet {table}
delete table inet {table}
table inet {table} {{
	map ports4 {{
		type inet_proto . inet_service : ipv4_addr . inet_service
	}}
	map ports6 {{
		type inet_proto . inet_service : ipv6_addr . inet_service
	}}
	map address-ports4 {{
		type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
	}}
	map address-ports6 {{
		type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service
	}}
	chain guard {{
		comment "no sandbox reaches what listens on the machine's loopback addresses"
		type filter hook prerouting priority -300; policy accept;
		iifname "{bridge}" ip daddr 127.0.0.0/8 drop
	}}
	chain host-ports {{
		dnat ip to ip daddr . meta l4proto . th dport map @address-ports4
		dnat ip6 to ip6 daddr . meta l4proto . th dport map @address-ports6
		dnat ip to meta l4proto . th dport map @ports4
		dnat ip6 to meta l4proto . th dport map @ports6
	}}
	chain arriving {{
		type nat hook prerouting priority -100; policy accept;
		fib daddr type local jump host-ports
	}}
	chain from-here {{
		type nat hook output priority -100; policy accept;
		fib daddr type local jump host-ports
	}}
	chain leaving {{
		type nat hook postrouting priority 100; policy accept;
{leaving}	}}
}}
"#
    );
    for (number, ports) in sandboxes {
        text.push_str(&elements("add", plan, number, ports));
    }
    text
}

/// Removes the table, whether or not there is one.
pub(super) fn gone(plan: &Plan) -> String {
    let table = table(plan);
    format!("table inet {table}\ndelete table inet {table}\n")
}

/// Has the machine's ports lead to a sandbox, or no longer: `verb` is `add` or `delete`.
pub(super) fn elements(verb: &str, plan: &Plan, number: u32, ports: &[HostPort]) -> String {
    let table = table(plan);
    let mut text = String::new();
    for port in ports {
        for ip in plan.ips(number) {
            let family = if ip.is_ipv4() { "4" } else { "6" };
            let (map, key) = match port.host_ip {
                Some(host) if host.is_ipv4() != ip.is_ipv4() => continue,
                Some(host) if !host.is_unspecified() => ("address-ports", format!("{host} . ")),
                _ => ("ports", String::new()),
            };
            let (protocol, from, to) = (word(port.protocol), port.host_port, port.container_port);
            let value = if verb == "add" {
                format!(" : {ip} . {to}")
            } else {
                String::new()
            };
            let _ = writeln!(
                text,
                "{verb} element inet {table} {map}{family} {{ {key}{protocol} . {from}{value} }}"
            );
        }
    }
    text
}

/// A protocol as nftables has it.
pub(super) fn word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    }
}

/// Whether this network has an address that a port of the machine at `host` could lead to.
pub(super) fn reachable(plan: &Plan, host: IpAddr) -> bool {
    plan.subnets
        .iter()
        .any(|subnet| subnet.addr().is_ipv4() == host.is_ipv4())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(subnets: &[&str]) -> Plan {
        Plan {
            name: "orch0".into(),
            subnets: subnets.iter().map(|subnet| subnet.parse().unwrap()).collect(),
        }
    }

    fn port(host_ip: Option<&str>, protocol: Protocol) -> HostPort {
        HostPort {
            host_ip: host_ip.map(|ip| ip.parse().unwrap()),
            host_port: 8080,
            container_port: 80,
            protocol,
        }
    }

    #[test]
    fn a_port_is_an_element_for_each_family_that_it_is_of() {
        let plan = plan(&["10.0.0.0/24", "fd00::/64"]);
        let lines = |port| elements("add", &plan, 5, &[port]);
        assert_eq!(
            lines(port(None, Protocol::Tcp)),
            "add element inet orch-podnet-orch0 ports4 { tcp . 8080 : 10.0.0.5 . 80 }\n\
             add element inet orch-podnet-orch0 ports6 { tcp . 8080 : fd00::5 . 80 }\n"
        );
        assert_eq!(
            lines(port(Some("192.0.2.1"), Protocol::Udp)),
            "add element inet orch-podnet-orch0 address-ports4 { 192.0.2.1 . udp . 8080 : 10.0.0.5 . 80 }\n"
        );
        assert_eq!(
            lines(port(Some("::"), Protocol::Sctp)),
            "add element inet orch-podnet-orch0 ports6 { sctp . 8080 : fd00::5 . 80 }\n"
        );
        assert_eq!(
            elements("delete", &plan, 5, &[port(Some("0.0.0.0"), Protocol::Tcp)]),
            "delete element inet orch-podnet-orch0 ports4 { tcp . 8080 }\n"
        );
    }

    #[test]
    fn masquerading_is_left_out_where_it_is_not_wanted() {
        let plan = plan(&["10.0.0.0/24"]);
        let none = std::iter::empty;
        assert!(
            whole(&plan, true, none())
                .contains("ip saddr 10.0.0.0/24 ip daddr != { 10.0.0.0/24, 224.0.0.0/4 }")
        );
        assert!(!whole(&plan, false, none()).contains("fully-random"));
        assert!(!whole(&plan, true, none()).contains("ip6 saddr"));
    }
}
