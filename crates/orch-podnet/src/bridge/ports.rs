//! Ports of the machine that lead to sandboxes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use orch_core::runtime::{HostPort, Protocol, RuntimeError};

use super::addresses::Plan;
use super::{rules, sysctl};
use crate::invalid;
use crate::netlink::is;

/// Refuses what can never lead anywhere.
pub(super) fn check(ports: &[HostPort], plan: &Plan) -> Result<(), RuntimeError> {
    for (index, port) in ports.iter().enumerate() {
        let field = |name: &str| format!("host_ports[{index}].{name}");
        for (name, number) in [
            ("host_port", port.host_port),
            ("container_port", port.container_port),
        ] {
            if number == 0 {
                return Err(invalid(&field(name), "0: must be 1 to 65535".into()));
            }
        }
        if let Some(ip) = port.host_ip
            && !rules::reachable(plan, ip)
        {
            let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
            return Err(invalid(
                &field("host_ip"),
                format!("{ip}: sandboxes have no {family} address"),
            ));
        }
        if port.host_ip == Some(Ipv6Addr::LOCALHOST.into()) {
            let reason = "::1: the kernel takes nothing from IPv6's loopback address to another machine's; name 127.0.0.1";
            return Err(invalid(&field("host_ip"), reason.into()));
        }
        let tracked = sysctl::read("netfilter/nf_conntrack_sctp_timeout_established").is_some();
        if port.protocol == Protocol::Sctp && !tracked {
            return Err(invalid(
                &field("protocol"),
                "SCTP: this kernel cannot translate it (NF_CT_PROTO_SCTP)".into(),
            ));
        }
    }
    Ok(())
}

/// Refuses a port on which a program of the machine listens, which would no longer be reached.
///
/// What comes up later is not seen; that is as with any port that a sandbox has.
pub(super) fn free(port: &HostPort) -> Result<(), RuntimeError> {
    let ip = port.host_ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let place = SocketAddr::new(ip, port.host_port);
    let bound = match port.protocol {
        Protocol::Tcp => TcpListener::bind(place).map(drop),
        Protocol::Udp => UdpSocket::bind(place).map(drop),
        Protocol::Sctp => return Ok(()),
    };
    match bound {
        Err(error) if is(&error, rustix::io::Errno::ADDRINUSE) => Err(RuntimeError::InUse {
            what: format!("the machine's port {}/{}", port.host_port, port.protocol),
            by: "a program that listens on it".into(),
        }),
        // An address that the machine has not, or not yet.
        _ => Ok(()),
    }
}
