//! Has a container join what its pod shares.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use rustix::mount::{UnmountFlags, mount_bind, unmount};
use serde_json::{Value, json};

use crate::namespaces::Kind;
use crate::record::{ContainerDir, Plan};

/// The pod's namespaces, open for as long as this lives. The container's specification names them.
pub(super) struct Joined(#[expect(dead_code, reason = "held open, not read")] Vec<File>);

/// In the mount namespace that the container is made in.
pub(super) fn join(dir: &ContainerDir, plan: &Plan, spec: &mut Value) -> io::Result<Joined> {
    let shared = &plan.shared;
    let open = |kind: &Kind| Ok((*kind, File::open(shared.file(*kind))?));
    let opened = shared.kinds().iter().map(open).collect::<io::Result<Vec<_>>>()?;
    mount_bind(shared.shm(), dir.shm())?;
    // Or the list of mounts, which libcontainer reads again and again, had some for each pod of the machine.
    unmount(shared.all(), UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?;
    let namespaces = spec["linux"]["namespaces"].as_array_mut();
    for namespace in namespaces.into_iter().flatten() {
        let mut opened = opened.iter();
        if let Some((_, file)) = opened.find(|(kind, _)| namespace["type"] == kind.word()) {
            namespace["path"] = json!(format!("/proc/self/fd/{}", file.as_raw_fd()));
        }
    }
    Ok(Joined(opened.into_iter().map(|(_, file)| file).collect()))
}
