//! The thread that writes: takes who waits as one group, syncs the journal once, publishes, answers.

use std::sync::Arc;
use std::time::Duration;

use orch_core::store::changelog::{Appended, Commit};
use orch_core::store::{CommitError, Committed, ReadError, Revision};
use redb::{Database, Durability, ReadableTable, Table, WriteTransaction};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::RedbStoreOptions;
use crate::error::Fault;
use crate::format::{HISTORY, META, META_COMPACTED};
use crate::group::Group;
use crate::history::RowKey;
use crate::journal::{AppendError, Journal};
use crate::open::Opened;
use crate::queue::{Arrival, Queue, Request};
use crate::snapshot::{Shared, Snapshot};

/// After this long without a commit the file takes over what is in the journal.
const QUIET: Duration = Duration::from_secs(1);
/// Most rows of compacted history that one group removes, so that compaction delays nobody for long.
const ROWS_REMOVED: usize = 256;

pub(crate) struct Writer {
    database: Database,
    journal: Journal,
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    state: State,
    keep_commits: u64,
    keep_bytes: u64,
    /// Whether the file holds everything and compaction has left nothing to remove.
    settled: bool,
    failed: Option<Fault>,
}

/// Where the file's history stands.
#[derive(Clone, Copy)]
struct State {
    revision: Revision,
    compacted: Revision,
    /// Offsets of the history held, in all rows ever written.
    history_start: u64,
    history_end: u64,
    /// Whether rows may be left that compaction has made useless.
    garbage: bool,
}

/// Who waits, and for which answer.
type Answer<T> = (oneshot::Sender<T>, T);

/// Answers to give once what they rest on is durable.
#[derive(Default)]
struct Answers {
    commits: Vec<Answer<Result<Committed, CommitError>>>,
    compactions: Vec<Answer<Result<(), ReadError>>>,
    permits: Vec<OwnedSemaphorePermit>,
}

/// Why a group failed, which decides what its callers can know.
enum Failure {
    /// Before its commit began: nothing was written.
    Before(Fault),
    /// In its commit: it may be durable or not.
    During(Fault),
}

impl<E: Into<Fault>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Before(error.into())
    }
}

impl Writer {
    pub(crate) fn new(
        opened: Opened,
        shared: Arc<Shared>,
        queue: Arc<Queue>,
        options: &RedbStoreOptions,
    ) -> Self {
        Self {
            database: opened.database,
            journal: opened.journal,
            shared,
            queue,
            state: State {
                revision: opened.revision,
                compacted: opened.compacted,
                history_start: opened.history.start,
                history_end: opened.history.end,
                garbage: true,
            },
            keep_commits: options.history_commits.max(1),
            keep_bytes: options.history_bytes,
            settled: true,
            failed: None,
        }
    }

    /// Serves until the queue is closed and empty, then closes the file.
    pub(crate) fn run(mut self) {
        // Also when a panic ends the thread, so that nobody waits for it.
        let _closing = Closing {
            shared: self.shared.clone(),
            queue: self.queue.clone(),
        };
        let mut before = 0;
        loop {
            match self.queue.next_group(before, (!self.settled).then_some(QUIET)) {
                Arrival::Group(group) => {
                    before = group.len();
                    self.serve(group);
                }
                Arrival::Quiet => self.settle(),
                Arrival::Closed => break,
            }
        }
        *self.shared.snapshot.write() = None;
        self.close();
    }

    /// Leaves one file. Where that fails, the journal stays to be replayed.
    fn close(self) {
        if self.failed.is_none() {
            let checkpoint = || -> Result<(), Fault> {
                let mut txn = self.database.begin_write()?;
                txn.set_quick_repair(true);
                Ok(txn.commit()?)
            };
            let closed = checkpoint().map_err(|fault| fault.to_string());
            // While the lock is held: afterwards it could be another's.
            let removed = closed.and_then(|()| self.journal.remove().map_err(|error| error.to_string()));
            if let Err(error) = removed {
                tracing::warn!(
                    error,
                    "store: closed with its journal left, which the next opening replays"
                );
            }
        }
        drop(self.database);
    }

