//! What the machine has already, and whether a subnet can be ours beside it: pure.

use ipnet::{IpNet, Ipv4Net};
use orch_core::runtime::RuntimeError;

use super::NAME;
use super::options::same_family;
use crate::invalid;
use crate::netlink::{Link, Net, Route};

/// What is known of the machine's network.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    pub(super) links: Vec<Link>,
    pub(super) addresses: Vec<(u32, IpNet)>,
    pub(super) routes: Vec<Route>,
}

impl Machine {
    pub(super) async fn look(net: &Net) -> Result<Self, RuntimeError> {
        let look = async || {
            Ok::<_, std::io::Error>(Self {
                links: net.links().await?,
                addresses: net.addresses().await?,
                routes: net.routes().await?,
            })
        };
        look().await.map_err(|error| {
            RuntimeError::failed("looking at the machine's links, addresses and routes", error)
        })
    }

    fn name(&self, index: Option<u32>) -> &str {
        let link = self.links.iter().find(|link| Some(link.index) == index);
        link.map_or("nowhere", |link| link.name.as_str())
    }

    /// What is in the way of a subnet, of links other than `bridge`: another's subnet that overlaps it, or a way to
    /// part of it. A way to more than the whole of it, as a private network's, is not: that goes on to lead to the rest.
    fn conflict(&self, subnet: &IpNet, bridge: &str) -> Option<String> {
        let overlaps =
            |other: &IpNet| same_family(other, subnet) && (other.contains(subnet) || subnet.contains(other));
        let address = self
            .addresses
            .iter()
            .find(|(link, other)| overlaps(other) && self.name(Some(*link)) != bridge);
        if let Some((link, other)) = address {
            return Some(format!("{other}, which {} has", self.name(Some(*link))));
        }
        let route = self.routes.iter().find(|route| {
            route.subnet.prefix_len() >= subnet.prefix_len()
                && overlaps(&route.subnet)
                && self.name(route.link) != bridge
        });
        route.map(|route| format!("{}, which leads to {}", route.subnet, self.name(route.link)))
    }

    /// Refuses subnets that cannot be ours, or chooses one if there are none.
    pub(super) fn settle(&self, subnets: Vec<IpNet>, bridge: &str) -> Result<Vec<IpNet>, RuntimeError> {
        for (index, subnet) in subnets.iter().enumerate() {
            if let Some(other) = self.conflict(subnet, bridge) {
                let reason = format!("{subnet} overlaps {other}; choose another");
                return Err(invalid(&format!("subnets[{index}]"), reason));
            }
        }
        if !subnets.is_empty() {
            return Ok(subnets);
        }
        let free = candidates().find(|subnet| self.conflict(subnet, bridge).is_none());
        free.map(|subnet| vec![subnet]).ok_or_else(|| RuntimeError::Unavailable {
            runtime: NAME,
            reason: "something on this machine overlaps each subnet of 10.64.0.0/10 of length 16: name one with \
                     BridgeOptions::subnet"
                .into(),
        })
    }

    /// What a packet may be long to leave the machine by its default route.
    pub(super) fn mtu(&self) -> u32 {
        let leads = self.routes.iter().filter(|route| route.subnet.prefix_len() == 0);
        let links = leads.filter_map(|route| self.links.iter().find(|link| Some(link.index) == route.link));
        links
            .map(|link| link.mtu)
            .filter(|mtu| (1280..=65_535).contains(mtu))
            .min()
            .unwrap_or(1500)
    }
}

/// Subnets to choose from: a part of 10.0.0.0/8 that neither Docker, Podman nor the usual Kubernetes networks take by
/// themselves.
fn candidates() -> impl Iterator<Item = IpNet> {
    let subnet = |second: u8| Ipv4Net::new([10, second, 0, 0].into(), 16).ok().map(IpNet::V4);
    (64..128).filter_map(subnet)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        let link = |index, name: &str, mtu| Link {
            index,
            name: name.into(),
            mtu,
            ..Link::default()
        };
        let route = |subnet: &str, link| Route {
            subnet: subnet.parse().unwrap(),
            link,
        };
        Machine {
            links: vec![
                link(1, "lo", 65_536),
                link(2, "eth0", 1450),
                link(3, "orch0", 1500),
            ],
            addresses: vec![
                (2, "192.0.2.7/24".parse().unwrap()),
                (3, "10.64.0.1/16".parse().unwrap()),
            ],
            routes: vec![
                route("0.0.0.0/0", Some(2)),
                route("172.16.0.0/12", Some(2)),
                route("10.65.3.0/24", Some(2)),
                route("10.66.0.0/16", None),
                route("10.64.0.0/16", Some(3)),
            ],
        }
    }

    #[test]
    fn a_subnet_that_leads_elsewhere_is_refused() {
        for (subnet, bridge, expected) in [
            ("192.0.0.0/16", "orch0", Some("192.0.2.7/24, which eth0 has")),
            ("192.0.2.128/25", "orch0", Some("192.0.2.7/24, which eth0 has")),
            ("10.65.0.0/16", "orch0", Some("10.65.3.0/24, which leads to eth0")),
            (
                "10.66.0.0/16",
                "orch0",
                Some("10.66.0.0/16, which leads to nowhere"),
            ),
            ("10.64.0.0/16", "orch0", None),
            ("10.64.0.0/16", "orch1", Some("10.64.0.1/16, which orch0 has")),
            ("172.17.0.0/16", "orch0", None),
            ("fd00::/64", "orch0", None),
        ] {
            let found = machine().conflict(&subnet.parse().unwrap(), bridge);
            assert_eq!(found.as_deref(), expected, "{subnet}");
        }
        let error = machine().settle(
            vec!["10.66.1.0/24".parse().unwrap(), "10.65.0.0/16".parse().unwrap()],
            "orch0",
        );
        let error = error.unwrap_err().to_string();
        assert_eq!(
            error,
            "subnets[1]: 10.65.0.0/16 overlaps 10.65.3.0/24, which leads to eth0; choose another"
        );
    }

    #[test]
    fn a_free_subnet_is_chosen() {
        let chosen = machine().settle(Vec::new(), "orch1").unwrap();
        assert_eq!(chosen, ["10.67.0.0/16".parse::<IpNet>().unwrap()]);
        let mut full = machine();
        full.addresses.push((2, "10.100.0.0/8".parse().unwrap()));
        assert!(full.settle(Vec::new(), "orch1").is_err());
    }

    #[test]
    fn packets_are_no_longer_than_can_leave() {
        assert_eq!(machine().mtu(), 1450);
        assert_eq!(Machine::default().mtu(), 1500);
    }
}
