//! Links, addresses and routes of a network namespace, over rtnetlink.
//!
//! Connections live on the thread of one piece of work and end with it, so nothing depends on which tokio runtime the
//! network is called from.

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::num::NonZeroI32;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use ipnet::IpNet;
use orch_core::runtime::RuntimeError;
use rtnetlink::packet_route::address::{AddressAttribute, AddressHeaderFlags};
use rtnetlink::packet_route::link::{
    BridgePortState, InfoBridgePort, InfoData, InfoKind, InfoPortData, InfoVeth, LinkAttribute, LinkFlags,
    LinkInfo, LinkMessage, State,
};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};
use rtnetlink::{
    Handle, LinkBridge, LinkBridgePort, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder,
};
use rustix::io::Errno;

/// How long a new link may take until it carries packets; it takes less than a millisecond.
const PATIENCE: Duration = Duration::from_secs(5);

/// A link as far as anyone here asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) kind: Option<InfoKind>,
    pub(crate) alias: Option<String>,
    pub(crate) hardware: Vec<u8>,
    pub(crate) mtu: u32,
    pub(crate) up: bool,
    /// The bridge that it is a port of.
    pub(crate) controller: Option<u32>,
    /// The other end of a pair, by its index where it is.
    pub(crate) peer: Option<u32>,
    /// Whether packets pass: it has a carrier, and is forwarding if it is a bridge's port.
    pub(crate) passes: bool,
}

impl From<LinkMessage> for Link {
    fn from(message: LinkMessage) -> Self {
        let mut link = Self {
            index: message.header.index,
            up: message.header.flags.contains(LinkFlags::Up),
            ..Self::default()
        };
        let (mut carries, mut forwards) = (false, true);
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::IfAlias(alias) => link.alias = Some(alias),
                LinkAttribute::Address(hardware) => link.hardware = hardware,
                LinkAttribute::Mtu(mtu) => link.mtu = mtu,
                LinkAttribute::Controller(index) => link.controller = Some(index),
                LinkAttribute::Link(index) => link.peer = Some(index),
                LinkAttribute::OperState(state) => carries = state == State::Up,
                LinkAttribute::LinkInfo(infos) => {
                    for info in infos {
                        match info {
                            LinkInfo::Kind(kind) => link.kind = Some(kind),
                            LinkInfo::PortData(InfoPortData::BridgePort(port)) => {
                                forwards = port.contains(&InfoBridgePort::State(BridgePortState::Forwarding));
                            }
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        link.passes = carries && forwards;
        link
    }
}

/// A way that packets to a subnet go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) subnet: IpNet,
    /// The link's index; none for a route that leads nowhere, or over several.
    pub(crate) link: Option<u32>,
}

/// A pair of links, one end in another namespace.
#[derive(Clone, Debug)]
pub(crate) struct Pair<'a> {
    /// The end here, a port of `bridge`.
    pub(crate) name: &'a str,
    pub(crate) bridge: u32,
    /// The end there.
    pub(crate) peer: &'a str,
    pub(crate) hardware: Vec<u8>,
    pub(crate) mtu: u32,
}

/// Brings up the loopback link of the namespace that the thread is in.
pub(crate) fn loopback() -> io::Result<()> {
    let up = async {
        Net::here()?
            .loopback()
            .await
            .map_err(|error| RuntimeError::failed("bringing up lo", error))
    };
    with(up).map_err(io::Error::other)
}

/// The addresses of a link of the namespace that the thread is in; none if there is no such link.
pub(crate) fn addresses(link: &str) -> io::Result<Vec<IpAddr>> {
    let look = async {
        let failed = |error| RuntimeError::failed(format!("looking at {link}"), error);
        let net = Net::here()?;
        let Some(link) = net.link(link).await.map_err(failed)? else {
            return Ok(Vec::new());
        };
        let all = net.addresses().await.map_err(failed)?;
        Ok(all
            .into_iter()
            .filter(|(of, _)| *of == link.index)
            .map(|(_, address)| address.addr())
            .collect())
    };
    with(look).map_err(io::Error::other)
}

/// Does what needs connections, on this thread.
pub(crate) fn with<T>(work: impl Future<Output = Result<T, RuntimeError>>) -> Result<T, RuntimeError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| RuntimeError::failed("preparing for netlink", error))?;
    runtime.block_on(work)
}

/// A connection to the namespace that the thread was in when it was made.
pub(crate) struct Net(Handle);

