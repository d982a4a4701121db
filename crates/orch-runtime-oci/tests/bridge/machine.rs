//! A machine of a test's own, as far as the network goes: what is made there is nobody else's, and gone with it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use nix::sched::{CloneFlags, unshare};
use orch_core::runtime::RuntimeError;
use orch_podnet::{Bridge, BridgeOptions};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::common::{AT_MACHINE, PATIENCE, there};

/// A network namespace, in place of the machine's.
pub(crate) struct Machine(File);

impl Machine {
    /// None where there is not all that its tests take.
    pub(crate) fn new() -> Option<Self> {
        for (program, package) in [
            ("ip", "iproute2"),
            ("nft", "nftables"),
            ("busybox", "busybox-static"),
        ] {
            let why = format!("there is no `{program}` on this machine (Debian's {package})");
            if !there(is_program(program), &why) {
                return None;
            }
        }
        let made = aside(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
            File::open("/proc/thread-self/ns/net").expect("one's own")
        });
        let machine = Self(made);
        machine.sh("ip link set lo up");
        Some(machine)
    }

    /// As a file, also for other processes.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd()).into()
    }

    /// Does something on a thread of this machine. Sockets that are made there stay there.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        aside(|| {
            move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network)).expect("entering");
            work()
        })
    }

    /// Runs a line of the shell, which must end well.
    #[track_caller]
    pub(crate) fn sh(&self, line: &str) -> String {
        let mut command = Command::new("sh");
        command.args(["-ec", line]);
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let ended = self.run(|| command.output()).expect("a shell");
        assert!(ended.status.success(), "{line}: {ended:?}");
        String::from_utf8_lossy(&ended.stdout).into_owned()
    }

    /// Opens a bridge there. Whatever it is called from later, it works there.
    pub(crate) fn bridge(&self, options: BridgeOptions) -> Result<Bridge, RuntimeError> {
        self.run(|| {
            let tokio = tokio::runtime::Builder::new_current_thread().build();
            tokio.expect("a tokio runtime").block_on(Bridge::open(options))
        })
    }

    /// The page of a server, asked for from the machine itself.
    pub(crate) fn get(&self, from: &str) -> io::Result<String> {
        let from: SocketAddr = from.parse().expect("an address");
        self.run(|| {
            let mut stream = TcpStream::connect_timeout(&from, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
            let mut said = String::new();
            stream.read_to_string(&mut said)?;
            let page = said.split_once("\r\n\r\n").map(|(_, page)| page.to_owned());
            page.ok_or_else(|| io::Error::other(format!("no page: {said:?}")))
        })
    }
}

/// Does something on a thread that may stay where it goes, and ends.
fn aside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name(AT_MACHINE.into());
        match thread.spawn_scoped(scope, work).expect("a thread").join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn is_program(name: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    path.split(':').any(|dir| PathBuf::from(dir).join(name).is_file())
}
