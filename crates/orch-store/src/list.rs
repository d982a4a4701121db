//! Lists: pages of the present, and of the past by undoing what came after.

use std::cmp::Ordering;

use bytes::Bytes;
use orch_core::store::changelog::Version;
use orch_core::store::{Entry, Key, ListOptions, Page, Prefix, ReadError, limits};

use crate::error::Fault;
use crate::format::read_value;
use crate::snapshot::{Shared, Snapshot};
use crate::undo::{Undoing, Undone};

/// Entries read before other tasks may run.
const STEP: usize = 256;

pub(crate) async fn list(shared: &Shared, prefix: &Prefix, options: ListOptions) -> Result<Page, ReadError> {
    let (snapshot, recent) = shared.snapshot_since(options.at)?;
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
    let kept = shared.kept.take(at, prefix, &from);
    let mut undoing = kept.unwrap_or_else(|| Undoing::new(at, prefix, &from));
    undoing.bring_to(&snapshot, &recent).await?;
    drop(recent);

    let mut entries = Vec::new();
    let mut next = Some(from);
    while let Some(start) = next.take() {
        let full = limit.min(entries.len() + STEP);
        let mut range = merge(&snapshot, prefix, &start, undoing.undone())?;
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
    if let Some(next) = &next {
        shared.kept.keep(undoing, next);
    }
    Ok(Page {
        entries,
        revision: at,
        next,
    })
}

/// The entries from `start` on: those of the snapshot, but for what is undone.
fn merge<'a>(
    snapshot: &'a Snapshot,
    prefix: &'a Prefix,
    start: &'a Key,
    undone: &'a Undone,
) -> Result<impl Iterator<Item = Result<Entry, Fault>> + use<'a>, Fault> {
    let mut stored = snapshot.base.current.range::<&[u8]>(start.as_ref()..)?.peekable();
    let not_in_file = over(
        snapshot.fresh.range(prefix, start),
        snapshot.frozen.range(prefix, start),
    );
    let mut over_file = over(undone.range(start.clone()..), not_in_file).peekable();
    Ok(std::iter::from_fn(move || {
        loop {
            // A fault counts as a key here, to be told of below.
            let order = match (stored.peek(), over_file.peek()) {
                (Some(Ok((key, _))), None) if !key.value().starts_with(prefix.as_ref()) => return None,
                (Some(Ok((key, _))), Some((newer, _))) => key.value().cmp(newer.as_ref()),
                (None, Some(_)) => Ordering::Greater,
                (Some(_), _) => Ordering::Less,
                (None, None) => return None,
            };
            let current = if order.is_le() { stored.next() } else { None };
            let entry = if order.is_ge() {
                let (key, version) = over_file.next()?;
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

/// Both, in order of their keys; where both have a key, what `upper` says of it.
fn over<'a>(
    upper: impl Iterator<Item = (&'a Key, &'a Option<Version>)>,
    lower: impl Iterator<Item = (&'a Key, &'a Option<Version>)>,
) -> impl Iterator<Item = (&'a Key, &'a Option<Version>)> {
    let (mut upper, mut lower) = (upper.peekable(), lower.peekable());
    std::iter::from_fn(move || {
        let order = match (upper.peek(), lower.peek()) {
            (Some((one, _)), Some((other, _))) => one.cmp(other),
            (None, _) => Ordering::Greater,
            (_, None) => Ordering::Less,
        };
        let below = if order.is_ge() { lower.next() } else { None };
        if order.is_le() { upper.next() } else { below }
    })
}
