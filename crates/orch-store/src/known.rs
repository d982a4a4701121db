//! What keys hold, as far as the writer has met them lately: who writes a key again asks neither layers nor file.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use orch_core::store::Key;
use orch_core::store::changelog::Version;

use crate::error::Fault;

/// Most keys of a generation, and most bytes of them and their values, that are kept from one group to the next.
const KEYS_MOST: usize = 16_384;
const BYTES_MOST: usize = 16 << 20;

/// What keys hold; none where there is no such key.
///
/// Two generations: who is met moves into the newer one; when that has become large, it takes the place of the
/// older one, which is forgotten.
#[derive(Default)]
pub(crate) struct Known {
    newer: HashMap<Key, Option<Version>>,
    older: HashMap<Key, Option<Version>>,
    /// Of what came into the newer one, values that were replaced since counted too.
    bytes: usize,
}

impl Known {
    /// What `key` holds, read if it is not known. Who replaces it has it [counted](Self::count).
    pub(crate) fn look_up(
        &mut self,
        key: &Key,
        read: impl FnOnce() -> Result<Option<Version>, Fault>,
    ) -> Result<&mut Option<Version>, Fault> {
        Ok(match self.newer.entry(key.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let version = match self.older.remove(key) {
                    Some(version) => version,
                    None => read()?,
                };
                self.bytes += key.as_ref().len() + bytes(&version);
                unknown.insert(version)
            }
        })
    }

    /// Counts a version that took the place of another.
    pub(crate) fn count(&mut self, version: &Option<Version>) {
        self.bytes += bytes(version);
    }

    /// Forgets what is too much to keep. Only between groups.
    pub(crate) fn age(&mut self) {
        if self.newer.len() >= KEYS_MOST || self.bytes >= BYTES_MOST {
            self.older = std::mem::take(&mut self.newer);
            self.bytes = 0;
        }
    }
}

fn bytes(version: &Option<Version>) -> usize {
    version.as_ref().map_or(0, |version| version.value.len())
}

#[cfg(test)]
mod tests {
    use orch_core::store::Revision;

    use super::*;

    fn version(bytes: usize) -> Option<Version> {
        Some(Version {
            value: vec![0; bytes].into(),
            created: Revision::new(1),
            modified: Revision::new(1),
        })
    }

    /// Whether `key` had to be read.
    fn is_read(known: &mut Known, key: &str, found: Option<Version>) -> bool {
        let mut read = false;
        let looked_up = known.look_up(&key.into(), || {
            read = true;
            Ok(found)
        });
        assert!(looked_up.is_ok());
        read
    }

    #[test]
    fn a_key_is_read_once_also_one_that_is_not_there() {
        let mut known = Known::default();
        for (key, found) in [("a", version(10)), ("b", None)] {
            assert!(is_read(&mut known, key, found.clone()));
            assert!(!is_read(&mut known, key, None));
            assert_eq!(*known.look_up(&key.into(), || Ok(None)).unwrap(), found);
        }
    }

    #[test]
    fn a_read_that_fails_leaves_nothing() {
        let mut known = Known::default();
        assert!(known.look_up(&"a".into(), || Err(Fault::Closed)).is_err());
        assert!(is_read(&mut known, "a", None));
    }

    #[test]
    fn keys_that_are_not_met_again_are_forgotten_and_those_that_are_stay() {
        let mut known = Known::default();
        is_read(&mut known, "often", version(10));
        is_read(&mut known, "once", version(10));
        for n in 0..3 * KEYS_MOST {
            is_read(&mut known, &n.to_string(), None);
            known.age();
            assert!(!is_read(&mut known, "often", None));
            assert!(known.newer.len() <= KEYS_MOST && known.older.len() <= KEYS_MOST);
        }
        assert!(is_read(&mut known, "once", None));
    }

    #[test]
    fn large_values_leave_room_for_few_keys() {
        let mut known = Known::default();
        for n in 0..100 {
            let written = version(1 << 20);
            *known.look_up(&n.to_string().into(), || Ok(None)).unwrap() = written.clone();
            known.count(&written);
            known.age();
            assert!(known.newer.len() + known.older.len() <= 2 * (BYTES_MOST >> 20));
        }
    }
}
