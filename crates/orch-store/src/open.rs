//! Opens the file: makes it, recognises it, or says what it is instead.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use orch_core::random::Random;
use redb::{Database, DatabaseError, ReadableDatabase, StorageError, TableHandle};

use crate::checkpoint::File as Store;
use crate::disk::Disk;
use crate::error::Fault;
use crate::format::{CURRENT, FORMAT, HISTORY, META, META_FORMAT, META_IDENTITY, sync_parent};
use crate::group::Group;
use crate::holder::holder;
use crate::journal::{Journal, Logged};
use crate::known::Known;
use crate::layer::Pending;
use crate::snapshot::Snapshot;
use crate::{OpenError, RedbStoreOptions};

/// How long to wait for who has the file open. It may be closing it in another thread, or have been killed, and
/// the system not have let go of its files yet: that is over in this time, and nothing else is worth waiting for.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest time between two looks.
const PAUSE_MOST: Duration = Duration::from_millis(50);

/// An open file with its journal.
pub(crate) struct Opened {
    pub(crate) file: Store,
    pub(crate) journal: Journal,
}

pub(crate) fn open(path: &Path, options: &RedbStoreOptions) -> Result<Opened, OpenError> {
    let io = |source| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    let (disk, database) = wait_for_lock(path, || match open_file(path).map_err(io)? {
        Some(file) => open_database(path, file, options),
        None => create(path, options),
    })?;
    // Also if it is there already: who made it may have been killed before its name was durable.
    sync_parent(path).map_err(io)?;
    let damaged = |fault| failed(path, &fault);
    let mut file = Store::new(disk, database, options).map_err(damaged)?;
    let (journal, logged) = Journal::open(
        path,
        file.identity(),
        file.state.revision,
        options.journal_bytes,
        #[cfg(test)]
        options.faults.clone(),
    )?;
    if !logged.is_empty() {
        replay(&mut file, logged).map_err(damaged)?;
    }
    Ok(Opened { file, journal })
}

/// Tries until nobody else has the file open, for as long as there is patience.
///
/// It looks again and again: a wait for the lock itself has no end, and would have to be left behind in a thread.
fn wait_for_lock<T>(path: &Path, mut attempt: impl FnMut() -> Result<T, OpenError>) -> Result<T, OpenError> {
    let until = Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(1);
    loop {
        match attempt() {
            Err(OpenError::Locked { .. }) if Instant::now() < until => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(PAUSE_MOST);
            }
            Err(OpenError::Locked { .. }) => {
                let path = path.to_owned();
                let holder = holder(&path);
                return Err(OpenError::Locked { path, holder });
            }
            done => return done,
        }
    }
}

fn locked(path: &Path) -> OpenError {
    OpenError::Locked {
        path: path.to_owned(),
        holder: None,
    }
}

/// Writes into the file what only the journal had.
fn replay(file: &mut Store, logged: Vec<Logged>) -> Result<(), Fault> {
    let snapshot = Snapshot::of(file.base()?, file.state.compacted);
    if logged
        .first()
        .is_some_and(|first| first.after > snapshot.revision)
    {
        return Err(Fault::Damaged(
            "its journal continues a newer file: put that file back, or remove the journal to lose what was written since",
        ));
    }
    let mut compacted = snapshot.compacted;
    let mut known = Known::default();
    let mut group = Group::begin(&snapshot, &mut known);
    for record in logged {
        compacted = compacted.max(record.compacted);
        let held = snapshot.revision.get().saturating_sub(record.after.get());
        for logged in record
            .txns
            .into_iter()
            .skip(usize::try_from(held).unwrap_or(usize::MAX))
        {
            if !group.apply(logged)?.is_ok_and(|committed| committed.changed) {
                return Err(Fault::Damaged("a commit in its journal changes nothing"));
            }
        }
    }
    let mut pending = Pending::default();
    pending.extend(&group.finish());
    if !pending.commits.is_empty() || compacted > snapshot.compacted {
        drop(snapshot);
        file.checkpoint(&pending, compacted)?;
    }
    Ok(())
}

/// The file, if there is one.
fn open_file(path: &Path) -> io::Result<Option<File>> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn open_database(path: &Path, file: File, options: &RedbStoreOptions) -> Result<(Disk, Database), OpenError> {
    let io = |source| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    let length = file.metadata().map_err(io)?.len();
    let disk = Disk::new(
        file,
        #[cfg(test)]
        options.faults.clone(),
    );
    let refused = |error| refuse(path, length, error);
    let disk = disk.map_err(refused)?;
    let database = disk.open(options.cache_bytes).map_err(refused)?;
    check_format(path, &database)?;
    Ok((disk, database))
}

