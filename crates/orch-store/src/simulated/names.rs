//! Which files have which names, and which names a power cut leaves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use orch_core::random::Random;

/// The files of a directory, by numbers.
#[derive(Clone, Default)]
pub(super) struct Names {
    now: BTreeMap<PathBuf, u64>,
    /// What a power cut leaves for sure.
    synced: BTreeMap<PathBuf, u64>,
    /// What was done since, in order.
    unsynced: Vec<Change>,
}

/// A file loses a name, or gets one, or both.
#[derive(Clone)]
struct Change {
    file: u64,
    from: Option<PathBuf>,
    to: Option<PathBuf>,
}

impl Change {
    fn make(&self, names: &mut BTreeMap<PathBuf, u64>) {
        if let Some(from) = &self.from
            && names.get(from) == Some(&self.file)
        {
            names.remove(from);
        }
        if let Some(to) = &self.to {
            names.insert(to.clone(), self.file);
        }
    }
}

impl Names {
    pub(super) fn file(&self, name: &Path) -> Option<u64> {
        self.now.get(name).copied()
    }

    /// A name that a file has now.
    pub(super) fn name(&self, file: u64) -> Option<&Path> {
        let mut names = self.now.iter();
        names.find_map(|(name, named)| (*named == file).then_some(&**name))
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = (&Path, u64)> {
        self.now.iter().map(|(name, file)| (&**name, *file))
    }

    pub(super) fn change(&mut self, file: u64, from: Option<&Path>, to: Option<&Path>) {
        let change = Change {
            file,
            from: from.map(Path::to_owned),
            to: to.map(Path::to_owned),
        };
        change.make(&mut self.now);
        self.unsynced.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.make(&mut self.synced);
        }
    }

    /// The power fails. No file system promises an order.
    pub(super) fn lose(&mut self, random: &Random) {
        for change in self.unsynced.drain(..) {
            if random.below(2) == 0 {
                change.make(&mut self.synced);
            }
        }
        self.now.clone_from(&self.synced);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_was_not_synced_may_be_the_old_one_and_one_that_was_is_not() {
        let (old, new) = (Path::new("old"), Path::new("new"));
        let mut left = std::collections::BTreeSet::new();
        for seed in 0..100 {
            let mut names = Names::default();
            names.change(1, None, Some(old));
            names.sync();
            names.change(1, Some(old), Some(new));
            names.lose(&Random::seeded(seed));
            left.insert((names.file(old), names.file(new)));
        }
        assert_eq!(
            left.into_iter().collect::<Vec<_>>(),
            [(None, Some(1)), (Some(1), None)]
        );
    }
}
