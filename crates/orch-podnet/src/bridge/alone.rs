//! One network is opened at a time in a network namespace: of two that look for a free subnet at once, both would take
//! the same.

use std::io::{self, ErrorKind};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::thread;
use std::time::{Duration, Instant};

/// An abstract name: like subnets, each network namespace has its own, and no file is left of one.
const NAME: &str = "orch-podnet/opening";

/// How long others may take. Anybody on the machine can have the name, so nobody waits for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// Others wait until what this returns is dropped, or the program ends; none if they take too long.
pub(super) fn alone() -> Option<UnixDatagram> {
    let until = Instant::now() + PATIENCE;
    loop {
        match take() {
            Ok(held) => return Some(held),
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < until => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(error) => {
                tracing::warn!(%error, "others may be choosing a subnet at the same time");
                return None;
            }
        }
    }
}

fn take() -> io::Result<UnixDatagram> {
    UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(NAME)?)
}
