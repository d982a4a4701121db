//! The state directory: where everything is, and who has it open.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use orch_core::random::Random;
use orch_core::runtime::RuntimeError;
use rustix::fs::{
    AtFlags, FlockOperation, IFlags, Mode, OFlags, ioctl_getflags, ioctl_setflags, open, unlinkat,
};

use crate::record::{self, ContainerDir, gone};
use crate::{NAME, invalid};

/// The layout that this version writes.
const FORMAT: u32 = 2;

/// `format.json`.
#[derive(serde::Serialize, serde::Deserialize)]
struct Format {
    version: u32,
    /// Sets this directory's control groups apart from those of others.
    name: String,
}

pub(crate) struct StateDir {
    root: PathBuf,
    name: String,
    random: Random,
    /// Held for as long as this is open.
    lock: File,
}

impl Drop for StateDir {
    fn drop(&mut self) {
        // Closing it may not be enough: what another thread has just started has it too, until it begins its program.
        let _ = rustix::fs::flock(&self.lock, FlockOperation::Unlock);
    }
}

impl StateDir {
    pub(crate) fn open(root: &Path) -> Result<Self, RuntimeError> {
        let text = root
            .to_str()
            .filter(|text| root.is_absolute() && !text.contains([',', ':', '\\', '"', '\n']));
        if text.is_none() {
            let reason =
                format!("{root:?}: must be an absolute path without , : \\, quotes or the end of a line");
            return Err(invalid("root", reason));
        }
        let place = DirBuilder::new().recursive(true).mode(0o700).create(root);
        place.map_err(|error| {
            let reason = format!("{root:?}: {error}; must be a directory that is there or can be made");
            invalid("root", reason)
        })?;
        let failed = |error: io::Error| RuntimeError::failed(format!("opening {}", root.display()), error);
        Self::open_checked(root)
            .map_err(failed)?
            .ok_or_else(|| RuntimeError::Unavailable {
                runtime: NAME,
                reason: format!(
                    "another program, or runtime of this one, has {} open; close that first, or give this one a directory of \
                     its own",
                    root.display()
                ),
            })
    }

    fn open_checked(root: &Path) -> io::Result<Option<Self>> {
        let root = root.canonicalize()?;
        let lock = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(root.join("lock"))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            locked => locked?,
        }
        let random = Random::from_os();
        let format = root.join("format.json");
        let Format { version, name } = match record::read(&format)? {
            Some(found) => found,
            None => {
                let made = Format {
                    version: FORMAT,
                    name: random.name_suffix(8),
                };
                record::write(&format, &made)?;
                made
            }
        };
        if version != FORMAT {
            return Err(io::Error::other(format!(
                "its layout is {version}, and this version knows {FORMAT} alone; open it with the version that made it, or \
                 give this one a directory of its own"
            )));
        }
        for part in ["containers", "sandboxes", "trash"] {
            fs::create_dir_all(root.join(part))?;
        }
        if let Err(error) = keep_apart(&root.join("trash")) {
            tracing::debug!(%error, "containers lie on the disk as its file system has it");
        }
        Ok(Some(Self {
            root,
            name,
            random,
            lock,
        }))
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn new_id(&self) -> String {
        self.random.uuid().replace('-', "")
    }

    pub(crate) fn container(&self, id: &str) -> ContainerDir {
        ContainerDir::new(self.root.join("containers").join(id))
    }

    pub(crate) fn sandbox(&self, id: &str) -> PathBuf {
        self.root.join("sandboxes").join(id)
    }

    /// Where what the containers of pods share is held.
    pub(crate) fn namespaces(&self) -> PathBuf {
        self.root.join("ns")
    }

    /// Where what lies below every image is.
    pub(crate) fn skeleton(&self) -> PathBuf {
        self.root.join("skeleton")
    }

    /// The names in `containers` or `sandboxes`.
    pub(crate) fn names(&self, part: &str) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(self.root.join(part))?;
        entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    /// Where what containers have in memory is.
    pub(crate) fn run(&self) -> PathBuf {
        self.root.join(record::RUN)
    }

