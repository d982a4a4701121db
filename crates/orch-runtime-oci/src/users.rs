//! Whom the users of a pod are on the machine, where the pod has some of its own: a range for each pod that no other has.

mod support;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;

use orch_core::runtime::{ContainerConfig, RuntimeError, SandboxConfig};
use serde::{Deserialize, Serialize};

pub(crate) use self::support::Support;
use crate::invalid;
use crate::launch::{self, Process, Program};
use crate::namespaces::Kind;
use crate::shim::{self, maker};
use crate::sysctl::Setting;

/// How many a pod has, as Kubernetes has it: from root to nobody.
pub(crate) const COUNT: u32 = 65_536;

/// The last number is nobody's.
const END: u64 = u32::MAX as u64;

/// The users of one pod. Groups are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Users {
    first: u32,
}

impl Users {
    /// Whom a user of the pod is; none who is none of the pod.
    pub(crate) fn of_machine(self, id: u32) -> Option<u32> {
        (id < COUNT).then(|| self.first + id)
    }

    pub(crate) fn root(self) -> u32 {
        self.first
    }

    /// As the kernel takes it, and shows it.
    fn map(self) -> String {
        format!("0 {} {COUNT}\n", self.first)
    }

    fn span(self) -> Span {
        let first = u64::from(self.first);
        (first, first + u64::from(COUNT))
    }
}

/// From the first on, and before the second.
type Span = (u64, u64);

fn overlap(one: Span, other: Span) -> bool {
    one.0 < other.1 && other.0 < one.1
}

/// What pods may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pool {
    pub(crate) first: u32,
    pub(crate) pods: u32,
}

impl Default for Pool {
    /// From where kubelet begins, for as many pods as a node has by default. Users that a machine has from LDAP and the like may be
    /// among these; [`OciOptions::user_ranges`](crate::OciOptions::user_ranges) says so.
    fn default() -> Self {
        Self {
            first: COUNT,
            pods: 110,
        }
    }
}

impl Pool {
    fn span(self) -> Span {
        let first = u64::from(self.first);
        (first, first + u64::from(self.pods) * u64::from(COUNT))
    }

    /// Refuses what there are no users for.
    pub(crate) fn check(self) -> Result<(), RuntimeError> {
        let Self { first, pods } = self;
        let refused = |reason: String| Err(invalid("user_ranges", reason));
        if first < COUNT || !first.is_multiple_of(COUNT) {
            return refused(format!(
                "{first}: must be a multiple of {COUNT}, and no less, for those before are the machine's own"
            ));
        }
        let most = (END - u64::from(first)) / u64::from(COUNT);
        if pods == 0 || u64::from(pods) > most {
            return refused(format!(
                "{pods} pods: must be from 1 to {most}, which is what there is from user {first} on"
            ));
        }
        Ok(())
    }

    /// The first range that nobody has.
    fn choose(self, mut is_taken: impl FnMut(Span) -> bool) -> Option<Users> {
        let ranges = (0..self.pods).map(|number| Users {
            first: self.first + number * COUNT,
        });
        let mut free = ranges.filter(|users| !is_taken(users.span()));
        free.next()
    }

    /// Chooses for a new sandbox, beside these.
    pub(crate) fn allot(self, others: &[Users]) -> Result<Users, RuntimeError> {
        let given = ["/etc/subuid", "/etc/subgid"];
        let given = given.map(|file| fs::read_to_string(file).unwrap_or_default());
        let given: Vec<_> = given.iter().flat_map(|given| given_away(given)).collect();
        let chosen = self.choose(|span| {
            given.iter().any(|other| overlap(span, *other))
                || others.iter().any(|other| overlap(span, other.span()))
        });
        chosen.ok_or_else(|| {
            let Self { first, pods } = self;
            let reason = format!(
                "all {pods} ranges of users from {first} on are taken, by {} pods, or by /etc/subuid and /etc/subgid; remove \
                 pods, or allow more with OciOptions::user_ranges",
                others.len()
            );
            RuntimeError::failed("finding users for a sandbox", reason)
        })
    }
}

/// What an administrator has given to others, in the form of `/etc/subuid`. What is root's is ours.
fn given_away(text: &str) -> impl Iterator<Item = Span> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let owner = fields.next()?.trim();
        let (first, count): (u64, u64) = (
            fields.next()?.trim().parse().ok()?,
            fields.next()?.trim().parse().ok()?,
        );
        (!matches!(owner, "root" | "0") && !owner.starts_with('#'))
            .then(|| (first, first.saturating_add(count)))
    })
}

/// Refuses what a pod with users of its own cannot have, and any such pod where there can be none.
pub(crate) fn check(config: &SandboxConfig, support: &Support) -> Result<(), RuntimeError> {
    if !config.user_namespace {
        return Ok(());
    }
    for (asked, what) in [
        (config.host_network, "host_network"),
        (config.host_pid, "host_pid"),
    ] {
        if asked {
            return Err(invalid(
                what,
                "must not be set together with user_namespace, as Kubernetes has it of hostUsers: false",
            ));
        }
    }
    support.check()
}

/// Refuses whom a pod with users of its own does not have; who is named, and not numbered, is looked up later.
pub(crate) fn check_container(config: &ContainerConfig, users: Option<Users>) -> Result<(), RuntimeError> {
    let Some(users) = users else { return Ok(()) };
    let security = &config.security;
    let asked = [
        ("security.run_as_user", security.run_as_user),
        ("security.run_as_group", security.run_as_group),
    ];
    let asked = asked.into_iter().filter_map(|(field, id)| Some((field, id?)));
    let groups = security.supplemental_groups.iter();
    let mut asked = asked.chain(groups.map(|id| ("security.supplemental_groups", *id)));
    match asked.find(|(_, id)| users.of_machine(*id).is_none()) {
        Some((field, id)) => Err(invalid(
            field,
            format!(
                "{id}: must be from 0 to {}, which are the users of a pod with a user namespace of its own",
                COUNT - 1
            ),
        )),
        None => Ok(()),
    }
}

