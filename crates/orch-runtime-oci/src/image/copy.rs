//! A plain copy of an image's layers, one over the other, for machines without overlayfs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid};

use super::fault::{Doing, Fault, shown};
use super::limits::Stop;
use super::tree::{self, Meta, Tree};

/// Copies layers, the lowest first, into an empty directory: what overlayfs would show of them.
pub(crate) fn copy(layers: &[PathBuf], to: &Path, stop: &Stop) -> Result<(), Fault> {
    let target = Tree::open(to)?;
    for layer in layers {
        let source = Tree::open(layer)?;
        let mut copy = Copy {
            target: &target,
            stop,
            links: BTreeMap::new(),
        };
        copy.directory(source.root(), target.root(), &[])?;
    }
    Ok(())
}

struct Copy<'a> {
    target: &'a Tree,
    stop: &'a Stop,
    /// Files of this layer with several names, and the first one of each.
    links: BTreeMap<(u64, u64), Vec<u8>>,
}

impl Copy<'_> {
    fn directory(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, path: &[u8]) -> Result<(), Fault> {
        let reading = || format!("reading {}", shown(path));
        for name in tree::names(from).doing(reading)? {
            self.stop.check()?;
            let inner = if path.is_empty() {
                name.clone()
            } else {
                [path, b"/", &name].concat()
            };
            if let Some(stat) = tree::look(from, &name).doing(reading)? {
                self.one(from, to, &name, &inner, &stat)?;
            }
        }
        let meta = Meta::of(from).doing(reading)?;
        let old = Meta::of(to).doing(reading)?;
        for (name, _) in old.xattrs {
            if !meta.xattrs.iter().any(|(other, _)| *other == name) {
                rustix::fs::fremovexattr(to, name.as_slice()).doing(reading)?;
            }
        }
        tree::dress(to, &meta, path)?;
        rustix::fs::futimens(to, &meta.times()).doing(|| format!("giving {} its time", shown(path)))
    }

    fn one(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        stat: &Stat,
    ) -> Result<(), Fault> {
        let copying = || format!("copying {}", shown(path));
        let meta = Meta::from_stat(stat);
        if tree::is_directory(stat) {
            let source =
                rustix::fs::openat(from, name, tree::READ_DIRECTORY, Mode::empty()).doing(copying)?;
            let there = tree::look(to, name).doing(copying)?;
            let target = if there.is_some_and(|stat| tree::is_directory(&stat)) {
                let there =
                    rustix::fs::openat(to, name, tree::READ_DIRECTORY, Mode::empty()).doing(copying)?;
                if tree::is_opaque(source.as_fd()) {
                    tree::clear(there.as_fd()).doing(copying)?;
                }
                there
            } else {
                tree::remove(to, name).doing(copying)?;
                self.target.make_directory(to, name, path)?
            };
            return self.directory(source.as_fd(), target.as_fd(), path);
        }
        tree::remove(to, name).doing(copying)?;
        if tree::is_whiteout(stat) {
            return Ok(());
        }
        if stat.st_nlink > 1 {
            let key = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.links.get(&key) {
                let root = self.target.root();
                return rustix::fs::linkat(root, first.as_slice(), to, name, AtFlags::empty()).doing(copying);
            }
            self.links.insert(key, path.to_vec());
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => return file(from, to, name, path),
            FileType::Symlink => {
                let link = rustix::fs::readlinkat(from, name, Vec::new()).doing(copying)?;
                rustix::fs::symlinkat(link, to, name).doing(copying)?;
            }
            FileType::Fifo => {
                rustix::fs::mknodat(to, name, FileType::Fifo, Mode::from_raw_mode(0o600), 0)
                    .doing(copying)?;
                rustix::fs::chmodat(to, name, Mode::from_raw_mode(meta.mode), AtFlags::empty())
                    .doing(copying)?;
            }
            // Nothing else is unpacked.
            _ => return Ok(()),
        }
        let (owner, group) = (Uid::from_raw(meta.uid), Gid::from_raw(meta.gid));
        rustix::fs::chownat(to, name, Some(owner), Some(group), AtFlags::SYMLINK_NOFOLLOW)
            .doing(|| tree::owner(&meta, path))?;
        rustix::fs::utimensat(to, name, &meta.times(), AtFlags::SYMLINK_NOFOLLOW).doing(copying)
    }
}

fn file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<(), Fault> {
    let copying = || format!("copying {}", shown(path));
    let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let source = rustix::fs::openat(from, name, read, Mode::empty()).doing(copying)?;
    let write = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let target = rustix::fs::openat(to, name, write, Mode::from_raw_mode(0o600)).doing(copying)?;
    // Shares the blocks where the file system can; else the kernel copies.
    if rustix::fs::ioctl_ficlone(&target, &source).is_err() {
        io::copy(
            &mut File::from(source.try_clone().doing(copying)?),
            &mut File::from(target.try_clone().doing(copying)?),
        )
        .doing(copying)?;
    }
    let meta = Meta::of(source.as_fd()).doing(copying)?;
    tree::dress(target.as_fd(), &meta, path)?;
    rustix::fs::futimens(&target, &meta.times()).doing(copying)
}
