//! The directory with all that a program keeps, which one has at a time: small files that are there whole or not at all.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use crate::Error;

/// In the directory: which runtime its pods run on.
const RUNTIME: &str = "runtime";

/// How long a lock is tried for: a process that is being started holds its parent's until it executes its program.
const PATIENCE: Duration = Duration::from_secs(1);

/// Makes the directory if it is not there; returns its absolute path, for containers start elsewhere.
pub fn open(directory: &Path) -> Result<PathBuf, Error> {
    let at = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => {
            format!("--data {}: must be a directory, and is none", directory.display())
        }
        _ => format!("--data {}: {error}", directory.display()),
    };
    std::fs::create_dir_all(directory).map_err(at)?;
    Ok(directory.canonicalize().map_err(at)?)
}

/// Keeps every other program out of the directory for as long as what this returns is kept. The store and the process
/// runtime keep their own files; but if those are lost under one that runs, the next would take its containers for lost.
pub async fn hold(data: &Path) -> Result<File, Error> {
    let directory = File::open(data).map_err(|error| said_of(data, &error))?;
    let began = Instant::now();
    loop {
        match directory.try_lock() {
            Err(TryLockError::WouldBlock) if began.elapsed() < PATIENCE => {
                tokio::time::sleep(PATIENCE / 20).await
            }
            Err(TryLockError::WouldBlock) => {
                return Err(format!(
                    "--data {}: in use by another program; end that, or choose another directory",
                    data.display()
                )
                .into());
            }
            // Not every file system can lock a directory.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(directory),
        }
    }
}

/// What a file holds; none if there is none.
pub fn read(file: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(said_of(file, &error)),
    }
}

/// Writes a file so that it is never there in part: what it says must be true of all that is done after.
pub fn write(file: &Path, text: &str) -> Result<(), Error> {
    write_as(file, text, 0o666)
}

/// The same, for its owner alone.
pub fn write_private(file: &Path, text: &str) -> Result<(), Error> {
    write_as(file, text, 0o600)
}

fn write_as(file: &Path, text: &str, mode: u32) -> Result<(), Error> {
    let mut scratch = file.as_os_str().to_owned();
    scratch.push(".new");
    let write = || {
        // One that was left may be open to others.
        let _ = std::fs::remove_file(&scratch);
        let mut options = OpenOptions::new();
        let mut written = options.write(true).create_new(true).mode(mode).open(&scratch)?;
        written.write_all(text.as_bytes())?;
        written.sync_all()?;
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
pub fn remove(file: &Path) -> Result<(), Error> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(said_of(file, &error)),
        _ => Ok(()),
    }
}

/// Removes a directory with all that is in it, if it is there.
pub fn remove_directory(directory: &Path) -> Result<(), Error> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(said_of(directory, &error)),
        _ => Ok(()),
    }
}

/// Which runtime the directory's pods run on, if it has any.
pub fn runtime(data: &Path) -> Result<Option<String>, Error> {
    let name = read(&data.join(RUNTIME))?;
    Ok(name.map(|name| name.trim().to_owned()))
}

/// Writes down which runtime its pods are on; whether it was not before.
pub fn note_runtime(data: &Path, name: &str) -> Result<bool, Error> {
    let is_new = runtime(data)?.is_none();
    write(&data.join(RUNTIME), name)?;
    Ok(is_new)
}

/// There are no pods on any runtime.
pub fn forget_runtime(data: &Path) -> Result<(), Error> {
    remove(&data.join(RUNTIME))
}

fn said_of(file: &Path, error: &std::io::Error) -> Error {
    format!("{}: {error}", file.display()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_for_its_owner_is_open_to_nobody_else() {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        for text in ["one", "two"] {
            std::fs::write(dir.path().join("token.new"), "left, and open").unwrap();
            write_private(&file, text).unwrap();
            let mode = std::fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            assert_eq!(read(&file).unwrap().as_deref(), Some(text));
        }
    }

    #[tokio::test]
    async fn one_program_has_the_directory_whatever_is_lost_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let data = open(&dir.path().join("data")).unwrap();
        let held = hold(&data).await.unwrap();
        std::fs::rename(&data, dir.path().join("moved")).unwrap();
        let moved = dir.path().join("moved");
        let refused = hold(&moved).await.unwrap_err().to_string();
        assert!(
            refused.contains("moved: in use by another program; end that"),
            "{refused}"
        );
        drop(held);
        hold(&moved).await.unwrap();
    }
}
