//! Which runtime to use, and why.

use std::path::Path;
use std::sync::Arc;

use orch_cluster::kinds::pod::default_pull_policy;
use orch_core::runtime::process::ProcessRuntime;
use orch_core::runtime::{PullRequest, Runtime};
use orch_runtime_docker::{DockerOptions, DockerRuntime};
use serde_json::Value;

use super::Error;
use super::manifest::Source;
use super::options::Choice;

/// The image that means the machine's own programs.
const HOST: &str = "host";

/// A runtime, and in a sentence why it was chosen.
pub(crate) struct Chosen {
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) why: String,
}

/// Takes the runtime asked for; on `auto` the one used before with this data, else Docker if it can run the
/// manifest, else plain processes.
pub(crate) async fn choose(choice: Choice, source: &Source, data: &Path) -> Result<Chosen, Error> {
    let remembered = data.join("runtime");
    let used = tokio::fs::read_to_string(&remembered).await.unwrap_or_default();
    let chosen = match (choice, used.trim()) {
        (Choice::Docker, _) => docker(source).await?.map_err(Error::from)?,
        (Choice::Process, _) => process(data, "as asked for").await?,
        (Choice::Auto, "docker") => docker(source).await?.map_err(Error::from)?,
        (Choice::Auto, "process") => process(data, "it was used with this data before").await?,
        (Choice::Auto, _) => match docker(source).await? {
            Ok(chosen) => chosen,
            Err(why_not) => process(data, &format!("Docker cannot be used: {why_not}")).await?,
        },
    };
    tokio::fs::write(&remembered, chosen.runtime.name()).await?;
    Ok(chosen)
}

async fn process(data: &Path, why: &str) -> Result<Chosen, Error> {
    let runtime = ProcessRuntime::open(data.join("processes")).await?;
    Ok(Chosen {
        runtime: Arc::new(runtime),
        why: why.to_owned(),
    })
}

/// Docker, or why it cannot run the manifest.
async fn docker(source: &Source) -> Result<Result<Chosen, String>, Error> {
    let runtime = DockerRuntime::new(DockerOptions::default().scope("quickstart"))?;
    let status = runtime.status().await;
    if !status.ready {
        return Ok(Err(status
            .message
            .unwrap_or_else(|| "the engine is not ready".to_owned())));
    }
    for Image { name, policy } in source.images("docker")? {
        if name == HOST {
            return Ok(Err(
                "image \"host\" means the machine's own programs, which Docker does not run".to_owned(),
            ));
        }
        let is_present = runtime.image(&name).await?.is_some();
        if policy != "Always" && is_present {
            continue;
        }
        println!("pulling {name}");
        let request = PullRequest {
            image: name.clone(),
            credentials: None,
        };
        if let Err(error) = runtime.pull_image(&request).await {
            return Ok(Err(if is_present {
                format!(
                    "image {name} is here, but is to be pulled before each start (imagePullPolicy: Always, the default \
                     for the tag latest) and cannot be ({error}); imagePullPolicy: IfNotPresent would run it as it is"
                )
            } else {
                format!("image {name} is not present and cannot be had ({error})")
            }));
        }
    }
    Ok(Ok(Chosen {
        why: format!("{} answers and has the images", status.version),
        runtime: Arc::new(runtime),
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
