//! Whether the runtime can give what the manifest's pods ask for, before any of them is made.

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use orch_cluster::cluster::Cluster;
use orch_cluster::manifest::{Item, Manifest, Place};
use orch_core::object::FieldPath;
use serde::Deserialize;
use serde_json::Value;

use super::Error;

/// Warns of what the pods will have to do without.
///
/// # Errors
///
/// All pods that could never run.
pub(crate) fn check(cluster: &Cluster, manifest: &Manifest) -> Result<(), Error> {
    let Some(agent) = cluster.agents().first() else {
        return Ok(());
    };
    let mut refused = Vec::new();
    for item in &manifest.items {
        let Some(pod) = pod_of(item) else { continue };
        let found = agent.support(&pod);
        for warning in found.warnings {
            say!("warning: {}", placed(item, &warning))?;
        }
        refused.extend(found.complaints.iter().map(|complaint| placed(item, complaint)));
    }
    if refused.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}\nsuch pods could never run here: nothing of the manifest was applied",
        refused.join("\n")
    )
    .into())
}

/// What an agent says of a field of a pod, with the place in the manifest of that field.
fn placed(item: &Item, said: &str) -> String {
    let said = match item.resource().kind.as_ref() {
        "Pod" => said.to_owned(),
        _ => format!("spec.template.{said}"),
    };
    let place = Place {
        path: FieldPath::root(),
        ..item.place(&field_of(&said))
    };
    format!("{place}: {said}")
}

/// The field that a message begins with, as far as it can be read: `spec.containers[0].resources.limits[cpu]: ...`.
fn field_of(said: &str) -> FieldPath {
    let mut path = FieldPath::root();
    let mut rest = said;
    loop {
        if let Some((inside, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            path = match inside.parse() {
                Ok(index) => path.index(index),
                Err(_) => path.key(inside.to_owned()),
            };
            rest = after;
            continue;
        }
        let name = rest.strip_prefix('.').unwrap_or(rest);
        let is_of_name = |letter: char| letter.is_ascii_alphanumeric();
        let end = name.find(|letter| !is_of_name(letter)).unwrap_or(name.len());
        if end == 0 {
            return path;
        }
        path = path.child(name[..end].to_owned());
        rest = &name[end..];
    }
}

/// The pod that an object is, or makes.
fn pod_of(item: &Item) -> Option<Pod> {
    let object = item.object();
    let spec = match item.resource().kind.as_ref() {
        "Pod" => object.get("spec"),
        _ => object.get("spec").and_then(|spec| spec.pointer("/template/spec")),
    };
    // Admission, which comes later, says of one that cannot be read why.
    spec.and_then(read)
}

fn read(spec: &Value) -> Option<Pod> {
    Some(Pod {
        spec: Some(PodSpec::deserialize(spec).ok()?),
        ..Pod::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_that_a_message_begins_with_is_found() {
        for (said, field) in [
            (
                "spec.containers[1].tty: the bare runtime has no terminals",
                "spec.containers[1].tty",
            ),
            ("spec.volumes[0] (v): only emptyDir", "spec.volumes[0]"),
            (
                "spec.containers[0].resources.limits[example.com/gpu]: x",
                "spec.containers[0].resources.limits[example.com/gpu]",
            ),
            ("no field", "no"),
            ("", ""),
            ("[", ""),
        ] {
            assert_eq!(field_of(said).to_string(), field, "{said}");
        }
    }
}
