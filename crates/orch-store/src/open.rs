//! Opens the file: makes it, recognises it, or says what it is instead.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use orch_core::store::Revision;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableHandle};

use crate::error::Fault;
use crate::format::{CURRENT, FORMAT, HISTORY, META, META_COMPACTED, META_FORMAT};
use crate::history::RowReader;
use crate::{OpenError, RedbStoreOptions};

/// An open file and where its history stands.
pub(crate) struct Opened {
    pub(crate) database: Database,
    pub(crate) revision: Revision,
    pub(crate) compacted: Revision,
    /// Offsets of the first byte of history that is held, and of the end, in all rows ever written.
    pub(crate) history: std::ops::Range<u64>,
}

pub(crate) fn open(path: &Path, options: &RedbStoreOptions) -> Result<Opened, OpenError> {
    let io = |source| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    let (file, length) = open_file(path).map_err(io)?;
    let database = redb::Builder::new()
        .set_cache_size(options.cache_bytes)
        .create_file(file)
        .map_err(|error| refuse(path, length, error))?;
    check_format(path, &database)?;
    let damaged = |fault: Fault| OpenError::Damaged {
        path: path.to_owned(),
        reason: fault.to_string(),
    };
    read_state(database).map_err(damaged)
}

/// The file, readable by its owner alone since it holds secrets, and its length before it was opened.
fn open_file(path: &Path) -> io::Result<(File, u64)> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    match options.open(path) {
        Ok(file) => {
            let length = file.metadata()?.len();
            return Ok((file, length));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.create(true).truncate(false).open(path)?;
    // Without this a crash could lose the file with all that was acknowledged.
    #[cfg(unix)]
    if let Some(parent) = path.parent() {
        let parent = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        File::open(parent)?.sync_all()?;
    }
    Ok((file, 0))
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
    let found = format_of(database).map_err(|fault| OpenError::Damaged {
        path: path.to_owned(),
        reason: fault.to_string(),
    })?;
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
        write
            .open_table(META)?
            .insert(META_FORMAT, FORMAT.to_le_bytes().as_slice())?;
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

fn read_state(database: Database) -> Result<Opened, Fault> {
    let read = database.begin_read()?;
    let compacted = match read.open_table(META)?.get(META_COMPACTED)? {
        None => 0,
        Some(stated) => {
            let stated = stated.value().try_into();
            u64::from_le_bytes(stated.map_err(|_| Fault::Damaged("the compacted revision is not 8 bytes"))?)
        }
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
    drop(history);
    drop(read);
    Ok(Opened {
        database,
        revision: Revision::new(revision),
        compacted: Revision::new(compacted),
        history: start..end,
    })
}
