//! Makes directories and files within a volume without following what a container put there out of it.

use std::io;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

/// The directory or file `sub_path` of the volume `root`; what is missing is made, as directories with the volume's
/// own mode. Links that stay within the volume are followed, as Kubernetes follows them; one that leads out, or to
/// nothing, is an error, and nothing is made behind it.
pub(super) fn sub_path(root: &Path, sub_path: &Path) -> io::Result<PathBuf> {
    let root = root.canonicalize()?;
    let mode = std::fs::metadata(&root)?.permissions().mode() & 0o777;
    let mut reached = root.clone();
    for part in sub_path.components() {
        let next = match part {
            Component::CurDir => continue,
            Component::Normal(name) => reached.join(name),
            _ => return Err(io::Error::other("must be relative and without '..'")),
        };
        reached = match std::fs::symlink_metadata(&next).map(|found| found.is_symlink()) {
            // Making a directory never goes through a link of that name, even one that was put there just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                std::fs::create_dir(&next)?;
                std::fs::set_permissions(&next, std::fs::Permissions::from_mode(mode))?;
                next
            }
            Err(error) => return Err(error),
            Ok(true) => next.canonicalize()?,
            Ok(false) => next,
        };
        if !reached.starts_with(&root) {
            return Err(io::Error::other(
                "it leads out of the volume; a link in it must stay within",
            ));
        }
    }
    Ok(reached)
}

/// Writes a file of a volume that is the agent's own to fill. Whatever else is in its place goes: nothing there is
/// followed. Readers see the old file or the new one.
pub(super) fn write(root: &Path, path: &Path, data: &[u8], mode: u32) -> io::Result<()> {
    let mut parent = root.to_owned();
    for part in path.parent().into_iter().flat_map(Path::components) {
        parent.push(part);
        directory(&parent)?;
    }
    let path = root.join(path);
    let mut fresh = path.clone().into_os_string();
    fresh.push(".new");
    clear(Path::new(&fresh))?;
    let mut options = std::fs::OpenOptions::new();
    // A new file is never one that a link leads to.
    let mut file = options.write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(data)?;
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    if std::fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir()) {
        clear(&path)?;
    }
    std::fs::rename(fresh, path)
}

/// Makes `path` a directory, whatever it was.
fn directory(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => std::fs::remove_file(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    std::fs::DirBuilder::new().mode(0o755).create(path)
}

/// Removes what is there; a link is removed itself.
fn clear(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => std::fs::remove_file(path),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_made_behind_a_link_that_leads_out() {
        let (volume, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let link = |name: &str, to: &Path| std::os::unix::fs::symlink(to, volume.path().join(name)).unwrap();
        link("out", outside.path());
        link("nothing", Path::new("/nowhere/at/all"));
        std::fs::create_dir(volume.path().join("real")).unwrap();
        link("in", &volume.path().join("real"));
        for path in [
            "out/new",
            "out",
            "out/new/deep",
            "real/../x",
            "/x",
            "nothing",
            "nothing/new",
        ] {
            assert!(sub_path(volume.path(), Path::new(path)).is_err(), "{path}");
        }
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
        let real = volume.path().canonicalize().unwrap().join("real/new/er");
        assert_eq!(sub_path(volume.path(), Path::new("in/new/er")).unwrap(), real);
        assert_eq!(sub_path(volume.path(), Path::new("real/./new/er")).unwrap(), real);
        assert!(real.is_dir());
    }

    #[test]
    fn what_a_container_left_in_the_place_of_a_file_is_replaced_and_not_followed() {
        let (volume, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let theirs = outside.path().join("theirs");
        std::fs::write(&theirs, "kept").unwrap();
        let put = |name: &str, to: &Path| std::os::unix::fs::symlink(to, volume.path().join(name)).unwrap();
        put("a", &theirs);
        put("a.new", &theirs);
        put("d", outside.path());
        std::fs::create_dir_all(volume.path().join("b/c")).unwrap();
        std::fs::write(volume.path().join("e"), "a file").unwrap();
        for path in ["a", "d/theirs", "b", "e/f", "g"] {
            write(volume.path(), Path::new(path), b"new", 0o400).unwrap();
            let found = std::fs::symlink_metadata(volume.path().join(path)).unwrap();
            assert!(found.is_file(), "{path}");
            assert_eq!(found.permissions().mode() & 0o777, 0o400);
        }
        assert_eq!(std::fs::read_to_string(&theirs).unwrap(), "kept");
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
    }
}
