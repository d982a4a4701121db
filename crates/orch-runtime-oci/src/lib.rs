//! Runs orch pods straight on the kernel, with no engine beside the program that embeds this crate.
//!
//! [`OciRuntime`] is a [`Runtime`](orch_core::runtime::Runtime) over youki's `libcontainer`. Each container is held
//! by a small process of its own, the shim, which makes it, keeps its log and writes down how it ended; the
//! program may end, crash or be replaced meanwhile, and finds everything again. It needs Linux 5.12 and root.
//!
//! The shim is this program's own file, started again, for which one line must come first in `main`, before any
//! thread:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use orch_core::runtime::{ContainerConfig, ExecRequest, Resources, Runtime, SandboxConfig};
//! use orch_runtime_oci::{OciOptions, OciRuntime};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     orch_runtime_oci::init();
//!     tokio::runtime::Runtime::new()?.block_on(run())
//! }
//!
//! async fn run() -> Result<(), Box<dyn std::error::Error>> {
//!     let runtime = OciRuntime::open(OciOptions::new("/var/lib/my-program/containers")).await?;
//!     let pod = SandboxConfig {
//!         name: "web".into(),
//!         namespace: "default".into(),
//!         uid: "7f1c".into(), // by which the same pod is known again
//!         host_network: true,
//!         ..SandboxConfig::default()
//!     };
//!     let sandbox = runtime.run_sandbox(&pod).await?.id;
//!     let config = ContainerConfig {
//!         name: "main".into(),
//!         image: "host".into(), // the machine's own programs
//!         command: vec!["/bin/sleep".into(), "3600".into()],
//!         resources: Resources {
//!             memory_limit_bytes: Some(64 << 20),
//!             ..Resources::default()
//!         },
//!         ..ContainerConfig::default()
//!     };
//!     let id = runtime.create_container(&sandbox, &config).await?;
//!     runtime.start_container(&id).await?;
//!     let said = runtime.exec(&id, &ExecRequest::new(["/bin/hostname"])).await?;
//!     println!("{}", String::from_utf8_lossy(&said.stdout));
//!     println!("{:?}", runtime.stats(&id).await?);
//!     runtime.stop_container(&id, Duration::from_secs(10)).await?;
//!     runtime.remove_sandbox(&sandbox).await?; // and its containers
//!     Ok(())
//! }
//! ```
//!
//! With the feature `auto-shim` not even that line is needed: the program is asked before its `main` what it was started
//! for, also one whose `main` is another's, such as a program of tests. It is for programs with the GNU C library, and
//! not for a library that a program loads.
//!
//! Or it is the package's program `orch-oci-shim`, named with [`OciOptions::shim`]. If it is none of these,
//! [`OciRuntime::open`] says so.
//!
//! Containers run from images, which are pulled from registries (feature `pull`) or imported from archives
//! ([`OciRuntime::image_store`]). Without either there is the image `host`, the machine's own root with a layer of the
//! container's above it: as it is on that file system, without what is mounted in it, with `/run`, `/tmp` and `/var/tmp` empty and
//! the state directory out of sight. Pods are on the machine's network, or each on one of its own, connected by
//! [`OciOptions::network`]; [`capabilities`](orch_core::runtime::Runtime::capabilities) has the rest.
//!
//! A pod may have users of its own
//! ([`SandboxConfig::user_namespace`](orch_core::runtime::SandboxConfig::user_namespace), Kubernetes' `hostUsers: false`): its
//! root is nobody on the machine. That needs Linux 5.19, and file systems whose files can be shown as others' (ext4, xfs, btrfs,
//! from Linux 6.3 on tmpfs) for images, volumes and the state directory, which is tried with the
//! first such pod. On a machine with users or groups from 65,536 on, of LDAP for
//! one, name a range that they are not in with [`OciOptions::user_ranges`]. Without
//! [`OciOptions::network`] such a pod sees the machine's devices in `/sys` and cannot listen on ports below 1024.
//!
//! Limits are the kernel's control groups, of version 1, also on hybrid machines, or 2. They need those of processor time,
//! memory and processes (`cpu`, `memory` and `pids`); where one is missing, as memory's is unless the kernel is started
//! with it on some small boards, the runtime does not declare that it limits, and what it cannot limit is not limited. A
//! container with a limit of memory has no swap. Of version 2, what the kernel kills over memory it kills with all of its
//! container (`memory.oom.group`), commands that run in it included, as kubelet has it since Kubernetes 1.28; version 1 can
//! only kill one process at a time, and what is left of the container goes on if it can. In a container of a machine with
//! version 2 alone, the group that is seen as the machine's has processes, and the kernel limits nothing in such a one: they
//! move into one in it, `init`, when the runtime is opened. Both versions are tested on real kernels, version 2 and huge
//! pages on Debian's. A container sees no control groups, its own neither: what sizes itself by its limits, as Java's machine does,
//! must be told them.
//!
//! Where the kernel has AppArmor, and `apparmor_parser` is there to load it, containers run under the profile
//! `orch-default-XXXXXXXX`, which lets them do what Docker's own does, or under the one they ask for, which must be loaded.
//! The digits are those of the profile's text, so that programs with other versions of this crate have theirs beside it. That
//! is tested on Debian's kernel, which has AppArmor.
#![cfg(target_os = "linux")]

mod apparmor;
mod attach;
mod bundle;
mod cgroup;
mod client;
mod confine;
mod container;
mod defaults;
mod dir;
mod driver;
mod etc;
mod exec;
mod groups;
mod guarded;
pub mod image;
mod index;
mod kernel;
mod launch;
mod lifecycle;
mod logs;
mod making;
mod marks;
mod namespaces;
mod nursery;
mod options;
mod pause;
mod pausing;
mod place;
mod ports;
mod readying;
mod record;
mod resources;
mod runtime;
mod sandbox;
mod sandboxes;
mod seccomp;
mod session;
mod shim;
mod signal;
mod skeleton;
mod spec;
mod state;
mod stats;
mod stream;
mod sys;
mod sysctl;
mod terminal;
mod users;
mod volatile;
mod wire;

use orch_core::runtime::RuntimeError;

pub use launch::init;
pub use options::OciOptions;
pub use runtime::OciRuntime;

/// What this runtime is called in container ids (`oci://…`) and logs.
const NAME: &str = "oci";

/// The whole of the program `orch-oci-shim`: holds a container, or a command in one, as its arguments say.
pub fn shim_main() -> ! {
    match (shim::asked(), std::env::args_os().nth(1)) {
        (Some(asked), _) => shim::main(&asked),
        (None, Some(word)) if word == "--probe" => {
            say(shim::VERSION);
            std::process::exit(0)
        }
        _ => {
            say("This program holds containers for orch and is started by it; see OciOptions::shim.");
            std::process::exit(2)
        }
    }
}

#[allow(clippy::print_stdout, reason = "it is a program's output")]
fn say(words: &str) {
    println!("{words}");
}

fn invalid(field: &str, reason: impl Into<String>) -> RuntimeError {
    RuntimeError::InvalidConfig {
        field: field.into(),
        reason: reason.into(),
    }
}
