//! A machine of a test's own: network namespaces in which nothing is but what the test puts there.

#![allow(dead_code)] // each test program takes what it needs

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use orch_core::runtime::{HostPort, Protocol, SandboxConfig, SandboxId};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Longer than anything on one machine takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Long enough to be sure that nothing comes: what is dropped is sent again after a second.
pub(crate) const SHORT: Duration = Duration::from_millis(1500);

/// Says why a test does nothing; where all it needs can be installed, it must not.
pub(crate) fn skipped(why: &str) {
    assert!(
        std::env::var_os("ORCH_REQUIRE_ENGINE").is_none(),
        "ORCH_REQUIRE_ENGINE is set, and {why}"
    );
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// Says why a test does nothing, for what cannot be installed.
pub(crate) fn lacking(why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

pub(crate) fn program(name: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    path.split(':').any(|dir| PathBuf::from(dir).join(name).is_file())
}

/// Runs a test on a thread with a network namespace of its own; or says why it does not.
pub(crate) fn on_a_machine<F: Future<Output = ()>>(needs: &[&str], test: impl FnOnce() -> F + Send) {
    for needed in ["ip", "nft"].iter().chain(needs) {
        if !program(needed) {
            return skipped(&format!("there is no program {needed} on this machine"));
        }
    }
    thread::scope(|scope| {
        let run = scope.spawn(|| {
            if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
                return skipped(&format!("no network namespace can be made: {error} (needs root)"));
            }
            sh("ip link set lo up");
            let tokio = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            tokio.block_on(test());
        });
        if let Err(panic) = run.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Runs a line of the shell in this thread's namespace.
#[track_caller]
pub(crate) fn sh(line: &str) -> String {
    let ended = Command::new("sh")
        .args(["-ec", line])
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .unwrap();
    assert!(
        ended.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&ended.stderr)
    );
    String::from_utf8(ended.stdout).unwrap()
}

pub(crate) fn id(name: &str) -> SandboxId {
    SandboxId(name.to_owned())
}

/// A network namespace, which is gone when nothing holds it.
#[derive(Clone, Debug)]
pub(crate) struct Namespace(Arc<File>);

impl Namespace {
    pub(crate) fn new() -> Self {
        let making = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        Self(Arc::new(making.join().unwrap()))
    }

    /// That of this thread.
    pub(crate) fn here() -> Self {
        Self(Arc::new(File::open("/proc/thread-self/ns/net").unwrap()))
    }

    /// As a file, for other processes too.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd()).into()
    }

    /// Does something on a thread in it. Sockets that are made there stay in it.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let entering = || {
            move_into_link_name_space(
                std::os::fd::AsFd::as_fd(&*self.0),
                Some(LinkNameSpaceType::Network),
            )
            .unwrap();
            work()
        };
        thread::scope(|scope| match scope.spawn(entering).join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    pub(crate) fn sh(&self, line: &str) -> String {
        self.run(|| sh(line))
    }

    /// A server in it that tells everyone its own word and the address that they come from.
    pub(crate) fn serve(&self, address: &str, word: &'static str) -> Server {
        let listener = self.run(|| TcpListener::bind(address).unwrap());
        Server::tcp(listener, word)
    }

    pub(crate) fn serve_udp(&self, address: &str, word: &'static str) {
        let socket = self.run(|| UdpSocket::bind(address).unwrap());
        thread::spawn(move || {
            let mut buffer = [0; 64];
            while let Ok((_, from)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(format!("{word} {from}").as_bytes(), from);
            }
        });
    }

    /// What a server says to one who comes from here.
    ///
    /// The kernel has an address of version 6 answer to who looks for it only once its worker came to it, which on a machine with
    /// much to do takes longer than those three seconds for which a neighbour is looked for: then it is looked for again.
    pub(crate) fn ask(&self, to: &str) -> Result<Answer, String> {
        let begun = Instant::now();
        loop {
            match self.try_to_ask(to, PATIENCE) {
                Err(error) if error.kind() == ErrorKind::HostUnreachable && begun.elapsed() < PATIENCE => {}
                answer => return answer.map_err(|error| format!("{to}: {error}")),
            }
        }
    }

    pub(crate) fn ask_within(&self, to: &str, bound: Duration) -> Result<Answer, String> {
        self.try_to_ask(to, bound)
            .map_err(|error| format!("{to}: {error}"))
    }

    fn try_to_ask(&self, to: &str, bound: Duration) -> std::io::Result<Answer> {
        let to: SocketAddr = to.parse().unwrap();
        self.run(|| {
            let mut stream = TcpStream::connect_timeout(&to, bound)?;
            stream.set_read_timeout(Some(bound))?;
            let mut said = String::new();
            stream.read_to_string(&mut said)?;
            Ok(Answer::read(&said))
        })
    }

    pub(crate) fn ask_udp(&self, to: &str, bound: Duration) -> Result<Answer, String> {
        let to: SocketAddr = to.parse().unwrap();
        self.run(|| {
            let ask = || {
                let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
                socket.connect(to)?;
                socket.set_read_timeout(Some(bound))?;
                socket.send(b"?")?;
                let mut buffer = [0; 64];
                let length = socket.recv(&mut buffer)?;
                Ok::<_, std::io::Error>(String::from_utf8_lossy(&buffer[..length]).into_owned())
            };
            ask()
                .map(|said| Answer::read(&said))
                .map_err(|error| format!("{to}: {error}"))
        })
    }
}

/// What a server said: its word, and whence it saw the question come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) word: String,
    pub(crate) from: IpAddr,
}

impl Answer {
    fn read(said: &str) -> Self {
        let (word, from) = said.split_once(' ').unwrap_or_else(|| panic!("{said:?}"));
        Self {
            word: word.into(),
            from: from.parse::<SocketAddr>().unwrap().ip(),
        }
    }
}

/// Ends with the value.
pub(crate) struct Server(Arc<TcpListener>);

impl Server {
    fn tcp(listener: TcpListener, word: &'static str) -> Self {
        let listener = Arc::new(listener);
        let accepting = listener.clone();
        thread::spawn(move || {
            while let Ok((mut stream, from)) = accepting.accept() {
                let _ = write!(stream, "{word} {from}");
            }
        });
        Self(listener)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = rustix::net::shutdown(&*self.0, rustix::net::Shutdown::Both);
    }
}

/// Another machine, with 192.0.2.2 and 2001:db8::2, next to this thread's, with 192.0.2.1 and 2001:db8::1.
///
/// It knows no way to anything behind this machine.
pub(crate) fn outside() -> Namespace {
    let outside = Namespace::new();
    let here = Namespace::here();
    sh(&format!(
        "ip link add up0 type veth peer name out0 netns {}",
        proc_path(&outside)
    ));
    sh("ip addr add 192.0.2.1/24 dev up0; ip link set up0 up");
    outside.sh("ip link set lo up; ip addr add 192.0.2.2/24 dev out0; ip link set out0 up");
    let _there = (
        outside.serve("192.0.2.2:9", "ready"),
        outside.serve("[::]:10", "ready"),
    );
    let _here = here.serve("[::]:10", "ready");
    // A new link takes a moment until it carries anything.
    assert_eq!(here.ask("192.0.2.2:9").unwrap().word, "ready");
    // Only what is added to one that does answers at once over IPv6, and that each way by itself.
    sh("ip -6 addr add 2001:db8::1/64 dev up0 nodad");
    outside.sh("ip -6 addr add 2001:db8::2/64 dev out0 nodad");
    assert_eq!(here.ask("[2001:db8::2]:10").unwrap().word, "ready");
    assert_eq!(outside.ask("[2001:db8::1]:10").unwrap().word, "ready");
    outside
}

/// As `ip` wants it: a name or a path, of which it takes those that have a slash.
fn proc_path(namespace: &Namespace) -> String {
    namespace.path().display().to_string()
}

pub(crate) fn with_ports(ports: &[HostPort]) -> SandboxConfig {
    SandboxConfig {
        name: "web".into(),
        namespace: "default".into(),
        uid: "0f3c".into(),
        host_ports: ports.to_vec(),
        ..SandboxConfig::default()
    }
}

pub(crate) fn port(
    host_ip: Option<&str>,
    host_port: u16,
    container_port: u16,
    protocol: Protocol,
) -> HostPort {
    HostPort {
        host_ip: host_ip.map(|ip| ip.parse().unwrap()),
        host_port,
        container_port,
        protocol,
    }
}
