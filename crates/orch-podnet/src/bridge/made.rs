//! What one network has on the machine: made, mended and removed.

use std::fs;
use std::path::Path;
use std::time::Duration;

use orch_core::runtime::{HostPort, RuntimeError};
use rtnetlink::LinkUnspec;
use rtnetlink::packet_route::link::InfoKind;

use super::addresses::{GATEWAY, Plan};
use super::forwarding::{self, Wanted};
use super::machine::Machine;
use super::network::{KEPT, Kept, Network};
use super::{rules, sysctl};
use crate::files::StateDir;
use crate::netlink::{self, Link, Net};
use crate::{command, invalid};

/// How long `nft` may take.
const BOUND: Duration = Duration::from_secs(20);

impl Network {
    /// Everything that does not belong to one sandbox, made where it is missing.
    pub(super) fn make(&self) -> Result<(), RuntimeError> {
        let name = &self.plan.name;
        let bridge = netlink::with(async {
            let net = Net::here()?;
            let machine = Machine::look(&net).await?;
            let mtu = self.mtu.unwrap_or_else(|| machine.mtu());
            let making = async || {
                if net.link(name).await?.is_none() {
                    net.add_bridge(name, self.plan.hardware(GATEWAY), mtu).await?;
                }
                let bridge = net.link(name).await?;
                bridge.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound))
            };
            let failed = |error| RuntimeError::failed(format!("making the bridge {name}"), error);
            let bridge = making().await.map_err(failed)?;
            whose(&bridge, &self.plan, &self.state)?;
            if bridge.alias.as_deref() != Some(alias(&self.state).as_str()) {
                let named = LinkUnspec::new_with_index(bridge.index)
                    .alias(alias(&self.state))
                    .build();
                net.set(named).await.map_err(failed)?;
            }
            if bridge.mtu != mtu {
                let sized = LinkUnspec::new_with_index(bridge.index).mtu(mtu).build();
                net.set(sized).await.map_err(failed)?;
            }
            Ok(bridge)
        })?;
        let (v4, v6) = (self.has(true), self.has(false));
        if v6 {
            sysctl::set(&format!("ipv6/conf/{name}/disable_ipv6"), "0")?;
        }
        if v4 {
            // Or 127.0.0.1 would lead nowhere but to the machine itself.
            sysctl::set(&format!("ipv4/conf/{name}/route_localnet"), "1")?;
        }
        netlink::with(async {
            let net = Net::here()?;
            let giving = async || {
                if !bridge.up {
                    net.set(LinkUnspec::new_with_index(bridge.index).up().build())
                        .await?;
                }
                self.readdress(&net, bridge.index).await?;
                // Those that lost it with a bridge that somebody removed.
                for (_, record) in self.records() {
                    let port = net.link(&self.plan.link(record.number)).await?;
                    if let Some(port) = port.filter(|port| port.controller != Some(bridge.index)) {
                        net.set(
                            LinkUnspec::new_with_index(port.index)
                                .controller(bridge.index)
                                .up()
                                .build(),
                        )
                        .await?;
                        net.hairpin(&port.name).await?;
                    }
                }
                Ok::<_, std::io::Error>(())
            };
            giving()
                .await
                .map_err(|error| RuntimeError::failed(format!("setting up the bridge {name}"), error))
        })?;
        sysctl::forward(v4, v6)?;
        self.rebuild()?;
        forwarding::ensure(name, Wanted::IfDropped, self.state.lock())
    }

    /// The bridge has the network's own addresses, and no others of earlier subnets.
    async fn readdress(&self, net: &Net, bridge: u32) -> std::io::Result<()> {
        let wanted = self.plan.addresses(GATEWAY);
        for (link, had) in net.addresses().await? {
            let local = matches!(had.addr(), std::net::IpAddr::V6(ip) if ip.is_unicast_link_local());
            let stays = wanted
                .iter()
                .any(|(ip, subnet)| *ip == had.addr() && subnet.prefix_len() == had.prefix_len());
            if link == bridge && !local && !stays {
                net.remove_address(link, had).await?;
            }
        }
        for (ip, subnet) in wanted {
            net.add_address(bridge, ip, subnet.prefix_len()).await?;
        }
        Ok(())
    }

    fn has(&self, v4: bool) -> bool {
        self.plan
            .subnets
            .iter()
            .any(|subnet| subnet.addr().is_ipv4() == v4)
    }

    /// Whether all is there; what is not is made again, as after somebody flushed all rules.
    pub(super) fn mend(&self) -> Result<(), RuntimeError> {
        let name = &self.plan.name;
        let bridge = netlink::with(async {
            let found = Net::here()?.link(name).await;
            found.map_err(|error| RuntimeError::failed(format!("looking at the bridge {name}"), error))
        })?;
        let whole = bridge.is_some_and(|bridge| bridge.up)
            && self.nft("looking at the table", &self.listing()).is_ok();
        if !whole {
            tracing::warn!(
                bridge = name,
                "the bridge or its rules were removed: making them again"
            );
            return self.make();
        }
        sysctl::forward(self.has(true), self.has(false))?;
        forwarding::ensure(name, Wanted::IfDropped, self.state.lock())
    }

    fn listing(&self) -> String {
        format!("list chain inet {} leaving\n", rules::table(&self.plan))
    }

    /// Writes the table anew from what there is.
    pub(super) fn rebuild(&self) -> Result<(), RuntimeError> {
        let _one = self.table.lock();
        let records = self.records();
        let sandboxes = records
            .iter()
            .map(|(_, record)| (record.number, record.ports.as_slice()));
        self.nft(
            "making the table",
            &rules::whole(&self.plan, self.masquerade, sandboxes),
        )
    }

    /// Changes a few elements of the table; or writes it anew, if it is not as it was left.
    pub(super) fn change(&self, verb: &str, number: u32, ports: &[HostPort]) -> Result<(), RuntimeError> {
        let text = rules::elements(verb, &self.plan, number, ports);
        if text.is_empty() {
            return Ok(());
        }
        let changed = {
            let _one = self.table.lock();
            self.nft("changing ports of the machine", &text)
        };
        changed.or_else(|error| {
            tracing::warn!(%error, "making the table again");
            self.rebuild()
        })
    }

    fn nft(&self, what: &str, text: &str) -> Result<(), RuntimeError> {
        let variables = [("PATH", command::search_path())];
        let ended = command::run(
            &self.nft,
            &["-f", "-"],
            variables,
            text.as_bytes(),
            BOUND,
            Some(self.state.lock()),
        )
        .map_err(|error| RuntimeError::failed(format!("{what}: running nft"), error))?;
        if ended.status.success() {
            return Ok(());
        }
        Err(RuntimeError::failed(format!("{what}: nft"), ended.complaint()))
    }
    /// Removes the bridge's ports that no record is of.
    pub(super) fn sweep(&self) -> Result<(), RuntimeError> {
        netlink::with(async {
            let net = Net::here()?;
            let links = net.links().await;
            let links = links.map_err(|error| RuntimeError::failed("listing links", error))?;
            // The records after the links: a record is there before its link is.
            let known: Vec<String> = self
                .records()
                .iter()
                .map(|(_, record)| self.plan.link(record.number))
                .collect();
            for link in links {
                let ours = link.kind == Some(InfoKind::Veth) && self.plan.is_link(&link.name);
                if ours && !known.contains(&link.name) {
                    tracing::info!(link = link.name, "removing a link that no sandbox has");
                    delete(&net, &link.name).await?;
                }
            }
            Ok(())
        })
    }

    pub(super) fn remove(&self) -> Result<(), RuntimeError> {
        if let Some((sandbox, _)) = self.records().first() {
            return Err(RuntimeError::InUse {
                what: format!("the bridge {}", self.plan.name),
                by: format!("sandbox {sandbox}"),
            });
        }
        self.parts_removed().into_iter().collect::<Result<(), _>>()?;
        self.forgotten()
    }

    /// Removes what was made of a new network that could not be made whole, as far as that can be.
    pub(super) fn unmake(&self) {
        let removed = self.parts_removed().into_iter().chain([self.forgotten()]);
        for error in removed.filter_map(Result::err) {
            tracing::warn!(%error, "a part of a network that could not be made is left");
        }
    }

    /// Removes each of its parts, whatever became of the others.
    fn parts_removed(&self) -> [Result<(), RuntimeError>; 3] {
        [
            forwarding::ensure(&self.plan.name, Wanted::Never, self.state.lock()),
            self.nft("removing the table", &rules::gone(&self.plan)),
            netlink::with(async {
                let net = Net::here()?;
                // Another's, of this name, stays.
                let link = net.link(&self.plan.name).await;
                let link = link.map_err(|error| {
                    RuntimeError::failed(format!("looking for the link {}", self.plan.name), error)
                })?;
                if let Some(link) = link {
                    whose(&link, &self.plan, &self.state)?;
                }
                delete(&net, &self.plan.name).await
            }),
        ]
    }

    /// The state directory is of no network any more.
    fn forgotten(&self) -> Result<(), RuntimeError> {
        let place = self.state.root().join(KEPT);
        fs::remove_file(&place)
            .map_err(|error| RuntimeError::failed(format!("removing {}", place.display()), error))
    }
}

