//! A group's files.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// Where the files of a group are, by what they measure and limit; none where the machine cannot.
///
/// Everything here works on directories, whatever is mounted there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// They are of version 2.
    pub(crate) unified: bool,
    pub(crate) cpu: Option<PathBuf>,
    pub(crate) memory: Option<PathBuf>,
    pub(crate) pids: Option<PathBuf>,
}

impl Group {
    /// Memory that is used and does not hold what is in files as well, which is all that can be taken back without swap.
    pub(super) fn memory_kept(&self, dir: &Path) -> io::Result<u64> {
        let (usage, names) = if self.unified {
            ("memory.current", ["inactive_file", "active_file"])
        } else {
            (
                "memory.usage_in_bytes",
                ["total_inactive_file", "total_active_file"],
            )
        };
        let stat = dir.join("memory.stat");
        let mut kept = number(&dir.join(usage))?;
        for name in names {
            kept = kept.saturating_sub(keyed(&stat, name)?.unwrap_or(0));
        }
        Ok(kept)
    }
}

/// The number that is all of a file.
pub(super) fn number(path: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    text.trim().parse().map_err(|_| unreadable(path, &text))
}

/// The number behind a name in a file of `name number` lines.
pub(super) fn keyed(path: &Path, name: &str) -> io::Result<Option<u64>> {
    let text = fs::read_to_string(path)?;
    let value = text.lines().find_map(|line| {
        let (key, value) = line.split_once(' ')?;
        (key == name).then_some(value)
    });
    value
        .map(|value| value.trim().parse().map_err(|_| unreadable(path, value)))
        .transpose()
}

fn unreadable(path: &Path, text: &str) -> io::Error {
    io::Error::other(format!("{}: {:?} is no number", path.display(), text.trim()))
}
