//! Connects one namespace to the bridge.

use std::fs::File;
use std::io;
use std::path::Path;

use orch_core::runtime::RuntimeError;
use rtnetlink::LinkUnspec;
use rustix::io::Errno;

use super::addresses::{GATEWAY, Plan};
use super::sysctl;
use crate::netlink::{self, Link, Net, Pair, is};
use crate::threads;

/// The link that a sandbox has.
const PEER: &str = "eth0";

/// Sees to it that the namespace has a link to the bridge with the addresses of `number`.
pub(super) fn connect(plan: &Plan, number: u32, namespace: &Path) -> Result<(), RuntimeError> {
    // On a thread that may stay in that namespace.
    std::thread::scope(|scope| {
        let connecting = scope.spawn(|| connect_and_stay(plan, number, namespace));
        connecting
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn connect_and_stay(plan: &Plan, number: u32, namespace: &Path) -> Result<(), RuntimeError> {
    let there = threads::namespace(namespace)?;
    let failed = |error| {
        RuntimeError::failed(
            format!("connecting {} to {}", namespace.display(), plan.name),
            error,
        )
    };
    netlink::with(async {
        let here = Net::here()?;
        let bridge = here.link(&plan.name).await.map_err(failed)?;
        let bridge = bridge.ok_or_else(|| {
            RuntimeError::failed(
                format!("connecting {}", namespace.display()),
                format!("there is no link {}", plan.name),
            )
        })?;
        threads::enter(&there)
            .map_err(|error| RuntimeError::failed(format!("entering {}", namespace.display()), error))?;
        let inside = Net::here()?;
        let name = plan.link(number);
        pair(plan, number, &bridge, &there, (&here, &inside))
            .await
            .map_err(failed)?;
        here.hairpin(&name).await.map_err(failed)?;
        configure(plan, number, &inside).await?;
        here.passes(&name).await.map_err(failed)?;
        Ok(())
    })
}

/// A pair of links between the bridge and the namespace: the one that is there, or a new one.
async fn pair(plan: &Plan, number: u32, bridge: &Link, there: &File, nets: (&Net, &Net)) -> io::Result<()> {
    let (here, inside) = nets;
    let name = plan.link(number);
    let wanted = Pair {
        name: &name,
        bridge: bridge.index,
        peer: PEER,
        hardware: plan.hardware(number),
        mtu: bridge.mtu,
    };
    match here.add_pair(&wanted, there).await {
        Err(error) if is(&error, Errno::EXIST) => {}
        made => return made,
    }
    // Connected before, or a part of it that was left.
    let (outer, inner) = (here.link(&name).await?, inside.link(PEER).await?);
    match (outer, inner) {
        (Some(outer), Some(inner)) if outer.peer == Some(inner.index) && inner.peer == Some(outer.index) => {
            here.set(
                LinkUnspec::new_with_index(outer.index)
                    .controller(bridge.index)
                    .up()
                    .build(),
            )
            .await
        }
        (None, Some(_)) => {
            let reason = format!("the namespace has a link {PEER} that is not this network's");
            Err(io::Error::new(io::ErrorKind::AlreadyExists, reason))
        }
        _ => {
            here.delete(&name).await?;
            here.add_pair(&wanted, there).await
        }
    }
}

/// Addresses and ways, in the namespace that the thread is in.
async fn configure(plan: &Plan, number: u32, inside: &Net) -> Result<(), RuntimeError> {
    let failed = |error| RuntimeError::failed("setting up the namespace's links", error);
    if plan.subnets.iter().any(|subnet| subnet.addr().is_ipv6()) {
        sysctl::set(&format!("ipv6/conf/{PEER}/disable_ipv6"), "0")?;
    }
    // A sandbox has its ways from here, not from what another announces as a router (CVE-2020-10749).
    let announced = format!("ipv6/conf/{PEER}/accept_ra");
    if sysctl::read(&announced).is_some()
        && let Err(error) = sysctl::set(&announced, "0")
    {
        tracing::warn!(%error, "sandboxes take ways that others announce");
    }
    let up = LinkUnspec::new_with_name(PEER).up().build();
    inside.set(up).await.map_err(failed)?;
    let inner = inside.passes(PEER).await.map_err(failed)?;
    for (ip, subnet) in plan.addresses(number) {
        inside
            .add_address(inner.index, ip, subnet.prefix_len())
            .await
            .map_err(failed)?;
    }
    for (gateway, _) in plan.addresses(GATEWAY) {
        inside
            .add_default_route(inner.index, gateway)
            .await
            .map_err(failed)?;
    }
    inside.loopback().await.map_err(failed)
}
