//! The files of a new container.

use std::path::Path;
use std::{fs, io};

use orch_core::runtime::ContainerId;

use crate::driver::Driver;
use crate::record::{self, ContainerDir, ContainerRecord, Plan};
use crate::sandbox::Pod;
use crate::spec::{self, Places};

/// Fills a directory that will be the container's: its record, and what its shim reads.
pub(crate) fn fill(
    driver: &Driver,
    draft: &Path,
    id: &ContainerId,
    record: &ContainerRecord,
    pod: &Pod,
) -> io::Result<()> {
    let (now, later) = (ContainerDir(draft.to_owned()), driver.dir.container(&id.0));
    let (config, sandbox) = (&record.config, &pod.record.config);
    let cgroup = driver.ground.group_of(id);
    let places = Places {
        rootfs: &later.rootfs(),
        cgroup: &cgroup,
        state: driver.dir.root(),
        hosts: &pod.hosts(),
        resolv_conf: &pod.resolv_conf(),
    };
    let spec = spec::build(config, sandbox, &driver.machine, places);
    let plan = Plan {
        version: record::PLAN,
        shims: driver.ground.shims(),
        args: spec::args(config),
        env: spec::env(config, sandbox),
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
    record::write(&now.plan(), &plan)?;
    record::write(&now.record(), record)
}
