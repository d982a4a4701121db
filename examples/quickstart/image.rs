//! The images that a manifest names, and whether Docker has them.

use std::collections::HashMap;

use orch_cluster::kinds::pod::default_pull_policy;
use orch_cluster::manifest::{Item, Place};
use orch_core::object::FieldPath;
use orch_core::runtime::{PullRequest, Runtime, RuntimeError};
use orch_runtime_docker::DockerRuntime;
use serde_json::Value;

use super::Error;

/// The image that means the machine's own programs.
pub(crate) const HOST: &str = "host";

/// Why Docker cannot run some images.
pub(crate) enum WhyNot {
    /// It cannot be asked, or not any more.
    Engine(String),
    /// It answers, and these cannot be had: each image, and why.
    Images(Vec<(Image, String)>),
}

impl WhyNot {
    /// Whether each image it is about is a word for another runtime.
    pub(crate) fn asks_for_processes(&self) -> bool {
        match self {
            Self::Engine(_) => false,
            Self::Images(images) => images.iter().all(|(image, _)| image.name == HOST),
        }
    }

    /// A line for each image, with its place in the manifest.
    pub(crate) fn placed(&self) -> String {
        self.lines(|image, why| format!("{}: {why}", image.place))
    }

    fn lines(&self, line: impl Fn(&Image, &str) -> String) -> String {
        match self {
            Self::Engine(why) => why.clone(),
            Self::Images(images) => {
                let lines = images.iter().map(|(image, why)| line(image, why));
                lines.collect::<Vec<_>>().join("\n")
            }
        }
    }
}

/// In a sentence, for a manifest that its reader did not write: of what is wrong more than once the first.
impl std::fmt::Display for WhyNot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            self.lines(|_, why| why.to_owned())
                .lines()
                .next()
                .unwrap_or_default(),
        )
    }
}

/// Sees to it that all images are there for a first start, or says why they cannot be. Fails only with standard output.
pub(crate) async fn have_all(runtime: &DockerRuntime, images: &[Image]) -> Result<Result<(), WhyNot>, Error> {
    let mut asked: HashMap<(&str, &str), Option<String>> = HashMap::new();
    let mut bad = Vec::new();
    for image in images {
        let key = (image.name.as_str(), image.policy.as_str());
        let why = match asked.get(&key) {
            Some(why) => why.clone(),
            None => match have(runtime, image).await? {
                Ok(why) => asked.entry(key).or_insert(why).clone(),
                Err(gone) => return Ok(Err(WhyNot::Engine(gone))),
            },
        };
        bad.extend(why.map(|why| (image.clone(), why)));
    }
    Ok(if bad.is_empty() {
        Ok(())
    } else {
        Err(WhyNot::Images(bad))
    })
}

/// Why one image cannot be had, if it cannot; or that the engine cannot be asked.
async fn have(runtime: &DockerRuntime, image: &Image) -> Result<Result<Option<String>, String>, Error> {
    let Image { name, policy, .. } = image;
    if name == HOST {
        let why_not = "image \"host\" means the machine's own programs, which Docker does not run";
        return Ok(Ok(Some(why_not.to_owned())));
    }
    let present = match runtime.image(name).await {
        Ok(present) => present,
        Err(error @ (RuntimeError::Unavailable { .. } | RuntimeError::Timeout { .. })) => {
            return Ok(Err(error.to_string()));
        }
        Err(error) => return Ok(Ok(Some(error.to_string()))),
    };
    match (policy.as_str(), present.is_some()) {
        ("Never" | "IfNotPresent", true) => return Ok(Ok(None)),
        ("Never", false) => {
            return Ok(Ok(Some(format!(
                "image {name} is not present, and imagePullPolicy: Never forbids pulling"
            ))));
        }
        _ => {}
    }
    say!("pulling {name}")?;
    let request = PullRequest {
        image: name.clone(),
        credentials: None,
    };
    Ok(match runtime.pull_image(&request).await {
        Ok(_) => Ok(None),
        Err(error @ RuntimeError::Unavailable { .. }) => Err(error.to_string()),
        Err(error) => Ok(Some(if present.is_some() {
            format!(
                "image {name} is here, but is to be pulled before each start (imagePullPolicy: Always, the default for \
                 the tag latest) and cannot be ({error}); imagePullPolicy: IfNotPresent would run it as it is"
            )
        } else {
            format!("image {name} is not present and cannot be had ({error})")
        })),
    })
}

/// An image that a manifest names.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) name: String,
    /// The `imagePullPolicy`, given or by default.
    policy: String,
    /// Where it is named.
    place: Place,
}

/// The images of all containers in a manifest's object, in the order in which they are used.
pub(crate) fn images_of(item: &Item) -> Vec<Image> {
    let object = item.object();
    let root = FieldPath::root().child("spec");
    let template = object.get("spec").and_then(|spec| spec.pointer("/template/spec"));
    let (spec, path) = match template {
        Some(spec) => (Some(spec), root.child("template").child("spec")),
        None => (object.get("spec"), root),
    };
    let mut images = Vec::new();
    for list in ["initContainers", "containers"] {
        let containers = spec.and_then(|spec| spec.get(list)).and_then(Value::as_array);
        for (index, container) in containers.into_iter().flatten().enumerate() {
            let Some(name) = container["image"].as_str() else {
                continue;
            };
            let policy = container["imagePullPolicy"].as_str();
            images.push(Image {
                name: name.to_owned(),
                policy: policy.unwrap_or_else(|| default_pull_policy(name)).to_owned(),
                place: item.place(&path.child(list).index(index).child("image")),
            });
        }
    }
    images
}
