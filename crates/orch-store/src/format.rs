//! The tables of the file and the bytes of a current value. `docs/format.md` is the description.

use bytes::Bytes;
use orch_core::store::Revision;
use orch_core::store::changelog::Version;
use redb::TableDefinition;

use crate::error::Fault;

/// The version of what this crate puts into the file; redb's own format has another.
pub(crate) const FORMAT: u32 = 1;

/// `format`, `identity` and `compacted`.
pub(crate) const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
pub(crate) const META_FORMAT: &str = "format";
pub(crate) const META_IDENTITY: &str = "identity";
pub(crate) const META_COMPACTED: &str = "compacted";

/// What each key holds now.
pub(crate) const CURRENT: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("current");

/// Rows of changes, by the revision and the position in its commit of a row's last change.
pub(crate) const HISTORY: TableDefinition<'static, (u64, u32), &[u8]> = TableDefinition::new("history");

/// Two revisions stand before each current value.
pub(crate) const VALUE_HEADER: usize = 16;

/// Writes `version` into `bytes`, which are [`VALUE_HEADER`] longer than its value.
pub(crate) fn write_value(bytes: &mut [u8], version: &Version) {
    bytes[..8].copy_from_slice(&version.created.get().to_le_bytes());
    bytes[8..VALUE_HEADER].copy_from_slice(&version.modified.get().to_le_bytes());
    bytes[VALUE_HEADER..].copy_from_slice(&version.value);
}

/// Reads what [`write_value`] wrote.
pub(crate) fn read_value(mut bytes: &[u8]) -> Result<Version, Fault> {
    let created = take_revision(&mut bytes)?;
    let modified = take_revision(&mut bytes)?;
    Ok(Version {
        value: Bytes::copy_from_slice(bytes),
        created,
        modified,
    })
}

pub(crate) fn take_revision(bytes: &mut &[u8]) -> Result<Revision, Fault> {
    take_number(bytes).map(|n| Revision::new(u64::from_le_bytes(n)))
}

pub(crate) fn take_number<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], Fault> {
    let (number, rest) = bytes
        .split_first_chunk::<N>()
        .ok_or(Fault::Damaged("a number is cut short"))?;
    *bytes = rest;
    Ok(*number)
}

pub(crate) fn take_bytes<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], Fault> {
    let (taken, rest) = bytes
        .split_at_checked(length)
        .ok_or(Fault::Damaged("bytes are cut short"))?;
    *bytes = rest;
    Ok(taken)
}
