//! A new container's limits, and what becomes of it past that of memory, set once its process is made and before its program runs.
//!
//! Not by libcontainer, which would have what it takes to make the process counted, and of version 2 of control groups
//! cannot say that there is to be no swap.

use std::error::Error;
use std::io;
use std::path::Path;

use orch_core::runtime::Resources;
use rustix::process::Pid;

use crate::cgroup::{Hierarchies, put};
use crate::record::{self, ContainerDir};

type Fault = Box<dyn Error + Send + Sync>;

/// The limits that are written down for a container.
fn written(dir: &ContainerDir) -> io::Result<Resources> {
    Ok(record::read(&dir.resources())?.ok_or(io::ErrorKind::NotFound)?)
}

/// Limits what is in a container's control group, and gives its first process its score.
pub(super) fn set(
    dir: &ContainerDir,
    hierarchies: &Hierarchies,
    cgroup: &str,
    init: Pid,
) -> Result<(), Fault> {
    let limits = written(dir)?;
    let group = hierarchies.group(cgroup);
    group.limit(&limits)?;
    group.end_together()?;
    Ok(score(&init.as_raw_nonzero().to_string(), &limits)?)
}

/// Takes the score that a container has, for this process and the command that it starts.
pub(super) fn share_score(dir: &ContainerDir) -> io::Result<()> {
    score("self", &written(dir)?)
}

/// What is not asked for is 0, as Docker has it, and not what the embedding program has.
fn score(process: &str, limits: &Resources) -> io::Result<()> {
    let score = limits.oom_score_adj.unwrap_or(0).to_string();
    let file = format!("/proc/{process}/oom_score_adj");
    match put(Path::new(&file), &score) {
        // Lower than it was takes CAP_SYS_RESOURCE; without, it stays.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        written => written,
    }
}
