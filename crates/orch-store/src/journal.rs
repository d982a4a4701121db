//! The journal: where commits become durable before redb's file holds them.
//!
//! redb writes the ten pages of a small commit all over its file, and a sync waits for each. Here a group of
//! commits is appended as one record, and one sync of the few bytes that are new waits for that alone. redb
//! holds the same commits in memory, and writes them at the next checkpoint, after which the journal
//! begins anew at its first byte. Opening replays what redb had not written. `docs/format.md` has the bytes.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use orch_core::store::changelog::Commit;
use orch_core::store::{Key, Op, Revision, Txn};

use crate::error::Fault;
use crate::format::{sync_parent, take_bytes, take_number, take_revision};

/// Room for a record that is kept between syncs.
const RECORD_KEPT: usize = 1 << 20;

/// Checksum of all that follows, length of the body, the store's identity.
const HEADER: usize = 4 + 4 + 8;

const DELETE: u8 = 0;
const PUT: u8 = 1;

/// The file beside a store's own.
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    identity: u64,
    /// How many bytes of it are of use, of how many at most.
    used: usize,
    bound: usize,
    record: Vec<u8>,
}

/// What one record made durable.
#[derive(Debug)]
pub(crate) struct Logged {
    /// The revision before it.
    pub(crate) after: Revision,
    pub(crate) compacted: Revision,
    /// The commits after `after`, without gap. None of them compares: they have been accepted.
    pub(crate) txns: Vec<Txn>,
}

/// Why a group of commits did not become durable.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// It is certain that it did not: a full disk, say. The journal goes on.
    NotWritten(io::Error),
    /// It may have: the journal cannot be relied on any longer.
    Unknown(io::Error),
}

impl Logged {
    fn end(&self) -> u64 {
        self.after.get() + self.txns.len() as u64
    }
}

impl Journal {
    /// Where the journal of the store at `path` lies.
    pub(crate) fn path_of(path: &Path) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push("-journal");
        name.into()
    }

    /// Opens the journal of the store with this identity, or makes one; gives what it holds.
    ///
    /// Only for who holds the lock of the store's own file.
    pub(crate) fn open(store: &Path, identity: u64, bound: usize) -> io::Result<(Self, Vec<Logged>)> {
        let path = Self::path_of(store);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path)?;
        let mut held = Vec::new();
        file.read_to_end(&mut held)?;
        // What is appended comes first again: behind a record that was cut short it would never be read.
        file.seek(SeekFrom::Start(0))?;
        // Also if it is there already: who made it may have been killed before its name was durable.
        sync_parent(&path)?;
        let logged = read(&held.into(), identity).map_err(|fault| invalid(&path, &fault))?;
        let journal = Self {
            path,
            file,
            identity,
            used: 0,
            bound,
            record: Vec::new(),
        };
        Ok((journal, logged))
    }

    /// Makes a group of commits durable, if there is room.
    ///
    /// Where there is none, nothing was written: it is time for a checkpoint.
    pub(crate) fn append(
        &mut self,
        after: Revision,
        compacted: Revision,
        commits: &[Commit],
    ) -> Result<bool, AppendError> {
        self.record.clear();
        self.record.shrink_to(RECORD_KEPT);
        self.record.resize(HEADER, 0);
        self.record.extend_from_slice(&after.get().to_le_bytes());
        self.record.extend_from_slice(&compacted.get().to_le_bytes());
        for commit in commits {
            put_commit(&mut self.record, commit);
            if self.used + self.record.len() > self.bound {
                return Ok(false);
            }
        }
        let length = length(self.record.len() - HEADER);
        self.record[4..8].copy_from_slice(&length);
        self.record[8..HEADER].copy_from_slice(&self.identity.to_le_bytes());
        let checksum = crc32fast::hash(&self.record[4..]);
        self.record[..4].copy_from_slice(&checksum.to_le_bytes());
        if let Err(error) = self.file.write_all(&self.record) {
            // Part of a record is none. The next one goes in its place.
            return Err(match self.file.seek(SeekFrom::Start(self.used as u64)) {
                Ok(_) => AppendError::NotWritten(error),
                Err(error) => AppendError::Unknown(error),
            });
        }
        self.file.sync_data().map_err(AppendError::Unknown)?;
        self.used += self.record.len();
        Ok(true)
    }

    /// Begins anew at the first byte. What was there must be durable elsewhere.
    pub(crate) fn restart(&mut self) -> io::Result<()> {
        self.used = 0;
        self.file.seek(SeekFrom::Start(0)).map(|_| ())
    }

    /// Removes the file. What was there must be durable elsewhere.
    pub(crate) fn remove(self) -> io::Result<()> {
        std::fs::remove_file(self.path)
    }
}

