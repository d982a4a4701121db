//! Which runtime to use, and why.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use orch_core::runtime::Runtime;
use orch_core::runtime::process::ProcessRuntime;
use orch_examples::kernel::Kernel;
use orch_examples::network::Network;
use orch_examples::scope::{Others, Scope};
use orch_examples::{data, kernel};
use orch_runtime_docker::{DockerOptions, DockerRuntime};

use super::Error;
use super::image::{HOST, Image, WhyNot, have_all};
use super::manifest::Source;
use super::options::Choice;

/// A runtime, and in a sentence why it was chosen.
pub(crate) struct Chosen {
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) why: String,
    /// What its pods are connected by, where it has none of its own for them.
    pub(crate) network: Option<Network>,
    /// What it has of other data directories that were where this one is.
    pub(crate) others: Others,
}

/// Takes the runtime asked for; on `auto` the one that pods of this data run on, else Docker if it has or gets the
/// images, else the kernel alone where that can be had, else plain processes, if the manifest agrees to be run as those.
/// No manifest: nothing is to be started.
///
/// The data directory must be ours alone.
pub(crate) async fn choose(choice: Choice, source: Option<&Source>, data: &Path) -> Result<Chosen, Error> {
    let images = source.map_or(Ok(Vec::new()), |source| source.images("docker"))?;
    let used = data::runtime(data)?;
    let chosen = match (choice, used.as_deref()) {
        (Choice::Docker, None | Some("docker")) => match docker(&images, data).await? {
            Ok(chosen) => chosen,
            Err(why_not) => return Err(refused(source, &why_not)),
        },
        (Choice::Oci, None | Some("oci")) => oci(data, "as asked for").await?,
        (Choice::Auto, Some("oci")) => oci(data, "pods of an earlier run are on it").await?,
        (Choice::Process, None | Some("process")) => process(data, "as asked for").await?,
        (Choice::Auto, None) => match docker(&images, data).await? {
            Ok(chosen) => chosen,
            Err(why_not) if is_in_a_file(source, &why_not) && !why_not.asks_for_processes() => {
                return Err(refused(source, &why_not));
            }
            Err(why_not) => without_docker(source, data, &why_not).await?,
        },
        (Choice::Auto, Some("docker")) => {
            let found = docker(&images, data).await?;
            found.map_err(|why_not| {
                if is_in_a_file(source, &why_not) {
                    return refused(source, &why_not);
                }
                let data = data.display();
                format!(
                    "pods in {data} run on Docker, which cannot be used now: {why_not}\n\
                     (another --data begins anew)"
                )
                .into()
            })?
        }
        (Choice::Auto, Some("process")) => {
            agrees_to_processes(source, "pods of an earlier run are on the process runtime")?;
            process(data, "pods of an earlier run are on it").await?
        }
        (_, Some(used)) => {
            let what = data.display();
            return Err(format!(
                "pods in {what} run on the {used} runtime, and would be left behind: remove them with their manifest \
                 and --runtime {used} --clean, or take another --data"
            )
            .into());
        }
    };
    data::note_runtime(data, chosen.runtime.name())?;
    Ok(chosen)
}

/// The kernel alone, where that can be had, else plain processes, if the manifest agrees.
async fn without_docker(source: Option<&Source>, data: &Path, why_not: &WhyNot) -> Result<Chosen, Error> {
    let mut why = format!("Docker cannot be used: {why_not}");
    match kernel::offered() {
        Ok(()) => match oci(data, &why).await {
            Ok(chosen) => return Ok(chosen),
            Err(error) => why += &format!("; nor can oci: {error}"),
        },
        Err(Some(nor)) => why += &format!("; {nor}"),
        Err(None) => {}
    }
    agrees_to_processes(source, &why)?;
    process(data, &why).await
}

/// Whether it is for who wrote the manifest to mend, and not for who keeps the engine.
fn is_in_a_file(source: Option<&Source>, why_not: &WhyNot) -> bool {
    source.is_some_and(|source| source.file().is_some()) && matches!(why_not, WhyNot::Images(_))
}

fn refused(source: Option<&Source>, why_not: &WhyNot) -> Error {
    if !is_in_a_file(source, why_not) {
        return why_not.to_string().into();
    }
    let lines = why_not.placed();
    format!("{lines}\nDocker answers, and cannot run these: nothing of the manifest was applied").into()
}

/// Whether a manifest may be run as plain processes though nobody has asked for that. Who names an image expects its
/// programs and files: the same command may do to the machine's own what was meant for those.
fn agrees_to_processes(source: Option<&Source>, why: &str) -> Result<(), Error> {
    let Some((source, file)) = source.and_then(|source| Some((source, source.file()?))) else {
        return Ok(());
    };
    let mut foreign = source.images("process")?;
    foreign.retain(|image| image.name != HOST);
    let mut names: Vec<_> = foreign.into_iter().map(|image| image.name).collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{why}\n\
         {file} names images ({}). The process runtime has none: it would run their commands with this machine's own \
         programs, on its own files, as this user. Where that is what you want, say --runtime process (or image: {HOST} \
         in the manifest)",
        names.join(", ")
    )
    .into())
}

/// Another runtime may be chosen next time: nothing is left on this one, nor of its pods' network.
pub(crate) async fn forget(data: &Path, network: Option<Network>) -> Result<(), Error> {
    data::remove_directory(&ports(data))?;
    if let Some(network) = network {
        network.remove(data).await?;
    }
    data::forget_runtime(data)
}

/// Where the servers of the default manifest leave the ports they got.
pub(crate) fn ports(data: &Path) -> PathBuf {
    data.join("ports")
}

async fn oci(data: &Path, why: &str) -> Result<Chosen, Error> {
    let Kernel { runtime, network } = kernel::open(data, "orch-quickstart").await?;
    Ok(Chosen {
        runtime,
        why: why.to_owned(),
        network: Some(network),
        // What became of another directory's containers cannot be known without it.
        others: Others::default(),
    })
}

async fn process(data: &Path, why: &str) -> Result<Chosen, Error> {
    let runtime = ProcessRuntime::open(data.join("processes")).await?;
    Ok(Chosen {
        runtime: Arc::new(runtime),
        why: why.to_owned(),
        network: None,
        // What became of another directory's processes cannot be known without it.
        others: Others::default(),
    })
}

/// Docker, or why it cannot run these images. Fails only with the data directory.
async fn docker(images: &[Image], data: &Path) -> Result<Result<Chosen, WhyNot>, Error> {
    let engine = |why: String| Ok(Err(WhyNot::Engine(why)));
    let scope = Scope::of(data)?;
    let runtime = match DockerRuntime::new(DockerOptions::default().scope(&scope.name)) {
        Ok(runtime) => runtime,
        Err(error) => return engine(error.to_string()),
    };
    let status = runtime.status().await;
    if !status.ready {
        let why_not = status.message;
        return engine(why_not.unwrap_or_else(|| "the engine is not ready".to_owned()));
    }
    if let Err(why_not) = have_all(&runtime, images).await? {
        return Ok(Err(why_not));
    }
    let scopes = match runtime.scopes().await {
        Ok(scopes) => scopes,
        Err(error) => return engine(error.to_string()),
    };
    Ok(Ok(Chosen {
        others: scope.others(scopes),
        why: if images.is_empty() {
            format!("{} answers", status.version)
        } else {
            format!("{} answers and has the images", status.version)
        },
        runtime: Arc::new(runtime),
        network: None,
    }))
}
