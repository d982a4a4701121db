//! The images that a manifest names, and whether Docker has them.

use orch_cluster::kinds::pod::default_pull_policy;
use orch_core::runtime::{PullRequest, Runtime};
use orch_runtime_docker::DockerRuntime;
use serde_json::Value;

use super::Error;

/// The image that means the machine's own programs.
pub(crate) const HOST: &str = "host";

/// Sees to it that the image is there for a first start, or says why it cannot be. Fails only with standard output.
pub(crate) async fn have(
    runtime: &DockerRuntime,
    Image { name, policy }: &Image,
) -> Result<Result<(), String>, Error> {
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