impl Net {
    /// Inside [`with`].
    pub(crate) fn here() -> Result<Self, RuntimeError> {
        let (connection, handle, _) = rtnetlink::new_connection()
            .map_err(|error| RuntimeError::failed("opening a netlink socket", error))?;
        tokio::spawn(connection);
        Ok(Self(handle))
    }

    pub(crate) async fn link(&self, name: &str) -> io::Result<Option<Link>> {
        match self.0.link().get().match_name(name).execute().try_next().await {
            Ok(found) => Ok(found.map(Link::from)),
            Err(error) => match io_error(error) {
                error if is(&error, Errno::NODEV) => Ok(None),
                error => Err(error),
            },
        }
    }

    pub(crate) async fn links(&self) -> io::Result<Vec<Link>> {
        let links = self.0.link().get().execute();
        links.map_ok(Link::from).try_collect().await.map_err(io_error)
    }

    /// The addresses of all links with their subnets, and the links' indexes.
    pub(crate) async fn addresses(&self) -> io::Result<Vec<(u32, IpNet)>> {
        let messages: Vec<_> = self
            .0
            .address()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(io_error)?;
        let mut found = Vec::new();
        for message in messages {
            for attribute in &message.attributes {
                if let AddressAttribute::Address(ip) = attribute
                    && let Ok(subnet) = IpNet::new(*ip, message.header.prefix_len)
                {
                    found.push((message.header.index, subnet));
                }
            }
        }
        Ok(found)
    }

    /// The routes of the main table that lead to single machines or subnets, and the default ones, whose subnet is of
    /// length 0.
    pub(crate) async fn routes(&self) -> io::Result<Vec<Route>> {
        let mut found = Vec::new();
        for v4 in [true, false] {
            let all = if v4 {
                RouteMessageBuilder::<std::net::Ipv4Addr>::new().build()
            } else {
                RouteMessageBuilder::<std::net::Ipv6Addr>::new().build()
            };
            let messages: Vec<RouteMessage> = self
                .0
                .route()
                .get(all)
                .execute()
                .try_collect()
                .await
                .map_err(io_error)?;
            for message in messages {
                let kinds = [
                    RouteType::Unicast,
                    RouteType::BlackHole,
                    RouteType::Unreachable,
                    RouteType::Prohibit,
                ];
                let main = message.header.table == rtnetlink::packet_route::route::RouteHeader::RT_TABLE_MAIN;
                if main && kinds.contains(&message.header.kind) {
                    found.extend(route(v4, &message));
                }
            }
        }
        Ok(found)
    }

    /// Makes a bridge that is down.
    pub(crate) async fn add_bridge(&self, name: &str, hardware: Vec<u8>, mtu: u32) -> io::Result<()> {
        let bridge = LinkMessageBuilder::<LinkBridge>::new(name)
            .address(hardware)
            .mtu(mtu)
            .build();
        self.0.link().add(bridge).execute().await.map_err(io_error)
    }

    /// Makes a pair of links in one message: to move one afterwards takes 20 times as long. The end here is up, that
    /// there cannot be yet.
    pub(crate) async fn add_pair(&self, pair: &Pair<'_>, there: &File) -> io::Result<()> {
        let peer = LinkMessageBuilder::<LinkUnspec>::new()
            .name(pair.peer)
            .address(pair.hardware.clone())
            .mtu(pair.mtu)
            .setns_by_fd(there.as_raw_fd())
            .build();
        let both = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
            .name(pair.name)
            .mtu(pair.mtu)
            .controller(pair.bridge)
            .up()
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
            .build();
        self.0.link().add(both).execute().await.map_err(io_error)
    }

    /// Has a bridge send packets back through the port that they came from, for a sandbox that reaches itself by a port
    /// of the machine.
    pub(crate) async fn hairpin(&self, port: &str) -> io::Result<()> {
        let message = LinkBridgePort::new(0).name(port).hairpin(true).build();
        // As a change of what exists: `RTM_SETLINK` passes over what is said of a bridge's port.
        let flags = rtnetlink::packet_core::NLM_F_REQUEST | rtnetlink::packet_core::NLM_F_ACK;
        self.0
            .link()
            .add(message)
            .set_flags(flags)
            .execute()
            .await
            .map_err(io_error)
    }

