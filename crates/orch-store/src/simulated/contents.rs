//! What a file holds, what of that is synced, and what a power cut leaves.

use std::collections::BTreeSet;

use orch_core::random::Random;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

#[derive(Clone, Default)]
pub(super) struct Contents {
    /// What reads give.
    now: Vec<u8>,
    /// What a power cut leaves for sure.
    synced: Vec<u8>,
    /// What was done since, in order.
    unsynced: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl Change {
    fn make(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, written) => {
                let end = offset + written.len();
                if bytes.len() < end {
                    set_length(bytes, end);
                }
                bytes[*offset..end].copy_from_slice(written);
            }
            Self::Length(length) => set_length(bytes, *length),
        }
    }
}

/// Where it grows it is zero. Many times as fast as `resize` in tests, which are not optimised.
fn set_length(bytes: &mut Vec<u8>, length: usize) {
    match length.checked_sub(bytes.len()) {
        Some(more) => bytes.extend_from_slice(&vec![0; more]),
        None => bytes.truncate(length),
    }
}

impl Contents {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.now
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.change(Change::Write(offset, bytes.to_vec()));
    }

    pub(super) fn set_length(&mut self, length: usize) {
        self.change(Change::Length(length));
    }

    fn change(&mut self, change: Change) {
        change.make(&mut self.now);
        self.unsynced.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.make(&mut self.synced);
        }
    }

    /// A sync fails: what it was to bring to the disk may be there or not, and is taken for written. The length is not
    /// forgotten: a file system keeps that otherwise.
    pub(super) fn fail_sync(&mut self, random: &Random) {
        let now = std::mem::take(&mut self.now);
        self.lose(random);
        if self.synced.len() != now.len() {
            self.unsynced.push(Change::Length(now.len()));
        }
        self.now = now;
    }

    /// The power fails.
    pub(super) fn lose(&mut self, random: &Random) {
        // Of eight writes so many are lost.
        let rate = [0, 1, 4, 7, 8][index(random, 5)];
        let is_lost = || random.below(8) < rate;
        let changes = std::mem::take(&mut self.unsynced);
        // Now and then what comes later is lost as a whole.
        let most = match random.below(2) {
            0 => changes.len(),
            _ => index(random, changes.len() + 1),
        };
        // A sector that lost a write has lost those that follow too, and the same goes for the length.
        let (mut sectors, mut is_length_lost) = (BTreeSet::new(), false);
        let mut bytes = std::mem::take(&mut self.synced);
        let mut length = bytes.len();
        for change in changes.into_iter().take(most) {
            let grown = match &change {
                Change::Write(offset, written) => length.max(offset + written.len()),
                Change::Length(length) => *length,
            };
            if grown != length {
                is_length_lost |= is_lost();
                if !is_length_lost {
                    length = grown;
                }
            }
            match change {
                Change::Length(_) if !is_length_lost => set_length(&mut bytes, length),
                Change::Length(_) => {}
                Change::Write(offset, written) => {
                    let mut from = 0;
                    while from < written.len() {
                        let sector = (offset + from) / SECTOR;
                        let to = written.len().min((sector + 1) * SECTOR - offset);
                        if is_lost() {
                            sectors.insert(sector);
                        }
                        if !sectors.contains(&sector) {
                            let part = written[from..to].to_vec();
                            Change::Write(offset + from, part).make(&mut bytes);
                        }
                        from = to;
                    }
                }
            }
        }
        set_length(&mut bytes, length);
        self.synced = bytes;
        self.now.clone_from(&self.synced);
    }
}

pub(super) fn index(random: &Random, bound: usize) -> usize {
    usize::try_from(random.below(bound as u64)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// What power cuts leave of a file that was changed like this, and how often.
    fn left(change: impl Fn(&mut Contents)) -> BTreeMap<Vec<u8>, u32> {
        let mut left = BTreeMap::new();
        for seed in 0..2000 {
            let mut contents = Contents::default();
            change(&mut contents);
            contents.lose(&Random::seeded(seed));
            assert_eq!(contents.now, contents.synced);
            *left.entry(contents.now).or_default() += 1;
        }
        left
    }

    #[test]
    fn what_was_synced_stays() {
        let left = left(|file| {
            file.write(0, b"hello");
            file.set_length(3);
            file.sync();
        });
        assert_eq!(left.into_keys().collect::<Vec<_>>(), [b"hel".to_vec()]);
    }

    #[test]
    fn a_write_within_a_sector_is_there_or_not_and_one_of_three_is_torn_in_any_way() {
        let base = |file: &mut Contents| {
            file.set_length(3 * SECTOR);
            file.sync();
        };
        let small = left(|file| {
            base(file);
            file.write(10, b"hello");
        });
        assert_eq!(small.len(), 2);
        let large = left(|file| {
            base(file);
            file.write(0, &[1; 3 * SECTOR]);
        });
        assert_eq!(large.len(), 8, "each sector is there or not");
    }

    #[test]
    fn a_sector_holds_what_some_of_its_first_writes_made_of_it() {
        let left = left(|file| {
            file.write(0, b"0000");
            file.sync();
            file.write(0, b"1");
            file.write(1, b"2");
            file.write(0, b"3");
        });
        let left: Vec<_> = left
            .into_keys()
            .map(|bytes| String::from_utf8(bytes).unwrap())
            .collect();
        assert_eq!(left, ["0000", "1000", "1200", "3200"]);
    }

    #[test]
    fn a_file_that_grew_may_be_as_short_as_it_was_or_empty_where_it_grew() {
        let left = left(|file| {
            file.write(0, b"ab");
            file.sync();
            file.write(2, b"cd");
        });
        let left: Vec<_> = left.into_keys().collect();
        assert_eq!(left, [b"ab".to_vec(), b"ab\0\0".to_vec(), b"abcd".to_vec()]);
    }

    #[test]
    fn what_a_failed_sync_has_lost_no_later_one_brings_back() {
        let mut lost = 0;
        for seed in 0..100 {
            let mut file = Contents::default();
            file.write(0, b"ab");
            file.fail_sync(&Random::seeded(seed));
            assert_eq!(file.bytes(), b"ab", "it can be read");
            file.sync();
            file.lose(&Random::seeded(seed));
            assert_eq!(file.bytes().len(), 2);
            lost += u32::from(file.bytes() != b"ab");
        }
        assert!((10..90).contains(&lost), "{lost} of 100");
    }
}
