//! The bridge network's settings, and what is allowed of them.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use orch_core::runtime::RuntimeError;

use crate::invalid;

/// How a [`Bridge`](super::Bridge) is made.
///
/// ```
/// use orch_podnet::BridgeOptions;
///
/// let options = BridgeOptions::new("/run/edge/network")
///     .name("edge0")
///     .subnet("10.77.0.0/16")
///     .subnet("fd00:77::/64");
/// ```
#[derive(Clone, Debug)]
pub struct BridgeOptions {
    pub(super) state: PathBuf,
    pub(super) name: String,
    pub(super) subnets: Vec<String>,
    pub(super) mtu: Option<u32>,
    pub(super) masquerade: bool,
}

impl BridgeOptions {
    /// A bridge whose addresses are kept in this directory, which is made if it is missing. One network has it open at
    /// a time. As no network outlives the machine, it may lie where nothing outlives it either, as in `/run`. It can be
    /// moved while it is not open.
    pub fn new(state: impl Into<PathBuf>) -> Self {
        Self {
            state: state.into(),
            name: "orch0".into(),
            subnets: Vec::new(),
            mtu: None,
            masquerade: true,
        }
    }

    /// The bridge's name, `orch0` by default: up to 9 letters, digits, `_` and `-`, the first a letter. No two networks
    /// on a machine can have the same.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sandboxes get an address of this subnet; there may be one of IPv4 and one of IPv6, and the first is the primary
    /// one. Its first address is the bridge's own. Without any, an IPv4 subnet of 65,000 addresses is chosen that
    /// nothing on the machine uses, and kept.
    #[must_use]
    pub fn subnet(mut self, subnet: impl Into<String>) -> Self {
        self.subnets.push(subnet.into());
        self
    }

    /// The largest packet that sandboxes send, in bytes. By default that of the link to which the machine's default
    /// route leads, or 1500.
    #[must_use]
    pub fn mtu(mut self, bytes: u32) -> Self {
        self.mtu = Some(bytes);
        self
    }

    /// Whether what sandboxes send out of their subnet has an address of the machine as its source, for where nobody
    /// else knows the way to the subnet. Yes, unless told otherwise.
    #[must_use]
    pub fn masquerade(mut self, masquerade: bool) -> Self {
        self.masquerade = masquerade;
        self
    }

    /// The subnets, once all that can be known of the options by themselves is known to be right.
    pub(super) fn checked(&self) -> Result<Vec<IpNet>, RuntimeError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let name = self.name.as_bytes();
        if name.len() > 9
            || !name.first().is_some_and(u8::is_ascii_alphabetic)
            || !name.iter().copied().all(plain)
        {
            let reason = format!(
                "{:?}: must be up to 9 letters, digits, _ and -, the first a letter",
                self.name
            );
            return Err(invalid("name", reason));
        }
        let mut subnets: Vec<IpNet> = Vec::new();
        for (index, text) in self.subnets.iter().enumerate() {
            let field = format!("subnets[{index}]");
            let subnet = subnet(text).map_err(|reason| invalid(&field, format!("{text:?}: {reason}")))?;
            if let Some(other) = subnets.iter().find(|other| same_family(other, &subnet)) {
                let reason =
                    format!("{subnet}: there is {other} already; one of IPv4 and one of IPv6 are allowed");
                return Err(invalid(&field, reason));
            }
            subnets.push(subnet);
        }
        let least = if subnets.iter().any(|subnet| matches!(subnet, IpNet::V6(_))) {
            1280
        } else {
            576
        };
        match self.mtu {
            Some(mtu) if !(least..=65_535).contains(&mtu) => {
                Err(invalid("mtu", format!("{mtu}: must be {least} to 65535")))
            }
            _ => Ok(subnets),
        }
    }
}

pub(super) fn same_family(one: &IpNet, other: &IpNet) -> bool {
    matches!(
        (one, other),
        (IpNet::V4(_), IpNet::V4(_)) | (IpNet::V6(_), IpNet::V6(_))
    )
}

fn subnet(text: &str) -> Result<IpNet, String> {
    let subnet: IpNet = text
        .parse()
        .map_err(|_| "must be an address and a prefix length, as 10.77.0.0/16".to_owned())?;
    if subnet.trunc() != subnet {
        return Err(format!(
            "has bits set beyond its prefix; the subnet is {}",
            subnet.trunc()
        ));
    }
    let (least, most) = match subnet {
        IpNet::V4(_) => (8, 30),
        IpNet::V6(_) => (32, 126),
    };
    if !(least..=most).contains(&subnet.prefix_len()) {
        return Err(format!("the prefix length must be {least} to {most}"));
    }
    let usable = match subnet.addr() {
        IpAddr::V4(address) => {
            !(address.is_loopback()
                || address.is_multicast()
                || address.is_link_local()
                || address.octets()[0] == 0
                || address.octets()[0] >= 240)
        }
        IpAddr::V6(address) => {
            !(address.is_loopback()
                || address.is_multicast()
                || address.is_unicast_link_local()
                || address.is_unspecified())
        }
    };
    if !usable {
        return Err("is not for hosts: loopback, link-local, multicast or reserved".into());
    }
    Ok(subnet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_with_the_field_and_what_is_allowed() {
        let options = || BridgeOptions::new("/nowhere");
        for (options, expected) in [
            (options().name("0rch"), r#"name: "0rch": must be up to 9 letters"#),
            (options().name("orch-is-long"), "up to 9"),
            (options().name("a;b"), "name:"),
            (options().name(""), "name:"),
            (
                options().subnet("10.1.0.0"),
                r#"subnets[0]: "10.1.0.0": must be an address and a prefix"#,
            ),
            (options().subnet("10.1.2.3/16"), "the subnet is 10.1.0.0/16"),
            (options().subnet("10.1.0.0/31"), "must be 8 to 30"),
            (options().subnet("fd00::/127"), "must be 32 to 126"),
            (options().subnet("127.0.0.0/8"), "not for hosts"),
            (options().subnet("fe80::/64"), "not for hosts"),
            (
                options().subnet("10.1.0.0/16").subnet("10.2.0.0/16"),
                "subnets[1]: 10.2.0.0/16: there is 10.1.0.0/16 already",
            ),
            (options().mtu(100), "mtu: 100: must be 576 to 65535"),
            (options().subnet("fd00::/64").mtu(1000), "must be 1280 to 65535"),
        ] {
            let error = options.checked().expect_err(expected).to_string();
            assert!(error.contains(expected), "{error} should say {expected}");
        }
        let both = options().subnet("fd00:1::/64").subnet("10.1.0.0/16").mtu(1400);
        assert_eq!(both.checked().unwrap().len(), 2);
    }
}
