//! Container logs on disk, in the format of Kubernetes' CRI, for runtimes that write them themselves.
//!
//! A log is a directory with files named `log.N`, where `N` counts up and a runtime may say more after a further
//! dot. The highest is written to; a writer that rotates begins the next and may remove the oldest. Each line is
//! `TIME STREAM TAG BYTES`, with `P` as the tag of a piece of a long line and `F` of its end.

mod lines;
mod reader;

use std::path::{Path, PathBuf};
use std::{fs, io};

pub use lines::{PIECE, format_lines, parse_line, write_line};
pub use reader::read;

/// How far a log is; what its writer tells its readers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Counts its changes.
    pub version: u64,
    /// Nothing more will come.
    pub complete: bool,
}

/// The log files in a directory with their numbers, oldest first.
pub fn files(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if let Some(number) = entry.file_name().to_str().and_then(number) {
            files.push((number, entry.path()));
        }
    }
    files.sort();
    Ok(files)
}

fn number(name: &str) -> Option<u64> {
    let rest = name.strip_prefix("log.")?;
    rest.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_in_the_order_of_their_numbers_whatever_else_their_names_say() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["log.10", "log.9.7.0", "log.x", "log", "out.raw"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let found = files(dir.path()).unwrap();
        let expected = [(9, "log.9.7.0"), (10, "log.10")];
        assert_eq!(
            found,
            expected.map(|(number, name)| (number, dir.path().join(name)))
        );
    }
}
