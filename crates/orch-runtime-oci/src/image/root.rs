//! What a container's shim does with the root of an image, before anything of the image runs.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::copy::copy;
use super::limits::Stop;
use super::tree::{self, Meta, Tree, parts};

/// The biggest file that [`read`] reads: a list of users is not longer.
const LONGEST: u64 = 4 << 20;

/// Copies layers, the lowest first, into an empty directory.
pub(crate) fn copy_layers(layers: &[PathBuf], to: &Path) -> io::Result<()> {
    copy(layers, to, &Stop::default()).map_err(io::Error::other)
}

/// Gives one directory the owner and the mode of another.
pub(crate) fn dress_like(model: &Path, directory: &Path) -> io::Result<()> {
    let meta = Meta::from_stat(&rustix::fs::stat(model)?);
    let directory = Tree::open(directory).map_err(io::Error::other)?;
    tree::dress(directory.root(), &meta, b"/").map_err(io::Error::other)
}

/// Makes a directory in a root, with those above it, unless it is there. One that cannot be made, for something else
/// is in its place, is left to whoever wants it. What is made is the owner's, if there is to be another than root.
pub(crate) fn make_directory(tree: &Tree, path: &str, owner: Option<u32>) -> io::Result<()> {
    let Ok(parts) = parts(path.as_bytes()) else {
        return Ok(());
    };
    let mut directory = tree.directory(b"")?;
    for depth in 1..=parts.len() {
        let path = parts[..depth].join(&b'/');
        directory = match tree.directory(&path) {
            Ok(next) => next,
            Err(Errno::NOENT) if tree::look(directory.as_fd(), parts[depth - 1])?.is_none() => {
                let made = tree.make_directory(directory.as_fd(), parts[depth - 1], &path);
                let made = made.map_err(io::Error::other)?;
                give(&made, owner)?;
                made
            }
            Err(_) => return Ok(()),
        };
    }
    Ok(())
}

fn give(made: impl AsFd, owner: Option<u32>) -> io::Result<()> {
    let Some(owner) = owner else { return Ok(()) };
    let (uid, gid) = (Uid::from_raw(owner), Gid::from_raw(owner));
    Ok(rustix::fs::fchown(made, Some(uid), Some(gid))?)
}

/// Puts an empty file in place of a symlink that leads to nothing in the root: what is mounted over it could not be. It is
/// the owner's, if there is to be another than root.
pub(crate) fn replace_dead_link(tree: &Tree, path: &str, owner: Option<u32>) -> io::Result<()> {
    let Ok(parts) = parts(path.as_bytes()) else {
        return Ok(());
    };
    let Some((name, above)) = parts.split_last() else {
        return Ok(());
    };
    let Ok(parent) = tree.directory(&above.join(&b'/')) else {
        return Ok(());
    };
    let found = tree::look(parent.as_fd(), name)?;
    let is_link = found.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink);
    let target = tree.open_in(path.as_bytes(), OFlags::PATH | OFlags::CLOEXEC);
    if !is_link || target.is_ok() {
        return Ok(());
    }
    tree::remove(parent.as_fd(), name)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = rustix::fs::openat(parent, *name, flags, Mode::from_raw_mode(0o644))?;
    give(made, owner)
}

/// What is in a file of a root, as the container would find it; none if it is not there, or is no file.
pub(crate) fn read(tree: &Tree, path: &str) -> io::Result<Option<Vec<u8>>> {
    // A pipe must not make who opens it wait.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match tree.open_in(path.as_bytes(), flags) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO | Errno::XDEV) => return Ok(None),
        file => file?,
    };
    let stat = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    File::from(file).take(LONGEST).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    #[test]
    fn nothing_of_an_image_leads_out_of_its_root() {
        let place = tempfile::tempdir().unwrap();
        let (root, outside) = (place.path().join("root"), place.path().join("outside"));
        fs::create_dir_all(root.join("real/etc")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "outside").unwrap();
        fs::write(root.join("real/etc/file"), "inside").unwrap();
        symlink("/real/etc", root.join("etc")).unwrap();
        symlink("../outside", root.join("up")).unwrap();
        symlink(&outside, root.join("absolute")).unwrap();
        symlink("circle", root.join("circle")).unwrap();
        fs::write(root.join("plain"), "").unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            root.join("pipe"),
            FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();

        let tree = Tree::open(&root).unwrap();
        let text = |path: &str| {
            read(&tree, path)
                .unwrap()
                .map(|text| String::from_utf8(text).unwrap())
        };
        assert_eq!(text("etc/file").as_deref(), Some("inside"));
        for path in [
            "up/file",
            "absolute/file",
            "circle/file",
            "pipe",
            "real",
            "plain/file",
            "none",
        ] {
            assert_eq!(text(path), None, "{path}");
        }
        for path in [
            "/a/b",
            "/etc/new/deep",
            "/up/x",
            "/absolute/x",
            "/plain/x",
            "/circle/x",
            "/../x",
        ] {
            make_directory(&tree, path, None).unwrap();
        }
        assert!(root.join("a/b").is_dir() && root.join("real/etc/new/deep").is_dir());
        assert_eq!(
            fs::read_dir(&outside).unwrap().count(),
            1,
            "nothing was made outside"
        );
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_link_that_leads_to_nothing_becomes_a_file_and_no_other_does() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::write(place.path().join("outside"), "outside").unwrap();
        fs::write(root.join("etc/file"), "kept").unwrap();
        for (link, to) in [
            ("dead", "../run/none"),
            ("live", "/etc/file"),
            ("out", "../../outside"),
        ] {
            symlink(to, root.join("etc").join(link)).unwrap();
        }
        let tree = Tree::open(&root).unwrap();
        for path in [
            "/etc/dead",
            "/etc/live",
            "/etc/out",
            "/etc/file",
            "/etc/none",
            "/none/x",
        ] {
            replace_dead_link(&tree, path, None).unwrap();
        }
        let text = |path: &str| fs::read_to_string(root.join(path)).unwrap();
        assert_eq!((text("etc/dead").as_str(), text("etc/out").as_str()), ("", ""));
        assert_eq!(text("etc/file"), "kept");
        assert_eq!(
            fs::read_link(root.join("etc/live")).unwrap(),
            Path::new("/etc/file")
        );
        assert!(!root.join("etc/none").exists() && !root.join("none").exists());
        assert_eq!(
            fs::read_to_string(place.path().join("outside")).unwrap(),
            "outside"
        );
    }

    #[test]
    fn a_directory_gets_anothers_owner_and_mode() {
        let place = tempfile::tempdir().unwrap();
        let (model, other) = (place.path().join("model"), place.path().join("other"));
        fs::create_dir(&model).unwrap();
        fs::create_dir(&other).unwrap();
        fs::set_permissions(&model, fs::Permissions::from_mode(0o1751)).unwrap();
        dress_like(&model, &other).unwrap();
        assert_eq!(fs::metadata(&other).unwrap().mode() & 0o7777, 0o1751);
    }
}
