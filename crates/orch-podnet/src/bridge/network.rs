//! One network: who is connected to it, and how that is changed.

use std::path::{Path, PathBuf};
use std::{fs, io};

use ipnet::IpNet;
use orch_core::runtime::{HostPort, Protocol, RuntimeError, SandboxId};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::addresses::{Book, Plan, Record, Refusal};
use super::alone::alone;
use super::flows::{self, Flow};
use super::machine::Machine;
use super::made::{delete, whose};
use super::options::BridgeOptions;
use super::{NAME, connect, ports, sysctl};
use crate::files::{self, StateDir};
use crate::netlink::{self, Net};
use crate::{command, invalid};

/// In the state directory: what it is of.
pub(super) const KEPT: &str = "network.json";

/// How long a state directory's path may be: it is part of the bridge's alias, which the kernel cuts off at 255.
const LONGEST: usize = 200;

/// `network.json`: what the addresses on disk are of.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) bridge: String,
    subnets: Vec<IpNet>,
}

impl Kept {
    /// What a state directory is of; none if it is new, or none.
    pub(super) fn read(state: &Path) -> Option<Self> {
        read(&state.join(KEPT))
    }

    /// Whether there is a network's state, in whatever condition.
    pub(super) fn is_in(state: &Path) -> io::Result<bool> {
        state.join(KEPT).try_exists()
    }
}

/// `last.json`: the number given out last.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Last {
    number: u32,
}

#[derive(Debug)]
pub(super) struct Network {
    pub(super) plan: Plan,
    pub(super) mtu: Option<u32>,
    pub(super) masquerade: bool,
    pub(super) nft: PathBuf,
    pub(super) state: StateDir,
    book: Mutex<Book>,
    /// One change of the table at a time, so that none is made from what has changed meanwhile.
    pub(super) table: Mutex<()>,
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
            unavailable(
                "there is no program nft on the search path: install the package nftables (Debian: apt-get install nftables)"
                .into(),
            )
        })?;
        sysctl::writable()?;
        let state = StateDir::open(NAME, &options.state)?;
        let place = state.root().display().to_string();
        if place.len() > LONGEST {
            return Err(invalid(
                "state",
                format!("{place}: must be no longer than {LONGEST} bytes"),
            ));
        }
        let kept = Kept::read(state.root());
        let records: Vec<(SandboxId, Record)> = state.sandboxes()?;
        let _alone = alone();
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
        let is_new = kept.is_none();
        if let Some(kept) = kept.filter(|kept| *kept != now) {
            changeable(&kept, &now, records.len(), &state)?;
        }
        files::replace(&state.root().join(KEPT), &now)?;
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
        network.make().inspect_err(|_| {
            if is_new {
                network.unmake();
            }
        })?;
        Ok(network)
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(super) fn records(&self) -> Vec<(SandboxId, Record)> {
        self.book
            .lock()
            .iter()
            .map(|(sandbox, record)| (sandbox.clone(), record.clone()))
            .collect()
    }

    /// Connects a sandbox; after an error nothing of it is left, or what there was before.
    pub(super) fn attach(
        &self,
        sandbox: &SandboxId,
        namespace: &Path,
        ports: &[HostPort],
    ) -> Result<Vec<std::net::IpAddr>, RuntimeError> {
        ports::check(ports, &self.plan)?;
        let (before, record) = self.enter(sandbox, ports)?;
        self.connect(namespace, before.as_ref(), &record).inspect_err(|_| {
            let undone = match before {
                None => self.detach(sandbox),
                Some(before) => self.enter(sandbox, &before.ports).and_then(|_| self.rebuild()),
            };
            if let Err(error) = undone {
                tracing::warn!(%sandbox, %error, "a part of it is left until the network is opened again");
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
        if let Err(error) = self.state.write(sandbox, &record) {
            // As it is on disk.
            match &before {
                None => book.leave(sandbox),
                Some(before) => drop(book.enter(sandbox, &before.ports, &self.plan)),
            }
            return Err(error);
        }
        let last = Last { number: book.last };
        if before.is_none()
            && let Err(error) = files::replace(&self.state.root().join("last.json"), &last)
        {
            tracing::warn!(%error, "addresses may be used again sooner than need be after a restart");
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
        self.change("add", record.number, &record.ports)?;
        self.lead_anew(record.number, &record.ports, true);
        Ok(())
    }

    /// Has the kernel forget where conversations with these ports went: those that do not go to the sandbox, or those
    /// that do.
    fn lead_anew(&self, number: u32, ports: &[HostPort], here: bool) {
        let udp = |port: &&HostPort| port.protocol == Protocol::Udp;
        let numbers: Vec<u16> = ports.iter().filter(udp).map(|port| port.host_port).collect();
        if numbers.is_empty() {
            return;
        }
        let ips = self.plan.ips(number);
        let forgotten = netlink::with(async {
            let failed = |error| RuntimeError::failed("forgetting conversations", error);
            let own = Net::here()?.addresses().await.map_err(failed)?;
            // Those with another machine's port of this number are none of ours.
            let led = |flow: &Flow| ips.contains(&flow.answers) && !ips.contains(&flow.to);
            let missed = |flow: &Flow| {
                !ips.contains(&flow.answers) && own.iter().any(|(_, own)| own.addr() == flow.to)
            };
            let stale =
                |flow: &Flow| numbers.contains(&flow.port) && if here { missed(flow) } else { led(flow) };
            flows::forget(stale).map_err(failed)
        });
        match forgotten {
            Ok(many) => tracing::debug!(many, "conversations are led anew"),
            Err(error) => {
                tracing::warn!(%error, "whoever goes on sending to a port may be led to who had it before");
            }
        }
    }

    pub(super) fn detach(&self, sandbox: &SandboxId) -> Result<(), RuntimeError> {
        let Some(record) = self.book.lock().get(sandbox).cloned() else {
            return Ok(());
        };
        self.change("delete", record.number, &record.ports)?;
        self.lead_anew(record.number, &record.ports, false);
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