    fn serve(&mut self, group: Vec<(Request, OwnedSemaphorePermit)>) {
        let mut answers = Answers::default();
        if let Some(failed) = &self.failed {
            let fault = Fault::Failed(Arc::new(failed.clone()));
            answers.take(group, &fault);
            return answers.give();
        }
        let mut requests = Vec::with_capacity(group.len());
        for (request, permit) in group {
            requests.push(request);
            answers.permits.push(permit);
        }
        let mut appended = Vec::new();
        match self.write(requests, &mut answers) {
            Ok(published) => appended = published,
            Err(Failure::Before(fault)) => {
                tracing::error!(%fault, "store: a group of commits failed, nothing of it was written");
                answers.fail(|| CommitError::Unavailable(Box::new(fault.clone())), &fault);
            }
            Err(Failure::During(fault)) => {
                tracing::error!(%fault, "store: a sync failed, the store takes no more commits");
                answers.fail(|| CommitError::Unknown(Box::new(fault.clone())), &fault);
                self.failed = Some(fault);
            }
        }
        answers.give();
        for mut appended in appended {
            appended.wake();
        }
    }

    /// Writes a group and publishes it. The answers are those to give if it succeeds.
    fn write(&mut self, requests: Vec<Request>, answers: &mut Answers) -> Result<Vec<Appended>, Failure> {
        let txn = self.database.begin_write()?;
        let mut state = self.state;
        let mut group = Group::begin(&txn, state.revision, state.history_end)?;
        let mut fault = None;
        for request in requests {
            match request {
                Request::Commit { txn, reply } => {
                    // After a fault the others are only taken note of, to be told of it.
                    let answer = match &fault {
                        Some(fault) => Err(CommitError::Unavailable(Box::new(Fault::clone(fault)))),
                        None => group.apply(txn).unwrap_or_else(|found| {
                            let error = CommitError::Unavailable(Box::new(found.clone()));
                            fault = Some(found);
                            Err(error)
                        }),
                    };
                    answers.commits.push((reply, answer));
                }
                Request::Compact { through, reply } => {
                    let newest = group.revision();
                    let answer = if through > newest {
                        Err(ReadError::Future {
                            requested: through,
                            newest,
                        })
                    } else {
                        state.compacted = state.compacted.max(through);
                        Ok(())
                    };
                    answers.compactions.push((reply, answer));
                }
            }
        }
        if let Some(fault) = fault {
            return Err(Failure::Before(fault));
        }
        state.revision = group.revision();
        let (commits, end) = group.finish(&txn)?;
        state.history_end = end;
        self.compact(&txn, &mut state)?;
        if commits.is_empty() && state.compacted == self.state.compacted {
            txn.abort()?;
            return Ok(Vec::new());
        }
        self.make_durable(txn, state, &commits)?;
        self.settled = false;
        self.publish(state, commits).map_err(Failure::During)
    }

    /// Through the journal, or where that is full, by a checkpoint.
    fn make_durable(
        &mut self,
        mut txn: WriteTransaction,
        state: State,
        commits: &[Commit],
    ) -> Result<(), Failure> {
        let appended = self.journal.append(self.state.revision, state.compacted, commits);
        let has_room = appended.map_err(|error| match error {
            AppendError::NotWritten(error) => Failure::Before(error.into()),
            AppendError::Unknown(error) => Failure::During(error.into()),
        })?;
        let commit = || -> Result<(), Fault> {
            if has_room {
                txn.set_durability(Durability::None)?;
                Ok(txn.commit()?)
            } else {
                txn.set_quick_repair(true);
                txn.commit()?;
                Ok(self.journal.restart()?)
            }
        };
        commit().map_err(Failure::During)
    }

