//! The commits that touch one watched prefix, and who waits for the next of them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;

use super::commit::Commit;
use super::cursor::Reader;
use crate::store::{Prefix, Revision};

/// Most changes in one batch, unless a single commit makes more.
pub(super) const BATCH_CHANGES: usize = 512;

#[derive(Debug)]
pub(super) struct Topic {
    prefix: Prefix,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Every commit after this revision that touches the prefix is in `commits`, unless trimmed.
    since: Revision,
    commits: VecDeque<Arc<Commit>>,
    /// Readers that have been given everything: the next commit is the first they have not seen.
    caught_up: Vec<Arc<Reader>>,
    readers: usize,
    closed: bool,
}

/// What a reader finds.
pub(super) enum Taken {
    /// Commits it has not seen, in order, at least one.
    Commits(Vec<Arc<Commit>>),
    /// It has seen everything.
    Nothing,
    /// What it should see first has been trimmed.
    Trimmed,
    /// It has seen everything and nothing more will come.
    Closed,
}

impl Topic {
    pub(super) fn new(prefix: Prefix, since: Revision, closed: bool) -> Self {
        let state = State {
            since,
            commits: VecDeque::new(),
            caught_up: Vec::new(),
            readers: 0,
            closed,
        };
        Self {
            prefix,
            state: Mutex::new(state),
        }
    }

    pub(super) fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// Adds `commit` unless it is already there, and moves the readers it is news to into `woken`.
    pub(super) fn push(&self, commit: &Arc<Commit>, woken: &mut Vec<Arc<Reader>>) {
        let mut state = self.state.lock();
        if state
            .commits
            .back()
            .is_some_and(|last| last.revision == commit.revision)
        {
            return;
        }
        state.commits.push_back(commit.clone());
        for reader in &state.caught_up {
            reader.unseen.store(commit.revision.get(), Relaxed);
        }
        woken.append(&mut state.caught_up);
    }

    pub(super) fn trim(&self, through: Revision) {
        let mut state = self.state.lock();
        while state
            .commits
            .front()
            .is_some_and(|first| first.revision <= through)
        {
            state.commits.pop_front();
        }
    }

    /// Adds the older commits that a reader who starts after `after` needs; `newer` are all commits after it.
    pub(super) fn extend_back_to<'a>(
        &self,
        after: Revision,
        newer: impl DoubleEndedIterator<Item = &'a Arc<Commit>>,
    ) {
        let mut state = self.state.lock();
        if after >= state.since {
            return;
        }
        let since = state.since;
        for commit in newer.rev().skip_while(|commit| commit.revision > since) {
            if commit.touches(&self.prefix) {
                state.commits.push_front(commit.clone());
            }
        }
        state.since = after;
    }

    pub(super) fn join(&self, after: Revision) -> Arc<Reader> {
        let mut state = self.state.lock();
        let reader = Arc::new(Reader::default());
        state.readers += 1;
        let next = state.first_since(after.next());
        state.place(&reader, next);
        reader
    }

    /// Takes leave of a reader; true if it was the last.
    pub(super) fn leave(&self, reader: &Reader) -> bool {
        let mut state = self.state.lock();
        reader.gone.store(true, Relaxed);
        state.readers -= 1;
        // Now and then, so that watchers who come and go on a quiet prefix leave nothing behind.
        if state.caught_up.len() > 2 * state.readers + 16 {
            state.caught_up.retain(|reader| !reader.gone.load(Relaxed));
        }
        state.readers == 0
    }

    pub(super) fn take(&self, reader: &Arc<Reader>) -> Taken {
        let mut state = self.state.lock();
        let unseen = Revision::new(reader.unseen.load(Relaxed));
        if unseen == Revision::ZERO {
            return if state.closed {
                Taken::Closed
            } else {
                Taken::Nothing
            };
        }
        let first = state.first_since(unseen);
        if state
            .commits
            .get(first)
            .is_none_or(|commit| commit.revision != unseen)
        {
            return Taken::Trimmed;
        }
        let mut changes = 0;
        let mut commits = Vec::new();
        for commit in state.commits.range(first..) {
            if changes >= BATCH_CHANGES {
                break;
            }
            changes += commit.records().len();
            commits.push(commit.clone());
        }
        state.place(reader, first + commits.len());
        Taken::Commits(commits)
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.state.lock().caught_up.len()
    }

    pub(super) fn close(&self, woken: &mut Vec<Arc<Reader>>) {
        let mut state = self.state.lock();
        state.closed = true;
        woken.append(&mut state.caught_up);
    }
}

impl State {
    /// Index of the first commit of `revision` or later. Looked for from the back in growing steps, for readers are
    /// mostly close behind.
    fn first_since(&self, revision: Revision) -> usize {
        let (mut low, mut high, mut step) = (0, self.commits.len(), 1);
        while let Some(index) = high.checked_sub(step) {
            if self.commits[index].revision < revision {
                low = index + 1;
                break;
            }
            (high, step) = (index, step * 2);
        }
        while low < high {
            let middle = low.midpoint(high);
            if self.commits[middle].revision < revision {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Notes that the commit at index `next` is the first that `reader` has not seen.
    fn place(&mut self, reader: &Arc<Reader>, next: usize) {
        match self.commits.get(next) {
            Some(commit) => reader.unseen.store(commit.revision.get(), Relaxed),
            None => {
                reader.unseen.store(0, Relaxed);
                self.caught_up.push(reader.clone());
            }
        }
    }
}