    /// Changes a link that exists.
    pub(crate) async fn set(&self, message: LinkMessage) -> io::Result<()> {
        self.0.link().set(message).execute().await.map_err(io_error)
    }

    /// Brings up the loopback link.
    pub(crate) async fn loopback(&self) -> io::Result<()> {
        self.set(LinkUnspec::new_with_name("lo").up().build()).await
    }

    /// Gives a link an address; it has it already, or at once: nobody else is asked whether they have it.
    pub(crate) async fn add_address(&self, link: u32, ip: IpAddr, prefix: u8) -> io::Result<()> {
        let mut request = self.0.address().add(link, ip, prefix);
        request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
        exists_or(request.execute().await)
    }

    /// Takes an address from a link.
    pub(crate) async fn remove_address(&self, link: u32, address: IpNet) -> io::Result<()> {
        let messages: Vec<_> = self
            .0
            .address()
            .get()
            .set_link_index_filter(link)
            .set_address_filter(address.addr())
            .set_prefix_length_filter(address.prefix_len())
            .execute()
            .try_collect()
            .await
            .map_err(io_error)?;
        for message in messages {
            self.0.address().del(message).execute().await.map_err(io_error)?;
        }
        Ok(())
    }

    /// Has all that is not of a subnet of its own go to `gateway`.
    pub(crate) async fn add_default_route(&self, link: u32, gateway: IpAddr) -> io::Result<()> {
        let message = match gateway {
            IpAddr::V4(gateway) => RouteMessageBuilder::<std::net::Ipv4Addr>::new()
                .gateway(gateway)
                .output_interface(link)
                .build(),
            IpAddr::V6(gateway) => RouteMessageBuilder::<std::net::Ipv6Addr>::new()
                .gateway(gateway)
                .output_interface(link)
                .build(),
        };
        exists_or(self.0.route().add(message).execute().await)
    }

    /// Removes a link, and its other end; one that is gone is.
    pub(crate) async fn delete(&self, name: &str) -> io::Result<()> {
        let Some(link) = self.link(name).await? else {
            return Ok(());
        };
        match self.0.link().del(link.index).execute().await.map_err(io_error) {
            Err(error) if !is(&error, Errno::NODEV) => Err(error),
            _ => Ok(()),
        }
    }

    /// Waits until packets pass a link. The kernel enables a new one a moment after it has answered.
    pub(crate) async fn passes(&self, name: &str) -> io::Result<Link> {
        let until = Instant::now() + PATIENCE;
        loop {
            let link = self.link(name).await?;
            match link {
                Some(link) if link.passes => return Ok(link),
                None => {
                    return Err(io::Error::new(
                        io::ErrorKind::NotFound,
                        format!("the link {name} is gone"),
                    ));
                }
                Some(_) if Instant::now() > until => {
                    let reason = format!("the link {name} carries nothing after {PATIENCE:?}");
                    return Err(io::Error::new(io::ErrorKind::TimedOut, reason));
                }
                // Tokio's timer would take a millisecond; there is nothing else on this thread.
                Some(_) => std::thread::sleep(Duration::from_micros(100)),
            }
        }
    }
}

fn route(v4: bool, message: &RouteMessage) -> Option<Route> {
    let (mut destination, mut link) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(ip)) => destination = Some(IpAddr::V4(*ip)),
            RouteAttribute::Destination(RouteAddress::Inet6(ip)) => destination = Some(IpAddr::V6(*ip)),
            RouteAttribute::Oif(index) => link = Some(*index),
            _ => {}
        }
    }
    let anywhere = if v4 {
        IpAddr::from([0; 4])
    } else {
        IpAddr::from([0; 16])
    };
    let subnet = IpNet::new(
        destination.unwrap_or(anywhere),
        message.header.destination_prefix_length,
    )
    .ok()?;
    Some(Route { subnet, link })
}

/// What the kernel answered, as an error of the system.
fn io_error(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(answer) => {
            io::Error::from_raw_os_error(answer.code.map_or(0, NonZeroI32::get).abs())
        }
        other => io::Error::other(other),
    }
}

pub(crate) fn is(error: &io::Error, errno: Errno) -> bool {
    Errno::from_io_error(error) == Some(errno)
}

fn exists_or(outcome: Result<(), rtnetlink::Error>) -> io::Result<()> {
    match outcome.map_err(io_error) {
        Err(error) if !is(&error, Errno::EXIST) => Err(error),
        _ => Ok(()),
    }
}