    /// Advances compaction as the bounds ask, and removes some of the rows that are past it.
    fn compact(&self, txn: &WriteTransaction, state: &mut State) -> Result<(), Fault> {
        let held = state.revision.get() - state.compacted.get();
        if held > self.keep_commits.saturating_add(self.keep_commits / 16) {
            state.compacted = Revision::new(state.revision.get() - self.keep_commits);
        }
        let too_large =
            state.history_end - state.history_start > self.keep_bytes.saturating_add(self.keep_bytes / 16);
        if state.compacted > self.state.compacted {
            state.garbage = true;
        }
        if state.garbage || too_large {
            let mut history = txn.open_table(HISTORY)?;
            let mut removed = 0;
            loop {
                let Some((key, size)) = removable(&history, state, self.keep_bytes)? else {
                    state.garbage = false;
                    break;
                };
                if removed == ROWS_REMOVED {
                    state.garbage = true;
                    break;
                }
                history.remove(key)?;
                removed += 1;
                state.history_start += size;
                state.compacted = state.compacted.max(Revision::new(key.0));
            }
        }
        if state.compacted > self.state.compacted {
            let stated = state.compacted.get().to_le_bytes();
            txn.open_table(META)?.insert(META_COMPACTED, stated.as_slice())?;
        }
        Ok(())
    }

    /// Lets readers and watchers see what is durable.
    fn publish(&mut self, state: State, commits: Vec<Commit>) -> Result<Vec<Appended>, Fault> {
        let compacts = state.compacted > self.state.compacted;
        self.state = state;
        let snapshot = Arc::new(Snapshot::take(&self.database, state.revision, state.compacted)?);
        let mut appended = Vec::with_capacity(commits.len());
        let replaced;
        {
            let mut shared = self.shared.snapshot.write();
            replaced = shared.replace(snapshot);
            appended.extend(commits.into_iter().map(|commit| self.shared.log.append(commit)));
        }
        drop(replaced);
        if compacts {
            self.shared.log.trim(state.compacted, usize::MAX);
        }
        Ok(appended)
    }

    /// Removes garbage, and has the file hold everything, so that a crash is followed by a quick start.
    fn settle(&mut self) {
        match self.checkpoint() {
            Ok(state) => {
                self.state = state;
                self.settled = !state.garbage;
            }
            Err(fault) => {
                tracing::warn!(%fault, "store: could not prepare for a quick start");
                self.settled = true;
            }
        }
    }

    fn checkpoint(&mut self) -> Result<State, Fault> {
        let mut state = self.state;
        let mut txn = self.database.begin_write()?;
        self.compact(&txn, &mut state)?;
        txn.set_quick_repair(true);
        txn.commit()?;
        self.journal.restart()?;
        Ok(state)
    }
}

/// The oldest row and its size, if compaction or the bound on bytes asks to remove it. The newest row stays:
/// it tells the store's revision.
fn removable(
    history: &Table<'_, RowKey, &[u8]>,
    state: &State,
    keep_bytes: u64,
) -> Result<Option<(RowKey, u64)>, Fault> {
    let (Some((first, row)), Some((last, _))) = (history.first()?, history.last()?) else {
        return Ok(None);
    };
    let key = first.value();
    let past = key.0 <= state.compacted.get() || state.history_end - state.history_start > keep_bytes;
    Ok((past && key != last.value()).then(|| (key, row.value().len() as u64)))
}

impl Answers {
    /// Notes the requests of a group that is refused because of `fault`.
    fn take(&mut self, group: Vec<(Request, OwnedSemaphorePermit)>, fault: &Fault) {
        for (request, permit) in group {
            self.permits.push(permit);
            match request {
                Request::Commit { reply, .. } => {
                    self.commits
                        .push((reply, Err(CommitError::Unavailable(Box::new(fault.clone())))));
                }
                Request::Compact { reply, .. } => {
                    self.compactions
                        .push((reply, Err(ReadError::Unavailable(Box::new(fault.clone())))));
                }
            }
        }
    }

    /// Replaces every answer: none of the group can be relied on.
    fn fail(&mut self, error: impl Fn() -> CommitError, fault: &Fault) {
        for (_, answer) in &mut self.commits {
            *answer = Err(error());
        }
        for (_, answer) in &mut self.compactions {
            *answer = Err(ReadError::Unavailable(Box::new(fault.clone())));
        }
    }

    /// Tells everybody. A caller who has left needs no answer.
    fn give(self) {
        for (reply, answer) in self.commits {
            let _ = reply.send(answer);
        }
        for (reply, answer) in self.compactions {
            let _ = reply.send(answer);
        }
    }
}

/// Ends the store for everybody when the thread ends, however it ends.
struct Closing {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.queue.abandon();
        *self.shared.snapshot.write() = None;
        self.shared.log.close();
    }
}
