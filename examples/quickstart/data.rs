//! The data directory: small files that are there whole or not at all.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::Error;

/// Makes the directory if it is not there; returns its absolute path, for containers start elsewhere.
pub(crate) fn open(directory: &Path) -> Result<PathBuf, Error> {
    let at = |error| format!("--data {}: {error}", directory.display());
    std::fs::create_dir_all(directory).map_err(at)?;
    Ok(directory.canonicalize().map_err(at)?)
}

/// Where the servers of the default manifest leave the ports they got.
pub(crate) fn ports(data: &Path) -> PathBuf {
    data.join("ports")
}

/// What a file holds; none if there is none.
pub(crate) fn read(file: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(said_of(file, &error)),
    }
}

/// Writes a file so that it is never there in part: what it says must be true of all that is done after.
pub(crate) fn write(file: &Path, text: &str) -> Result<(), Error> {
    let mut scratch = file.as_os_str().to_owned();
    scratch.push(".new");
    let write = || {
        std::fs::write(&scratch, text)?;
        std::fs::File::open(&scratch)?.sync_all()?;
        std::fs::rename(&scratch, file)?;
        // The name is the directory's: until that is on disk, a crash of the machine may take it back.
        match file.parent() {
            Some(directory) => std::fs::File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(|error| said_of(file, &error))
}

/// Removes a file, if it is there.
pub(crate) fn remove(file: &Path) -> Result<(), Error> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(said_of(file, &error)),
        _ => Ok(()),
    }
}

/// Removes a directory with all that is in it, if it is there.
pub(crate) fn remove_directory(directory: &Path) -> Result<(), Error> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(said_of(directory, &error)),
        _ => Ok(()),
    }
}

fn said_of(file: &Path, error: &std::io::Error) -> Error {
    format!("{}: {error}", file.display()).into()
}
