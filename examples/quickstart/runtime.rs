//! Which runtime to use, and why.

use std::path::Path;
use std::sync::Arc;

use orch_cluster::kinds::pod::default_pull_policy;
use orch_core::random::Random;
use orch_core::runtime::process::ProcessRuntime;
use orch_core::runtime::{PullRequest, Runtime};
use orch_runtime_docker::{DockerOptions, DockerRuntime};
use serde_json::Value;

use super::Error;
use super::data;
use super::options::Choice;

/// The image that means the machine's own programs.
const HOST: &str = "host";

/// In the data directory: which runtime its pods run on.
const RUNTIME: &str = "runtime";

/// In the data directory: whose containers are its own, among all of the engine's.
const SCOPE: &str = "scope";

/// A runtime, and in a sentence why it was chosen.
pub(crate) struct Chosen {
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) why: String,
}

/// Takes the runtime asked for; on `auto` the one that pods of this data run on, else Docker if it has or gets the
/// images, else plain processes.
///
/// The data directory must be ours alone.
pub(crate) async fn choose(choice: Choice, images: &[Image], data: &Path) -> Result<Chosen, Error> {
    let used = data::read(&data.join(RUNTIME))?;
    let used = used.as_deref().map(str::trim);
    let chosen = match (choice, used) {
        (Choice::Docker, None | Some("docker")) => docker(images, data).await??,
        (Choice::Process, None | Some("process")) => process(data, "as asked for").await?,
        (Choice::Auto, None) => match docker(images, data).await? {
            Ok(chosen) => chosen,
            Err(why_not) => process(data, &format!("Docker cannot be used: {why_not}")).await?,
        },
        (Choice::Auto, Some("docker")) => {
            let found = docker(images, data).await?;
            found.map_err(|why_not| {
                format!(
                    "pods in {} run on Docker, which cannot be used now: {why_not}\n\
                     (another --data begins anew)",
                    data.display()
                )
            })?
        }
        (Choice::Auto, Some("process")) => process(data, "pods of an earlier run are on it").await?,
        (_, Some(used)) => {
            let what = data.display();
            return Err(format!(
                "pods in {what} run on the {used} runtime, and would be left behind: remove them with their manifest \
                 and --runtime {used} --clean, or take another --data"
            )
            .into());
        }
    };
    data::write(&data.join(RUNTIME), chosen.runtime.name())?;
    Ok(chosen)
}

/// Another runtime may be chosen next time: no pods are left.
pub(crate) fn forget(data: &Path) -> Result<(), Error> {
    data::remove_directory(&data::ports(data))?;
    data::remove(&data.join(RUNTIME))
}

async fn process(data: &Path, why: &str) -> Result<Chosen, Error> {
    let runtime = ProcessRuntime::open(data.join("processes")).await?;
    Ok(Chosen {
        runtime: Arc::new(runtime),
        why: why.to_owned(),
    })
}

/// Docker, or why it cannot run these images. Fails only with the data directory.
async fn docker(images: &[Image], data: &Path) -> Result<Result<Chosen, String>, Error> {
    let scope = scope(data)?;
    let runtime = match DockerRuntime::new(DockerOptions::default().scope(scope)) {
        Ok(runtime) => runtime,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let status = runtime.status().await;
    if !status.ready {
        let why_not = status.message;
        return Ok(Err(
            why_not.unwrap_or_else(|| "the engine is not ready".to_owned())
        ));
    }
    for image in images {
        if let Err(why_not) = have(&runtime, image).await? {
            return Ok(Err(why_not));
        }
    }
    Ok(Ok(Chosen {
        why: if images.is_empty() {
            format!("{} answers", status.version)
        } else {
            format!("{} answers and has the images", status.version)
        },
        runtime: Arc::new(runtime),
    }))
}

/// Drawn once: an agent removes what it does not know, so two data directories must not share an engine's containers.
fn scope(data: &Path) -> Result<String, Error> {
    let file = data.join(SCOPE);
    if let Some(scope) = data::read(&file)? {
        return Ok(scope.trim().to_owned());
    }
    let scope = format!("quickstart-{}", Random::from_os().name_suffix(10));
    data::write(&file, &scope)?;
    Ok(scope)
}

/// Sees to it that the image is there for a first start, or says why it cannot be. Fails only with standard output.
async fn have(runtime: &DockerRuntime, Image { name, policy }: &Image) -> Result<Result<(), String>, Error> {
    if name == HOST {
        let why_not = "image \"host\" means the machine's own programs, which Docker does not run";
        return Ok(Err(why_not.to_owned()));
    }
    let present = match runtime.image(name).await {
        Ok(present) => present,
        Err(error) => return Ok(Err(error.to_string())),
    };
    match (policy.as_str(), present.is_some()) {
        ("Never" | "IfNotPresent", true) => return Ok(Ok(())),
        ("Never", false) => {
            return Ok(Err(format!(
                "image {name} is not present, and imagePullPolicy: Never forbids pulling"
            )));
        }
        _ => {}
    }
    say!("pulling {name}")?;
    let request = PullRequest {
        image: name.clone(),
        credentials: None,
    };
    let pulled = runtime.pull_image(&request).await;
    Ok(pulled.map(drop).map_err(|error| {
        if present.is_some() {
            format!(
                "image {name} is here, but is to be pulled before each start (imagePullPolicy: Always, the default for \
                 the tag latest) and cannot be ({error}); imagePullPolicy: IfNotPresent would run it as it is"
            )
        } else {
            format!("image {name} is not present and cannot be had ({error})")
        }
    }))
}

/// What must be said of the images before they are run by `runtime`.
pub(crate) fn image_warnings(runtime: &dyn Runtime, images: &[Image]) -> Vec<String> {
    if runtime.capabilities().images {
        return Vec::new();
    }
    let foreign = images.iter().filter(|image| image.name != HOST);
    foreign
        .map(|image| {
            format!(
                "image {}: the {} runtime has no images; the command runs with the machine's own programs",
                image.name,
                runtime.name()
            )
        })
        .collect()
}

/// An image that a manifest names.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Image {
    pub(crate) name: String,
    /// The `imagePullPolicy`, given or by default.
    policy: String,
}

/// The images of all containers in a manifest's object.
pub(crate) fn images_of(object: &Value) -> Vec<Image> {
    let spec = object
        .pointer("/spec/template/spec")
        .or_else(|| object.pointer("/spec"));
    let lists = ["initContainers", "containers"];
    let lists = lists.map(|list| spec.and_then(|spec| spec.get(list)).and_then(Value::as_array));
    let containers = lists.into_iter().flatten().flatten();
    let images = containers.filter_map(|container| {
        let name = container["image"].as_str()?;
        let policy = container["imagePullPolicy"].as_str();
        Some(Image {
            name: name.to_owned(),
            policy: policy.unwrap_or_else(|| default_pull_policy(name)).to_owned(),
        })
    });
    images.collect()
}
