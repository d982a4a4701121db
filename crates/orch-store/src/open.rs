//! Opens the file: makes it, recognises it, or says what it is instead.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use orch_core::random::Random;
use orch_core::store::Revision;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableHandle};

use crate::checkpoint::{File as Store, State};
use crate::error::Fault;
use crate::format::{
    CURRENT, FORMAT, HISTORY, META, META_COMPACTED, META_FORMAT, META_IDENTITY, sync_parent,
};
use crate::group::Group;
use crate::history::RowReader;
use crate::journal::{Journal, Logged};
use crate::layer::Pending;
use crate::snapshot::Snapshot;
use crate::{OpenError, RedbStoreOptions};

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
    let database = match open_file(path).map_err(io)? {
        Some(file) => open_database(path, file, options)?,
        None => create(path, options)?,
    };
    // Also if it is there already: who made it may have been killed before its name was durable.
    sync_parent(path).map_err(io)?;
    let damaged = |fault| failed(path, &fault);
    let (identity, state) = read_state(&database).map_err(damaged)?;
    let (journal, logged) =
        Journal::open(path, identity, state.revision, options.journal_bytes).map_err(|error| match error
            .kind()
        {
            io::ErrorKind::InvalidData => OpenError::Damaged {
                path: path.to_owned(),
                reason: error.to_string(),
            },
            _ => io(error),
        })?;
    let mut file = Store {
        database,
        state,
        keep_bytes: options.history_bytes,
    };
    if !logged.is_empty() {
        replay(&mut file, logged).map_err(damaged)?;
    }
    Ok(Opened { file, journal })
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
    let mut group = Group::begin(&snapshot);
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

fn open_database(path: &Path, file: File, options: &RedbStoreOptions) -> Result<Database, OpenError> {
    let io = |source| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    let length = file.metadata().map_err(io)?.len();
    let database = redb::Builder::new()
        .set_cache_size(options.cache_bytes)
        .create_file(file)
        .map_err(|error| refuse(path, length, error))?;
    check_format(path, &database)?;
    Ok(database)
}

/// Makes the file under another name, which it has until it is a whole store: who is killed meanwhile leaves nothing
/// that could not be opened.
fn create(path: &Path, options: &RedbStoreOptions) -> Result<Database, OpenError> {
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
            return Err(OpenError::Locked {
                path: path.to_owned(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(io(error)),
    }
    // Another may have finished the file and given it its name between the opening and the lock.
    if let Some(finished) = open_file(path).map_err(io)? {
        drop(file);
        return open_database(path, finished, options);
    }
    file.set_len(0).map_err(io)?;
    let database = open_database(path, file, options)?;
    std::fs::rename(&unfinished, path).map_err(io)?;
    Ok(database)
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
        DatabaseError::DatabaseAlreadyOpen => OpenError::Locked { path },
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

/// The store's identity, and what the file itself holds, without its journal.
fn read_state(database: &Database) -> Result<(u64, State), Fault> {
    let read = database.begin_read()?;
    let meta = read.open_table(META)?;
    let number = |name| -> Result<Option<u64>, Fault> {
        let Some(stated) = meta.get(name)? else {
            return Ok(None);
        };
        let stated = stated.value().try_into();
        let stated =
            stated.map_err(|_| Fault::Damaged("its identity or compacted revision is not 8 bytes"))?;
        Ok(Some(u64::from_le_bytes(stated)))
    };
    let history = read.open_table(HISTORY)?;
    let offset = |row: &[u8]| RowReader::new(row).map(|(_, end)| end);
    let start = match history.first()? {
        None => 0,
        Some((_, row)) => offset(row.value())?.saturating_sub(row.value().len() as u64),
    };
    let (revision, end) = match history.last()? {
        None => (0, 0),
        Some((key, row)) => (key.value().0, offset(row.value())?),
    };
    let identity = number(META_IDENTITY)?.ok_or(Fault::Damaged("it has no identity"))?;
    let state = State {
        revision: Revision::new(revision),
        compacted: Revision::new(number(META_COMPACTED)?.unwrap_or(0)),
        history: start..end,
        garbage: true,
    };
    Ok((identity, state))
}
