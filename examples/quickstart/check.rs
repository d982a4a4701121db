//! Whether the manifest's pods could ever run here, before any of them is made.

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use orch_cluster::agent::Complaint;
use orch_cluster::cluster::{ApplyError, Cluster};
use orch_cluster::manifest::{Item, Manifest, ManifestError, Position};
use orch_core::object::FieldPath;
use serde::Deserialize;
use serde_json::Value;

use super::Error;
use super::clean::being_deleted;
use super::nowhere::node_of;
use super::surge::host_ports;
use super::watch::Views;

/// Warns of what the pods will have to do without.
///
/// # Errors
///
/// All pods that could never run, with all else that is wrong with the manifest.
pub(crate) async fn check(cluster: &Cluster, views: &Views, manifest: &Manifest) -> Result<(), Error> {
    let Some(agent) = cluster.agents().first() else {
        return Ok(());
    };
    let mut refused = Vec::new();
    for item in &manifest.items {
        let Some(pod) = pod_of(item) else { continue };
        let found = agent.support(&pod);
        for warning in found.warnings {
            let (_, warning) = placed(item, &warning);
            say!("warning: {warning}")?;
        }
        let node = wrong_node(views, manifest, &pod);
        let complaints = found.complaints.iter().chain(&node);
        refused.extend(complaints.map(|complaint| placed(item, complaint)));
        refused.extend(no_room(views, item, &pod));
    }
    if refused.is_empty() {
        // What else is wrong is told when it is applied.
        return Ok(());
    }
    let all = invalid(cluster, manifest).await?;
    refused.extend(all.iter().map(|error| (error.place.position, error.to_string())));
    refused.sort();
    let refused: Vec<_> = refused.into_iter().map(|(_, line)| line).collect();
    Err(format!(
        "{}\nsuch pods could never run here: nothing of the manifest was applied",
        refused.join("\n")
    )
    .into())
}

/// What applying would refuse.
async fn invalid(cluster: &Cluster, manifest: &Manifest) -> Result<Vec<ManifestError>, Error> {
    // What still goes is in the way now, and not when it is applied.
    if !being_deleted(cluster.client(), manifest).await?.is_empty() {
        return Ok(Vec::new());
    }
    match cluster.dry_run(manifest).await {
        Ok(()) => Ok(Vec::new()),
        Err(ApplyError::Invalid(errors)) => Ok(errors.into_iter().collect()),
        Err(error) => Err(error.into()),
    }
}

/// That several pods want the same port of the one node.
fn no_room(views: &Views, item: &Item, pod: &Pod) -> Option<(Position, String)> {
    let replicas = item.object().get("spec")?.get("replicas")?.as_i64()?;
    let ports = host_ports(pod.spec.as_ref()?);
    let port = ports.first()?;
    if replicas < 2 || !views.local.is_one() {
        return None;
    }
    let place = item.place(&FieldPath::new("spec").child("replicas"));
    let why = format!(
        "each pod takes host port {port}, which the one node has once: at most 1 fits, got {replicas}"
    );
    Some((place.position, format!("{place}: {why}")))
}

/// That a pod names a node that neither is there nor comes with the manifest.
fn wrong_node(views: &Views, manifest: &Manifest, pod: &Pod) -> Option<Complaint> {
    let comes = |name: &str| {
        let mut items = manifest.items.iter();
        items.any(|item| item.resource().kind == "Node" && item.name() == name)
    };
    let is_named = |name: &str| comes(name) || views.has_node(name);
    let why = views.local.missing(node_of(pod)?, is_named)?;
    let field = FieldPath::new("spec").child("nodeName");
    Some(Complaint { field, why })
}

/// What an agent says of a field of a pod, with the place in the manifest of that field.
fn placed(item: &Item, said: &Complaint) -> (Position, String) {
    let pod = match item.resource().kind.as_ref() {
        "Pod" => FieldPath::root(),
        _ => FieldPath::new("spec").child("template"),
    };
    let steps = said.field.segments().into_iter().cloned();
    let field = steps.fold(pod, |path, step| path.step(step));
    let place = item.place(&field);
    (place.position, format!("{place}: {}", said.why))
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
