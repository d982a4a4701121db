//! Writes, on a thread of its own: takes who waits as one group, syncs the journal once, publishes, answers.
//!
//! What a group changed stays in memory, over what the file holds. When enough has come together, or nothing
//! comes any more, a checkpoint brings it into the file, while the writer goes on in the other file of the journal.
//! On a disk that is simulated there is no thread: who commits has the writer serve.

use std::sync::Arc;

use orch_core::store::changelog::{Appended, Commit};
use orch_core::store::{CommitError, ReadError, Revision};
use tokio::sync::OwnedSemaphorePermit;

use crate::RedbStoreOptions;
use crate::answers::Answers;
use crate::checkpointer::{Checkpointer, Job, Made};
use crate::error::Fault;
use crate::group::Group;
use crate::journal::{AppendError, Journal};
use crate::known::Known;
use crate::layer::{Pending, Room};
use crate::open::Opened;
use crate::pace::{Pace, QUIET};
use crate::queue::{Arrival, Queue, Request};
use crate::snapshot::{Shared, Snapshot};

pub(crate) struct Writer {
    journal: Journal,
    checkpointer: Checkpointer,
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    /// **Invariant**: of what is published, and of nothing else.
    known: Known,
    /// The commits that are neither in the file nor in the checkpoint under way.
    pending: Pending,
    /// The commits that a checkpoint brings into the file together with `pending`, past the journal. Until it is certain
    /// that they are there there can be no others.
    through: Option<Vec<Arc<Commit>>>,
    room: Room,
    pace: Pace,
    keep_commits: u64,
    /// Whether there is nothing to do for a checkpoint.
    settled: bool,
    failed: Option<Fault>,
}

/// What a group comes to.
struct Outcome {
    /// The revision before it.
    after: Revision,
    revision: Revision,
    compacted: Revision,
    commits: Vec<Arc<Commit>>,
}

