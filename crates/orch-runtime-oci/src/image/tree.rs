//! A directory tree that an image's archive may shape as it likes, without ever reaching out of it: every path is
//! resolved by the kernel with the tree as its root (`openat2`, `RESOLVE_IN_ROOT`).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

use super::fault::{Doing, Fault, shown};

/// Directories below each other. Bounds recursion and open files wherever a tree is walked.
pub(crate) const DEEPEST: usize = 128;
/// What overlayfs keeps its own marks under.
pub(crate) const OVERLAY: &[u8] = b"trusted.overlay.";
const OPAQUE: &str = "trusted.overlay.opaque";

/// All that a file has beside its contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) modified: (i64, u32),
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Meta {
    /// Of a directory that nobody described.
    pub(crate) const PLAIN: Self = Self {
        mode: 0o755,
        uid: 0,
        gid: 0,
        modified: (0, 0),
        xattrs: Vec::new(),
    };

    /// Of an open file or directory; overlayfs' own marks are left out.
    pub(crate) fn of(file: BorrowedFd<'_>) -> io::Result<Self> {
        let stat = rustix::fs::fstat(file)?;
        Ok(Self {
            xattrs: xattrs(file)?,
            ..Self::from_stat(&stat)
        })
    }

    /// Without extended attributes.
    pub(crate) fn from_stat(stat: &Stat) -> Self {
        Self {
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            modified: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0)),
            xattrs: Vec::new(),
        }
    }

    pub(crate) fn times(&self) -> Timestamps {
        times(self.modified)
    }
}

pub(crate) fn times(modified: (i64, u32)) -> Timestamps {
    let at = Timespec {
        tv_sec: modified.0,
        tv_nsec: modified.1.into(),
    };
    Timestamps {
        last_access: at,
        last_modification: at,
    }
}

/// Gives an open file or directory its owner, mode and attributes. In this order: a change of owner clears the
/// set-uid bit and the capabilities.
pub(crate) fn dress(file: BorrowedFd<'_>, meta: &Meta, path: &[u8]) -> Result<(), Fault> {
    rustix::fs::fchown(file, Some(Uid::from_raw(meta.uid)), Some(Gid::from_raw(meta.gid)))
        .doing(|| owner(meta, path))?;
    rustix::fs::fchmod(file, Mode::from_raw_mode(meta.mode))
        .doing(|| format!("giving {} its mode", shown(path)))?;
    for (name, value) in &meta.xattrs {
        match rustix::fs::fsetxattr(file, name.as_slice(), value, XattrFlags::empty()) {
            // A file system that has none of this kind; containers do without, as on such a machine.
            Err(Errno::OPNOTSUPP) => {}
            done => done.doing(|| format!("giving {} its attribute {}", shown(path), shown(name)))?,
        }
    }
    Ok(())
}

pub(crate) fn owner(meta: &Meta, path: &[u8]) -> String {
    format!(
        "giving {} its owner {}:{} (which needs CAP_CHOWN)",
        shown(path),
        meta.uid,
        meta.gid
    )
}

fn xattrs(file: BorrowedFd<'_>) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut names = vec![0; 65_536];
    let length = match rustix::fs::flistxattr(file, names.as_mut_slice()) {
        Err(Errno::OPNOTSUPP) => 0,
        listed => listed?,
    };
    names.truncate(length);
    let mut found = Vec::new();
    for name in names.split(|byte| *byte == 0) {
        // SELinux labels belong to the file where it lies.
        if name.is_empty() || name.starts_with(OVERLAY) || name == b"security.selinux" {
            continue;
        }
        let mut value = vec![0; 65_536];
        let length = rustix::fs::fgetxattr(file, name, value.as_mut_slice())?;
        value.truncate(length);
        found.push((name.to_vec(), value));
    }
    Ok(found)
}

/// Whether it is a whiteout as overlayfs writes them.
pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

pub(crate) fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// Says that what is below `name` is not there.
pub(crate) fn make_whiteout(parent: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<(), Fault> {
    rustix::fs::mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), 0).doing(|| {
        let path = shown(path);
        format!("making the whiteout {path} (character device 0:0, which needs CAP_MKNOD)")
    })
}

