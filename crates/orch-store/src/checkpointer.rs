//! Runs checkpoints beside the writer, one at a time.

use std::sync::Arc;
use std::thread::JoinHandle;

use orch_core::store::Revision;
use parking_lot::Mutex;

use crate::checkpoint::File;
use crate::error::Fault;
use crate::layer::{Layer, Pending};
use crate::snapshot::{Base, Shared};

pub(crate) struct Checkpointer {
    /// Locked by the checkpoint that is under way, if there is one.
    file: Arc<Mutex<File>>,
    shared: Arc<Shared>,
    under_way: Option<JoinHandle<Result<(), Fault>>>,
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
    pub(crate) fn look(&mut self) -> Result<(), Fault> {
        if self.under_way.as_ref().is_some_and(JoinHandle::is_finished) {
            self.wait()?;
        }
        Ok(())
    }

    /// Waits for the checkpoint that is under way.
    pub(crate) fn wait(&mut self) -> Result<(), Fault> {
        match self.under_way.take() {
            None => Ok(()),
            Some(thread) => thread.join().unwrap_or(Err(Fault::Panicked)),
        }
    }

    /// Begins to bring into the file what the snapshot holds as frozen. None may be under way.
    ///
    /// A thread each time: it costs nothing beside a checkpoint, and an idle store has none.
    pub(crate) fn begin(&mut self, frozen: Pending, compacted: Revision) -> Result<(), Fault> {
        debug_assert!(!self.is_under_way(), "one checkpoint at a time");
        let (file, shared) = (self.file.clone(), self.shared.clone());
        let thread = std::thread::Builder::new().name("orch-store-file".to_owned());
        let thread = thread.spawn(move || {
            let mut file = file.lock();
            let base = file.checkpoint(&frozen, compacted)?;
            let compacted = file.state.compacted;
            drop(file);
            shared.publish(Vec::new(), |snapshot| {
                snapshot.base = base;
                snapshot.frozen = Layer::default();
                snapshot.compacted = snapshot.compacted.max(compacted);
            });
            Ok(())
        })?;
        self.under_way = Some(thread);
        Ok(())
    }

    /// Waits for the checkpoint that is under way, then makes one here and now; the snapshot is left as it is.
    pub(crate) fn make(
        &mut self,
        pending: &Pending,
        compacted: Revision,
    ) -> Result<(Arc<Base>, Revision), Fault> {
        self.wait()?;
        let mut file = self.file.lock();
        let base = file.checkpoint(pending, compacted)?;
        Ok((base, file.state.compacted))
    }

    /// Whether compaction has left rows to remove. Not while a checkpoint is under way.
    pub(crate) fn leaves_garbage(&self) -> bool {
        self.file.lock().state.garbage
    }
}