    /// Makes a directory with all that is in it appear at once.
    pub(crate) fn make(&self, place: &Path, fill: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
        let draft = self
            .root
            .join("trash")
            .join(place.file_name().unwrap_or_default());
        fs::create_dir(&draft)?;
        let made = fill(&draft).and_then(|()| fs::rename(&draft, place));
        if made.is_err() {
            // Of a container, what is in memory has its place already.
            gone(fs::remove_dir_all(ContainerDir::new(place.to_owned()).run()))?;
            gone(fs::remove_dir_all(draft))?;
        }
        made
    }

    /// Makes a container disappear at once, and then removes all of it; one that is gone is as good.
    pub(crate) fn discard_container(&self, dir: &ContainerDir) -> io::Result<()> {
        self.discard_by(dir.kept(), |trash| {
            gone(OVERLAYS.remove(&trash.join("work")))?;
            KEPT.remove(trash)
        })?;
        gone(IN_MEMORY.remove(dir.run()))
    }

    /// Makes a directory disappear at once, and then removes it; one that is gone is as good.
    pub(crate) fn discard(&self, place: &Path) -> io::Result<()> {
        self.discard_by(place, |trash| fs::remove_dir_all(trash))
    }

    fn discard_by(&self, place: &Path, remove: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
        let trash = self.root.join("trash").join(self.new_id());
        match fs::rename(place, &trash) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => renamed.and_then(|()| gone(remove(&trash))),
        }
    }

    /// Removes what was being made or removed when an earlier program died.
    pub(crate) fn empty_trash(&self) -> io::Result<()> {
        for name in self.names(record::RUN)? {
            let dir = self.container(&name);
            if !dir.kept().exists() {
                gone(fs::remove_dir_all(dir.run()))?;
            }
        }
        for entry in fs::read_dir(self.root.join("trash"))? {
            gone(fs::remove_dir_all(entry?.path()))?;
        }
        Ok(())
    }
}

/// Tells the file system that what is made in a directory is unrelated (`chattr +T`): ext4 then spreads it over the disk.
///
/// Where containers come and go they would all be in one part of it otherwise. There ext4, if it has no journal, passes over
/// all that was removed within minutes, each time that it makes something: with a few thousand containers behind it, that is
/// a tenth of what a container costs.
fn keep_apart(directory: &Path) -> io::Result<()> {
    let directory = File::open(directory)?;
    let flags = ioctl_getflags(&directory)?;
    if !flags.contains(IFlags::TOPDIR) {
        ioctl_setflags(&directory, flags | IFlags::TOPDIR)?;
    }
    Ok(())
}

/// What is most often in a directory, files before the directories that they are in. To find out what there is would take
/// longer than to remove it.
struct Usual {
    files: &'static [&'static str],
    dirs: &'static [&'static str],
}

/// What overlayfs leaves in the directory that it is given to work in.
const OVERLAYS: Usual = Usual {
    files: &["work/incompat/volatile/dirty"],
    dirs: &["work/incompat/volatile", "work/incompat", "work"],
};

const KEPT: Usual = Usual {
    files: &["container.json", "end.json", "log.0"],
    dirs: &["upper"],
};

const IN_MEMORY: Usual = Usual {
    files: &[
        "started.json",
        "sock",
        "begun",
        "lock",
        "shim.err",
        "plan.json",
        "resources.json",
        "filter",
        "bundle/config.json",
        "lc/c/notify.sock",
        "lc/c/youki_config.json",
        "lc/c/state.json",
    ],
    dirs: &["bundle/rootfs", "bundle/shm", "bundle", "lc/c", "lc"],
};

