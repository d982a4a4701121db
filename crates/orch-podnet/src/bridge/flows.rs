//! Conversations that the kernel still leads where a port of the machine led before.
//!
//! Who goes on sending from one UDP port goes on being led to the sandbox that was there first, or to nobody if there was
//! none: the kernel asks the rules only for the first packet of what it takes for one conversation. So conversations
//! are forgotten when a port comes to lead elsewhere. TCP's end by themselves.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, NlaBuffer, NlasIterator,
};
use rtnetlink::sys::Socket;
use rtnetlink::sys::protocols::NETLINK_NETFILTER;
use rustix::io::Errno;

use crate::netlink::is;

// linux/netfilter/nfnetlink.h and nfnetlink_conntrack.h
const CONNTRACK: u16 = 1 << 8;
const GET: u16 = CONNTRACK | 1;
const DELETE: u16 = CONNTRACK | 2;
const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const ZONE: u16 = 18;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
const SOURCES: [u16; 2] = [1, 3];
const DESTINATIONS: [u16; 2] = [2, 4];
const PROTOCOL_NUMBER: u16 = 1;
const PROTOCOL_PORT: u16 = 3;

const HEADER: usize = 16;
const UDP: u8 = 17;

/// A conversation over UDP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flow {
    /// Where it was sent to.
    pub(super) to: IpAddr,
    pub(super) port: u16,
    /// Who answers it.
    pub(super) answers: IpAddr,
    /// Its name to the kernel: the family and some attributes as they came.
    family: u8,
    key: Vec<u8>,
}

/// Has the kernel forget those that are `stale`, in the namespace that the thread is in; how many.
pub(super) fn forget(stale: impl Fn(&Flow) -> bool) -> io::Result<usize> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    ask(&socket, GET, NLM_F_REQUEST | NLM_F_DUMP, 0, &[])?;
    let mut found = Vec::new();
    answers(&socket, |payload| {
        found.extend(flow(payload).filter(|flow| stale(flow)));
    })?;
    for flow in &found {
        ask(&socket, DELETE, NLM_F_REQUEST | NLM_F_ACK, flow.family, &flow.key)?;
        match answers(&socket, |_| {}) {
            // It ended by itself.
            Err(error) if !is(&error, Errno::NOENT) => return Err(error),
            _ => {}
        }
    }
    Ok(found.len())
}

fn ask(socket: &Socket, kind: u16, flags: u16, family: u8, attributes: &[u8]) -> io::Result<()> {
    let length = HEADER + 4 + attributes.len();
    let mut message = vec![0; HEADER];
    let mut header = NetlinkBuffer::new(&mut message);
    header.set_length(u32::try_from(length).map_err(io::Error::other)?);
    header.set_message_type(kind);
    header.set_flags(flags);
    message.extend([family, 0, 0, 0]);
    message.extend(attributes);
    socket.send(&message, 0).map(drop)
}

/// Reads to the end of an answer.
fn answers(socket: &Socket, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    loop {
        let (bytes, _) = socket.recv_from_full()?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let message = NetlinkBuffer::new_checked(rest).map_err(io::Error::other)?;
            let payload = message.payload();
            match message.message_type() {
                NLMSG_DONE => return Ok(()),
                NLMSG_ERROR => {
                    let code = payload.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
                    return if code == 0 {
                        Ok(())
                    } else {
                        Err(io::Error::from_raw_os_error(code.abs()))
                    };
                }
                _ => each(payload),
            }
            let length = usize::try_from(message.length()).map_err(io::Error::other)?;
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

/// A conversation as the kernel tells of it, if it is one over UDP.
fn flow(payload: &[u8]) -> Option<Flow> {
    let (header, attributes) = payload.split_at_checked(4)?;
    let (mut original, mut reply, mut key) = (None, None, Vec::new());
    let mut rest = attributes;
    for attribute in nested(attributes) {
        let whole = rest
            .get(..usize::from(attribute.length()).next_multiple_of(4))
            .unwrap_or(rest);
        rest = &rest[whole.len()..];
        match attribute.kind() {
            TUPLE_ORIGINAL => original = Some(tuple(attribute.value())?),
            TUPLE_REPLY => reply = Some(tuple(attribute.value())?),
            ZONE => {}
            _ => continue,
        }
        if attribute.kind() != TUPLE_REPLY {
            key.extend(whole);
        }
    }
    let (original, reply) = (original?, reply?);
    Some(Flow {
        to: original.1,
        port: original.2,
        answers: reply.0,
        family: *header.first()?,
        key,
    })
}

/// The source, destination and destination's port of one direction, over UDP.
fn tuple(value: &[u8]) -> Option<(IpAddr, IpAddr, u16)> {
    let (mut source, mut destination, mut protocol, mut port) = (None, None, None, None);
    for part in nested(value) {
        for attribute in nested(part.value()) {
            let (kind, value) = (attribute.kind(), attribute.value());
            match part.kind() {
                TUPLE_IP if SOURCES.contains(&kind) => source = address(value),
                TUPLE_IP if DESTINATIONS.contains(&kind) => destination = address(value),
                TUPLE_PROTOCOL if kind == PROTOCOL_NUMBER => protocol = value.first().copied(),
                TUPLE_PROTOCOL if kind == PROTOCOL_PORT => {
                    port = value.first_chunk().copied().map(u16::from_be_bytes);
                }
                _ => {}
            }
        }
    }
    Some((source?, destination?, port?)).filter(|_| protocol == Some(UDP))
}

fn address(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => value
            .first_chunk::<4>()
            .map(|octets| Ipv4Addr::from(*octets).into()),
        16 => value
            .first_chunk::<16>()
            .map(|octets| Ipv6Addr::from(*octets).into()),
        _ => None,
    }
}

fn nested(bytes: &[u8]) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    NlasIterator::new(bytes).map_while(Result::ok)
}
