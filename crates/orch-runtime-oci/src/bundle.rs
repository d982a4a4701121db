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
    pub(crate) app_armor: Option<String>,
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
        app_armor,
        limits,
    } = made;
    // What is in memory has its place at once: nobody looks there before the record is where it belongs.
    let dir = ContainerDir::new(draft.to_owned());
    let (config, sandbox) = (&record.config, &pod.record.config);
    let cgroup = driver.ground.group_of(&record.cgroup_parent, id);
    let hostname = pod.hostname();
    let places = Places {
        // From the bundle, which may be moved.
        rootfs: Path::new("rootfs"),
        cgroup: &cgroup,
        is_host: base == Base::Host,
        state: driver.dir.root(),
        hosts: &pod.hosts(),
        resolv_conf: &pod.resolv_conf(),
        hostname: hostname.as_deref(),
        shm: &dir.shm(),
        shared: &pod.shared,
    };
    let privileged = config.security.privileged;
    let devices = if privileged {
        spec::of_the_machine()?
    } else {
        Vec::new()
    };
    let mut spec = spec::build(config, &program, sandbox, confinement, &devices, places);
    if let Some(profile) = app_armor {
        spec::put_under(&mut spec, &profile);
    }
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
    for path in [dir.run(), &dir.bundle(), &dir.rootfs(), &dir.shm()] {
        fs::create_dir(path)?;
    }
    record::draft(&dir.spec(), &spec)?;
    if let Some(filter) = filter {
        fs::write(dir.filter(), filter.encode())?;
    }
    record::draft(&dir.resources(), &limits)?;
    record::draft(&dir.plan(), &plan)?;
    record::draft(&dir.record(), record)
}
