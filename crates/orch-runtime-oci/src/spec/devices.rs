//! The machine's devices, all of which a privileged container has.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::{major, minor};
use serde_json::{Value, json};

/// Directories and links in `/dev` that a container has of its own.
const OWN: [&str; 8] = ["console", "fd", "mqueue", "ptmx", "pts", "shm", "stdin", "stdout"];

/// Deeper than devices lie anywhere.
const DEEPEST: usize = 8;

/// What is below `/dev`, as the specification has it.
pub(crate) fn of_the_machine() -> io::Result<Vec<Value>> {
    let mut devices = Vec::new();
    collect(Path::new("/dev"), DEEPEST, &mut devices)?;
    Ok(devices)
}

fn collect(dir: &Path, levels: usize, devices: &mut Vec<Value>) -> io::Result<()> {
    let Some(below) = levels.checked_sub(1) else {
        return Ok(());
    };
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if levels == DEEPEST && OWN.iter().any(|own| name == *own) {
            continue;
        }
        // Neither a link is followed, nor is it an error that a device goes away.
        let Ok(meta) = entry.metadata() else { continue };
        let kind = meta.file_type();
        if kind.is_dir() {
            collect(&entry.path(), below, devices)?;
        } else if kind.is_block_device() || kind.is_char_device() {
            devices.push(json!({
                "path": entry.path(),
                "type": if kind.is_block_device() { "b" } else { "c" },
                "major": major(meta.rdev()),
                "minor": minor(meta.rdev()),
                "fileMode": meta.mode() & 0o7777,
                "uid": meta.uid(),
                "gid": meta.gid(),
            }));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_devices_and_none_that_a_container_has_of_its_own() {
        let devices = of_the_machine().unwrap();
        let find = |path: &str| devices.iter().find(|device| device["path"] == path);
        let null = find("/dev/null").unwrap();
        assert_eq!(
            (&null["type"], &null["major"], &null["minor"]),
            (&json!("c"), &json!(1), &json!(3))
        );
        assert!(find("/dev/ptmx").is_none() && find("/dev/console").is_none());
        assert!(
            devices
                .iter()
                .all(|device| !device["path"].as_str().unwrap().starts_with("/dev/pts"))
        );
    }
}
