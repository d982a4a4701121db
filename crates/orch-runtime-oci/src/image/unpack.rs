//! Unpacks a layer into a directory that overlayfs can use as a lower one.
//!
//! An archive says that something of the layers below is gone by names (`.wh.x`, `.wh..wh..opq`: OCI image
//! specification, layers); overlayfs says so by character devices 0:0 and an attribute. Everything is checked, for
//! whoever wrote the archive may mean harm.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::digest::{Digest, DigestingReader};
use super::fault::{Doing, Fault, shown};
use super::limits::{Budget, Guarded, Stop};
use super::tarball::{Entry, Kind, Tarball, broken};
use super::tree::{self, Meta, OVERLAY, Tree, parts};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// A layer that was unpacked, but does not know yet what lies below it.
#[derive(Debug)]
pub(crate) struct Unpacked {
    /// Of the archive, decompressed.
    pub(crate) diff: Digest,
    /// Bytes of the archive, decompressed.
    pub(crate) size: u64,
    /// Directories that something lies in and that the archive does not describe; whether they are as in the layers
    /// below, of which nothing is left where there is a whiteout.
    implied: BTreeMap<Vec<u8>, bool>,
}

/// Unpacks an archive into an empty directory.
pub(crate) fn unpack(
    archive: impl Read,
    into: &Path,
    budget: &Budget,
    stop: &Stop,
) -> Result<Unpacked, Fault> {
    let reader = Guarded::new(archive, budget, stop)?;
    let mut tarball = Tarball::new(DigestingReader::new(reader));
    let mut layer = Layer {
        tree: Tree::open(into)?,
        parent: None,
        implied: BTreeMap::from([(Vec::new(), true)]),
        directories: BTreeMap::new(),
        buffer: vec![0; 1 << 17],
    };
    while let Some(entry) = tarball.next_entry()? {
        budget.take_entry()?;
        layer.add(&entry, &mut tarball)?;
    }
    layer.finish()?;
    // What lies behind the archive's end belongs to it too: it is digested, and it counts.
    let mut archive = tarball.into_inner();
    std::io::copy(&mut archive, &mut std::io::sink()).map_err(broken)?;
    Ok(Unpacked {
        size: archive.count(),
        diff: archive.finish().map_err(broken)?,
        implied: layer.implied,
    })
}

struct Layer {
    tree: Tree,
    /// The directory that the last entry lay in: the next one mostly lies there too.
    parent: Option<(Vec<u8>, OwnedFd)>,
    implied: BTreeMap<Vec<u8>, bool>,
    /// Times of directories, to be set when nothing more is put into them.
    directories: BTreeMap<Vec<u8>, (i64, u32)>,
    buffer: Vec<u8>,
}

impl Layer {
    fn add(&mut self, entry: &Entry, body: &mut impl Read) -> Result<(), Fault> {
        let parts = parts(&entry.path).map_err(|why| Fault::entry(&entry.path, why))?;
        let Some((name, above)) = parts.split_last() else {
            return self.add_root(entry);
        };
        let path = parts.join(&b'/');
        if above.iter().any(|part| part.starts_with(WHITEOUT)) {
            return Err(reserved(&path));
        }
        let parent = self.parent(above)?;
        let added = if name.starts_with(WHITEOUT) {
            self.hide(entry, &parent, above, name)
        } else {
            self.put(entry, body, parent.as_fd(), name, &path)
        };
        self.parent = Some((above.join(&b'/'), parent));
        added
    }

    fn add_root(&mut self, entry: &Entry) -> Result<(), Fault> {
        if entry.kind != Kind::Directory {
            return Err(Fault::entry(
                &entry.path,
                "it stands for the root, and is no directory",
            ));
        }
        tree::dress(self.tree.root(), &meta(entry)?, b"/")?;
        self.describe(Vec::new(), entry);
        Ok(())
    }

    fn describe(&mut self, path: Vec<u8>, entry: &Entry) {
        self.implied.remove(&path);
        self.directories.insert(path, entry.modified);
    }

