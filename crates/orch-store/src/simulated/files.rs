//! The files of a simulated disk, as a store has them open.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use orch_core::random::Random;
use parking_lot::Mutex;
use redb::{BackendError, StorageBackend};

use super::contents::{Contents, index};
use super::names::Names;
use super::{Access, SimulatedDisk};
use crate::files::{Files, OpenFile};

type Judge = dyn FnMut(Access<'_>) -> io::Result<()> + Send;

pub(super) struct State {
    pub(super) random: Random,
    pub(super) has_power: bool,
    /// How many more changes are made before the power fails.
    pub(super) left: Option<u64>,
    pub(super) changes: u64,
    pub(super) judge: Option<Box<Judge>>,
    /// How often the power has failed. What was opened before it did is of no use.
    cuts: u64,
    names: Names,
    files: BTreeMap<u64, Contents>,
    /// Which handle has a file locked.
    locks: BTreeMap<u64, u64>,
    /// How many files and handles there have been.
    numbers: u64,
}

impl State {
    pub(super) fn new(random: Random) -> Self {
        Self {
            random,
            has_power: true,
            left: None,
            changes: 0,
            judge: None,
            cuts: 0,
            names: Names::default(),
            files: BTreeMap::new(),
            locks: BTreeMap::new(),
            numbers: 0,
        }
    }

    pub(super) fn power_cut(&mut self) {
        if !self.has_power {
            return;
        }
        self.has_power = false;
        self.left = None;
        self.cuts += 1;
        self.locks.clear();
        self.names.lose(&self.random);
        let names = &self.names;
        self.files.retain(|file, _| names.name(*file).is_some());
        for contents in self.files.values_mut() {
            contents.lose(&self.random);
        }
    }

    pub(super) fn power_on(&mut self) {
        self.has_power = true;
        self.left = None;
    }

    #[cfg(test)]
    pub(super) fn copy(&self) -> Self {
        Self {
            names: self.names.clone(),
            files: self.files.clone(),
            numbers: self.numbers,
            ..Self::new(self.random.fork())
        }
    }

    #[cfg(test)]
    pub(super) fn read_all(&self) -> BTreeMap<String, Vec<u8>> {
        let named = self.names.all();
        named
            .map(|(name, file)| (name.display().to_string(), self.files[&file].bytes().to_vec()))
            .collect()
    }

    /// Whether a call may go on.
    fn enter(&mut self, name: &str, changes: bool, syncs: bool) -> io::Result<()> {
        if !self.has_power {
            return Err(off());
        }
        let access = Access { name, changes, syncs };
        self.judge.as_mut().map_or(Ok(()), |judge| judge(access))
    }

    /// Makes a change, unless the power fails in its midst: then it is made or not, and nobody is told.
    fn change<T>(&mut self, change: impl FnOnce(&mut Self) -> T) -> io::Result<T> {
        self.changes += 1;
        let Some(left) = self.left else {
            return Ok(change(self));
        };
        if let Some(less) = left.checked_sub(1) {
            self.left = Some(less);
            return Ok(change(self));
        }
        if self.random.below(2) == 0 {
            drop(change(self));
        }
        self.power_cut();
        Err(off())
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}

fn off() -> io::Error {
    io::Error::other("the power is off")
}

fn taken() -> BackendError {
    BackendError::Io(io::ErrorKind::WouldBlock.into())
}

impl SimulatedDisk {
    fn handle(&self, state: &mut State, file: u64) -> OpenFile {
        Box::new(Handle {
            state: self.state.clone(),
            number: state.number(),
            file,
            cuts: state.cuts,
        })
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

impl Files for SimulatedDisk {
    fn open(&self, path: &Path) -> io::Result<Option<OpenFile>> {
        let mut state = self.state.lock();
        state.enter(text(path), false, false)?;
        let file = state.names.file(path);
        Ok(file.map(|file| self.handle(&mut state, file)))
    }

    fn open_or_make(&self, path: &Path) -> io::Result<OpenFile> {
        if let Some(file) = Files::open(self, path)? {
            return Ok(file);
        }
        let mut state = self.state.lock();
        state.enter(text(path), true, false)?;
        let file = state.number();
        state.change(|state| {
            state.files.insert(file, Contents::default());
            state.names.change(file, None, Some(path));
        })?;
        Ok(self.handle(&mut state, file))
    }

    fn open_or_make_locked(&self, path: &Path) -> io::Result<Option<OpenFile>> {
        let file = self.open_or_make(path)?;
        match file.try_lock_range(Bound::Unbounded, Bound::Unbounded) {
            Ok(true) => Ok(Some(file)),
            Ok(false) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.enter(text(from), true, false)?;
        let file = state.names.file(from).ok_or(io::ErrorKind::NotFound)?;
        state.change(|state| state.names.change(file, Some(from), Some(to)))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.enter(text(path), true, false)?;
        let file = state.names.file(path).ok_or(io::ErrorKind::NotFound)?;
        state.change(|state| state.names.change(file, Some(path), None))
    }

    fn sync_names(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.enter(text(path), true, false)?;
        state.change(|state| state.names.sync())
    }
}

/// An open file.
struct Handle {
    state: Arc<Mutex<State>>,
    number: u64,
    file: u64,
    /// How often the power had failed by then.
    cuts: u64,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handle({})", self.file)
    }
}

impl Handle {
    /// Begins a call, which may be told to fail: then `torn` does what it does all the same.
    fn enter<T>(
        &self,
        changes: bool,
        syncs: bool,
        torn: impl FnOnce(&mut Contents, &Random),
        call: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        let state = &mut *self.state.lock();
        if state.cuts != self.cuts {
            return Err(off());
        }
        let name = state
            .names
            .name(self.file)
            .map(text)
            .unwrap_or_default()
            .to_owned();
        let entered = state.enter(&name, changes, syncs);
        if entered.is_err() && state.has_power {
            let random = state.random.clone();
            torn(self.contents(state), &random);
        }
        entered?;
        call(state)
    }

    fn read<T>(&self, read: impl FnOnce(&[u8]) -> io::Result<T>) -> io::Result<T> {
        self.enter(
            false,
            false,
            |_, _| {},
            |state| read(self.contents(state).bytes()),
        )
    }

    fn contents<'a>(&self, state: &'a mut State) -> &'a mut Contents {
        // A file that lost its name lives on while it is open.
        state.files.entry(self.file).or_default()
    }
}

fn small(number: u64) -> io::Result<usize> {
    usize::try_from(number).map_err(io::Error::other)
}

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        self.read(|bytes| Ok(bytes.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let from = small(offset)?;
        self.read(|bytes| {
            let held = bytes
                .get(from..from + out.len())
                .ok_or(io::ErrorKind::UnexpectedEof)?;
            out.copy_from_slice(held);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let length = small(len)?;
        self.enter(
            true,
            false,
            |_, _| {},
            |state| state.change(|state| self.contents(state).set_length(length)),
        )
    }

    fn sync_data(&self) -> io::Result<()> {
        self.enter(true, true, Contents::fail_sync, |state| {
            state.change(|state| self.contents(state).sync())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let from = small(offset)?;
        self.enter(
            true,
            false,
            |contents, random| contents.write(from, &data[..index(random, data.len())]),
            |state| state.change(|state| self.contents(state).write(from, data)),
        )
    }

    fn close(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.locks.get(&self.file) == Some(&self.number) {
            state.locks.remove(&self.file);
        }
        Ok(())
    }

    fn try_lock_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<bool, BackendError> {
        let mut state = self.state.lock();
        if state.cuts != self.cuts {
            return Err(BackendError::Io(off()));
        }
        Ok(*state.locks.entry(self.file).or_insert(self.number) == self.number)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.try_lock_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.try_lock_range(start, end)?.then_some(()).ok_or_else(taken)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.lock_range(start, end)
    }

    fn unlock_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<(), BackendError> {
        // There is one lock for all ranges, kept until the file is closed.
        Ok(())
    }

    fn query_lock_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<bool, BackendError> {
        let state = self.state.lock();
        Ok(state
            .locks
            .get(&self.file)
            .is_some_and(|holder| *holder != self.number))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let _ = StorageBackend::close(self);
    }
}
