//! Which runtime to use, and why.

use std::path::Path;
use std::sync::Arc;

use orch_core::runtime::Runtime;
use orch_core::runtime::process::ProcessRuntime;
use orch_examples::kernel::{self, Kernel};
use orch_examples::network::Network;
use orch_examples::scope::{Others, Scope};
use orch_examples::{Error, data, empty};
use orch_runtime_docker::{DockerOptions, DockerRuntime};

use crate::options::Choice;

/// A runtime, and in a sentence why it was chosen.
pub(crate) struct Chosen {
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) why: String,
    /// What its pods are connected by, where it has none of its own for them.
    network: Option<Network>,
    others: Others,
}

impl Chosen {
    /// What is to be known of it besides.
    pub(crate) fn told(&self) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(
            self.network
                .as_ref()
                .map(|network| format!("network: {}", network.told())),
        );
        lines.extend(
            self.others
                .warnings()
                .into_iter()
                .map(|warning| format!("warning: {warning}")),
        );
        if self.runtime.name() == "process" {
            let words = "warning: it runs containers' commands with this machine's own programs and files, whatever their images";
            lines.push(words.to_owned());
        }
        lines
    }

    /// Leaves the machine as it was, where none of the pods is there any more: another runtime may be chosen next time.
    pub(crate) async fn leave(self, home: &Path) -> Result<(), Error> {
        if empty::is_empty(&*self.runtime).await != Some(true) {
            return Ok(());
        }
        if let Some(network) = self.network {
            network.remove(home).await?;
        }
        data::forget_runtime(home)
    }
}

/// Takes the runtime asked for; on `auto` the one of the last time, else Docker if an engine answers, else the kernel
/// alone where that can be had, else plain processes. Pods are never left behind on another.
pub(crate) async fn choose(choice: Choice, home: &Path) -> Result<Chosen, Error> {
    let used = data::runtime(home)?;
    let earlier = "as the last time";
    let chosen = match (choice, used.as_deref()) {
        (Choice::Docker, None | Some("docker")) => docker(home).await?,
        (Choice::Oci, None | Some("oci")) => oci(home, "as asked for").await?,
        (Choice::Process, None | Some("process")) => process(home, "as asked for").await?,
        (Choice::Auto, Some("docker")) => docker(home)
            .await
            .map_err(|why| format!("the pods in {} run on Docker: {why}", home.display()))?,
        (Choice::Auto, Some("oci")) => oci(home, earlier).await?,
        (Choice::Auto, Some("process")) => process(home, earlier).await?,
        (Choice::Auto, None) => match docker(home).await {
            Ok(chosen) => chosen,
            Err(why) => without_docker(home, &why.to_string()).await?,
        },
        (_, Some(used)) => {
            let home = home.display();
            return Err(format!(
                "--runtime: the pods in {home} run on the {used} runtime, and would be left behind: take --runtime {used}, \
                 or another --data"
            )
            .into());
        }
    };
    data::note_runtime(home, chosen.runtime.name())?;
    Ok(chosen)
}

async fn without_docker(home: &Path, why: &str) -> Result<Chosen, Error> {
    let mut why = why.to_owned();
    match kernel::offered() {
        Ok(()) => match oci(home, &why).await {
            Ok(chosen) => return Ok(chosen),
            Err(error) => why += &format!("; nor can oci: {error}"),
        },
        Err(Some(nor)) => why += &format!("; {nor}"),
        Err(None) => {}
    }
    process(home, &why).await
}

async fn docker(home: &Path) -> Result<Chosen, Error> {
    let cannot = |why: String| format!("Docker cannot be used: {why}");
    let scope = Scope::of(home)?;
    let runtime = DockerRuntime::new(DockerOptions::default().scope(&scope.name))
        .map_err(|error| cannot(error.to_string()))?;
    let status = runtime.status().await;
    if !status.ready {
        let why = status
            .message
            .unwrap_or_else(|| "the engine is not ready".to_owned());
        return Err(cannot(why).into());
    }
    let scopes = runtime
        .scopes()
        .await
        .map_err(|error| cannot(error.to_string()))?;
    Ok(Chosen {
        runtime: Arc::new(runtime),
        why: format!("{} answers", status.version),
        network: None,
        others: scope.others(scopes),
    })
}

async fn oci(home: &Path, why: &str) -> Result<Chosen, Error> {
    let Kernel { runtime, network } = kernel::open(home, "orchd").await?;
    Ok(Chosen {
        runtime,
        why: why.to_owned(),
        network: Some(network),
        others: Others::default(),
    })
}

async fn process(home: &Path, why: &str) -> Result<Chosen, Error> {
    let runtime = ProcessRuntime::open(home.join("processes")).await?;
    Ok(Chosen {
        runtime: Arc::new(runtime),
        why: why.to_owned(),
        network: None,
        others: Others::default(),
    })
}