    /// A whiteout of what is below. What this layer itself has there stays.
    fn hide(&mut self, entry: &Entry, parent: &OwnedFd, above: &[&[u8]], name: &[u8]) -> Result<(), Fault> {
        let path = [above, &[name]].concat().join(&b'/');
        if entry.kind != Kind::File {
            return Err(Fault::entry(&path, "a whiteout must be an empty file"));
        }
        if name == OPAQUE {
            if above.is_empty() {
                return Err(Fault::entry(&path, "the root itself cannot be opaque"));
            }
            let directory = above.join(&b'/');
            return tree::make_opaque(parent.as_fd(), &directory);
        }
        let hidden = &name[WHITEOUT.len()..];
        if hidden.is_empty() || matches!(hidden, b"." | b"..") || hidden.starts_with(WHITEOUT) {
            return Err(reserved(&path));
        }
        let looking = || format!("looking at {}", shown(&path));
        match tree::look(parent.as_fd(), hidden).doing(looking)? {
            None => tree::make_whiteout(parent.as_fd(), hidden, &path),
            Some(stat) if tree::is_directory(&stat) => {
                let directory =
                    rustix::fs::openat(parent, hidden, tree::READ_DIRECTORY, Mode::empty()).doing(looking)?;
                if let Some(inherits) = self.implied.get_mut(&[above, &[hidden]].concat().join(&b'/')) {
                    *inherits = false;
                }
                tree::make_opaque(directory.as_fd(), &path)
            }
            // It hides what is below already.
            Some(_) => Ok(()),
        }
    }

