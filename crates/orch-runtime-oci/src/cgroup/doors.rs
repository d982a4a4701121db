//! Ways into a group that stay open where control groups cannot be seen.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};

use super::Hierarchies;

/// The lists of a group's processes, open for writing.
pub(crate) struct Doors(Vec<File>);

impl Hierarchies {
    /// Of a group that was made, where containers have theirs.
    pub(crate) fn doors(&self, group: &str) -> io::Result<Doors> {
        let mounts: BTreeSet<_> = match &self.v2 {
            Some(mount) if self.unified => [mount].into(),
            _ => self.controllers.values().collect(),
        };
        let open = mounts.into_iter().map(|mount| {
            let list = mount
                .join(group.trim_start_matches('/'))
                .join(self.list_of(mount));
            File::options().write(true).open(list)
        });
        open.collect::<io::Result<_>>().map(Doors)
    }
}

impl Doors {
    /// Moves the calling process, which has one thread, into the group.
    pub(crate) fn enter(&self) -> io::Result<()> {
        self.0.iter().try_for_each(|mut list| list.write_all(b"0"))
    }
}