/// Whether the machine's kernel can do this: mount the layers of an image for other users, for one.
pub(crate) fn can(kernel: (u32, u32)) -> bool {
    let most = fs::read_to_string("/proc/sys/user/max_user_namespaces");
    let most = most.ok().and_then(|most| most.trim().parse::<u64>().ok());
    kernel >= (5, 19) && Path::new("/proc/self/ns/user").exists() && most != Some(0)
}

/// The process that a pod's namespaces are made by, one with a single thread. It is in them until this goes.
pub(crate) struct Maker {
    process: Process,
    /// It ends by the end of this.
    socket: Option<UnixStream>,
}

impl Maker {
    /// Starts it. What goes wrong is told in the sandbox's directory.
    pub(crate) fn start(
        program: &Program,
        dir: &Path,
        users: Users,
        kinds: impl Iterator<Item = Kind>,
    ) -> io::Result<Self> {
        let complaints = dir.join("users.err");
        let (socket, theirs) = UnixStream::pair()?;
        let kinds: Vec<_> = kinds.map(Kind::word).collect();
        let mut command = program.command([shim::USERS, &kinds.join(",")]);
        command
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(File::create(&complaints)?);
        let process = launch::start(&mut command)?;
        // With it goes this side's end of what is its.
        drop(command);
        let maker = Self {
            process,
            socket: Some(socket),
        };
        if let Err(error) = maker.map(users) {
            // It says why before it ends.
            drop(maker);
            return Err(match fs::read_to_string(&complaints).unwrap_or_default().trim() {
                "" => error,
                said => io::Error::other(format!("making its user namespace: {said}")),
            });
        }
        Ok(maker)
    }

    /// Says whom its users are, once it is in there.
    fn map(&self, users: Users) -> io::Result<()> {
        let Some(mut socket) = self.socket.as_ref() else {
            return Ok(());
        };
        if !launch::readable_in_time(socket)? {
            return Err(io::Error::other(
                "the maker of its user namespace does not answer",
            ));
        }
        socket.read_exact(&mut [0])?;
        let number = self.process.number()?;
        for file in ["uid_map", "gid_map"] {
            fs::write(format!("/proc/{number}/{file}"), users.map())?;
        }
        Ok(())
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// Has a setting written in its namespaces by their root, for whose sake no thread of this program has to be that: the
    /// kernel would take the whole program for one that nobody may look into from then on. What the kernel refuses is the second error.
    pub(crate) fn set(&self, setting: &Setting<'_>) -> io::Result<io::Result<()>> {
        let ended = || io::Error::other("the maker of its user namespace has ended");
        let mut socket = self.socket.as_ref().ok_or_else(ended)?;
        socket.write_all(&maker::say(&setting.file(), setting.value))?;
        if !launch::readable_in_time(socket)? {
            return Err(io::Error::other(
                "the maker of its user namespace does not answer",
            ));
        }
        let mut error = [0; 4];
        socket.read_exact(&mut error).map_err(|_| ended())?;
        Ok(match i32::from_le_bytes(error) {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(error)),
        })
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        self.socket = None;
        if !matches!(launch::readable_in_time(&self.process), Ok(true)) {
            self.process.kill();
        }
        launch::reap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_have_ranges_that_nobody_else_has() {
        let pool = Pool {
            first: 65_536,
            pods: 4,
        };
        let mut others = Vec::new();
        let given = "# a comment:131072:9\nbuild:131100:10\nbroken:x:1\nroot:196608:65536\n";
        let given: Vec<_> = given_away(given).collect();
        assert_eq!(given, [(131_100, 131_110)]);
        let mut next = || {
            let taken = |span| {
                given.iter().any(|given| overlap(span, *given))
                    || others.iter().any(|other: &Users| overlap(span, other.span()))
            };
            let chosen = pool.choose(taken);
            others.extend(chosen);
            chosen.map(Users::map)
        };
        for expected in ["0 65536 65536\n", "0 196608 65536\n", "0 262144 65536\n"] {
            assert_eq!(next().as_deref(), Some(expected));
        }
        assert_eq!(next(), None);
        let users = Users { first: 196_608 };
        assert_eq!(
            [0, 1000, 65_535, 65_536].map(|id| users.of_machine(id)),
            [Some(196_608), Some(197_608), Some(262_143), None]
        );
    }

    #[test]
    fn ranges_are_whole_and_neither_the_machines_own_nor_beyond_the_last() {
        for (first, pods, expected) in [
            (65_536, 1, None),
            (65_536, 65_534, None),
            (65_536, 65_535, Some("1 to 65534")),
            (4_294_836_224, 1, None),
            (4_294_901_760, 1, Some("1 to 0")),
            (65_536, 0, Some("0 pods: must be from 1 to 65534")),
            (0, 1, Some("must be a multiple of 65536")),
            (100_000, 1, Some("100000: must be a multiple")),
        ] {
            let said = Pool { first, pods }.check().map_err(|error| error.to_string());
            match expected {
                None => assert_eq!(said, Ok(()), "{first} {pods}"),
                Some(expected) => {
                    let said = said.unwrap_err();
                    assert!(said.contains("user_ranges") && said.contains(expected), "{said}");
                }
            }
        }
    }
}
