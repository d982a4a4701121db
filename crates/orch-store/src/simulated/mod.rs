//! A disk that is simulated: it knows what was synced, and its power can fail.

mod contents;
mod files;
mod names;

use std::fmt;
use std::io;
use std::sync::Arc;

use orch_core::random::Random;
use orch_core::store::Store;
use orch_core::testing::simulation::StoreOnDisk;
use parking_lot::Mutex;

use self::files::State;
use crate::files::Place;
use crate::{OpenError, RedbStore, RedbStoreOptions};

/// The name of the store's own file.
const NAME: &str = "state.redb";

/// A disk in memory with one store on it, of which a power cut leaves what a real disk may leave.
///
/// It knows what was synced and what was not. When its [power is cut](Self::power_cut), each write that was not synced is
/// kept, lost, or torn: of a write each sector of 512 bytes is there or not, one that was written several times holds what
/// some of these writes made of it, and a file that grew may be as short as it was. A file that was made, renamed or
/// removed may have its old name, until the directory was synced. What becomes of each is drawn from the disk's seed.
///
/// A store on it needs no thread and no clock: a commit is written by who asks for it, a checkpoint is made in a later
/// commit, and when is drawn from the seed too. So the same calls do the same, to the byte, and a simulation can run on
/// it (`orch_core::testing::simulation`: `run.store(|seed| SimulatedDisk::new(seed))`). Each run must be given a disk of its
/// own, which is empty: clones are the same disk. In a simulation a disk must not be told to [fail](Self::fails): what came of a
/// commit may be unknown there only when the power has failed.
///
/// A commit that it says was refused ([`Unavailable`], [`Conflict`]) is on the disk neither now nor later, also if it was
/// refused because the power failed; of one that is [`Unknown`] that can be seen when the store is opened anew.
///
/// [`Unavailable`]: orch_core::store::CommitError::Unavailable
/// [`Conflict`]: orch_core::store::CommitError::Conflict
/// [`Unknown`]: orch_core::store::CommitError::Unknown
///
/// ```
/// use orch_core::store::{Store, Txn};
/// use orch_store::SimulatedDisk;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let disk = SimulatedDisk::new(7);
/// let store = disk.open()?;
/// store.commit(Txn::new().create("greeting", "hello")).await?;
/// // In the midst of the second change of the disk from now: the sync.
/// disk.power_cut_after(1);
/// let unknown = store.commit(Txn::new().create("answer", "hi")).await;
/// assert!(unknown.is_err() && !disk.has_power());
///
/// disk.power_on();
/// let store = disk.open()?;
/// assert!(store.get(&"greeting".into()).await?.value.is_some(), "what was acknowledged is there");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
    options: RedbStoreOptions,
}

/// A call to a [`SimulatedDisk`], which may be made to [fail](SimulatedDisk::fails).
///
/// What is done to names is told by the name of a file, and changes something without syncing the file: a file is made (after
/// it was looked for, which is a call that changes nothing), removed, renamed (by the name that it has until then), and, once
/// more by the name of the file, the directory that it is in is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Access<'a> {
    /// The name of the file: `state.redb`, while it is made `state.redb.new`, `state.redb-journal`, `state.redb-journal2`.
    pub name: &'a str,
    /// Whether it changes something; a sync does.
    pub changes: bool,
    /// Whether it is a sync of the file.
    pub syncs: bool,
}

impl SimulatedDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> Self {
        Self {
            state: Arc::new(Mutex::new(State::new(Random::seeded(seed)))),
            options: RedbStoreOptions::new(),
        }
    }

    /// How the store on it is opened.
    #[must_use]
    pub fn options(mut self, options: RedbStoreOptions) -> Self {
        self.options = options;
        self
    }

    /// Opens the store that is on it, or makes one.
    ///
    /// # Errors
    ///
    /// As of a file, but nobody is waited for: while a store on it is open this is [`OpenError::Locked`].
    pub fn open(&self) -> Result<RedbStore, OpenError> {
        let drawn = self.state.lock().random.fork();
        RedbStore::open_with(&self.place(Some(drawn)), &self.options)
    }

    pub(crate) fn place(&self, drawn: Option<Random>) -> Place {
        Place {
            path: NAME.into(),
            files: Arc::new(self.clone()),
            drawn,
        }
    }

    /// The power fails now. What was open fails from now on for good, and everything else until the
    /// [power is back](Self::power_on).
    pub fn power_cut(&self) {
        self.state.lock().power_cut();
    }

    /// The power fails in the midst of a change, after so many more: writes, syncs, and changes of names and lengths count.
    ///
    /// This takes the place of what was said before.
    pub fn power_cut_after(&self, changes: u64) {
        self.state.lock().left = Some(changes);
    }

    /// The power is back, and no cut is to come.
    pub fn power_on(&self) {
        self.state.lock().power_on();
    }

    /// Whether it has power.
    pub fn has_power(&self) -> bool {
        self.state.lock().has_power
    }

    /// How many changes were made so far, as [`power_cut_after`](Self::power_cut_after) counts.
    pub fn changes(&self) -> u64 {
        self.state.lock().changes
    }

    /// Asks `judge` of each call whether it fails, and with which error, in place of who was asked before. It must not
    /// call the disk.
    ///
    /// Of a write that fails, some of the first bytes may be written. A sync that fails may lose what was written before
    /// it: no sync that succeeds later brings that to the disk, though it can be read until the power fails.
    ///
    /// This is for tests of the store alone, not for simulations.
    pub fn fails(&self, judge: impl FnMut(Access<'_>) -> io::Result<()> + Send + 'static) {
        self.state.lock().judge = Some(Box::new(judge));
    }
}

impl fmt::Debug for SimulatedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("SimulatedDisk")
            .field("changes", &state.changes)
            .field("has_power", &state.has_power)
            .finish_non_exhaustive()
    }
}

impl StoreOnDisk for SimulatedDisk {
    fn open(&self) -> Result<Arc<dyn Store>, String> {
        let opened = Self::open(self).map_err(|error| error.to_string());
        opened.map(|store| Arc::new(store) as Arc<dyn Store>)
    }

    fn power_cut_after(&self, changes: u64) {
        Self::power_cut_after(self, changes);
    }

    fn power_cut(&self) {
        Self::power_cut(self);
    }

    fn power_on(&self) {
        Self::power_on(self);
    }

    fn has_power(&self) -> bool {
        Self::has_power(self)
    }
}

#[cfg(test)]
impl SimulatedDisk {
    /// Opens the store with threads, as on a real disk.
    pub(crate) fn open_with_threads(&self) -> RedbStore {
        RedbStore::open_with(&self.place(None), &self.options).unwrap()
    }

    /// What somebody would find on it who started anew, now.
    pub(crate) fn copy(&self) -> Self {
        Self {
            state: Arc::new(Mutex::new(self.state.lock().copy())),
            options: self.options.clone(),
        }
    }

    /// Its files.
    pub(crate) fn read_all(&self) -> std::collections::BTreeMap<String, Vec<u8>> {
        self.state.lock().read_all()
    }
}