    fn put(
        &mut self,
        entry: &Entry,
        body: &mut impl Read,
        parent: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
    ) -> Result<(), Fault> {
        let making = || format!("making {}", shown(path));
        let meta = meta(entry)?;
        // Checked before anything is removed for it.
        match entry.kind {
            Kind::BlockDevice | Kind::CharacterDevice if entry.device != (0, 0) => {
                let (major, minor) = entry.device;
                let why = format!("it is a device node ({major}:{minor}), which images may not have");
                return Err(Fault::entry(path, why));
            }
            Kind::BlockDevice => {
                return Err(Fault::entry(
                    path,
                    "it is a device node, which images may not have",
                ));
            }
            Kind::Symlink if entry.link.is_empty() || entry.link.contains(&0) || entry.link.len() > 4095 => {
                return Err(Fault::entry(
                    path,
                    "its target must have 1 to 4,095 bytes and no NUL",
                ));
            }
            _ => {}
        }
        let link = match entry.kind {
            Kind::HardLink => Some(self.link_target(entry, path)?),
            _ => None,
        };
        let before = tree::look(parent, name).doing(making)?;
        if entry.kind == Kind::Directory {
            let directory = match before {
                Some(stat) if tree::is_directory(&stat) => {
                    rustix::fs::openat(parent, name, tree::READ_DIRECTORY, Mode::empty()).doing(making)?
                }
                before => {
                    if before.is_some() {
                        tree::remove(parent, name).doing(making)?;
                    }
                    let made = self.tree.make_directory(parent, name, path)?;
                    if before.is_some() {
                        // What was here hid the directory below; its contents must not come back.
                        tree::make_opaque(made.as_fd(), path)?;
                    }
                    made
                }
            };
            tree::dress(directory.as_fd(), &meta, path)?;
            self.describe(path.to_vec(), entry);
            return Ok(());
        }
        if let Some((target, from)) = &link
            && before.is_some()
        {
            // A file that is linked to itself stays.
            let same = |stat: &rustix::fs::Stat| (stat.st_dev, stat.st_ino);
            let old = tree::look(target.as_fd(), from).doing(making)?;
            if old.as_ref().map(same) == before.as_ref().map(same) {
                return Ok(());
            }
        }
        if let Some(before) = before {
            tree::remove(parent, name).doing(making)?;
            if tree::is_directory(&before) {
                self.forget(path);
            }
        }
        match entry.kind {
            Kind::File => {
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file =
                    rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600)).doing(making)?;
                let mut file = File::from(file);
                self.fill(&mut file, body, path)?;
                tree::dress(file.as_fd(), &meta, path)?;
                rustix::fs::futimens(&file, &meta.times()).doing(making)?;
                return Ok(());
            }
            Kind::HardLink => {
                if let Some((target, from)) = link {
                    rustix::fs::linkat(target, from.as_slice(), parent, name, AtFlags::empty())
                        .doing(making)?;
                }
                return Ok(());
            }
            Kind::Symlink => rustix::fs::symlinkat(entry.link.as_slice(), parent, name).doing(making)?,
            Kind::CharacterDevice => return tree::make_whiteout(parent, name, path),
            Kind::Fifo => {
                rustix::fs::mknodat(parent, name, FileType::Fifo, Mode::from_raw_mode(0o600), 0)
                    .doing(making)?;
                rustix::fs::chmodat(parent, name, Mode::from_raw_mode(meta.mode), AtFlags::empty())
                    .doing(making)?;
            }
            Kind::Directory | Kind::BlockDevice => {}
        }
        // Neither can be opened.
        rustix::fs::chownat(
            parent,
            name,
            Some(Uid::from_raw(meta.uid)),
            Some(Gid::from_raw(meta.gid)),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .doing(|| tree::owner(&meta, path))?;
        rustix::fs::utimensat(parent, name, &meta.times(), AtFlags::SYMLINK_NOFOLLOW).doing(making)
    }

    /// Forgets the directories at and below a path: they are gone.
    fn forget(&mut self, path: &[u8]) {
        // `0` comes after `/`.
        let below = [path, b"/"].concat()..[path, b"0"].concat();
        let implied = self.implied.range(below.clone()).map(|(key, _)| key.clone());
        let described = self.directories.range(below).map(|(key, _)| key.clone());
        let gone: Vec<Vec<u8>> = implied.chain(described).chain([path.to_vec()]).collect();
        for key in gone {
            self.implied.remove(&key);
            self.directories.remove(&key);
        }
    }

    fn fill(&mut self, file: &mut File, body: &mut impl Read, path: &[u8]) -> Result<(), Fault> {
        loop {
            let count = body.read(&mut self.buffer).map_err(broken)?;
            if count == 0 {
                return Ok(());
            }
            file.write_all(&self.buffer[..count])
                .doing(|| format!("writing {}", shown(path)))?;
        }
    }

    /// The directory and the name of what a hard link leads to; it must be in this layer.
    fn link_target(&self, entry: &Entry, path: &[u8]) -> Result<(OwnedFd, Vec<u8>), Fault> {
        let target = shown(&entry.link);
        let refuse = |why: &str| Fault::entry(path, format!("its hard link to {target} {why}"));
        let parts = parts(&entry.link).map_err(|_| refuse("leaves the image"))?;
        let Some((name, above)) = parts.split_last() else {
            return Err(refuse("leads to the root"));
        };
        let parent = self
            .tree
            .directory(&above.join(&b'/'))
            .map_err(|_| refuse("leads to nothing in this layer"))?;
        let stat = tree::look(parent.as_fd(), name)
            .doing(|| format!("looking at {target}"))?
            .filter(|stat| !tree::is_whiteout(stat))
            .ok_or_else(|| refuse("leads to nothing in this layer"))?;
        if tree::is_directory(&stat) {
            return Err(refuse("leads to a directory"));
        }
        Ok((parent, name.to_vec()))
    }

    /// The directory that an entry lies in; what is missing of it is made.
    fn parent(&mut self, above: &[&[u8]]) -> Result<OwnedFd, Fault> {
        let path = above.join(&b'/');
        match self.parent.take() {
            Some((known, directory)) if known == path && self.is_still(&directory) => return Ok(directory),
            _ => {}
        }
        match self.tree.directory(&path) {
            Ok(directory) => return Ok(directory),
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(error) => return Err(unreachable_parent(&path, error)),
        }
        let mut directory = self
            .tree
            .directory(b"")
            .doing(|| "opening a layer's root".into())?;
        for depth in 1..=above.len() {
            let path = above[..depth].join(&b'/');
            directory = match self.tree.directory(&path) {
                Ok(next) => next,
                Err(Errno::NOENT | Errno::NOTDIR) => self.imply(directory.as_fd(), above[depth - 1], path)?,
                Err(error) => return Err(unreachable_parent(&path, error)),
            };
        }
        Ok(directory)
    }

    /// A directory that was removed has no links any more.
    fn is_still(&self, directory: &OwnedFd) -> bool {
        rustix::fs::fstat(directory).is_ok_and(|stat| stat.st_nlink > 0)
    }

    fn imply(&mut self, parent: BorrowedFd<'_>, name: &[u8], path: Vec<u8>) -> Result<OwnedFd, Fault> {
        let before = tree::look(parent, name).doing(|| format!("looking at {}", shown(&path)))?;
        match before {
            None => {
                let made = self.tree.make_directory(parent, name, &path)?;
                self.implied.insert(path, true);
                Ok(made)
            }
            Some(stat) if tree::is_whiteout(&stat) => {
                tree::remove(parent, name).doing(|| format!("removing {}", shown(&path)))?;
                let made = self.tree.make_directory(parent, name, &path)?;
                tree::make_opaque(made.as_fd(), &path)?;
                self.implied.insert(path, false);
                Ok(made)
            }
            Some(_) => Err(Fault::entry(
                &path,
                "something lies in it, and it is no directory, nor a link to one in the image",
            )),
        }
    }

    fn finish(&mut self) -> Result<(), Fault> {
        for (path, modified) in &self.directories {
            // A later entry may have taken its place.
            if let Ok(directory) = self.tree.directory(path) {
                rustix::fs::futimens(directory, &tree::times(*modified))
                    .doing(|| format!("giving {} its time", shown(path)))?;
            }
        }
        Ok(())
    }
}

