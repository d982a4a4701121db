//! Runs checkpoints beside the writer, one at a time, each until it has succeeded.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use orch_core::store::Revision;
use parking_lot::{Condvar, Mutex};

use crate::checkpoint::File;
use crate::error::Fault;
use crate::layer::{Layer, Pending};
use crate::snapshot::{Base, Shared};

/// How long after a failure it is tried again; each time twice as long, up to the second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

pub(crate) struct Checkpointer {
    /// Locked by the checkpoint that is under way, if there is one.
    file: Arc<Mutex<File>>,
    shared: Arc<Shared>,
    under_way: Option<(Arc<Progress>, JoinHandle<Result<Option<Made>, Fault>>)>,
}

/// What a checkpoint brings into the file.
pub(crate) enum Job {
    /// What the snapshot holds as frozen and the journal has. It is tried until it is done.
    Frozen(Pending),
    /// Also commits that nobody has seen yet and the journal does not have. It is tried until it is certain whether
    /// they are in the file, and left to the writer to publish.
    Through(Pending),
}

/// The file with the commits of [`Job::Through`].
pub(crate) struct Made {
    pub(crate) base: Arc<Base>,
    pub(crate) compacted: Revision,
}

impl Checkpointer {
    pub(crate) fn new(file: File, shared: Arc<Shared>) -> Self {
        Self {
            file: Arc::new(Mutex::new(file)),
            shared,
            under_way: None,
        }
    }

    pub(crate) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Takes note of a checkpoint that has ended, and tells how.
    pub(crate) fn look(&mut self) -> Result<Option<Made>, Fault> {
        match self.under_way.take_if(|(progress, _)| progress.0.lock().ended) {
            Some((_, thread)) => thread.join().unwrap_or(Err(Fault::Panicked)),
            None => Ok(None),
        }
    }

    /// Waits for the checkpoint that is under way; but once it had to be tried again, no longer:
    /// that is [`Fault::Retried`].
    pub(crate) fn wait(&mut self) -> Result<Option<Made>, Fault> {
        if let Some((progress, _)) = &self.under_way {
            progress.ended_or_retried()?;
        }
        self.look()
    }

    /// Waits for the checkpoint that is under way, which is not tried again any more.
    pub(crate) fn finish(&mut self) -> Result<Option<Made>, Fault> {
        let Some((progress, thread)) = self.under_way.take() else {
            return Ok(None);
        };
        progress.stop();
        thread.join().unwrap_or(Err(Fault::Panicked))
    }

    /// Begins a checkpoint. None may be under way.
    ///
    /// A thread each time: it costs nothing beside a checkpoint, and an idle store has none.
    pub(crate) fn begin(&mut self, job: Job, compacted: Revision) -> Result<(), Fault> {
        debug_assert!(!self.is_under_way(), "one checkpoint at a time");
        let progress = Arc::new(Progress::default());
        let run = Run {
            job,
            compacted,
            file: self.file.clone(),
            shared: self.shared.clone(),
            progress: progress.clone(),
        };
        let thread = std::thread::Builder::new().name("orch-store-file".to_owned());
        let thread = thread.spawn(move || run.run());
        let thread = thread.map_err(|error| Fault::System(Arc::new(error)))?;
        self.under_way = Some((progress, thread));
        Ok(())
    }

    /// Makes one checkpoint here and now, and tries once. None may be under way.
    pub(crate) fn make(&mut self, pending: &Pending, compacted: Revision) -> Result<(), Fault> {
        debug_assert!(!self.is_under_way(), "one checkpoint at a time");
        self.file.lock().checkpoint(pending, compacted).map(|_| ())
    }

    /// Whether compaction has left rows to remove. Not while a checkpoint is under way.
    pub(crate) fn leaves_garbage(&self) -> bool {
        self.file.lock().state.garbage
    }
}

/// What the writer and the thread of a checkpoint tell each other.
#[derive(Default)]
struct Progress(Mutex<Told>, Condvar);

