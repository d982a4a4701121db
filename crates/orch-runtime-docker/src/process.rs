//! A process of a container, held so that a signal can reach no other.

/// A process that belongs to a container.
pub(crate) struct Process {
    #[cfg(target_os = "linux")]
    fd: std::os::fd::OwnedFd,
}

#[cfg(target_os = "linux")]
impl Process {
    /// The process of this id as this machine knows it; none if there is none, or it is not in the container
    /// (we may be in another process namespace than the engine, or on another machine).
    pub(crate) fn find(pid: i64, container: &str) -> Option<Self> {
        let raw = i32::try_from(pid).ok().filter(|pid| *pid > 1)?;
        let id = rustix::process::Pid::from_raw(raw)?;
        let fd = rustix::process::pidfd_open(id, rustix::process::PidfdFlags::empty()).ok()?;
        // Every engine puts the container's id into the path of its control group.
        let groups = std::fs::read_to_string(format!("/proc/{raw}/cgroup")).ok()?;
        (container.len() >= 32 && groups.contains(container)).then_some(Self { fd })
    }

    /// Does something on a thread that is in its network, and ends with that.
    pub(crate) fn within_network<T: Send>(&self, work: impl FnOnce() -> T + Send) -> std::io::Result<T> {
        use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};
        use std::os::fd::AsFd;
        std::thread::scope(|scope| {
            let aside = std::thread::Builder::new().name("orch-docker-aside".into());
            let thread = aside.spawn_scoped(scope, || {
                move_into_thread_name_spaces(self.fd.as_fd(), ThreadNameSpaceType::NETWORK)?;
                Ok(work())
            })?;
            match thread.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Kills it; whether that was possible.
    pub(crate) fn kill(&self) -> bool {
        use rustix::io::Errno;
        match rustix::process::pidfd_send_signal(&self.fd, rustix::process::Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => true,
            Err(_) => false,
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl Process {
    pub(crate) fn find(_pid: i64, _container: &str) -> Option<Self> {
        None
    }

    pub(crate) fn within_network<T>(&self, _work: impl FnOnce() -> T) -> std::io::Result<T> {
        Err(std::io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn kill(&self) -> bool {
        false
    }
}
