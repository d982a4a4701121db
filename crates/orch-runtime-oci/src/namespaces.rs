//! What the containers of a pod share, held by files: bound to one, a namespace lives without a process in it.
//!
//! All of them lie in a small file system of their own, a directory for each sandbox. It is not on the disk: after a
//! restart of the machine nothing is there that could be taken for a namespace.

use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, setns, unshare};
use orch_core::runtime::SandboxId;
use rustix::fs::{FsWord, statfs};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};
use serde::{Deserialize, Serialize};

use crate::launch::Process;
use crate::marks::Marks;
use crate::record::gone;
use crate::users::Users;
use crate::volatile::{self, aside, take_over};

/// The kernel's `NSFS_MAGIC`.
const NSFS: FsWord = 0x6e73_6673;

/// How much a pod may have in `/dev/shm`: as other runtimes have it.
const SHM: &CStr = c"mode=1777,size=64m";

/// The file system of all pods.
const ALL: &CStr = c"mode=0700,size=64k";

/// A kind of namespace that a pod's containers may share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// Made by a process with one thread; the others of its pod belong to it.
    User,
    Ipc,
    Uts,
    Net,
    /// Made by the process that is the first in it.
    Pid,
}

impl Kind {
    /// As the runtime specification calls it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::Net => "network",
            Self::Pid => "pid",
        }
    }

    pub(crate) fn flag(self) -> CloneFlags {
        match self {
            Self::User => CloneFlags::CLONE_NEWUSER,
            Self::Ipc => CloneFlags::CLONE_NEWIPC,
            Self::Uts => CloneFlags::CLONE_NEWUTS,
            Self::Net => CloneFlags::CLONE_NEWNET,
            Self::Pid => CloneFlags::CLONE_NEWPID,
        }
    }

    /// The file that holds it.
    fn file(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::Net => "net",
            Self::Pid => "pid",
        }
    }

    /// As the kernel calls a thread's own. Of processes, it is that of the children to come.
    fn own(self) -> &'static str {
        match self {
            Self::Pid => "pid_for_children",
            other => other.file(),
        }
    }
}

/// What the containers of one pod share, and where it is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shared {
    /// Of all pods.
    all: PathBuf,
    own: PathBuf,
    kinds: Vec<Kind>,
    /// Whom its users are on the machine, where it has some of its own.
    #[serde(default)]
    users: Option<Users>,
}

impl Shared {
    pub(crate) fn new(all: &Path, id: &SandboxId, kinds: Vec<Kind>, users: Option<Users>) -> Self {
        let (all, own) = (all.to_owned(), all.join(&id.0));
        Self {
            all,
            own,
            kinds,
            users,
        }
    }

    pub(crate) fn users(&self) -> Option<Users> {
        self.users
    }

    pub(crate) fn all(&self) -> &Path {
        &self.all
    }

    /// The pod's part of it.
    pub(crate) fn own(&self) -> &Path {
        &self.own
    }

    pub(crate) fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    pub(crate) fn file(&self, kind: Kind) -> PathBuf {
        self.own.join(kind.file())
    }

    /// The pod's `/dev/shm`.
    pub(crate) fn shm(&self) -> PathBuf {
        self.own.join("shm")
    }

    /// All but those of processes and of users.
    fn plain(&self) -> impl Iterator<Item = Kind> {
        let kinds = self.kinds.iter().copied();
        kinds.filter(|kind| !matches!(kind, Kind::Pid | Kind::User))
    }

    /// All but that of processes.
    pub(crate) fn before_processes(&self) -> impl Iterator<Item = Kind> {
        self.kinds.iter().copied().filter(|kind| *kind != Kind::Pid)
    }

    /// Makes all of it anew, whatever was there; but for the namespace of processes, which takes a process. Where the pod
    /// has users of its own, this one is in the namespaces already.
    pub(crate) fn make(&self, hostname: Option<&str>, maker: Option<&Process>) -> io::Result<()> {
        self.begin()?;
        let name = || match hostname {
            Some(name) => Ok(rustix::system::sethostname(name.as_bytes())?),
            None => Ok(()),
        };
        match maker {
            Some(maker) => {
                self.bind_all_of(maker, self.before_processes())?;
                self.within(name)?;
            }
            None => self.bind(self.plain(), || {
                unshare(self.plain().map(Kind::flag).collect())?;
                name()
            })?,
        }
        self.mount_shm()
    }

    /// Binds the namespace of a process, and of those that will be in it.
    pub(crate) fn bind_pid(&self, process: BorrowedFd<'_>) -> io::Result<()> {
        self.bind([Kind::Pid], || Ok(setns(process, Kind::Pid.flag())?))
    }

    /// Binds the namespaces of a process again, whose files are gone: in another mount namespace, for one, than that
    /// of the program that made them. Where it is a container's, what was in `/dev/shm` is to be found there. Nothing is bound
    /// of a process that has left what it once shared: that is looked at when it can no longer change.
    pub(crate) fn bind_again(&self, process: &Process, is_container: bool, marks: &Marks) -> io::Result<()> {
        let bound = self.bind_what_is_of(process, is_container, marks);
        if bound.is_err() {
            self.clear()?;
        }
        bound
    }