/// Why a group failed, which decides what its callers can know.
enum Failure {
    /// Before it was begun to be made durable: nothing was written.
    Before(Fault),
    /// While it was made durable: it may be or not.
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
        pace: Pace,
    ) -> Self {
        Self {
            journal: opened.journal,
            checkpointer: Checkpointer::new(opened.file, shared.clone()),
            shared,
            queue,
            known: Known::default(),
            pending: Pending::default(),
            through: None,
            room: Room::new(options.live, options.history_bytes),
            pace,
            keep_commits: options.history_commits.max(1),
            settled: true,
            failed: None,
        }
    }

    /// Serves until the queue is closed and empty, then closes the file.
    pub(crate) fn run(mut self) {
        let _closing = self.closing();
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
        self.close();
    }

    /// Serves those who wait now.
    pub(crate) fn serve_waiting(&mut self) {
        loop {
            let group = self.queue.group_now();
            if group.is_empty() {
                return;
            }
            self.serve(group);
            if !self.settled && self.pace.is_quiet() {
                self.settle();
            }
        }
    }

    /// Serves those who wait, then closes the file.
    pub(crate) fn end(mut self) {
        let _closing = self.closing();
        self.serve_waiting();
        self.close();
    }

    /// Ends the store for everybody when it is dropped: also when a panic ends the writer, so that nobody waits for it.
    fn closing(&self) -> Closing {
        Closing {
            shared: self.shared.clone(),
            queue: self.queue.clone(),
        }
    }

    /// Leaves one file. Where that fails, the journal stays to be replayed.
    fn close(mut self) {
        let compacted = self.shared.snapshot().map(|newest| newest.compacted);
        self.shared.end_reads();
        let closed = self.checkpointer.finish().and_then(|_| match &self.failed {
            Some(fault) => Err(fault.clone()),
            None => {
                self.checkpointer.make(&self.pending, compacted?)?;
                // While the lock is held: afterwards it could be another's.
                Ok(self.journal.remove()?)
            }
        });
        if let Err(error) = closed {
            tracing::warn!(
                %error,
                "store: closed with its journal left, which the next opening replays"
            );
        }
    }

    fn serve(&mut self, group: Vec<(Request, OwnedSemaphorePermit)>) {
        let mut answers = Answers::default();
        if let Err(fault) = self.take_note() {
            answers.refuse(group, &fault);
            return answers.give();
        }
        let mut requests = Vec::with_capacity(group.len());
        for (request, permit) in group {
            requests.push(request);
            answers.hold(permit);
        }
        let mut appended = Vec::new();
        let mut reopen = false;
        let written = self.write(requests, &mut answers);
        match &written {
            Ok(_) => self.known.age(),
            // It knows of commits that there will not be.
            Err(_) => self.known = Known::default(),
        }
        match written {
            Ok(published) => appended = published,
            Err(Failure::Before(fault)) => {
                reopen = fault.asks_to_reopen();
                tracing::error!(%fault, "store: a group of commits failed, nothing of it was written");
                answers.fail(|| CommitError::Unavailable(Box::new(fault.clone())), &fault);
            }
            Err(Failure::During(fault)) => {
                answers.fail(|| CommitError::Unknown(Box::new(fault.clone())), &fault);
                self.fail_unless_it_passes(fault);
            }
        }
        answers.give();
        for mut appended in appended {
            appended.wake();
        }
        // Those who were answered take a while to come back.
        self.pending.layer.make();
        // Nobody waits for this one, so that few will wait for the next.
        if (reopen || self.asks_for_checkpoint())
            && self.failed.is_none()
            && !self.checkpointer.is_under_way()
        {
            let _ = self.checkpoint();
        }
    }

    /// Whether what is pending, in memory or in the journal, is worth a checkpoint.
    fn asks_for_checkpoint(&self) -> bool {
        let quarters = self.room.quarters(&self.pending).max(self.journal.quarters());
        quarters >= 3 || quarters >= 1 && self.pace.is_due()
    }

    fn fail(&mut self, fault: Fault) {
        tracing::error!(%fault, "store: writing failed, the store takes no more commits");
        self.failed = Some(fault);
    }

    fn fail_unless_it_passes(&mut self, fault: Fault) {
        if !fault.may_pass() {
            self.fail(fault);
        }
    }

    /// Takes note of a checkpoint that has ended; an error if no commit can be taken now.
    fn take_note(&mut self) -> Result<(), Fault> {
        if self.failed.is_none() {
            let ended = self.checkpointer.look();
            // Told of by who waited for it, and for those who come now without a meaning.
            let _ = self.note(ended);
        }
        if let Some(failed) = &self.failed {
            return Err(Fault::Failed(Arc::new(failed.clone())));
        }
        match self.through {
            Some(_) => self.wait(),
            None => Ok(()),
        }
    }

    /// Waits for the checkpoint that is under way.
    fn wait(&mut self) -> Result<(), Fault> {
        let ended = self.checkpointer.wait();
        self.note(ended)
    }

    /// Does what the end of a checkpoint leaves to do.
    fn note(&mut self, ended: Result<Option<Made>, Fault>) -> Result<(), Fault> {
        match ended {
            Ok(None) => Ok(()),
            Ok(Some(made)) => {
                self.publish_through(made);
                Ok(())
            }
            Err(fault @ Fault::Retried(..)) => Err(fault),
            Err(fault) => {
                // They are not in the file.
                self.through = None;
                self.fail_unless_it_passes(fault.clone());
                Err(fault)
            }
        }
    }

    /// Writes a group and publishes it. The answers are those to give if it succeeds.
    fn write(&mut self, requests: Vec<Request>, answers: &mut Answers) -> Result<Vec<Appended>, Failure> {
        let snapshot = self.shared.snapshot()?;
        let outcome = apply(&snapshot, &mut self.known, requests, answers, self.keep_commits)?;
        if outcome.commits.is_empty() && outcome.compacted == snapshot.compacted {
            return Ok(Vec::new());
        }
        drop(snapshot);
        self.settled = false;
        if !self.make_durable(&outcome)? {
            return self.write_through(outcome).map(|()| Vec::new());
        }
        self.pending.extend(&outcome.commits);
        let fresh = self.pending.layer.clone();
        Ok(self.shared.publish(outcome.commits, |snapshot| {
            snapshot.revision = outcome.revision;
            snapshot.compacted = snapshot.compacted.max(outcome.compacted);
            snapshot.fresh = fresh;
        }))
    }

    /// By the journal; false if the group is too large for that, or for the memory that waits for a checkpoint.
    fn make_durable(&mut self, outcome: &Outcome) -> Result<bool, Failure> {
        if !self.room.holds(&outcome.commits) {
            return Ok(false);
        }
        if !self.room.holds_more(&self.pending, &outcome.commits) {
            self.checkpoint()?;
        }
        if self.append(outcome)? {
            return Ok(true);
        }
        if self.journal.is_empty() {
            return Ok(false);
        }
        self.checkpoint()?;
        self.append(outcome)
    }

    fn append(&mut self, outcome: &Outcome) -> Result<bool, Failure> {
        self.journal
            .append(outcome.after, outcome.compacted, &outcome.commits)
            .map_err(|error| match error {
                AppendError::NotWritten(error) => Failure::Before(error.into()),
                AppendError::Unknown(error) => Failure::During(Fault::Journal(Arc::new(error))),
            })
    }

    /// Puts a group into the file at once, with all that comes before it.
    fn write_through(&mut self, outcome: Outcome) -> Result<(), Failure> {
        self.wait()?;
        let mut all = self.pending.clone();
        all.extend(&outcome.commits);
        let looks = self.pace.groups_meanwhile();
        self.checkpointer
            .begin(Job::Through(all), outcome.compacted, looks)?;
        self.through = Some(outcome.commits);
        match self.wait() {
            Ok(()) => Ok(()),
            Err(fault @ Fault::Retried(..)) => Err(Failure::During(fault)),
            Err(fault) if fault.may_pass() => Err(Failure::Before(fault)),
            Err(fault) => Err(Failure::During(fault)),
        }
    }

    fn publish_through(&mut self, made: Made) {
        self.pending = Pending::default();
        // The records there are, in either file, are of no use now.
        self.journal.turn();
        let commits = self.through.take().unwrap_or_default();
        let appended = self.shared.publish(commits, |snapshot| {
            *snapshot = Snapshot::of(made.base, snapshot.compacted.max(made.compacted));
        });
        for mut appended in appended {
            appended.wake();
        }
    }

    /// Hands what is pending to a checkpoint, once the one before is done, and goes on in the other journal file.
    fn checkpoint(&mut self) -> Result<(), Fault> {
        self.wait()?;
        self.pace.begin();
        // What the other file holds was brought into the store's own by the checkpoint before.
        self.journal.turn();
        let frozen = std::mem::take(&mut self.pending);
        let mut compacted = Revision::ZERO;
        self.shared.publish(Vec::new(), |snapshot| {
            snapshot.frozen = std::mem::take(&mut snapshot.fresh);
            compacted = snapshot.compacted;
        });
        let begun = self
            .checkpointer
            .begin(Job::Frozen(frozen), compacted, self.pace.groups_meanwhile());
        begun.inspect_err(|fault| self.fail(fault.clone()))
    }

    /// Has the file hold everything and garbage removed, so that a crash is followed by a quick start.
    fn settle(&mut self) {
        // Who comes next may ask for other keys.
        self.known = Known::default();
        if self.take_note().is_err() {
            self.settled = self.failed.is_some();
        } else if !self.checkpointer.is_under_way() {
            if self.journal.is_empty() && !self.checkpointer.leaves_garbage() {
                self.settled = true;
            } else {
                let _ = self.checkpoint();
            }
        }
    }
}

/// Applies the requests of a group, notes their answers, and advances compaction as the bound on commits asks.
fn apply(
    snapshot: &Snapshot,
    known: &mut Known,
    requests: Vec<Request>,
    answers: &mut Answers,
    keep_commits: u64,
) -> Result<Outcome, Failure> {
    let mut group = Group::begin(snapshot, known);
    let mut compacted = snapshot.compacted;
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
                    compacted = compacted.max(through);
                    Ok(())
                };
                answers.compactions.push((reply, answer));
            }
        }
    }
    if let Some(fault) = fault {
        return Err(Failure::Before(fault));
    }
    let revision = group.revision();
    if revision.get() - compacted.get() > keep_commits.saturating_add(keep_commits / 16) {
        compacted = Revision::new(revision.get() - keep_commits);
    }
    Ok(Outcome {
        after: snapshot.revision,
        revision,
        compacted,
        commits: group.finish(),
    })
}

/// Ends the store for everybody when it is dropped.
struct Closing {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.queue.abandon();
        self.shared.end_reads();
        self.shared.log.close();
    }
}
