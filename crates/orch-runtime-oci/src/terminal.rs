//! What a terminal is told through its master.

use std::os::fd::AsFd;

use orch_core::runtime::TerminalSize;
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
