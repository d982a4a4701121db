//! The process that a pod's own process namespace lives by, where its containers see each other's: the first in there,
//! which waits for those that nobody else does. Its end is that of all processes of the pod.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sched::{CloneFlags, unshare};
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::pipe::{PipeFlags, pipe_with};
use serde::{Deserialize, Serialize};

use crate::guarded::Guarded;
use crate::launch::{self, Process, Program};
use crate::namespaces::{Kind, Shared};
use crate::{record, shim};

/// `pause.json`, in the sandbox's directory: what it is to know.
#[derive(Serialize, Deserialize)]
pub(crate) struct Pause {
    /// The control group of the shims.
    pub(crate) shims: String,
    /// The namespace of the pod's own users, where it has some: that of processes is to belong to them.
    #[serde(default)]
    pub(crate) users: Option<PathBuf>,
}

/// Held by it for as long as it lives.
pub(crate) fn lock(dir: &Path) -> PathBuf {
    dir.join("pause.lock")
}

/// Starts it in the namespaces that the pod has already. Its own is held by nothing else yet.
pub(crate) fn start(program: &Program, dir: &Path, shared: &Shared, shims: String) -> io::Result<Process> {
    let users = shared.users().map(|_| shared.file(Kind::User));
    let has_users = users.is_some();
    record::write(&dir.join("pause.json"), &Pause { shims, users })?;
    let complaints = dir.join("pause.err");
    let (answer, write) = pipe_with(PipeFlags::CLOEXEC)?;
    let stderr = File::create(&complaints)?;
    let process = shared.within(|| {
        // Whoever may trace it could have the file of its program.
        let file = Guarded::of(program.path())?;
        let mut apart = CloneFlags::CLONE_NEWNS;
        // One that is the pod's users' it makes itself: that takes a single thread.
        apart.set(CloneFlags::CLONE_NEWPID, !has_users);
        unshare(apart)?;
        mount_change(
            "/",
            MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
        )?;
        let mut command = Command::new(file.path());
        // It is seen in the containers: nothing of the machine is in its arguments.
        command.arg0(shim::NAME).arg(shim::PAUSE).env_clear();
        command
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(write)
            .stderr(stderr);
        launch::start(&mut command)
    })?;
    // Nothing is ever written: it becomes readable by its end.
    if launch::readable_in_time(&answer)?
        && let Some(first) = launch::holder_of(&lock(dir))?
    {
        // Where that is a child of what was started, the latter has ended.
        launch::reap();
        return Ok(first);
    }
    process.kill();
    let said = std::fs::read_to_string(complaints).unwrap_or_default();
    Err(io::Error::other(format!(
        "the first process of the pod did not come up: {}",
        said.trim()
    )))
}

/// The one of this sandbox, if it lives.
pub(crate) fn find(dir: &Path) -> io::Result<Option<Process>> {
    launch::holder_of(&lock(dir))
}

/// Ends it, and with it all processes of the pod. None is as good.
pub(crate) fn end(dir: &Path) -> io::Result<()> {
    let Some(process) = find(dir)? else { return Ok(()) };
    process.kill();
    if !launch::readable_in_time(&process)? {
        return Err(io::Error::other("the first process of the pod cannot be killed"));
    }
    launch::reap();
    Ok(())
}
