//! The files of a new container.

use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use orch_core::runtime::{ContainerId, Resources};

use crate::confine::Confinement;
use crate::defaults::Program;
use crate::driver::Driver;
use crate::image::Base;
use crate::record::{self, ContainerDir, ContainerRecord, Plan};
use crate::sandbox::Pod;
use crate::spec::{self, Places};
use crate::sys::Filter;

/// What a new container comes to.
pub(crate) struct Made {
    pub(crate) program: Program,
    pub(crate) base: Base,
    pub(crate) confinement: Confinement,
    pub(crate) filter: Option<Arc<Filter>>,
    pub(crate) limits: Resources,
}

/// Fills a directory that will be the container's: its record, and what its shim reads.
pub(crate) fn fill(
    driver: &Driver,
    draft: &Path,
    id: &ContainerId,
    record: &ContainerRecord,
    made: Made,
    pod: &Pod,
) -> io::Result<()> {
    let Made {
        program,
        base,
        confinement,
        filter,
        limits,
    } = made;
    let (now, later) = (ContainerDir(draft.to_owned()), driver.dir.container(&id.0));
    let (config, sandbox) = (&record.config, &pod.record.config);
    let cgroup = driver.ground.group_of(&record.cgroup_parent, id);
    let places = Places {
        rootfs: &later.rootfs(),
        cgroup: &cgroup,
        is_host: base == Base::Host,
        state: driver.dir.root(),
        hosts: &pod.hosts(),
        resolv_conf: &pod.resolv_conf(),
        shm: &later.shm(),
        shared: &pod.shared,
    };
    let privileged = config.security.privileged;
    let devices = if privileged {
        spec::of_the_machine()?
    } else {
        Vec::new()
    };
    let spec = spec::build(config, &program, sandbox, confinement, &devices, places);
    let plan = Plan {
        version: record::PLAN,
        base,
        shared: pod.shared.clone(),
        args: program.args,
        env: program.env,
        cwd: program.cwd,
        identity: program.identity,
        confinement,
        privileged,
        stdin: config.stdin,
        stdin_once: config.stdin_once,
        tty: config.tty,
        log_file_bytes: driver.options.log_file_bytes,
        log_files: driver.options.log_files,
        cgroup: cgroup.clone(),
    };
    fs::create_dir(now.log())?;
    fs::create_dir(now.execs())?;
    fs::create_dir(now.bundle())?;
    record::write(&now.bundle().join("config.json"), &spec)?;
    if let Some(filter) = filter {
        fs::write(now.filter(), filter.encode())?;
    }
    record::write(&now.resources(), &limits)?;
    record::write(&now.plan(), &plan)?;
    record::write(&now.record(), record)
}
