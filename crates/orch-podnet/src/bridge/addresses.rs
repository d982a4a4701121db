//! Which sandbox has which addresses: pure, and the record that is kept of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use orch_core::runtime::{HostPort, SandboxId};
use serde::{Deserialize, Serialize};

/// What is kept of a sandbox, in a file of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Its number in the network; its addresses are those of this number in each subnet.
    pub(super) number: u32,
    pub(super) ports: Vec<HostPort>,
}

/// More than fit on one bridge; a number of at most five digits in a link's name.
const MOST: u64 = 1 << 24;

/// The bridge's own number.
pub(super) const GATEWAY: u32 = 1;

/// The addresses of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) subnets: Vec<IpNet>,
}

impl Plan {
    /// The largest number that there is.
    pub(super) fn last(&self) -> u32 {
        let room = self.subnets.iter().map(|subnet| {
            let bits = u32::from(subnet.max_prefix_len() - subnet.prefix_len());
            // The subnet's own address, and in IPv4 that of all.
            let reserved = if matches!(subnet, IpNet::V4(_)) { 2 } else { 1 };
            if bits > 24 {
                MOST
            } else {
                (1_u64 << bits) - reserved
            }
        });
        u32::try_from(room.min().unwrap_or(0).min(MOST)).unwrap_or(u32::MAX)
    }

    /// The addresses of a number, with their subnets.
    pub(super) fn addresses(&self, number: u32) -> Vec<(IpAddr, &IpNet)> {
        self.subnets
            .iter()
            .map(|subnet| (address(subnet, number), subnet))
            .collect()
    }

    pub(super) fn ips(&self, number: u32) -> Vec<IpAddr> {
        self.addresses(number).into_iter().map(|(ip, _)| ip).collect()
    }

    /// The machine's end of a sandbox's link: the bridge's name and the number. The first is the machine's own, and the
    /// second the network's, so nobody else has one of the same name.
    pub(super) fn link(&self, number: u32) -> String {
        let digits = (0..5_u32).rev().map(|place| number / 36_u32.pow(place) % 36);
        let text: String = digits
            .filter_map(|digit| char::from_digit(digit, 36))
            .skip_while(|digit| *digit == '0')
            .collect();
        format!("{}-{text}", self.name)
    }

    /// Whether a link's name is one that [`link`](Self::link) gives.
    pub(super) fn is_link(&self, name: &str) -> bool {
        let number = name
            .strip_prefix(&self.name)
            .and_then(|rest| rest.strip_prefix('-'));
        number.is_some_and(|digits| {
            u32::from_str_radix(digits, 36).is_ok_and(|number| number > GATEWAY && self.link(number) == name)
        })
    }

    /// The link-layer address of a number: always the same with the same addresses, so that what others remember of an
    /// address stays true when another sandbox has it. `0a:58` is what CNI's bridge has in front of an address.
    pub(super) fn hardware(&self, number: u32) -> Vec<u8> {
        let tail = self
            .subnets
            .iter()
            .find_map(|subnet| match address(subnet, number) {
                IpAddr::V4(address) => Some(address.octets()),
                IpAddr::V6(_) => None,
            });
        [
            [0x0a, 0x58].as_slice(),
            tail.unwrap_or(number.to_be_bytes()).as_slice(),
        ]
        .concat()
    }
}

fn address(subnet: &IpNet, number: u32) -> IpAddr {
    match subnet {
        IpNet::V4(subnet) => Ipv4Addr::from_bits(subnet.network().to_bits() + number).into(),
        IpNet::V6(subnet) => Ipv6Addr::from_bits(subnet.network().to_bits() + u128::from(number)).into(),
    }
}

/// Who has what.
#[derive(Debug, Default)]
pub(super) struct Book {
    records: BTreeMap<SandboxId, Record>,
    taken: BTreeSet<u32>,
    /// The number given out last. The next is one after it, so that one given back is used again as late as can be.
    pub(super) last: u32,
}

