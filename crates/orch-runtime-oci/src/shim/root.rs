//! Mounts the container's root file system, in a mount namespace of its own.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount_bind};

use super::owners::{Owners, UNSHOWN};
use crate::image::{Base, root};
use crate::record::ContainerDir;

/// The kernel takes a mount's options in one page, with a byte for their end.
const LONGEST_OPTIONS: usize = 4095;

/// Below a layer that takes the container's changes lies what its image has.
pub(super) fn mount(dir: &ContainerDir, base: &Base, owners: Option<&Owners>) -> io::Result<()> {
    // What whoever started this has is not the container's, nor that of what is made in its root.
    rustix::process::umask(Mode::from_raw_mode(0o022));
    for path in [dir.upper(), dir.work(), dir.notes()] {
        fs::create_dir(path)?;
    }
    match base {
        Base::Host => {
            let what = || format!("overlay of / with changes in {}", dir.kept().display());
            overlay_host(dir, owners).map_err(|error| told(what(), error, owners))
        }
        Base::Layers(layers) => match overlay_layers(dir, layers, owners) {
            Err(error) if needs_a_copy(error) => {
                let what = || format!("copying its image to {}", dir.upper().display());
                root::copy_layers(layers, &dir.upper())
                    .and_then(|()| match owners {
                        Some(owners) => owners
                            .show(&dir.upper(), &dir.rootfs())
                            .map_err(|error| why(unshown(error), Some(owners))),
                        None => Ok(mount_bind(dir.upper(), dir.rootfs())?),
                    })
                    .map_err(|error| io::Error::other(format!("{}: {error}", what())))
            }
            mounted => mounted.map_err(|error| {
                let what = format!(
                    "overlay of {} layers with changes in {}",
                    layers.len(),
                    dir.kept().display()
                );
                told(what, error, owners)
            }),
        },
    }
}

fn overlay_host(dir: &ContainerDir, owners: Option<&Owners>) -> Result<(), Errno> {
    let Some(owners) = owners else {
        return overlay(dir, Path::new("/"), &["/"]);
    };
    let place = owners.show_layers(&["/".into()]).map_err(unshown)?;
    owners.give(&dir.upper()).map_err(errno)?;
    overlay(dir, &place, &["0"])
}

fn errno(error: io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

/// What cannot be shown to a pod's users is not to be taken for an overlay that cannot be made.
fn unshown(error: io::Error) -> Errno {
    match errno(error) {
        Errno::INVAL => Errno::PERM,
        error => error,
    }
}

fn why(error: Errno, owners: Option<&Owners>) -> io::Error {
    match error {
        Errno::PERM if owners.is_some() => io::Error::other(UNSHOWN),
        error => error.into(),
    }
}

fn told(what: String, error: Errno, owners: Option<&Owners>) -> io::Error {
    io::Error::other(format!("{what}: {}", why(error, owners)))
}

/// Whether there is no overlayfs, or not above this file system, or not of so many layers.
fn needs_a_copy(error: Errno) -> bool {
    matches!(
        error,
        Errno::NODEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::TOOBIG
    )
}

/// Names the layers from where they lie, for their options must be short.
fn overlay_layers(dir: &ContainerDir, layers: &[PathBuf], owners: Option<&Owners>) -> Result<(), Errno> {
    let Some((top, place)) = layers.last().and_then(|top| Some((top, top.parent()?.parent()?))) else {
        // An image without layers has nothing that could lie below.
        return Err(Errno::INVAL);
    };
    // The root's own owner and mode are those of the changes' directory, as it is when it is mounted.
    root::dress_like(top, &dir.upper()).map_err(errno)?;
    let Some(owners) = owners else {
        let names = layers.iter().rev();
        let names: Vec<&Path> = names
            .map(|layer| layer.strip_prefix(place).unwrap_or(layer))
            .collect();
        return overlay(dir, place, &names);
    };
    owners.give(&dir.upper()).map_err(errno)?;
    let place = owners.show_layers(layers).map_err(unshown)?;
    let names: Vec<_> = (0..layers.len()).rev().map(|number| number.to_string()).collect();
    overlay(dir, &place, &names)
}

/// Mounts an overlay of directories named from `place`, the topmost first.
fn overlay(dir: &ContainerDir, place: &Path, lower: &[impl AsRef<Path>]) -> Result<(), Errno> {
    let lower: Vec<&[u8]> = lower
        .iter()
        .map(|path| path.as_ref().as_os_str().as_bytes())
        .collect();
    let (upper, work) = (dir.upper(), dir.work());
    let options = [
        b"lowerdir=",
        lower.join(&b':').as_slice(),
        b",upperdir=",
        upper.as_os_str().as_bytes(),
        b",workdir=",
        work.as_os_str().as_bytes(),
        // Nobody mounts it again, so none of it has to be on the disk, and nobody has to wait for that.
        b",volatile",
    ]
    .concat();
    if options.len() > LONGEST_OPTIONS {
        return Err(Errno::TOOBIG);
    }
    let options = CString::new(options).map_err(|_| Errno::INVAL)?;
    rustix::process::chdir(place)?;
    let flags = MountFlags::empty();
    let mounted = rustix::mount::mount(
        "overlay",
        dir.rootfs(),
        "overlay",
        flags,
        Some(options.as_c_str()),
    );
    rustix::process::chdir("/")?;
    mounted
}
