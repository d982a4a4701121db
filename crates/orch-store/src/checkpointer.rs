//! Runs checkpoints beside the writer, or in its place, one at a time, each until it has succeeded.

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
    under_way: Option<UnderWay>,
}

enum UnderWay {
    /// On a thread of its own.
    Beside(Arc<Progress>, JoinHandle<Ended>),
    /// Whenever somebody looks.
    Here {
        run: Run,
        /// How often one looks before it is made.
        looks: u64,
        /// How often it has failed.
        failed: u32,
    },
}

/// How a checkpoint has ended.
type Ended = Result<Option<Made>, Fault>;

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
    pub(crate) fn look(&mut self) -> Ended {
        match &mut self.under_way {
            None => Ok(None),
            Some(UnderWay::Beside(progress, _)) if !progress.0.lock().ended => Ok(None),
            Some(UnderWay::Beside(..)) => self.finish(),
            Some(UnderWay::Here { looks: 0, .. }) => match self.wait() {
                Err(Fault::Retried(..)) => Ok(None),
                ended => ended,
            },
            Some(UnderWay::Here { looks, .. }) => {
                *looks -= 1;
                Ok(None)
            }
        }
    }

    /// Waits for the checkpoint that is under way; but once it had to be tried again, no longer:
    /// that is [`Fault::Retried`].
    pub(crate) fn wait(&mut self) -> Ended {
        match &mut self.under_way {
            None => Ok(None),
            Some(UnderWay::Beside(progress, _)) => {
                progress.ended_or_retried()?;
                self.finish()
            }
            Some(UnderWay::Here { run, failed, .. }) => match run.attempt() {
                Attempt::Ended(ended) => {
                    self.under_way = None;
                    ended
                }
                Attempt::Failed(fault) => {
                    *failed += 1;
                    Err(Fault::Retried(*failed, Arc::new(fault)))
                }
            },
        }
    }

    /// Waits for the checkpoint that is under way, which is not tried again any more.
    pub(crate) fn finish(&mut self) -> Ended {
        match self.under_way.take() {
            None => Ok(None),
            Some(UnderWay::Beside(progress, thread)) => {
                progress.stop();
                thread.join().unwrap_or(Err(Fault::Panicked))
            }
            Some(UnderWay::Here { run, .. }) => match run.attempt() {
                Attempt::Ended(ended) => ended,
                Attempt::Failed(fault) => Err(fault),
            },
        }
    }

    /// Begins a checkpoint, on a thread of its own or to be made when somebody has [looked](Self::look) so many times. None
    /// may be under way.
    ///
    /// A thread each time: it costs nothing beside a checkpoint, and an idle store has none.
    pub(crate) fn begin(&mut self, job: Job, compacted: Revision, looks: Option<u64>) -> Result<(), Fault> {
        debug_assert!(!self.is_under_way(), "one checkpoint at a time");
        let run = Run {
            job,
            compacted,
            file: self.file.clone(),
            shared: self.shared.clone(),
        };
        self.under_way = Some(match looks {
            Some(looks) => UnderWay::Here {
                run,
                looks,
                failed: 0,
            },
            None => {
                let progress = Arc::new(Progress::default());
                let told = progress.clone();
                let thread = std::thread::Builder::new().name("orch-store-file".to_owned());
                let thread = thread.spawn(move || run.until_done(&told));
                UnderWay::Beside(progress, thread.map_err(|error| Fault::System(Arc::new(error)))?)
            }
        });
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

/// A checkpoint.
struct Run {
    job: Job,
    compacted: Revision,
    file: Arc<Mutex<File>>,
    shared: Arc<Shared>,
}

/// What has come of an attempt.
enum Attempt {
    Ended(Ended),
    /// It is to be tried again.
    Failed(Fault),
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
    /// Tries, with pauses, until it is done or told to stop.
    fn until_done(&self, progress: &Arc<Progress>) -> Ended {
        let _ending = Ending(progress.clone());
        let (mut pause, longest) = PAUSES;
        loop {
            let fault = match self.attempt() {
                Attempt::Ended(ended) => return ended,
                Attempt::Failed(fault) => fault,
            };
            tracing::warn!(%fault, retry_after = ?pause, "store: writing into the file failed, it is tried again");
            if !progress.pause(&fault, pause) {
                return Err(fault);
            }
            pause = (pause * 2).min(longest);
        }
    }

    fn attempt(&self) -> Attempt {
        match self.write() {
            Ok(made) => Attempt::Ended(Ok(self.finish(made))),
            Err(Left::Ruin(fault)) => Attempt::Ended(Err(fault)),
            Err(Left::Unknown(fault)) => Attempt::Failed(fault),
            Err(Left::Unchanged(base, fault)) => {
                // Those who read have the file back. What they do not find there is in the layers.
                self.shared.publish(Vec::new(), |snapshot| snapshot.base = base);
                match self.job {
                    Job::Through(_) => Attempt::Ended(Err(fault)),
                    Job::Frozen(_) => Attempt::Failed(fault),
                }
            }
        }
    }

    fn write(&self) -> Result<Made, Left> {
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

/// Says that the thread has ended, also when a panic ends it, so that nobody waits for it.
struct Ending(Arc<Progress>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}