/// Why a sandbox gets nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// All numbers are taken: how many.
    Exhausted(u32),
    /// Another sandbox has this port of the machine.
    Port(HostPort, SandboxId),
}

impl Book {
    /// From what was kept; those whose number another has, which nothing but another hand than ours can have written,
    /// are answered.
    pub(super) fn read(records: Vec<(SandboxId, Record)>, last: u32, plan: &Plan) -> (Self, Vec<SandboxId>) {
        let mut book = Self {
            last,
            ..Self::default()
        };
        let mut odd = Vec::new();
        for (sandbox, record) in records {
            let fits = record.number > GATEWAY && record.number <= plan.last();
            if fits && book.taken.insert(record.number) {
                book.records.insert(sandbox, record);
            } else {
                odd.push(sandbox);
            }
        }
        (book, odd)
    }

    pub(super) fn get(&self, sandbox: &SandboxId) -> Option<&Record> {
        self.records.get(sandbox)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&SandboxId, &Record)> {
        self.records.iter()
    }

    /// Gives a sandbox its number and ports. One that has a number keeps it, and gets the ports of now.
    pub(super) fn enter(
        &mut self,
        sandbox: &SandboxId,
        ports: &[HostPort],
        plan: &Plan,
    ) -> Result<Record, Refusal> {
        for port in ports {
            let clash = self.records.iter().find(|(other, record)| {
                *other != sandbox && record.ports.iter().any(|held| overlap(held, port))
            });
            if let Some((other, _)) = clash {
                return Err(Refusal::Port(port.clone(), other.clone()));
            }
        }
        if let Some(record) = self.records.get_mut(sandbox) {
            record.ports = ports.to_vec();
            return Ok(record.clone());
        }
        let (first, last) = (GATEWAY + 1, plan.last());
        let after = if (first..last).contains(&self.last) {
            self.last + 1
        } else {
            first
        };
        let number = (after..=last)
            .chain(first..after)
            .find(|number| !self.taken.contains(number));
        let Some(number) = number else {
            return Err(Refusal::Exhausted(last.saturating_sub(GATEWAY)));
        };
        let record = Record {
            number,
            ports: ports.to_vec(),
        };
        self.taken.insert(number);
        self.last = number;
        self.records.insert(sandbox.clone(), record.clone());
        Ok(record)
    }

    pub(super) fn leave(&mut self, sandbox: &SandboxId) {
        if let Some(record) = self.records.remove(sandbox) {
            self.taken.remove(&record.number);
        }
    }
}

/// Whether two ports of the machine cannot both lead somewhere.
fn overlap(one: &HostPort, other: &HostPort) -> bool {
    let all = |port: &HostPort| port.host_ip.is_none_or(|ip| ip.is_unspecified());
    one.host_port == other.host_port
        && one.protocol == other.protocol
        && (all(one) || all(other) || one.host_ip == other.host_ip)
}

#[cfg(test)]
mod tests {
    use orch_core::runtime::Protocol;

    use super::*;

    fn plan(subnets: &[&str]) -> Plan {
        Plan {
            name: "orch0".into(),
            subnets: subnets.iter().map(|subnet| subnet.parse().unwrap()).collect(),
        }
    }

    fn id(n: u32) -> SandboxId {
        SandboxId(format!("s{n}"))
    }

    #[test]
    fn a_number_is_an_address_in_each_subnet() {
        let plan = plan(&["10.77.0.0/16", "fd00:77::/64"]);
        assert_eq!(plan.last(), 65_534);
        let ips: Vec<String> = plan.ips(258).iter().map(ToString::to_string).collect();
        assert_eq!(ips, ["10.77.1.2", "fd00:77::102"]);
        assert_eq!(plan.hardware(258), [0x0a, 0x58, 10, 77, 1, 2]);
        for (number, link) in [
            (2, "orch0-2"),
            (36, "orch0-10"),
            (65_534, "orch0-1eke"),
            (1 << 24, "orch0-9zlds"),
        ] {
            assert_eq!(plan.link(number), link);
            assert!(plan.is_link(link));
        }
        for other in [
            "orch0",
            "orch0-",
            "orch0-1",
            "orch0-02",
            "orch0-zzzzzz",
            "orch01-2",
            "orch0-é",
            "veth1",
        ] {
            assert!(!plan.is_link(other), "{other}");
        }
    }

