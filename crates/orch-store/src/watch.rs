//! Watches: history from the file until it meets the log in memory, then that.

use std::sync::Arc;

use futures::stream;
use orch_core::store::changelog::{Cursor, Next, Refused};
use orch_core::store::{Batch, Change, Prefix, Revision, Watch, WatchError};

use crate::error::Fault;
use crate::history::RowReader;
use crate::snapshot::Shared;

/// A batch from the file ends with the commit that brings it to this many changes.
const BATCH_CHANGES: usize = 512;
/// Rows read before other tasks may run; a row is 64 KiB or one change.
const STEP_ROWS: usize = 32;

pub(crate) fn watch(shared: Arc<Shared>, prefix: &Prefix, after: Revision) -> Result<Watch, WatchError> {
    let snapshot = shared.snapshot()?;
    if after > snapshot.revision {
        return Err(WatchError::Future {
            requested: after,
            newest: snapshot.revision,
        });
    }
    if after < snapshot.compacted {
        return Err(WatchError::Compacted {
            after,
            oldest: snapshot.compacted,
        });
    }
    let place = place(&shared, prefix, after);
    let follower = Follower {
        shared,
        prefix: prefix.clone(),
        place,
    };
    Ok(Watch::new(stream::unfold(follower, |mut follower| async move {
        let item = follower.next().await?;
        if item.is_err() {
            follower.place = Place::Ended;
        }
        Some((item, follower))
    })))
}

struct Follower {
    shared: Arc<Shared>,
    prefix: Prefix,
    place: Place,
}

/// How far a watcher has come.
enum Place {
    /// It has caught up with the log in memory.
    Live(Cursor),
    /// It has seen everything up to this revision, which the log no longer reaches back to.
    History(Revision),
    Ended,
}

/// The log in memory if it reaches back far enough.
fn place(shared: &Shared, prefix: &Prefix, after: Revision) -> Place {
    match shared.log.subscribe(prefix, after) {
        Ok(cursor) => Place::Live(cursor),
        Err(Refused::Trimmed { .. } | Refused::Future { .. }) => Place::History(after),
    }
}

/// What one look into the file gives.
struct Found {
    /// Everything up to here was looked at.
    reached: Revision,
    changes: Vec<(Revision, Change)>,
}

impl Follower {
    async fn next(&mut self) -> Option<Result<Batch, WatchError>> {
        loop {
            match &mut self.place {
                Place::Ended => return None,
                Place::Live(cursor) => match std::future::poll_fn(|cx| cursor.poll_next(cx)).await {
                    Next::Batch(batch) => return Some(Ok(batch)),
                    Next::Closed => return Some(Err(Fault::Closed.into())),
                    Next::Trimmed { unseen } => {
                        let seen = cursor.seen();
                        match self.fall_back(seen, unseen) {
                            Ok(from) => self.place = Place::History(from),
                            Err(error) => return Some(Err(error)),
                        }
                    }
                },
                Place::History(after) => {
                    let found = match look(&self.shared, &self.prefix, *after) {
                        Ok(found) => found,
                        Err(error) => return Some(Err(error)),
                    };
                    // At once, so that only a watcher with changes left to read can be overtaken by compaction.
                    self.place = place(&self.shared, &self.prefix, found.reached);
                    if !found.changes.is_empty() {
                        return Some(Ok(Batch {
                            revision: found.reached,
                            changes: found.changes,
                        }));
                    }
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// Where to read on in the file when the log in memory has dropped the change `unseen`.
    fn fall_back(&self, seen: Revision, unseen: Revision) -> Result<Revision, WatchError> {
        let compacted = self.shared.snapshot()?.compacted;
        if unseen <= compacted {
            return Err(WatchError::Compacted {
                after: seen,
                oldest: compacted,
            });
        }
        // What was compacted between `seen` and `unseen` did not concern the watcher.
        Ok(seen.max(compacted))
    }
}

/// Reads on from `after` in the file, whole commits only.
///
/// What comes after the file's last is in the log. The log has let go of what a watcher asks of it only if
/// it is compacted or in the file, so each look comes further.
fn look(shared: &Shared, prefix: &Prefix, after: Revision) -> Result<Found, WatchError> {
    let snapshot = shared.snapshot()?;
    if after < snapshot.compacted {
        return Err(WatchError::Compacted {
            after,
            oldest: snapshot.compacted,
        });
    }
    let mut changes: Vec<(Revision, Change)> = Vec::new();
    let mut newest = after;
    for (n, row) in snapshot.base.rows_after(after)?.enumerate() {
        let (_, row) = row?;
        for change in RowReader::new(row.value())?.0 {
            let change = change?;
            if change.revision <= after {
                continue;
            }
            // A commit is whole once the next one begins.
            if change.revision > newest
                && newest > after
                && (n >= STEP_ROWS || changes.len() >= BATCH_CHANGES)
            {
                return Ok(Found {
                    reached: newest,
                    changes,
                });
            }
            newest = change.revision;
            if change.is_under(prefix) {
                changes.push((change.revision, change.change()));
            }
        }
    }
    Ok(Found {
        reached: snapshot.base.revision.max(newest),
        changes,
    })
}
