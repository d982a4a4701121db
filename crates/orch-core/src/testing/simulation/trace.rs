//! What happened in a run, and its fingerprint.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use crate::store::{Key, Revision};

/// How many of the latest entries are kept for reading; the fingerprint covers all.
const KEPT: usize = 20_000;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceEntry {
    /// When, since the start.
    pub at: Duration,
    /// The component that did it, or that it was done to.
    pub component: Arc<str>,
    /// What.
    pub what: What,
    /// Whether it wrote what was there already, but for versions and times, as a heartbeat does. Known of the runs that a
    /// [`Failure`](super::Failure) tells of.
    pub is_beat: bool,
}

impl Hash for TraceEntry {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.at, &self.component, &self.what).hash(hasher);
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum What {
    /// The component was started, for the how manieth time.
    Started(u64),
    /// It died.
    Crashed,
    /// It returned.
    Returned,
    /// A change was committed.
    Wrote {
        /// By which commit.
        revision: Revision,
        /// Which key.
        key: Key,
        /// Whether the key was not there before.
        created: bool,
        /// Whether the key is gone now.
        deleted: bool,
    },
    /// A commit was refused, for this reason.
    Refused(String),
    /// A runtime did something; what, in a line.
    Runtime(String),
    /// A fault befell a call, or a disaster happened; in the words that replay it.
    Fault(String),
    /// Users asked for a state; in the words that replay it.
    Asked(String),
    /// The scenario says something.
    Note(String),
    /// The run failed, for this reason. Nothing of what came thereafter is told.
    Failed(String),
}

impl What {
    /// The run fails for this, of which the trace has the first line.
    pub(super) fn failed(why: &str) -> Self {
        Self::Failed(why.lines().next().unwrap_or_default().to_owned())
    }
}

impl fmt::Display for TraceEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10.3}s {:<16} ", self.at.as_secs_f64(), self.component)?;
        match &self.what {
            What::Started(1) => f.write_str("started"),
            What::Started(life) => write!(f, "started again, life {life}"),
            What::Crashed => f.write_str("CRASHED"),
            What::Returned => f.write_str("returned"),
            What::Wrote {
                revision,
                key,
                created,
                deleted,
            } => {
                let did = match (created, deleted) {
                    (_, true) => "deleted",
                    (true, false) => "created",
                    (false, false) => "updated",
                };
                write!(f, "{did} {key} at {revision}")
            }
            What::Refused(why) => write!(f, "commit refused: {why}"),
            What::Runtime(what) => write!(f, "runtime: {what}"),
            What::Fault(what) => write!(f, "FAULT {what}"),
            What::Asked(what) => write!(f, "asks for {what}"),
            What::Note(what) => f.write_str(what),
            What::Failed(why) => write!(f, "FAILED {why}"),
        }
    }
}

/// How much is told of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Detail {
    /// Whether entries know that they are a heartbeat's.
    pub(super) tells_beats: bool,
    /// Whether all entries are kept.
    pub(super) keeps_all: bool,
    /// Whether the fingerprint after each entry is kept.
    pub(super) keeps_marks: bool,
    /// Whether the calls are kept that components made until the scenario had ended.
    pub(super) keeps_calls: bool,
    /// Whether nothing is written of panics when they happen.
    pub(super) is_silent: bool,
}

/// The history of a run.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    hasher: DefaultHasher,
    entries: VecDeque<TraceEntry>,
    left_out: usize,
    detail: Detail,
    marks: Vec<u64>,
}

impl Trace {
    pub(super) fn new(detail: Detail) -> Self {
        Self {
            detail,
            ..Self::default()
        }
    }

    /// Adds an entry; `detail` goes into the fingerprint alone.
    pub(super) fn add(&mut self, entry: TraceEntry, detail: &[u8]) {
        entry.hash(&mut self.hasher);
        detail.hash(&mut self.hasher);
        if self.detail.keeps_marks {
            self.marks.push(self.hasher.finish());
        }
        if self.entries.len() >= KEPT && !self.detail.keeps_all {
            self.entries.pop_front();
            self.left_out += 1;
        }
        self.entries.push_back(entry);
    }

    /// A number that two runs share only if they did the same, to the byte, at the same instants.
    ///
    /// It is for comparing runs of one program: another version of Rust may give another number.
    pub fn fingerprint(&self) -> u64 {
        self.hasher.finish()
    }

    /// The latest entries, oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &TraceEntry> + ExactSizeIterator {
        self.entries.iter()
    }

    /// How many entries came before those that [`entries`](Self::entries) gives.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// The fingerprints after each entry, where they were asked for.
    pub(super) fn marks(&self) -> &[u64] {
        &self.marks
    }

    /// The entry of this number, if it is kept.
    pub(super) fn entry(&self, number: usize) -> Option<&TraceEntry> {
        self.entries.get(number.checked_sub(self.left_out)?)
    }
}