fn invalid(path: &Path, fault: &Fault) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("journal {}: {fault}", path.display()),
    )
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes)
        .expect("keys, values and transactions are bounded far below 4 GiB")
        .to_le_bytes()
}

fn put_commit(record: &mut Vec<u8>, commit: &Commit) {
    record.extend_from_slice(&length(commit.records().len()));
    for change in commit.records() {
        let key = change.key.as_ref();
        record.push(if change.current.is_some() { PUT } else { DELETE });
        record.extend_from_slice(&length(key.len()));
        record.extend_from_slice(key);
        if let Some(version) = &change.current {
            record.extend_from_slice(&length(version.value.len()));
            record.extend_from_slice(&version.value);
        }
    }
}

/// The records from the first byte on, up to one that was not finished or is of an earlier round.
fn read(held: &Bytes, identity: u64) -> Result<Vec<Logged>, Fault> {
    let mut logged: Vec<Logged> = Vec::new();
    let mut rest = &held[..];
    while let Some((body, behind)) = whole_record(rest) {
        let mut body = body;
        if u64::from_le_bytes(take_number(&mut body)?) != identity {
            return Err(Fault::Damaged(
                "it belongs to another store; put back the store's own file, or remove the journal if that store is no \
                 longer wanted",
            ));
        }
        let next = read_body(held, body)?;
        if logged.last().is_some_and(|last| last.end() != next.after.get()) {
            break;
        }
        logged.push(next);
        rest = behind;
    }
    Ok(logged)
}

/// What the checksum of the record at the beginning of `bytes` covers behind its length, and what follows the
/// record; none if it is not whole.
fn whole_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (checksum, covered) = bytes.split_first_chunk::<4>()?;
    let (stated, rest) = covered.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*stated)).ok()?;
    let (body, behind) = rest.split_at_checked(length.checked_add(8)?)?;
    let covered = &covered[..4 + body.len()];
    (crc32fast::hash(covered) == u32::from_le_bytes(*checksum)).then_some((body, behind))
}

fn read_body(held: &Bytes, mut body: &[u8]) -> Result<Logged, Fault> {
    let mut logged = Logged {
        after: take_revision(&mut body)?,
        compacted: take_revision(&mut body)?,
        txns: Vec::new(),
    };
    while !body.is_empty() {
        let ops = u32::from_le_bytes(take_number(&mut body)?);
        let ops = (0..ops)
            .map(|_| read_op(held, &mut body))
            .collect::<Result<_, _>>()?;
        logged.txns.push(Txn {
            compares: Vec::new(),
            ops,
        });
    }
    Ok(logged)
}

fn read_op(held: &Bytes, body: &mut &[u8]) -> Result<Op, Fault> {
    let [kind] = take_number(body)?;
    let key = Key::from(take_shared(held, body)?);
    match kind {
        PUT => Ok(Op::Put {
            key,
            value: take_shared(held, body)?,
        }),
        DELETE => Ok(Op::Delete { key }),
        _ => Err(Fault::Damaged("a change of unknown kind")),
    }
}

/// A slice with its length before it, which keeps the whole alive.
fn take_shared(held: &Bytes, body: &mut &[u8]) -> Result<Bytes, Fault> {
    let length = usize::try_from(u32::from_le_bytes(take_number(body)?));
    let length = length.map_err(|_| Fault::Damaged("a length beyond this machine's"))?;
    Ok(held.slice_ref(take_bytes(body, length)?))
}

#[cfg(test)]
mod tests {
    use orch_core::store::changelog::{Record, Version};

    use super::*;

    const IDENTITY: u64 = 77;
    const BOUND: usize = 1 << 20;

    fn commit(revision: u64, changes: &[(&str, Option<usize>)]) -> Commit {
        let records = changes.iter().map(|(key, value)| Record {
            key: (*key).into(),
            current: value.map(|length| Version {
                value: vec![b'v'; length].into(),
                created: Revision::new(revision),
                modified: Revision::new(revision),
            }),
            previous: None,
        });
        Commit::new(Revision::new(revision), records.collect())
    }