/// Says that nothing of what is below this directory shows in it.
pub(crate) fn make_opaque(directory: BorrowedFd<'_>, path: &[u8]) -> Result<(), Fault> {
    rustix::fs::fsetxattr(directory, OPAQUE, b"y", XattrFlags::empty()).doing(|| {
        let path = shown(path);
        format!(
            "making {path} opaque (attribute {OPAQUE}, which needs CAP_SYS_ADMIN and a file system with it)"
        )
    })
}

pub(crate) fn is_opaque(directory: BorrowedFd<'_>) -> bool {
    let mut value = [0; 1];
    let got = rustix::fs::fgetxattr(directory, OPAQUE, value.as_mut_slice());
    got == Ok(1) && value == *b"y"
}

pub(crate) const READ_DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// What `name` is in a directory; a symlink is itself.
pub(crate) fn look(parent: BorrowedFd<'_>, name: &[u8]) -> Result<Option<Stat>, Errno> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The names in a directory.
pub(crate) fn names(directory: BorrowedFd<'_>) -> io::Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            found.push(name.to_vec());
        }
    }
    Ok(found)
}

/// Removes a file or a directory with all in it; symlinks are not followed. Another may be removing it too.
pub(crate) fn remove(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let remove = || {
        match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
            Err(Errno::ISDIR) => {}
            done => return done.map_err(io::Error::from),
        }
        clear(rustix::fs::openat(parent, name, READ_DIRECTORY, Mode::empty())?.as_fd())?;
        Ok(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?)
    };
    match remove() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Removes all that is in a directory.
pub(crate) fn clear(directory: BorrowedFd<'_>) -> io::Result<()> {
    names(directory)?
        .iter()
        .try_for_each(|name| remove(directory, name))
}

/// The parts of an archive's path. What begins with `/` begins at the tree's root, as in the tools that write it.
pub(crate) fn parts(path: &[u8]) -> Result<Vec<&[u8]>, String> {
    const LONGEST: usize = 4096;
    if path.len() >= LONGEST {
        return Err(format!(
            "its path has {} bytes; at most {} are allowed",
            path.len(),
            LONGEST - 1
        ));
    }
    if path.contains(&0) {
        return Err("its path has a NUL in it".into());
    }
    let parts: Vec<&[u8]> = path
        .split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
        .collect();
    if parts.contains(&b"..".as_slice()) {
        return Err("its path has .. in it and could leave the image".into());
    }
    if let Some(part) = parts.iter().find(|part| part.len() > 255) {
        return Err(format!(
            "a name in its path has {} bytes; at most 255 are allowed",
            part.len()
        ));
    }
    if parts.len() > DEEPEST {
        let deep = parts.len();
        return Err(format!(
            "it lies {deep} directories deep; at most {DEEPEST} are allowed"
        ));
    }
    Ok(parts)
}

/// A tree being built.
pub(crate) struct Tree {
    root: OwnedFd,
    /// How deep the root itself lies.
    depth: usize,
}

impl Tree {
    pub(crate) fn open(path: &Path) -> Result<Self, Fault> {
        let root = rustix::fs::open(path, READ_DIRECTORY, Mode::empty()).at("opening", path)?;
        let depth = depth(root.as_fd()).at("looking at", path)?;
        Ok(Self { root, depth })
    }

    pub(crate) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens a directory of the tree, through symlinks that stay in it.
    pub(crate) fn directory(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        self.open_in(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC)
    }

    /// Opens what is there already, likewise.
    pub(crate) fn open_in(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { b"." } else { path };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        loop {
            match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve) {
                // Something was renamed meanwhile anywhere on the machine: asked again, it answers.
                Err(Errno::AGAIN) => {}
                done => return done,
            }
        }
    }

    /// Makes a directory, unless that is too deep, and opens it.
    pub(crate) fn make_directory(
        &self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
    ) -> Result<OwnedFd, Fault> {
        let making = || format!("making the directory {}", shown(path));
        // Symlinks could have led further down than the path is long.
        let deep = depth(parent).doing(making)?.saturating_sub(self.depth);
        if deep >= DEEPEST {
            let why = format!("it lies more than {DEEPEST} directories deep");
            return Err(Fault::entry(path, why));
        }
        rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)).doing(making)?;
        rustix::fs::openat(parent, name, READ_DIRECTORY, Mode::empty()).doing(making)
    }
}

/// How many directories there are above an open one.
fn depth(directory: BorrowedFd<'_>) -> io::Result<usize> {
    let path = std::fs::read_link(format!("/proc/self/fd/{}", directory.as_raw_fd()))?;
    Ok(path.components().count())
}