pub(super) async fn delete(net: &Net, link: &str) -> Result<(), RuntimeError> {
    let deleted = net.delete(link).await;
    deleted.map_err(|error| RuntimeError::failed(format!("removing the link {link}"), error))
}

/// What a bridge's alias begins with, before the path of its state directory.
const ALIAS: &str = "orch-podnet ";

/// What says of a bridge whose it is.
fn alias(state: &StateDir) -> String {
    format!("{ALIAS}{}", state.root().display())
}

/// Whether a bridge's alias names where this state directory was before it was moved: what it names is no longer there, and
/// the directory says itself which bridge it is of. What cannot be looked at may be there.
fn was_here(alias: &str, plan: &Plan, state: &StateDir) -> Result<bool, RuntimeError> {
    let Some(before) = alias.strip_prefix(ALIAS) else {
        return Ok(false);
    };
    if Kept::read(state.root()).is_none_or(|kept| kept.bridge != plan.name) {
        return Ok(false);
    }
    match Kept::is_in(Path::new(before)) {
        Ok(there) => Ok(!there),
        Err(error) => {
            let reason = format!(
                "{:?}: a link of this name is of the network whose state is in {before}, and whether it still is there cannot \
                 be known ({error}): mend that, or choose another name, or remove the link if its pods are gone",
                plan.name
            );
            Err(invalid("name", reason))
        }
    }
}

/// Refuses a link of the bridge's name that is not this network's.
pub(super) fn whose(link: &Link, plan: &Plan, state: &StateDir) -> Result<(), RuntimeError> {
    // The kernel takes an alias only of a link that there is: one that was killed in between left its bridge so.
    let begun = link.alias.is_none() && !link.up && link.hardware == plan.hardware(GATEWAY);
    let named = match link.alias.as_deref() {
        Some(named) => named == alias(state) || was_here(named, plan, state)?,
        None => false,
    };
    if link.kind == Some(InfoKind::Bridge) && (named || begun) {
        return Ok(());
    }
    let whose = match &link.alias {
        Some(alias) if alias.starts_with(ALIAS) => {
            format!("is of the network whose state is in {}", &alias[ALIAS.len()..])
        }
        _ => "is there and not this network's".into(),
    };
    let reason = format!(
        "{:?}: a link of this name {whose}: choose another name, or remove it",
        link.name
    );
    Err(invalid("name", reason))
}
