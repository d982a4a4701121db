//! A bounded log of recent commits that any number of watchers read, each at its own pace.
//!
//! A building block for authors of a [`Store`](super::Store). There is no queue per watcher: commits are held
//! once, and beside them, for each prefix that is watched, an index of the commits that touch it. A
//! [`Cursor`] is a place in such an index. A commit wakes the cursors of the prefixes it touches and no other;
//! trimming the log passes over a cursor unless what is trimmed is a change that it has yet to see.
//!
//! ```
//! use orch_core::store::Revision;
//! use orch_core::store::changelog::{ChangeLog, Commit, LogBounds, Next, Record, Version};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let log = ChangeLog::new(LogBounds::default(), Revision::ZERO);
//! let mut cursor = log.subscribe(&"pods/".into(), Revision::ZERO).unwrap();
//! let first = Revision::new(1);
//! let version = Version { value: "web".into(), created: first, modified: first };
//! let record = Record { key: "pods/web".into(), current: Some(version), previous: None };
//! log.append(Commit::new(first, vec![record])).wake();
//! let Next::Batch(batch) = std::future::poll_fn(|cx| cursor.poll_next(cx)).await else {
//!     panic!("the log held one commit");
//! };
//! assert_eq!(batch.revision, first);
//! # }
//! ```

mod commit;
mod cursor;
#[cfg(test)]
mod tests;
mod topic;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use self::cursor::Reader;
use self::topic::Topic;
use super::{Prefix, Revision};

pub use self::commit::{Commit, Record, Version};
pub use self::cursor::{Cursor, Next};

/// How much a [`ChangeLog`] holds before it trims its oldest commits. The newest commit is always held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogBounds {
    /// Most commits.
    pub commits: usize,
    /// Most bytes, as [`Commit::cost`] counts them.
    pub bytes: usize,
}

impl Default for LogBounds {
    /// 100,000 commits or 128 MiB.
    fn default() -> Self {
        Self {
            commits: 100_000,
            bytes: 128 << 20,
        }
    }
}

/// Why a log cannot be read from a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Changes after the revision have been trimmed.
    Trimmed {
        /// The earliest revision after which the log can be read.
        oldest: Revision,
    },
    /// The revision is not reached yet.
    Future {
        /// The newest revision there is.
        newest: Revision,
    },
}

/// The log. Clones are handles on the same log.
#[derive(Clone)]
pub struct ChangeLog(Arc<Mutex<State>>);

struct State {
    bounds: LogBounds,
    /// The commits after `oldest`, without gap, up to `newest`.
    commits: VecDeque<Arc<Commit>>,
    oldest: Revision,
    newest: Revision,
    bytes: usize,
    topics: Topics,
    closed: bool,
}

/// What an append did; [`wake`](Self::wake) the watchers once readers can see the commit.
#[must_use = "watchers sleep until they are woken"]
#[derive(Debug, Default)]
pub struct Appended {
    /// The commits trimmed to make room, oldest first.
    pub trimmed: Vec<Arc<Commit>>,
    readers: Vec<Arc<Reader>>,
}

impl Appended {
    /// Wakes the watchers that the commit concerns.
    pub fn wake(&mut self) {
        for reader in self.readers.drain(..) {
            reader.waker.wake();
        }
    }
}

impl ChangeLog {
    /// An empty log whose next commit comes after `newest`.
    pub fn new(bounds: LogBounds, newest: Revision) -> Self {
        Self(Arc::new(Mutex::new(State {
            bounds,
            commits: VecDeque::new(),
            oldest: newest,
            newest,
            bytes: 0,
            topics: Topics::default(),
            closed: false,
        })))
    }

    /// Adds the commit that follows the newest, and trims what then is beyond the bounds.
    ///
    /// # Panics
    ///
    /// If the commit's revision does not follow the newest one: the caller orders its commits.
    pub fn append(&self, commit: impl Into<Arc<Commit>>) -> Appended {
        let commit = commit.into();
        let mut appended = Appended::default();
        let mut state = self.0.lock();
        assert_eq!(commit.revision, state.newest.next(), "commits come in order");
        state.newest = commit.revision;
        state.bytes += commit.cost();
        state
            .topics
            .of(&commit, |topic| topic.push(&commit, &mut appended.readers));
        state.commits.push_back(commit);
        while state.commits.len() > 1
            && (state.commits.len() > state.bounds.commits || state.bytes > state.bounds.bytes)
        {
            appended.trimmed.extend(state.trim_one());
        }
        appended
    }

    /// Trims up to `most` commits not after `through`; returns them, oldest first.
    pub fn trim(&self, through: Revision, most: usize) -> Vec<Arc<Commit>> {
        let mut state = self.0.lock();
        let mut trimmed = Vec::new();
        while state.oldest < through && trimmed.len() < most {
            match state.trim_one() {
                Some(commit) => trimmed.push(commit),
                None => break,
            }
        }
        trimmed
    }

