//! Rows of changes: written by a checkpoint, read by resumed watches and lists of the past.

use bytes::Bytes;
use orch_core::store::changelog::{Record, Version};
use orch_core::store::{Change, Key, Prefix, Revision};

use crate::error::Fault;
use crate::format::{take_bytes, take_number, take_revision};

/// A row is closed before it grows beyond this, unless one change alone is larger. redb rounds a large pair up
/// to a power of two pages; with its header such a row fits 64 KiB.
const ROW_BYTES: usize = (64 << 10) - 512;

const HAS_CURRENT: u8 = 1;
const HAS_PREVIOUS: u8 = 2;

/// Where a row stands: the revision of its last change, and that change's position in its commit.
pub(crate) type RowKey = (u64, u32);

/// Packs changes into rows.
#[derive(Debug)]
pub(crate) struct RowWriter {
    sealed: Vec<(RowKey, Vec<u8>)>,
    row: Vec<u8>,
    last: RowKey,
    end: u64,
}

impl RowWriter {
    /// Starts after `end` bytes of earlier rows.
    pub(crate) fn new(end: u64) -> Self {
        Self {
            sealed: Vec::new(),
            row: Vec::new(),
            last: (0, 0),
            end,
        }
    }

    /// Adds the change at `position` in the commit `revision`.
    pub(crate) fn push(&mut self, revision: Revision, position: u32, record: &Record) {
        let value = |version: &Option<Version>| version.as_ref().map_or(0, |v| v.value.len());
        let length = 64 + record.key.as_ref().len() + value(&record.current) + value(&record.previous);
        if !self.row.is_empty() && self.row.len() + length > ROW_BYTES {
            self.seal();
        }
        if self.row.is_empty() {
            self.row.reserve(ROW_BYTES.max(length));
            self.row.extend_from_slice(&[0; 8]); // the end offset, known when the row is sealed
        }
        write_change(&mut self.row, revision, record);
        self.last = (revision.get(), position);
    }

    /// The rows that are closed, but for those given before.
    pub(crate) fn sealed(&mut self) -> Vec<(RowKey, Vec<u8>)> {
        std::mem::take(&mut self.sealed)
    }

    /// The rows that were not given before, and how many bytes of rows there have ever been.
    pub(crate) fn finish(mut self) -> (Vec<(RowKey, Vec<u8>)>, u64) {
        self.seal();
        (self.sealed, self.end)
    }

    fn seal(&mut self) {
        if self.row.is_empty() {
            return;
        }
        self.end += self.row.len() as u64;
        self.row[..8].copy_from_slice(&self.end.to_le_bytes());
        self.sealed.push((self.last, std::mem::take(&mut self.row)));
    }
}

fn write_change(row: &mut Vec<u8>, revision: Revision, record: &Record) {
    let flags = if record.current.is_some() { HAS_CURRENT } else { 0 }
        | if record.previous.is_some() {
            HAS_PREVIOUS
        } else {
            0
        };
    let key: &[u8] = record.key.as_ref();
    row.extend_from_slice(&revision.get().to_le_bytes());
    row.push(flags);
    put_bytes(row, key);
    for version in [&record.current, &record.previous].into_iter().flatten() {
        row.extend_from_slice(&version.created.get().to_le_bytes());
        row.extend_from_slice(&version.modified.get().to_le_bytes());
        put_bytes(row, &version.value);
    }
}

fn put_bytes(row: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("keys and values are bounded far below 4 GiB");
    row.extend_from_slice(&length.to_le_bytes());
    row.extend_from_slice(bytes);
}

/// The changes of a row, oldest first.
pub(crate) struct RowReader<'a>(&'a [u8]);

/// A change as it lies in a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredChange<'a> {
    pub(crate) revision: Revision,
    pub(crate) key: &'a [u8],
    current: Option<StoredVersion<'a>>,
    previous: Option<StoredVersion<'a>>,
}

#[derive(Clone, Copy, Debug)]
struct StoredVersion<'a> {
    created: Revision,
    modified: Revision,
    value: &'a [u8],
}

impl<'a> RowReader<'a> {
    /// The changes in `row`, and the end offset that it states.
    pub(crate) fn new(mut row: &'a [u8]) -> Result<(Self, u64), Fault> {
        let end = u64::from_le_bytes(take_number(&mut row)?);
        Ok((Self(row), end))
    }

