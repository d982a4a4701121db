//! Whether the runtime can give what the manifest's pods ask for, before any of them is made.

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use orch_cluster::agent::Complaint;
use orch_cluster::cluster::Cluster;
use orch_cluster::manifest::{Item, Manifest};
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
fn placed(item: &Item, said: &Complaint) -> String {
    let pod = match item.resource().kind.as_ref() {
        "Pod" => FieldPath::root(),
        _ => FieldPath::new("spec").child("template"),
    };
    let steps = said.field.segments().into_iter().cloned();
    let field = steps.fold(pod, |path, step| path.step(step));
    format!("{}: {}", item.place(&field), said.why)
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
