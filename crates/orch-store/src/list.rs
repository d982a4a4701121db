//! Lists: pages of the present, and of the past by undoing what came after.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use bytes::Bytes;
use orch_core::store::changelog::Version;
use orch_core::store::{Entry, Key, ListOptions, Page, Prefix, ReadError, Revision, limits};

use crate::error::Fault;
use crate::format::read_value;
use crate::history::RowReader;
use crate::snapshot::{Shared, Snapshot};

/// Entries read before other tasks may run.
const STEP: usize = 256;

pub(crate) async fn list(shared: &Shared, prefix: &Prefix, options: ListOptions) -> Result<Page, ReadError> {
    let snapshot = shared.snapshot()?;
    let at = options.at.unwrap_or(snapshot.revision);
    if at > snapshot.revision {
        return Err(ReadError::Future {
            requested: at,
            newest: snapshot.revision,
        });
    }
    if at < snapshot.compacted {
        return Err(ReadError::Compacted {
            requested: at,
            oldest: snapshot.compacted,
        });
    }
    let limit = match options.limit {
        None | Some(0) => limits::PAGE_ENTRIES,
        Some(limit) => limit.min(limits::PAGE_ENTRIES),
    };
    let from = options
        .from
        .unwrap_or_default()
        .max(Key::from(prefix.bytes().clone()));
    let undone = undo(shared, &snapshot, prefix, &from, at)?;

    let mut entries = Vec::new();
    let mut next = Some(from);
    while let Some(start) = next.take() {
        let full = limit.min(entries.len() + STEP);
        let mut range = merge(&snapshot, prefix, &start, &undone)?;
        while entries.len() < full {
            let Some(entry) = range.next().transpose()? else {
                break;
            };
            entries.push(entry);
        }
        next = range.next().transpose()?.map(|entry| entry.key);
        drop(range);
        if entries.len() == limit {
            break;
        }
        tokio::task::yield_now().await;
    }
    Ok(Page {
        entries,
        revision: at,
        next,
    })
}

/// What changed keys held before; none where they did not exist.
type Undone = BTreeMap<Key, Option<Version>>;

/// What the keys from `from` on held at `at`, those that changed since.
fn undo(
    shared: &Shared,
    snapshot: &Snapshot,
    prefix: &Prefix,
    from: &Key,
    at: Revision,
) -> Result<Undone, Fault> {
    let mut undone = Undone::new();
    if at == snapshot.revision {
        return Ok(undone);
    }
    // The oldest change after `at` tells.
    if let Some(commits) = shared.log.commits(at, snapshot.revision) {
        for record in commits.iter().flat_map(|commit| commit.records()) {
            if record.key >= *from && prefix.contains(&record.key) {
                undone
                    .entry(record.key.clone())
                    .or_insert_with(|| record.previous.clone());
            }
        }
        return Ok(undone);
    }
    for row in snapshot.rows_after(at)? {
        let (_, row) = row?;
        for change in RowReader::new(row.value())?.0 {
            let change = change?;
            if change.revision > at && change.key >= from.as_ref() && change.is_under(prefix) {
                let key = Key::from(Bytes::copy_from_slice(change.key));
                undone.entry(key).or_insert_with(|| change.previous());
            }
        }
    }
    Ok(undone)
}

/// The entries from `start` on: those of the snapshot, but for what is undone.
fn merge<'a>(
    snapshot: &Snapshot,
    prefix: &'a Prefix,
    start: &Key,
    undone: &'a Undone,
) -> Result<impl Iterator<Item = Result<Entry, Fault>> + use<'a>, Fault> {
    let mut stored = snapshot.current.range::<&[u8]>(start.as_ref()..)?.peekable();
    let mut undone = undone.range(start.clone()..).peekable();
    Ok(std::iter::from_fn(move || {
        loop {
            // A fault counts as a key here, to be told of below.
            let order = match (stored.peek(), undone.peek()) {
                (Some(Ok((key, _))), None) if !key.value().starts_with(prefix.as_ref()) => return None,
                (Some(Ok((key, _))), Some((before, _))) => key.value().cmp(before.as_ref()),
                (None, Some(_)) => Ordering::Greater,
                (Some(_), _) => Ordering::Less,
                (None, None) => return None,
            };
            let current = if order.is_le() { stored.next() } else { None };
            let entry = if order.is_ge() {
                let (key, version) = undone.next()?;
                let Some(version) = version else { continue };
                Ok(version.entry(key))
            } else {
                current?.map_err(Fault::from).and_then(|(key, value)| {
                    let key = Key::from(Bytes::copy_from_slice(key.value()));
                    Ok(read_value(value.value())?.entry(&key))
                })
            };
            return Some(entry);
        }
    }))
}