/// Makes the file under another name, which it has until it is a whole store: who is killed meanwhile leaves nothing
/// that could not be opened.
fn create(path: &Path, options: &RedbStoreOptions) -> Result<(Disk, Database), OpenError> {
    let io = |source| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    let mut how = OpenOptions::new();
    how.read(true).write(true).create(true).truncate(false);
    // For its owner alone, since it holds secrets.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut how, 0o600);
    let file = how.open(&unfinished).map_err(io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(locked(path));
        }
        Err(TryLockError::Error(error)) => return Err(io(error)),
    }
    // Another may have finished the file and given it its name between the opening and the lock.
    if let Some(finished) = open_file(path).map_err(io)? {
        drop(file);
        return open_database(path, finished, options);
    }
    file.set_len(0).map_err(io)?;
    let opened = open_database(path, file, options)?;
    std::fs::rename(&unfinished, path).map_err(io)?;
    Ok(opened)
}

/// A fault of the disk is told as that, and not as a broken file.
fn failed(path: &Path, fault: &Fault) -> OpenError {
    let path = path.to_owned();
    match fault {
        Fault::Redb(error) => match &**error {
            redb::Error::Io(source) if source.kind() != io::ErrorKind::InvalidData => OpenError::Io {
                path,
                source: io::Error::new(source.kind(), source.to_string()),
            },
            error => OpenError::Damaged {
                path,
                reason: error.to_string(),
            },
        },
        fault => OpenError::Damaged {
            path,
            reason: fault.to_string(),
        },
    }
}

fn refuse(path: &Path, length: u64, error: DatabaseError) -> OpenError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen => locked(&path),
        DatabaseError::Storage(StorageError::Io(source)) if source.kind() == io::ErrorKind::InvalidData => {
            OpenError::NotAStore {
                path,
                reason: format!("{source} ({length} bytes)"),
            }
        }
        DatabaseError::Storage(StorageError::Io(source)) => match source.kind() {
            io::ErrorKind::UnexpectedEof => OpenError::Damaged {
                path,
                reason: format!("cut short at {length} bytes"),
            },
            _ => OpenError::Io { path, source },
        },
        error => OpenError::Damaged {
            path,
            reason: error.to_string(),
        },
    }
}

fn check_format(path: &Path, database: &Database) -> Result<(), OpenError> {
    let found = format_of(database).map_err(|fault| failed(path, &fault))?;
    match found {
        Found::Version(FORMAT) => Ok(()),
        Found::Version(found) => Err(OpenError::Format {
            path: path.to_owned(),
            found,
            supported: FORMAT,
        }),
        Found::Other(reason) => Err(OpenError::NotAStore {
            path: path.to_owned(),
            reason,
        }),
    }
}

enum Found {
    Version(u32),
    Other(String),
}

/// The format version that the file states; a file with nothing in it is made a store.
fn format_of(database: &Database) -> Result<Found, Fault> {
    let read = database.begin_read()?;
    let tables: Vec<String> = read.list_tables()?.map(|table| table.name().to_owned()).collect();
    if tables.is_empty() {
        let write = database.begin_write()?;
        {
            let mut meta = write.open_table(META)?;
            meta.insert(META_FORMAT, FORMAT.to_le_bytes().as_slice())?;
            let identity = Random::from_os().below(u64::MAX);
            meta.insert(META_IDENTITY, identity.to_le_bytes().as_slice())?;
        }
        write.open_table(CURRENT)?;
        write.open_table(HISTORY)?;
        write.commit()?;
        return Ok(Found::Version(FORMAT));
    }
    let stated = match read.open_table(META) {
        Ok(meta) => meta.get(META_FORMAT)?.map(|stated| stated.value().to_vec()),
        Err(redb::TableError::Storage(error)) => return Err(error.into()),
        Err(_) => None,
    };
    let Some(stated) = stated else {
        return Ok(Found::Other(format!(
            "a redb file with the tables {}",
            tables.join(", ")
        )));
    };
    Ok(match <[u8; 4]>::try_from(stated) {
        Ok(version) => Found::Version(u32::from_le_bytes(version)),
        Err(stated) => Found::Other(format!("a format mark of {} bytes", stated.len())),
    })
}
