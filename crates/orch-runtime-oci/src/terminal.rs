//! What a terminal is told through its master.

use std::io;
use std::os::fd::AsFd;

use orch_core::runtime::TerminalSize;
use rustix::fs::Uid;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};
use rustix::termios::{LocalModes, SpecialCodeIndex, Winsize, tcgetattr};

/// What a program takes for the end of its input, as a person would type it: nothing if it reads keys rather than
/// lines, for to such a program it would be a key like others.
pub(crate) fn end_of_input(master: impl AsFd) -> Option<u8> {
    let attributes = tcgetattr(master).ok()?;
    attributes
        .local_modes
        .contains(LocalModes::ICANON)
        .then(|| attributes.special_codes[SpecialCodeIndex::VEOF])
}

pub(crate) fn winsize(size: TerminalSize) -> Winsize {
    Winsize {
        ws_row: size.height,
        ws_col: size.width,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

/// Gives it to a user, who may open it again by its name. Its group stays the terminals' own.
pub(crate) fn own(master: impl AsFd, uid: u32) -> io::Result<()> {
    // Not by its name, which is another's here.
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let terminal = ioctl_tiocgptpeer(master, flags)?;
    Ok(rustix::fs::fchown(terminal, Some(Uid::from_raw(uid)), None)?)
}

#[cfg(test)]
mod tests {
    use rustix::fs::fstat;
    use rustix::pty::{grantpt, openpt, unlockpt};
    use rustix::termios::{OptionalActions, tcsetattr};

    use super::*;

    fn open() -> std::os::fd::OwnedFd {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        master
    }

    #[test]
    fn one_that_is_read_by_lines_has_a_key_for_the_end_and_one_that_is_not_has_none() {
        let master = open();
        assert_eq!(end_of_input(&master), Some(4));
        let mut attributes = tcgetattr(&master).unwrap();
        attributes.make_raw();
        tcsetattr(&master, OptionalActions::Now, &attributes).unwrap();
        assert_eq!(end_of_input(&master), None);
        assert_eq!(end_of_input(std::fs::File::open("/dev/null").unwrap()), None);
    }

    #[test]
    fn it_is_given_to_its_user_with_its_group_kept() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let master = open();
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let terminal = ioctl_tiocgptpeer(&master, flags).unwrap();
        let group = fstat(&terminal).unwrap().st_gid;
        own(&master, 12345).unwrap();
        let now = fstat(&terminal).unwrap();
        assert_eq!((now.st_uid, now.st_gid), (12345, group));
    }
}
