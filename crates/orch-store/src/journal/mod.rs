//! The journal: where commits become durable before redb's file holds them.
//!
//! redb writes the ten pages of a small commit all over its file, and a sync waits for each. Here a group of
//! commits is appended as one record, and one sync of the few bytes that are new waits for that alone. A
//! checkpoint brings the same commits into redb's file later, many groups at once.
//!
//! There are two files, used by turns: while a checkpoint brings what is in one into redb's file, commits
//! go on in the other. A file is begun anew at its first byte once what was there is in redb's file. Opening
//! replays what redb's file does not hold. `docs/format.md` has the bytes.

mod record;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use orch_core::store::Revision;
use orch_core::store::changelog::Commit;

use self::record::Encoder;
pub(crate) use self::record::Logged;
use crate::OpenError;
use crate::error::Fault;
use crate::files::{Files, OpenFile, Place};
use crate::format::FORMAT;
use crate::layer::quarters;

/// What is added to the name of the store's own file.
const SUFFIXES: [&str; 2] = ["-journal", "-journal2"];

/// The files beside a store's own.
pub(crate) struct Journal {
    place: Place,
    files: [OpenFile; 2],
    /// Which of them is appended to.
    turn: usize,
    /// How many bytes of that are of use, of how many at most.
    used: usize,
    bound: usize,
    encoder: Encoder,
}

/// Why a group of commits did not become durable.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// It is certain that it did not: a full disk, say. The journal goes on.
    NotWritten(io::Error),
    /// It may have: the journal cannot be relied on any longer. Not after a sync that fails and one that succeeds, for
    /// the system may take pages that it could not write for written.
    Unknown(io::Error),
}

impl Journal {
    /// Where the journal of the store at `store` lies.
    pub(crate) fn paths_of(store: &Place) -> [PathBuf; 2] {
        SUFFIXES.map(|suffix| store.beside(suffix))
    }

    /// Opens the journal of the store with this identity, or makes one; gives what it holds that the
    /// store's own file, which is at `revision`, may lack: records without gap.
    ///
    /// `bound` is for both files together. Only for who holds the lock of the store's own file.
    pub(crate) fn open(
        store: &Place,
        identity: u64,
        revision: Revision,
        bound: usize,
    ) -> Result<(Self, Vec<Logged>), OpenError> {
        let [one, two] = Self::paths_of(store);
        let (one, in_one) = open(&*store.files, &one, identity)?;
        let (two, in_two) = open(&*store.files, &two, identity)?;
        let journal = Self {
            place: store.clone(),
            files: [one, two],
            turn: 0,
            used: 0,
            bound: bound / 2,
            encoder: Encoder::new(identity),
        };
        let logged = in_order(in_one, in_two, revision).map_err(|fault| refuse(&store.path, &fault))?;
        Ok((journal, logged))
    }

    /// Makes a group of commits durable, if there is room.
    ///
    /// Where there is none, nothing was written.
    pub(crate) fn append(
        &mut self,
        after: Revision,
        compacted: Revision,
        commits: &[Arc<Commit>],
    ) -> Result<bool, AppendError> {
        let room = self.bound - self.used;
        let Some(record) = self.encoder.record(after, compacted, commits, room) else {
            return Ok(false);
        };
        let file = &self.files[self.turn];
        let end = self.used as u64;
        if let Err(error) = file.write(end, record) {
            // Part of it may be there, and what lay behind of an earlier round may be what makes it whole.
            let cut = file.set_len(end).and_then(|()| file.sync_data());
            return Err(cut.map_or_else(AppendError::Unknown, |()| AppendError::NotWritten(error)));
        }
        file.sync_data().map_err(AppendError::Unknown)?;
        self.used += record.len();
        Ok(true)
    }

    /// Whether nothing was appended since the last turn.
    pub(crate) fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// How full the file is that is appended to, in whole quarters.
    pub(crate) fn quarters(&self) -> usize {
        quarters(self.used, self.bound)
    }

    /// Goes on in the other file, from its first byte. What was there must be durable in the store's own.
    pub(crate) fn turn(&mut self) {
        self.turn = 1 - self.turn;
        self.used = 0;
    }

    /// Removes the files. What was there must be durable in the store's own.
    pub(crate) fn remove(self) -> io::Result<()> {
        let paths = Self::paths_of(&self.place);
        drop(self.files);
        paths.iter().try_for_each(|path| self.place.files.remove(path))
    }
}

/// Opens one file, or makes it; what it holds.
fn open(files: &dyn Files, path: &Path, identity: u64) -> Result<(OpenFile, Vec<Logged>), OpenError> {
    let (file, held) = read(files, path).map_err(|source| OpenError::Io {
        path: path.to_owned(),
        source,
    })?;
    // What is appended comes first again: behind a record that was cut short it would never be read.
    let logged = record::read(&held.into(), identity).map_err(|fault| refuse(path, &fault))?;
    Ok((file, logged))
}

fn read(files: &dyn Files, path: &Path) -> io::Result<(OpenFile, Vec<u8>)> {
    let file = files.open_or_make(path)?;
    let length = usize::try_from(file.len()?).map_err(io::Error::other)?;
    let mut held = vec![0; length];
    file.read(0, &mut held)?;
    // Also if it is there already: who made it may have been killed before its name was durable.
    files.sync_names(path)?;
    Ok((file, held))
}

/// The records of both files, but for those that the store's own file, which is at `revision`, has for sure.
fn in_order(one: Vec<Logged>, two: Vec<Logged>, revision: Revision) -> Result<Vec<Logged>, Fault> {
    // An empty file has no extent and is the older. Where only compactions were recorded, the end tells.
    let extent = |records: &[Logged]| Some((records.first()?.after, records.last()?.end()));
    let (older, newer) = if extent(&one) <= extent(&two) {
        (one, two)
    } else {
        (two, one)
    };
    let mut logged: Vec<Logged> = Vec::new();
    // What was left when a checkpoint had brought it into the store's own file is passed over.
    for record in older.into_iter().chain(newer) {
        if record.end() < revision {
            continue;
        }
        if logged.last().is_some_and(|last| last.end() != record.after) {
            return Err(Fault::Damaged("commits are missing between its two files"));
        }
        logged.push(record);
    }
    Ok(logged)
}

/// `path` is that of the journal's file, or of the store's own if it is about both.
fn refuse(path: &Path, fault: &Fault) -> OpenError {
    let path = path.to_owned();
    match fault {
        Fault::Format(found) => OpenError::Format {
            path,
            found: *found,
            supported: FORMAT,
        },
        Fault::Damaged(what) => OpenError::Damaged {
            path,
            reason: format!("its journal: {what}"),
        },
        fault => OpenError::Damaged {
            path,
            reason: fault.to_string(),
        },
    }
}