    fn bind_what_is_of(&self, process: &Process, is_container: bool, marks: &Marks) -> io::Result<()> {
        self.begin()?;
        let all = self.kinds.iter().copied();
        match self.users {
            Some(_) => self.bind_all_of(process, all)?,
            None => self.bind(all.clone(), || Ok(setns(process, all.map(Kind::flag).collect())?))?,
        }
        marks.check_namespaces(self)?;
        if !is_container {
            return self.mount_shm();
        }
        fs::create_dir(self.shm())?;
        take_over(process, Path::new("/dev/shm"), &self.shm())?;
        marks.check_shm(self)
    }

    /// The same where the state directory is that now has a container in this place: it may have been moved.
    pub(crate) fn beside(&self, container: &Path) -> Self {
        let root = container.parent().and_then(Path::parent);
        let all = root.zip(self.all.file_name()).map(|(root, name)| root.join(name));
        let own = all
            .clone()
            .zip(self.own.file_name())
            .map(|(all, name)| all.join(name));
        Self {
            all: all.unwrap_or_else(|| self.all.clone()),
            own: own.unwrap_or_else(|| self.own.clone()),
            ..self.clone()
        }
    }

    /// Binds the namespaces of a process by its number: a thread could not enter that of users.
    fn bind_all_of(&self, process: &Process, kinds: impl Iterator<Item = Kind>) -> io::Result<()> {
        let number = process.number()?;
        for kind in kinds {
            let file = self.file(kind);
            File::create_new(&file)?;
            mount_bind(format!("/proc/{number}/ns/{}", kind.file()), file)?;
        }
        // While it lived the number was its own.
        process.number().map(drop)
    }

    /// An empty place, in the file system for it.
    fn begin(&self) -> io::Result<()> {
        self.clear()?;
        volatile::open(&self.all, ALL)?;
        fs::create_dir(&self.own)
    }

    /// Binds the namespaces of a thread, once it has entered them.
    fn bind(
        &self,
        kinds: impl IntoIterator<Item = Kind>,
        enter: impl FnOnce() -> io::Result<()> + Send,
    ) -> io::Result<()> {
        let kinds: Vec<_> = kinds.into_iter().collect();
        aside(|| {
            enter()?;
            for kind in kinds {
                let file = self.file(kind);
                File::create_new(&file)?;
                mount_bind(Path::new("/proc/thread-self/ns").join(kind.own()), file)?;
            }
            Ok(())
        })
    }

    /// Does something on a thread that is in all of them but that of processes.
    pub(crate) fn within<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        aside(|| {
            for kind in self.plain() {
                setns(File::open(self.file(kind))?, kind.flag())?;
            }
            work()
        })
    }

    /// Does something on a thread that is in its network, and else where the calling one is.
    pub(crate) fn within_network<T: Send>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send,
    ) -> io::Result<T> {
        aside(|| {
            setns(File::open(self.file(Kind::Net))?, Kind::Net.flag())?;
            work()
        })
    }

    fn mount_shm(&self) -> io::Result<()> {
        fs::create_dir(self.shm())?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        let Some(users) = self.users else {
            return Ok(mount("shm", self.shm(), "tmpfs", flags, SHM)?);
        };
        let root = users.root();
        let options = CString::new(format!("{},uid={root},gid={root}", SHM.to_string_lossy()))?;
        Ok(mount("shm", self.shm(), "tmpfs", flags, &*options)?)
    }

    /// Whether all of it is there.
    pub(crate) fn is_whole(&self) -> io::Result<bool> {
        for kind in &self.kinds {
            match statfs(self.file(*kind)) {
                Ok(found) if found.f_type == NSFS => {}
                Ok(_) | Err(Errno::NOENT) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        volatile::is_mounted(&self.shm())
    }

    /// Lets go of all of it. What has processes in it lives on until they end.
    pub(crate) fn clear(&self) -> io::Result<()> {
        clear(&self.own)
    }
}

/// Lets go of all that a pod's directory has.
fn clear(own: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(own) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        // One that is not mounted is as good.
        let _ = unmount(entry.path(), UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
        // By this the kernel unmounts it also in copies of the mount table, which would hold it still.
        let removed = match entry.file_type()?.is_dir() {
            true => fs::remove_dir(entry.path()),
            false => fs::remove_file(entry.path()),
        };
        gone(removed)?;
    }
    gone(fs::remove_dir(own))
}

/// Lets go of what is held of all sandboxes but these.
pub(crate) fn keep_only(all: &Path, wanted: impl Fn(&SandboxId) -> bool) -> io::Result<()> {
    for id in held(all)? {
        if !wanted(&id) {
            clear(&all.join(&id.0))?;
        }
    }
    Ok(())
}

/// The sandboxes that something is held of.
fn held(all: &Path) -> io::Result<Vec<SandboxId>> {
    let entries = match fs::read_dir(all) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    entries
        .map(|entry| Ok(SandboxId(entry?.file_name().to_string_lossy().into_owned())))
        .collect()
}
