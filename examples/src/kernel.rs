//! Containers on this machine's kernel, with no engine: the oci runtime, and what its pods are connected by.

use std::path::Path;
use std::sync::Arc;

use orch_core::runtime::Runtime;

use crate::Error;
#[cfg(feature = "oci")]
use crate::data;
use crate::network::Network;

/// The runtime, and its pods' network.
pub struct Kernel {
    pub runtime: Arc<dyn Runtime>,
    pub network: Network,
}

/// Whether this runs as root, who alone may make containers.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;

    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Whether it may be had, or why not, if that is worth a word: who could not have it in any case need not know of it.
pub fn offered() -> Result<(), Option<&'static str>> {
    let may = cfg!(target_os = "linux") && is_root();
    match (cfg!(feature = "oci"), may) {
        (true, true) => Ok(()),
        (true, false) => Err(Some("nor can oci, which runs as root only")),
        (false, true) => Err(Some(
            "oci, which needs no engine, is not built in: --features oci has it",
        )),
        (false, false) => Err(None),
    }
}

/// Its control groups are below `program`'s. Images are pulled as pods need them.
#[cfg(feature = "oci")]
pub async fn open(data: &Path, program: &str) -> Result<Kernel, Error> {
    // Before anything is made on the machine: whoever comes next finds it, and removes it.
    let is_new = data::note_runtime(data, "oci")?;
    let network = match Network::open(data).await {
        Ok(network) => network,
        Err(error) => {
            forget(data, is_new)?;
            return Err(error);
        }
    };
    match runtime(data, program, &network).await {
        Ok(runtime) => Ok(Kernel {
            runtime: Arc::new(runtime),
            network,
        }),
        // With pods on it, it stays.
        Err(error) => {
            // If that fails, whoever comes next finds it noted, and removes it; what went wrong first says more.
            if is_new && network.remove(data).await.is_ok() {
                forget(data, is_new)?;
            }
            Err(error)
        }
    }
}

#[cfg(feature = "oci")]
fn forget(data: &Path, is_new: bool) -> Result<(), Error> {
    if is_new {
        data::forget_runtime(data)
    } else {
        Ok(())
    }
}

#[cfg(feature = "oci")]
async fn runtime(
    data: &Path,
    program: &str,
    network: &Network,
) -> Result<orch_runtime_oci::OciRuntime, Error> {
    use orch_runtime_oci::{OciOptions, OciRuntime};

    let mut options = OciOptions::new(data.join("oci")).cgroup_parent(program);
    if let Some(network) = network.connects() {
        options = options.network(network);
    }
    let runtime = OciRuntime::open(options).await?;
    let status = runtime.status().await;
    match status.message.filter(|_| !status.ready) {
        Some(why) => Err(why.into()),
        None if status.ready => Ok(runtime),
        None => Err("the oci runtime is not ready".into()),
    }
}

/// Not built in.
#[cfg(not(feature = "oci"))]
pub async fn open(data: &Path, _: &str) -> Result<Kernel, Error> {
    let data = data.display();
    Err(
        format!("pods in {data} run on the oci runtime, without which this is built; --features oci has it")
            .into(),
    )
}