fn unreachable_parent(path: &[u8], error: Errno) -> Fault {
    match error {
        Errno::LOOP => Fault::entry(path, "its links lead in a circle, or out of the image"),
        Errno::XDEV | Errno::NAMETOOLONG => Fault::entry(path, "its links lead out of the image"),
        error => Fault::Io {
            what: format!("opening {}", shown(path)),
            source: error.into(),
        },
    }
}

fn reserved(path: &[u8]) -> Fault {
    Fault::entry(
        path,
        "names that begin with .wh. are reserved, and this one says nothing",
    )
}

/// An entry's own description, without the attributes that containers have no use for.
fn meta(entry: &Entry) -> Result<Meta, Fault> {
    let mut xattrs = Vec::new();
    for (name, value) in &entry.xattrs {
        if name.starts_with(OVERLAY) {
            let why = format!("its attribute {} is reserved to overlayfs", shown(name));
            return Err(Fault::entry(&entry.path, why));
        }
        let kept = name == b"security.capability"
            || name.starts_with(b"user.")
            || name.starts_with(b"system.posix_acl_");
        if kept {
            if name.len() > 255 || name.contains(&0) || value.len() > 65_536 {
                let why = "an attribute's name or value is too long, or its name has a NUL in it";
                return Err(Fault::entry(&entry.path, why));
            }
            xattrs.push((name.clone(), value.clone()));
        }
    }
    Ok(Meta {
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        modified: entry.modified,
        xattrs,
    })
}

/// Gives the directories that the archive did not describe what they have in the layers below, the topmost first:
/// overlayfs shows a directory as its topmost layer has it.
pub(crate) fn settle(layer: &Path, unpacked: &Unpacked, below: &[PathBuf]) -> Result<(), Fault> {
    let own = Tree::open(layer)?;
    let lower: Vec<Tree> = below
        .iter()
        .map(|path| Tree::open(path))
        .collect::<Result<_, _>>()?;
    for (path, inherits) in &unpacked.implied {
        let Ok(directory) = own.directory(path) else {
            continue;
        };
        let meta = if *inherits {
            inherited(&own, &lower, path)
                .doing(|| format!("looking for {} in the layers below", shown(path)))?
        } else {
            None
        };
        let meta = meta.unwrap_or(Meta::PLAIN);
        tree::dress(directory.as_fd(), &meta, path)?;
        rustix::fs::futimens(&directory, &meta.times())
            .doing(|| format!("giving {} its time", shown(path)))?;
    }
    Ok(())
}

fn inherited(own: &Tree, lower: &[Tree], path: &[u8]) -> std::io::Result<Option<Meta>> {
    for (index, tree) in std::iter::once(own).chain(lower).enumerate() {
        let mut directory = rustix::io::dup(tree.root())?;
        let mut hides = false;
        let mut found = true;
        let parts: Vec<&[u8]> = path
            .split(|byte| *byte == b'/')
            .filter(|part| !part.is_empty())
            .collect();
        for (depth, part) in parts.iter().enumerate() {
            directory = match rustix::fs::openat(&directory, *part, tree::READ_DIRECTORY, Mode::empty()) {
                Ok(next) => next,
                Err(Errno::NOENT) => {
                    found = false;
                    break;
                }
                // A whiteout, a file, a link: nothing of what is below shows.
                Err(Errno::NOTDIR | Errno::LOOP) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            // An opaque directory hides what was in it, not what it is itself.
            hides |= depth + 1 < parts.len() && tree::is_opaque(directory.as_fd());
        }
        if found && index > 0 {
            return Meta::of(directory.as_fd()).map(Some);
        }
        if hides {
            break;
        }
    }
    Ok(None)
}