#[derive(Default)]
struct Told {
    /// By the thread: it does nothing more.
    ended: bool,
    /// By the thread: how often it has failed, and why the last time.
    failed: Option<(u32, Fault)>,
    /// By the writer: it shall not be tried again.
    stop: bool,
}

impl Progress {
    fn ended_or_retried(&self) -> Result<(), Fault> {
        let mut told = self.0.lock();
        loop {
            if told.ended {
                return Ok(());
            }
            if let Some((times, fault)) = &told.failed {
                return Err(Fault::Retried(*times, Arc::new(fault.clone())));
            }
            self.1.wait(&mut told);
        }
    }

    fn stop(&self) {
        self.0.lock().stop = true;
        self.1.notify_all();
    }

    fn end(&self) {
        self.0.lock().ended = true;
        self.1.notify_all();
    }

    /// Tells of a failure and waits before the next attempt; false if there shall be none.
    fn pause(&self, fault: &Fault, pause: Duration) -> bool {
        let mut told = self.0.lock();
        let times = told.failed.as_ref().map_or(0, |(times, _)| *times) + 1;
        told.failed = Some((times, fault.clone()));
        self.1.notify_all();
        self.1.wait_while_for(&mut told, |told| !told.stop, pause);
        !told.stop
    }
}

/// A checkpoint on its thread.
struct Run {
    job: Job,
    compacted: Revision,
    file: Arc<Mutex<File>>,
    shared: Arc<Shared>,
    progress: Arc<Progress>,
}

/// What an attempt that failed has left.
enum Left {
    /// The file as it was, opened anew.
    Unchanged(Arc<Base>, Fault),
    /// It is not known what, since the file could not be opened again.
    Unknown(Fault),
    /// What no further attempt would mend.
    Ruin(Fault),
}

impl Run {
    fn run(&self) -> Result<Option<Made>, Fault> {
        let (mut pause, longest) = PAUSES;
        loop {
            let fault = match self.attempt() {
                Ok(made) => return Ok(self.finish(made)),
                Err(Left::Ruin(fault)) => return Err(fault),
                Err(Left::Unknown(fault)) => fault,
                Err(Left::Unchanged(base, fault)) => {
                    // Those who read have the file back. What they do not find there is in the layers.
                    self.shared.publish(Vec::new(), |snapshot| snapshot.base = base);
                    if let Job::Through(_) = self.job {
                        return Err(fault);
                    }
                    fault
                }
            };
            tracing::warn!(%fault, retry_after = ?pause, "store: writing into the file failed, it is tried again");
            if !self.progress.pause(&fault, pause) {
                return Err(fault);
            }
            pause = (pause * 2).min(longest);
        }
    }

    fn attempt(&self) -> Result<Made, Left> {
        let (Job::Frozen(pending) | Job::Through(pending)) = &self.job;
        let mut file = self.file.lock();
        let made = |file: &File, base| Made {
            base,
            compacted: file.state.compacted,
        };
        let fault = match file.checkpoint(pending, self.compacted) {
            Ok(base) => return Ok(made(&file, base)),
            Err(fault) if fault.may_pass() => fault,
            Err(fault) => return Err(Left::Ruin(fault)),
        };
        // After an I/O error redb neither reads nor writes until it is opened anew.
        match file.reopen() {
            // Only the answer was lost.
            Ok(base) if file.holds(pending, self.compacted) => Ok(made(&file, base)),
            Ok(base) => Err(Left::Unchanged(base, fault)),
            Err(reopening) if reopening.may_pass() => Err(Left::Unknown(fault)),
            Err(reopening) => Err(Left::Ruin(reopening)),
        }
    }

    fn finish(&self, made: Made) -> Option<Made> {
        if let Job::Through(_) = self.job {
            return Some(made);
        }
        self.shared.publish(Vec::new(), |snapshot| {
            snapshot.base = made.base;
            snapshot.frozen = Layer::default();
            snapshot.compacted = snapshot.compacted.max(made.compacted);
        });
        None
    }
}

impl Drop for Run {
    /// Also when a panic ends the thread, so that nobody waits for it.
    fn drop(&mut self) {
        self.progress.end();
    }
}