    fn store() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.redb");
        (directory, path)
    }

    fn reopened(path: &Path) -> Vec<(u64, u64, usize)> {
        let (_, logged) = Journal::open(path, IDENTITY, BOUND).unwrap();
        logged
            .iter()
            .map(|logged| (logged.after.get(), logged.compacted.get(), logged.txns.len()))
            .collect()
    }

    fn append(journal: &mut Journal, after: u64, commits: &[Commit]) -> bool {
        journal
            .append(Revision::new(after), Revision::new(after / 2), commits)
            .unwrap()
    }

    #[test]
    fn what_was_appended_is_read_again_in_order() {
        let (_directory, path) = store();
        let (mut journal, logged) = Journal::open(&path, IDENTITY, BOUND).unwrap();
        assert!(logged.is_empty());
        let first = [
            commit(5, &[("a", Some(3)), ("b", None)]),
            commit(6, &[("a", Some(0))]),
        ];
        assert!(append(&mut journal, 4, &first));
        assert!(append(&mut journal, 6, &[]));
        assert!(append(&mut journal, 6, &[commit(7, &[("c", Some(70_000))])]));
        let (_, logged) = Journal::open(&path, IDENTITY, BOUND).unwrap();
        let txns: Vec<_> = logged.into_iter().map(|logged| logged.txns).collect();
        let expected = [
            vec![Txn::new().put("a", "vvv").delete("b"), Txn::new().put("a", "")],
            vec![],
            vec![Txn::new().put("c", vec![b'v'; 70_000])],
        ];
        assert_eq!(format!("{txns:?}"), format!("{expected:?}"));
        assert_eq!(reopened(&path), [(4, 2, 2), (6, 3, 0), (6, 3, 1)]);
    }

    #[test]
    fn a_record_cut_or_changed_anywhere_ends_the_journal() {
        let (_directory, path) = store();
        let (mut journal, _) = Journal::open(&path, IDENTITY, BOUND).unwrap();
        append(&mut journal, 0, &[commit(1, &[("a", Some(9))])]);
        let first = journal.used;
        append(&mut journal, 1, &[commit(2, &[("b", Some(9))])]);
        let file = Journal::path_of(&path);
        let whole = std::fs::read(&file).unwrap();
        for at in first..whole.len() {
            std::fs::write(&file, &whole[..at]).unwrap();
            assert_eq!(reopened(&path), [(0, 0, 1)], "cut at {at}");
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            std::fs::write(&file, changed).unwrap();
            assert_eq!(reopened(&path), [(0, 0, 1)], "changed at {at}");
        }
    }

    #[test]
    fn what_is_appended_behind_a_record_that_was_cut_is_read_again() {
        let (_directory, path) = store();
        let file = Journal::path_of(&path);
        let (mut journal, _) = Journal::open(&path, IDENTITY, BOUND).unwrap();
        append(&mut journal, 4, &[commit(5, &[("a", Some(9))])]);
        let whole = std::fs::read(&file).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&file, &whole[..cut]).unwrap();
            let (mut journal, logged) = Journal::open(&path, IDENTITY, BOUND).unwrap();
            assert!(logged.is_empty());
            append(&mut journal, 4, &[commit(5, &[("b", Some(1))])]);
            append(&mut journal, 5, &[commit(6, &[("c", Some(1))])]);
            assert_eq!(reopened(&path), [(4, 2, 1), (5, 2, 1)], "cut at {cut}");
        }
    }

    #[test]
    fn records_of_an_earlier_round_are_not_read() {
        let (_directory, path) = store();
        let (mut journal, _) = Journal::open(&path, IDENTITY, BOUND).unwrap();
        for revision in 1..=5 {
            append(
                &mut journal,
                revision - 1,
                &[commit(revision, &[("k", Some(100))])],
            );
        }
        journal.restart().unwrap();
        append(&mut journal, 5, &[commit(6, &[("k", Some(100))])]);
        // The second record of the first round follows, whole, and is not what comes next.
        assert_eq!(reopened(&path), [(5, 2, 1)]);
    }

    #[test]
    fn a_full_journal_says_so_and_is_as_it_was() {
        let (_directory, path) = store();
        let (mut journal, _) = Journal::open(&path, IDENTITY, BOUND).unwrap();
        let big = |revision| commit(revision, &[("k", Some(BOUND / 3))]);
        assert!(append(&mut journal, 0, &[big(1)]));
        assert!(append(&mut journal, 1, &[big(2)]));
        assert!(!append(&mut journal, 2, &[big(3)]));
        assert_eq!(reopened(&path), [(0, 0, 1), (1, 0, 1)]);
        journal.restart().unwrap();
        assert!(append(&mut journal, 2, &[big(3)]));
        assert_eq!(reopened(&path), [(2, 1, 1)]);
    }

    #[test]
    fn the_journal_of_another_store_is_refused() {
        let (_directory, path) = store();
        let (mut journal, _) = Journal::open(&path, IDENTITY, BOUND).unwrap();
        append(&mut journal, 0, &[commit(1, &[("a", Some(9))])]);
        let error = Journal::open(&path, IDENTITY + 1, BOUND).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("belongs to another store"), "{error}");
    }
}