    fn change(&mut self) -> Result<StoredChange<'a>, Fault> {
        let revision = take_revision(&mut self.0)?;
        let [flags] = take_number(&mut self.0)?;
        if flags & !(HAS_CURRENT | HAS_PREVIOUS) != 0 {
            return Err(Fault::Damaged("a change has unknown flags"));
        }
        Ok(StoredChange {
            revision,
            key: self.bytes()?,
            current: (flags & HAS_CURRENT != 0).then(|| self.version()).transpose()?,
            previous: (flags & HAS_PREVIOUS != 0).then(|| self.version()).transpose()?,
        })
    }

    fn version(&mut self) -> Result<StoredVersion<'a>, Fault> {
        Ok(StoredVersion {
            created: take_revision(&mut self.0)?,
            modified: take_revision(&mut self.0)?,
            value: self.bytes()?,
        })
    }

    fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let length = u32::from_le_bytes(take_number(&mut self.0)?);
        let length = usize::try_from(length).map_err(|_| Fault::Damaged("a length beyond this machine's"))?;
        take_bytes(&mut self.0, length)
    }
}

impl<'a> Iterator for RowReader<'a> {
    type Item = Result<StoredChange<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.0.is_empty()).then(|| {
            let change = self.change();
            if change.is_err() {
                self.0 = &[];
            }
            change
        })
    }
}

impl StoredChange<'_> {
    pub(crate) fn is_under(&self, prefix: &Prefix) -> bool {
        self.key.starts_with(prefix.as_ref())
    }

    /// The change as a watcher sees it.
    pub(crate) fn change(&self) -> Change {
        let key = Key::from(Bytes::copy_from_slice(self.key));
        Record {
            current: self.current.map(StoredVersion::version),
            previous: self.previous(),
            key,
        }
        .change()
    }

    /// What the key held before.
    pub(crate) fn previous(&self) -> Option<Version> {
        self.previous.map(StoredVersion::version)
    }
}

impl StoredVersion<'_> {
    fn version(self) -> Version {
        Version {
            value: Bytes::copy_from_slice(self.value),
            created: self.created,
            modified: self.modified,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, current: Option<usize>, previous: Option<usize>) -> Record {
        let version = |length: usize| Version {
            value: vec![7; length].into(),
            created: Revision::new(1),
            modified: Revision::new(2),
        };
        Record {
            key: key.into(),
            current: current.map(version),
            previous: previous.map(version),
        }
    }

    #[test]
    fn rows_give_back_the_changes_they_were_made_of_and_stay_in_their_bound() {
        let sizes = [Some(0), Some(1000), None, Some(70_000), Some(1000)];
        let mut writer = RowWriter::new(100);
        let mut written = Vec::new();
        for (n, size) in sizes.iter().cycle().take(200).enumerate() {
            let record = record(&format!("key-{n}"), *size, sizes[(n + 2) % 5].or(Some(3)));
            writer.push(
                Revision::new(5 + n as u64 / 7),
                u32::try_from(n % 7).unwrap(),
                &record,
            );
            written.push((Revision::new(5 + n as u64 / 7), record.change()));
        }
        let (rows, end) = writer.finish();
        assert_eq!(
            end,
            100 + rows.iter().map(|(_, row)| row.len() as u64).sum::<u64>()
        );
        assert!(rows.is_sorted_by_key(|(key, _)| *key));
        let mut read = Vec::new();
        for (key, row) in &rows {
            let (reader, _) = RowReader::new(row).unwrap();
            let changes: Vec<_> = reader.map(|change| change.unwrap()).collect();
            assert!(row.len() <= ROW_BYTES || changes.len() == 1);
            assert_eq!(key.0, changes.last().unwrap().revision.get());
            read.extend(changes.iter().map(|change| (change.revision, change.change())));
        }
        assert_eq!(read, written);
    }

    #[test]
    fn a_row_cut_anywhere_but_between_changes_is_damaged() {
        let mut writer = RowWriter::new(0);
        writer.push(Revision::new(1), 0, &record("key", Some(5), Some(6)));
        let (rows, _) = writer.finish();
        let whole = &rows[0].1;
        for length in 9..whole.len() {
            let (mut reader, _) = RowReader::new(&whole[..length]).unwrap();
            assert!(reader.next().unwrap().is_err(), "cut at {length}");
            assert!(reader.next().is_none());
        }
    }
}
