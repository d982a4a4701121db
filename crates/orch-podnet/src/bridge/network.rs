//! What one network has on the machine and on disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use orch_core::runtime::{HostPort, RuntimeError, SandboxId};
use parking_lot::Mutex;
use rtnetlink::LinkUnspec;
use rtnetlink::packet_route::link::InfoKind;
use serde::{Deserialize, Serialize};

use super::addresses::{Book, GATEWAY, Plan, Record, Refusal};
use super::forwarding::{self, Wanted};
use super::machine::Machine;
use super::options::BridgeOptions;
use super::{NAME, connect, ports, rules, sysctl};
use crate::files::{self, StateDir};
use crate::netlink::{self, Link, Net};
use crate::{command, invalid};

/// How long `nft` may take.
const BOUND: Duration = Duration::from_secs(20);

/// `network.json`: what the addresses on disk are of.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    bridge: String,
    subnets: Vec<IpNet>,
}

/// `last.json`: the number given out last.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Last {
    number: u32,
}

#[derive(Debug)]
pub(super) struct Network {
    plan: Plan,
    mtu: Option<u32>,
    masquerade: bool,
    nft: PathBuf,
    state: StateDir,
    book: Mutex<Book>,
    /// One change of the table at a time, so that none is made from what has changed meanwhile.
    table: Mutex<()>,
}