impl Usual {
    /// Removes a directory and all that is in it.
    fn remove(&self, place: &Path) -> io::Result<()> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = open(place, flags, Mode::empty())?;
        // What cannot be removed so is told of below.
        for file in self.files {
            let _ = unlinkat(&dir, *file, AtFlags::empty());
        }
        for inner in self.dirs {
            let _ = unlinkat(&dir, *inner, AtFlags::REMOVEDIR);
        }
        match fs::remove_dir(place) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => fs::remove_dir_all(place),
            removed => removed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_lies_apart_where_the_file_system_can_be_told_so() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(&dir.path().join("state")).unwrap();
        let trash = File::open(state.root().join("trash")).unwrap();
        // Of those that keep the mark, as ext4 does, one is as good as another.
        let told = ioctl_getflags(&trash).and_then(|flags| ioctl_setflags(&trash, flags | IFlags::TOPDIR));
        if told.is_ok() {
            drop(state);
            let flags = ioctl_getflags(&trash).unwrap();
            ioctl_setflags(&trash, flags - IFlags::TOPDIR).unwrap();
            StateDir::open(&dir.path().join("state")).unwrap();
            assert!(ioctl_getflags(&trash).unwrap().contains(IFlags::TOPDIR));
        }
    }

    #[test]
    fn one_has_it_open_at_a_time_and_what_was_half_made_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("state");
        let first = StateDir::open(&root).unwrap();
        assert!(matches!(
            StateDir::open(&root),
            Err(RuntimeError::Unavailable { .. })
        ));
        let place = first.sandbox("s");
        let failed = first.make(&place, |draft| {
            fs::write(draft.join("file"), "")?;
            Err(io::Error::other("no"))
        });
        assert!(failed.is_err() && !place.exists());
        first
            .make(&place, |draft| fs::write(draft.join("file"), ""))
            .unwrap();
        assert!(place.join("file").exists());
        for left in ["trash/left", "run/left", "run/kept", "containers/kept"] {
            fs::create_dir_all(root.join(left)).unwrap();
        }
        let name = first.name().to_owned();
        drop(first);
        let second = StateDir::open(&root).unwrap();
        assert_eq!(second.name(), name, "its control groups are found again");
        second.empty_trash().unwrap();
        second.discard(&place).unwrap();
        second.discard(&place).unwrap();
        assert!(!place.exists());
        assert_eq!(fs::read_dir(root.join("trash")).unwrap().count(), 0);
        assert_eq!(second.names("run").unwrap(), ["kept"]);
    }

    #[test]
    fn what_is_removed_is_gone_also_what_is_not_usual_in_it_and_nothing_that_it_leads_to() {
        let dir = tempfile::tempdir().unwrap();
        let other = dir.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("file"), "").unwrap();
        for usual in [OVERLAYS, KEPT, IN_MEMORY] {
            let place = dir.path().join("place");
            fs::create_dir(&place).unwrap();
            for inner in usual.dirs {
                fs::create_dir_all(place.join(inner)).unwrap();
            }
            for file in usual.files {
                fs::write(place.join(file), "").unwrap();
            }
            usual.remove(&place).unwrap();
            assert!(!place.exists());
            fs::create_dir_all(place.join("upper/etc")).unwrap();
            fs::create_dir_all(place.join("bundle/rootfs/deep/er")).unwrap();
            std::os::unix::fs::symlink(&other, place.join("upper/link")).unwrap();
            fs::create_dir(place.join("end.json")).unwrap();
            fs::write(place.join("log.1"), "").unwrap();
            usual.remove(&place).unwrap();
            assert!(!place.exists() && other.join("file").exists());
            let again = usual.remove(&place).unwrap_err();
            assert_eq!(again.kind(), io::ErrorKind::NotFound);
        }
    }

    #[test]
    fn a_path_that_mount_options_could_not_carry_is_refused() {
        for root in ["state", "/tmp/a,b", "/tmp/a:b"] {
            let opened = StateDir::open(Path::new(root));
            assert!(
                matches!(opened, Err(RuntimeError::InvalidConfig { .. })),
                "{root}"
            );
        }
    }
}