    #[test]
    fn the_smallest_subnet_says_how_many_there_are() {
        for (subnets, last) in [
            (vec!["10.0.0.0/30"], 2),
            (vec!["10.0.0.0/24", "fd00::/126"], 3),
            (vec!["fd00::/64"], 1 << 24),
            (vec!["10.0.0.0/8"], (1 << 24) - 2),
        ] {
            assert_eq!(plan(&subnets).last(), last, "{subnets:?}");
        }
    }

    #[test]
    fn addresses_are_used_again_as_late_as_can_be() {
        let plan = plan(&["10.0.0.0/29"]);
        let mut book = Book::default();
        let give = |book: &mut Book, n| book.enter(&id(n), &[], &plan).map(|record| record.number);
        assert_eq!([1, 2, 3].map(|n| give(&mut book, n)), [Ok(2), Ok(3), Ok(4)]);
        book.leave(&id(1));
        assert_eq!(give(&mut book, 4), Ok(5));
        assert_eq!(give(&mut book, 2), Ok(3), "it has one already");
        assert_eq!(give(&mut book, 5), Ok(6));
        assert_eq!(give(&mut book, 6), Ok(2));
        assert_eq!(give(&mut book, 7), Err(Refusal::Exhausted(5)));
        book.leave(&id(3));
        assert_eq!(give(&mut book, 7), Ok(4));
    }

    #[test]
    fn what_was_kept_stays_and_what_cannot_be_is_told() {
        let plan = plan(&["10.0.0.0/29"]);
        let record = |number| Record {
            number,
            ports: Vec::new(),
        };
        let kept = [4, 4, 1, 7, 2].into_iter().enumerate();
        let kept = kept.map(|(n, number)| (id(n as u32), record(number))).collect();
        let (mut book, odd) = Book::read(kept, 4, &plan);
        assert_eq!(odd, [id(1), id(2), id(3)]);
        assert_eq!(book.enter(&id(9), &[], &plan).unwrap().number, 5);
        assert_eq!(book.get(&id(4)), Some(&record(2)));
    }

    #[test]
    fn a_port_of_the_machine_leads_to_one_sandbox() {
        let plan = plan(&["10.0.0.0/24"]);
        let port = |ip: Option<&str>, host_port, protocol| HostPort {
            host_ip: ip.map(|ip| ip.parse().unwrap()),
            host_port,
            container_port: 80,
            protocol,
        };
        let any = |number| port(None, number, Protocol::Tcp);
        for (held, asked, clash) in [
            (any(80), any(80), true),
            (any(80), any(81), false),
            (any(80), port(None, 80, Protocol::Udp), false),
            (any(80), port(Some("10.1.1.1"), 80, Protocol::Tcp), true),
            (
                port(Some("0.0.0.0"), 80, Protocol::Tcp),
                port(Some("10.1.1.1"), 80, Protocol::Tcp),
                true,
            ),
            (
                port(Some("10.1.1.2"), 80, Protocol::Tcp),
                port(Some("10.1.1.1"), 80, Protocol::Tcp),
                false,
            ),
        ] {
            let mut book = Book::default();
            book.enter(&id(1), std::slice::from_ref(&held), &plan).unwrap();
            let refused = book.enter(&id(2), std::slice::from_ref(&asked), &plan).is_err();
            assert_eq!(refused, clash, "{held:?} {asked:?}");
            assert_eq!(book.get(&id(2)).is_none(), clash);
            assert!(
                book.enter(&id(1), std::slice::from_ref(&held), &plan).is_ok(),
                "its own"
            );
        }
    }
}
