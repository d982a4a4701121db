//! A record of the journal: a group of commits, as bytes and back.

use std::sync::Arc;

use bytes::Bytes;
use orch_core::store::changelog::Commit;
use orch_core::store::{Key, Op, Revision, Txn};

use crate::error::Fault;
use crate::format::{FORMAT, take_bytes, take_number, take_revision};

/// Room for a record that is kept between syncs.
const RECORD_KEPT: usize = 1 << 20;

/// Checksum of all that follows, length of the body, format version, the store's identity. The first three stand
/// there whatever the version.
const HEADER: usize = 4 + 4 + 4 + 8;

const DELETE: u8 = 0;
const PUT: u8 = 1;

/// What one record made durable.
#[derive(Debug)]
pub(crate) struct Logged {
    /// The revision before it.
    pub(crate) after: Revision,
    pub(crate) compacted: Revision,
    /// The commits after `after`, without gap. None of them compares: they have been accepted.
    pub(crate) txns: Vec<Txn>,
}

impl Logged {
    /// The revision of its last commit.
    pub(super) fn end(&self) -> Revision {
        Revision::new(self.after.get() + self.txns.len() as u64)
    }
}

/// Makes records.
pub(super) struct Encoder {
    identity: u64,
    record: Vec<u8>,
}

impl Encoder {
    pub(super) fn new(identity: u64) -> Self {
        Self {
            identity,
            record: Vec::new(),
        }
    }

    /// The record of a group of commits; none if it is longer than `room`.
    pub(super) fn record(
        &mut self,
        after: Revision,
        compacted: Revision,
        commits: &[Arc<Commit>],
        room: usize,
    ) -> Option<&[u8]> {
        self.record.clear();
        self.record.shrink_to(RECORD_KEPT);
        self.record.resize(HEADER, 0);
        self.record.extend_from_slice(&after.get().to_le_bytes());
        self.record.extend_from_slice(&compacted.get().to_le_bytes());
        for commit in commits {
            put_commit(&mut self.record, commit);
            if self.record.len() > room {
                return None;
            }
        }
        let length = length(self.record.len() - HEADER);
        self.record[4..8].copy_from_slice(&length);
        self.record[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        self.record[12..HEADER].copy_from_slice(&self.identity.to_le_bytes());
        let checksum = crc32fast::hash(&self.record[4..]);
        self.record[..4].copy_from_slice(&checksum.to_le_bytes());
        (self.record.len() <= room).then_some(&self.record)
    }
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

/// The records of a file from its first byte on, up to one that was not finished or is of an earlier round.
pub(super) fn read(held: &Bytes, identity: u64) -> Result<Vec<Logged>, Fault> {
    let mut logged: Vec<Logged> = Vec::new();
    let mut rest = &held[..];
    while let Some((body, behind)) = whole_record(rest) {
        let mut body = body;
        let format = u32::from_le_bytes(take_number(&mut body)?);
        if format != FORMAT {
            return Err(Fault::Format(format));
        }
        if u64::from_le_bytes(take_number(&mut body)?) != identity {
            return Err(Fault::Damaged(
                "it belongs to another store; put back the store's own file, or remove the journal if that store is no \
                 longer wanted",
            ));
        }
        let next = read_body(held, body)?;
        if logged.last().is_some_and(|last| last.end() != next.after) {
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
    let (body, behind) = rest.split_at_checked(length.checked_add(HEADER - 8)?)?;
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