impl Network {
    pub(super) fn open(options: BridgeOptions, subnets: Vec<IpNet>) -> Result<Self, RuntimeError> {
        let unavailable = |reason: String| RuntimeError::Unavailable {
            runtime: NAME,
            reason,
        };
        if !rustix::process::geteuid().is_root() {
            return Err(unavailable("making links and namespaces needs root".into()));
        }
        let nft = command::find("nft").ok_or_else(|| {
            unavailable("there is no program nft on the search path: install the package nftables".into())
        })?;
        let state = StateDir::open(NAME, &options.state)?;
        let kept: Option<Kept> = read(&state.root().join("network.json"));
        let records: Vec<(SandboxId, Record)> = state.sandboxes()?;
        let plan = netlink::with(async {
            let machine = Machine::look(&Net::here()?).await?;
            // What was chosen once is not chosen anew.
            let wanted = match &kept {
                Some(kept) if subnets.is_empty() => kept.subnets.clone(),
                _ => subnets,
            };
            let subnets = machine.settle(wanted, &options.name)?;
            let plan = Plan {
                name: options.name.clone(),
                subnets,
            };
            let bridge = machine.links.iter().find(|link| link.name == options.name);
            bridge.map_or(Ok(()), |bridge| whose(bridge, &plan, &state))?;
            Ok(plan)
        })?;
        let now = Kept {
            bridge: plan.name.clone(),
            subnets: plan.subnets.clone(),
        };
        if let Some(kept) = kept.filter(|kept| *kept != now) {
            changeable(&kept, &now, records.len(), &state)?;
        }
        files::replace(&state.root().join("network.json"), &now)?;
        let last: Last = read(&state.root().join("last.json")).unwrap_or_default();
        let (book, odd) = Book::read(records, last.number, &plan);
        for sandbox in odd {
            tracing::warn!(%sandbox, "forgetting an address that another sandbox has, or that there is not");
            state.remove(&sandbox)?;
        }
        let network = Self {
            plan,
            mtu: options.mtu,
            masquerade: options.masquerade,
            nft,
            state,
            book: Mutex::new(book),
            table: Mutex::new(()),
        };
        network.make()?;
        Ok(network)
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Everything that does not belong to one sandbox, made where it is missing.
    fn make(&self) -> Result<(), RuntimeError> {
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
            if bridge.alias.is_none() {
                let named = LinkUnspec::new_with_index(bridge.index)
                    .alias(alias(&self.state))
                    .build();
                net.set(named).await.map_err(failed)?;
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
        forwarding::ensure(name, Wanted::IfDropped)
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

    fn records(&self) -> Vec<(SandboxId, Record)> {
        self.book
            .lock()
            .iter()
            .map(|(sandbox, record)| (sandbox.clone(), record.clone()))
            .collect()
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
        forwarding::ensure(name, Wanted::IfDropped)
    }

    fn listing(&self) -> String {
        format!("list chain inet {} leaving\n", rules::table(&self.plan))
    }

    /// Writes the table anew from what there is.
    fn rebuild(&self) -> Result<(), RuntimeError> {
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
    fn change(&self, verb: &str, number: u32, ports: &[HostPort]) -> Result<(), RuntimeError> {
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
        let ended = command::run(&self.nft, &["-f", "-"], variables, text.as_bytes(), BOUND)
            .map_err(|error| RuntimeError::failed(format!("{what}: running nft"), error))?;
        if ended.status.success() {
            return Ok(());
        }
        Err(RuntimeError::failed(format!("{what}: nft"), ended.complaint()))
    }

    /// Connects a sandbox; after an error nothing of it is left.
    pub(super) fn attach(
        &self,
        sandbox: &SandboxId,
        namespace: &Path,
        ports: &[HostPort],
    ) -> Result<Vec<std::net::IpAddr>, RuntimeError> {
        ports::check(ports, &self.plan)?;
        let (before, record) = self.enter(sandbox, ports)?;
        self.connect(namespace, before.as_ref(), &record).inspect_err(|_| {
            if let Err(error) = self.detach(sandbox) {
                tracing::warn!(%sandbox, %error, "what was connected of it is left until the network is opened again");
            }
        })?;
        Ok(self.plan.ips(record.number))
    }

    /// The sandbox's record as it was and as it is now, on disk before anything else is.
    fn enter(
        &self,
        sandbox: &SandboxId,
        ports: &[HostPort],
    ) -> Result<(Option<Record>, Record), RuntimeError> {
        let mut book = self.book.lock();
        let before = book.get(sandbox).cloned();
        let record = book
            .enter(sandbox, ports, &self.plan)
            .map_err(|refusal| refused(refusal, &self.plan))?;
        let written = self.state.write(sandbox, &record).and_then(|()| {
            let last = Last { number: book.last };
            if before.is_none() {
                files::replace(&self.state.root().join("last.json"), &last)
            } else {
                Ok(())
            }
        });
        if let Err(error) = written {
            if before.is_none() {
                book.leave(sandbox);
            }
            return Err(error);
        }
        Ok((before, record))
    }

    fn connect(
        &self,
        namespace: &Path,
        before: Option<&Record>,
        record: &Record,
    ) -> Result<(), RuntimeError> {
        let had = before.map_or(&[][..], |before| &before.ports);
        for port in record.ports.iter().filter(|port| !had.contains(port)) {
            ports::free(port)?;
        }
        connect::connect(&self.plan, record.number, namespace)?;
        let gone: Vec<HostPort> = had
            .iter()
            .filter(|port| !record.ports.contains(port))
            .cloned()
            .collect();
        if !gone.is_empty() {
            self.change("delete", record.number, &gone)?;
        }
        self.change("add", record.number, &record.ports)
    }

    pub(super) fn detach(&self, sandbox: &SandboxId) -> Result<(), RuntimeError> {
        let Some(record) = self.book.lock().get(sandbox).cloned() else {
            return Ok(());
        };
        self.change("delete", record.number, &record.ports)?;
        let link = self.plan.link(record.number);
        netlink::with(async { delete(&Net::here()?, &link).await })?;
        // The address may be given to another once nothing has it.
        self.state.remove(sandbox)?;
        self.book.lock().leave(sandbox);
        Ok(())
    }

    /// Sandboxes that are connected and not among these.
    pub(super) fn others(&self, live: &[SandboxId]) -> Vec<SandboxId> {
        let book = self.book.lock();
        let others = book
            .iter()
            .map(|(sandbox, _)| sandbox)
            .filter(|sandbox| !live.contains(sandbox));
        others.cloned().collect()
    }

    /// Removes the bridge's ports that no record is of.
    pub(super) fn sweep(&self) -> Result<(), RuntimeError> {
        netlink::with(async {
            let net = Net::here()?;
            let links = net
                .links()
                .await
                .map_err(|error| RuntimeError::failed("listing links", error))?;
            for link in links {
                // With the book held: nobody makes a link whose record is not in it.
                let book = self.book.lock();
                let known = book
                    .iter()
                    .any(|(_, record)| self.plan.link(record.number) == link.name);
                drop(book);
                if link.kind == Some(InfoKind::Veth) && self.plan.is_link(&link.name) && !known {
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
        forwarding::ensure(&self.plan.name, Wanted::Never)?;
        self.nft("removing the table", &rules::gone(&self.plan))?;
        netlink::with(async { delete(&Net::here()?, &self.plan.name).await })?;
        let place = self.state.root().join("network.json");
        fs::remove_file(&place)
            .map_err(|error| RuntimeError::failed(format!("removing {}", place.display()), error))
    }
}

async fn delete(net: &Net, link: &str) -> Result<(), RuntimeError> {
    let deleted = net.delete(link).await;
    deleted.map_err(|error| RuntimeError::failed(format!("removing the link {link}"), error))
}

/// What says of a bridge whose it is.
fn alias(state: &StateDir) -> String {
    format!("orch-podnet {}", state.root().display())
}

/// Refuses a link of the bridge's name that is not this network's.
fn whose(link: &Link, plan: &Plan, state: &StateDir) -> Result<(), RuntimeError> {
    // The kernel takes an alias only of a link that there is: one that was killed in between left its bridge so.
    let begun = link.alias.is_none() && !link.up && link.hardware == plan.hardware(GATEWAY);
    let named = link.alias.as_deref() == Some(alias(state).as_str());
    if link.kind == Some(InfoKind::Bridge) && (named || begun) {
        return Ok(());
    }
    let whose = match &link.alias {
        Some(alias) if alias.starts_with("orch-podnet ") => {
            format!(
                "is of the network whose state is in {}",
                &alias["orch-podnet ".len()..]
            )
        }
        _ => "is there and not this network's".into(),
    };
    let reason = format!(
        "{:?}: a link of this name {whose}: choose another name, or remove it",
        link.name
    );
    Err(invalid("name", reason))
}

/// Whether what the state directory is of can become what is asked for.
fn changeable(kept: &Kept, now: &Kept, connected: usize, state: &StateDir) -> Result<(), RuntimeError> {
    if kept.bridge != now.bridge {
        let reason = format!(
            "{:?}: the state in {} is of {:?}",
            now.bridge,
            state.root().display(),
            kept.bridge
        );
        return Err(invalid("name", reason));
    }
    if connected > 0 {
        let subnets: Vec<String> = kept.subnets.iter().map(ToString::to_string).collect();
        let reason = format!(
            "{connected} sandboxes have addresses of {}; disconnect them first",
            subnets.join(" and ")
        );
        return Err(invalid("subnets", reason));
    }
    Ok(())
}

fn refused(refusal: Refusal, plan: &Plan) -> RuntimeError {
    match refusal {
        Refusal::Exhausted(all) => {
            let subnets: Vec<String> = plan.subnets.iter().map(ToString::to_string).collect();
            let reason = format!("all {all} addresses of {} are given out", subnets.join(" and "));
            RuntimeError::Unavailable {
                runtime: NAME,
                reason,
            }
        }
        Refusal::Port(port, by) => RuntimeError::InUse {
            what: format!("the machine's port {}/{}", port.host_port, port.protocol),
            by: format!("sandbox {by}"),
        },
    }
}

fn read<T: serde::de::DeserializeOwned>(place: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(place).ok()?).ok()
}
