//! Opens the file: makes it, recognises it, or says what it is instead.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use orch_core::random::Random;
use redb::{Database, DatabaseError, ReadableDatabase, StorageError, TableHandle};

use crate::checkpoint::File as Store;
use crate::disk::Disk;
use crate::error::Fault;
use crate::files::{OpenFile, Place};
use crate::format::{CURRENT, FORMAT, HISTORY, META, META_FORMAT, META_IDENTITY};
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

pub(crate) fn open(place: &Place, options: &RedbStoreOptions) -> Result<Opened, OpenError> {
    let path = &*place.path;
    let io = |source| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    let (disk, database) = wait_for_lock(place, || match place.files.open(path).map_err(io)? {
        Some(file) => open_database(place, file, options),
        None => create(place, options),
    })?;
    // Also if it is there already: who made it may have been killed before its name was durable.
    place.files.sync_names(path).map_err(io)?;
    let damaged = |fault| failed(path, &fault);
    let mut file = Store::new(disk, database, options).map_err(damaged)?;
    let (journal, logged) =
        Journal::open(place, file.identity(), file.state.revision, options.journal_bytes)?;
    if !logged.is_empty() {
        replay(&mut file, logged).map_err(damaged)?;
    }
    Ok(Opened { file, journal })
}

/// Tries until nobody else has the file open, for as long as there is patience.
///
/// It looks again and again: a wait for the lock itself has no end, and would have to be left behind in a thread.
///
/// Where nothing happens by itself nobody closes it meanwhile, and it is tried once.
fn wait_for_lock<T>(
    place: &Place,
    mut attempt: impl FnMut() -> Result<T, OpenError>,
) -> Result<T, OpenError> {
    let patience = if place.drawn.is_some() {
        Duration::ZERO
    } else {
        PATIENCE
    };
    let until = Instant::now() + patience;
    let mut pause = Duration::from_millis(1);
    loop {
        match attempt() {
            Err(OpenError::Locked { .. }) if Instant::now() < until => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(PAUSE_MOST);
            }
            Err(OpenError::Locked { .. }) => {
                let path = place.path.clone();
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

fn open_database(
    place: &Place,
    file: OpenFile,
    options: &RedbStoreOptions,
) -> Result<(Disk, Database), OpenError> {
    let path = &*place.path;
    let length = file.len().map_err(|source| OpenError::Io {
        path: path.to_owned(),
        source,
    })?;
    let disk = Disk::new(file);
    let database = disk.open(options.cache_bytes);
    let database = database.map_err(|error| refuse(path, length, error))?;
    check_format(place, &database)?;
    Ok((disk, database))
}

/// Makes the file under another name, which it has until it is a whole store: who is killed meanwhile leaves nothing
/// that could not be opened.
fn create(place: &Place, options: &RedbStoreOptions) -> Result<(Disk, Database), OpenError> {
    let (path, files) = (&*place.path, &place.files);
    let io = |source| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    let unfinished = place.beside(".new");
    let file = files.open_or_make_locked(&unfinished).map_err(io)?;
    let file = file.ok_or_else(|| locked(path))?;
    // Another may have finished the file and given it its name between the opening and the lock.
    if let Some(finished) = files.open(path).map_err(io)? {
        drop(file);
        return open_database(place, finished, options);
    }
    file.set_len(0).map_err(io)?;
    let opened = open_database(place, file, options)?;
    files.rename(&unfinished, path).map_err(io)?;
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

fn check_format(place: &Place, database: &Database) -> Result<(), OpenError> {
    let path = &*place.path;
    let found = format_of(place, database).map_err(|fault| failed(path, &fault))?;
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
fn format_of(place: &Place, database: &Database) -> Result<Found, Fault> {
    let read = database.begin_read()?;
    let tables: Vec<String> = read.list_tables()?.map(|table| table.name().to_owned()).collect();
    if tables.is_empty() {
        let mut write = database.begin_write()?;
        // After a commit in one phase redb trusts the next one's pages as soon as their checksums hold, synced or not: were
        // this one, a failed sync of the first checkpoint could be taken for done.
        write.set_two_phase_commit(true);
        {
            let mut meta = write.open_table(META)?;
            meta.insert(META_FORMAT, FORMAT.to_le_bytes().as_slice())?;
            let random = place.drawn.clone().unwrap_or_else(Random::from_os);
            let identity = random.below(u64::MAX);
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
