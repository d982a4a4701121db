//! Makes a user namespace, and others that belong to it: only a process with a single thread can. It holds them until whoever
//! asked has bound them to files, and meanwhile writes settings in them.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use super::exec::take_input;
use super::pause::become_root_of_the_pod;
use crate::namespaces::Kind;
use crate::sysctl;

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
    while let Some(setting) = hear(&mut socket)? {
        let error = match set(&setting) {
            Ok(()) => 0,
            Err(error) => error.raw_os_error().unwrap_or(Errno::EIO as i32),
        };
        socket.write_all(&error.to_le_bytes())?;
    }
    Ok(())
}

/// What is said to have a setting written: how much follows, in four bytes, the file, a zero, and the value.
pub(crate) fn say(file: &Path, value: &str) -> Vec<u8> {
    let said = [file.as_os_str().as_bytes(), b"\0", value.as_bytes()].concat();
    let length = u32::try_from(said.len()).expect("a setting that was kept in memory");
    [&length.to_le_bytes()[..], &said].concat()
}

/// None: there is nothing more to do.
fn hear(socket: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match socket.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let mut said = vec![0; u32::from_le_bytes(length) as usize];
    socket.read_exact(&mut said)?;
    Ok(Some(said))
}

/// Whose it is depends on the kernel: of late its users' root's, before that the machine's, whom this process is at first.
fn set(said: &[u8]) -> io::Result<()> {
    let mut parts = said.splitn(2, |byte| *byte == 0);
    let (Some(file), Some(value)) = (parts.next(), parts.next()) else {
        return Err(Errno::EINVAL.into());
    };
    let write = || sysctl::write(Path::new(OsStr::from_bytes(file)), value);
    match write() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            become_root_of_the_pod()?;
            // Becoming another may have undone it.
            set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
            write()
        }
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard_and_then_nothing() {
        let said = [say(Path::new("/a"), "1 2\n"), say(Path::new("/b"), "")].concat();
        let mut said = &said[..];
        assert_eq!(hear(&mut said).unwrap().unwrap(), b"/a\x001 2\n");
        assert_eq!(hear(&mut said).unwrap().unwrap(), b"/b\0");
        assert_eq!(hear(&mut said).unwrap(), None);
        assert!(hear(&mut &[9, 0, 0, 0, 1][..]).is_err());
        assert_eq!(
            set(b"no zero").unwrap_err().raw_os_error(),
            Some(Errno::EINVAL as i32)
        );
    }
}
