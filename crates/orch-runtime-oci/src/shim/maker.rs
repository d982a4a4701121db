//! Makes a user namespace, and others that belong to it: only a process with a single thread can. It holds them until whoever
//! asked has bound them to files.

use std::io::{self, Read, Write};

use nix::sched::{CloneFlags, unshare};

use super::exec::take_input;
use crate::namespaces::Kind;

/// Which ones are asked for, in the words of the runtime specification.
pub(super) fn run(kinds: &str) -> io::Result<()> {
    let mut socket = take_input()?;
    let mut wanted = CloneFlags::empty();
    for word in kinds.split(',') {
        let kind = [Kind::User, Kind::Ipc, Kind::Uts, Kind::Net]
            .into_iter()
            .find(|kind| kind.word() == word);
        let kind = kind.ok_or_else(|| io::Error::other(format!("{word:?} is no namespace to be made")))?;
        wanted |= kind.flag();
    }
    unshare(wanted)?;
    socket.write_all(&[0])?;
    // Nothing is ever said: it ends.
    socket.read(&mut [0]).map(drop)
}