    /// A cursor over the changes under `prefix` after revision `after`.
    ///
    /// Looks once through the commits after `after`; from then on the cursor costs only where its prefix changes.
    pub fn subscribe(&self, prefix: &Prefix, after: Revision) -> Result<Cursor, Refused> {
        let mut state = self.0.lock();
        if after > state.newest {
            return Err(Refused::Future { newest: state.newest });
        }
        if after < state.oldest {
            return Err(Refused::Trimmed { oldest: state.oldest });
        }
        let closed = state.closed;
        let newest = state.newest;
        let topic = state
            .topics
            .get_or_insert(prefix, || Topic::new(prefix.clone(), newest, closed));
        topic.extend_back_to(after, state.after(after));
        let reader = topic.join(after);
        Ok(Cursor::new(self.clone(), topic, reader, after))
    }

    /// The commits after `after` up to `through`, oldest first; none if the log does not hold them all.
    pub fn commits(&self, after: Revision, through: Revision) -> Option<Vec<Arc<Commit>>> {
        let state = self.0.lock();
        (after >= state.oldest && after <= through && through <= state.newest).then(|| {
            state
                .after(after)
                .take_while(|commit| commit.revision <= through)
                .cloned()
                .collect()
        })
    }
    /// The earliest revision after which the log can be read.
    pub fn oldest(&self) -> Revision {
        self.0.lock().oldest
    }

    /// The revision of the newest commit.
    pub fn newest(&self) -> Revision {
        self.0.lock().newest
    }

    /// Says that no commit will follow: each cursor delivers what it has yet to see, then [`Next::Closed`].
    pub fn close(&self) {
        let mut readers = Vec::new();
        {
            let mut state = self.0.lock();
            state.closed = true;
            let mut topics: Vec<_> = state.topics.by_prefix.values().collect();
            // Who wakes first must not hang on how a map hashes.
            topics.sort_unstable_by_key(|topic| topic.prefix());
            for topic in topics {
                topic.close(&mut readers);
            }
        }
        for reader in readers {
            reader.waker.wake();
        }
    }

    fn leave(&self, topic: &Arc<Topic>, reader: &Reader) {
        let mut state = self.0.lock();
        if topic.leave(reader) {
            state.topics.remove(topic.prefix());
        }
    }
}

impl State {
    fn trim_one(&mut self) -> Option<Arc<Commit>> {
        let commit = self.commits.pop_front()?;
        self.oldest = commit.revision;
        self.bytes -= commit.cost();
        self.topics.of(&commit, |topic| topic.trim(commit.revision));
        Some(commit)
    }

    /// The commits after `after`, which is not before `oldest`.
    fn after(&self, after: Revision) -> impl DoubleEndedIterator<Item = &Arc<Commit>> {
        let skip = after.get() - self.oldest.get();
        let skip = usize::try_from(skip).map_or(self.commits.len(), |skip| skip.min(self.commits.len()));
        self.commits.range(skip..)
    }
}

impl fmt::Debug for ChangeLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        f.debug_struct("ChangeLog")
            .field("oldest", &state.oldest)
            .field("newest", &state.newest)
            .field("bytes", &state.bytes)
            .finish_non_exhaustive()
    }
}

/// The watched prefixes, found from a key by trying each length that a watched prefix has.
#[derive(Default)]
struct Topics {
    by_prefix: HashMap<Prefix, Arc<Topic>>,
    /// How many topics have a prefix of each length.
    lengths: BTreeMap<usize, usize>,
}

impl Topics {
    /// Calls `each` with every topic that `commit` touches; with one more than once if several keys touch it.
    fn of(&self, commit: &Commit, mut each: impl FnMut(&Topic)) {
        for record in commit.records() {
            let key: &[u8] = record.key.as_ref();
            for length in self.lengths.keys().take_while(|&&length| length <= key.len()) {
                if let Some(topic) = self.by_prefix.get(&key[..*length]) {
                    each(topic);
                }
            }
        }
    }

    fn get_or_insert(&mut self, prefix: &Prefix, make: impl FnOnce() -> Topic) -> Arc<Topic> {
        if let Some(topic) = self.by_prefix.get(prefix) {
            return topic.clone();
        }
        let topic = Arc::new(make());
        self.by_prefix.insert(prefix.clone(), topic.clone());
        *self.lengths.entry(prefix.as_ref().len()).or_default() += 1;
        topic
    }

    fn remove(&mut self, prefix: &Prefix) {
        self.by_prefix.remove(prefix);
        let length = prefix.as_ref().len();
        if let Some(count) = self.lengths.get_mut(&length) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&length);
            }
        }
    }
}
