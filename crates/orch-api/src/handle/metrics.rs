//! What pods and nodes use (metrics.k8s.io/v1beta1), which `kubectl top` shows: measured when it is asked for, and not stored.
//!
//! The processor's use is a rate: containers are looked at twice, a [`WINDOW`] apart. Of a node it is what its pods use together; what the
//! machine does beside is not in it.

use std::collections::HashMap;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use http::{Method, StatusCode};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use orch_cluster::agent::{ContainerAt, NodeAccess};
use orch_core::client::{Api, ApiError, ListParams};
use orch_core::object::FieldSelector;
use orch_core::runtime::ContainerStats;
use orch_core::time;
use serde_json::{Value, json};

use super::{Asked, Server};
use crate::answer::{self, Answer};
use crate::status::Refused;

/// Between the two looks (metrics-server, which looks all the time, has 15 s and more).
const WINDOW: Duration = Duration::from_secs(1);

/// Containers that are looked at at once.
const AT_ONCE: usize = 16;

pub(super) async fn get(server: &Server, asked: &Asked, name: &str) -> Result<Answer, Refused> {
    let one = ListParams::default().fields(FieldSelector::equal("metadata.name", name));
    let mut found = measured(server, asked, &one).await?;
    let namespace = asked.place.namespace.as_deref();
    match found.pop() {
        Some(of_it) => Ok(answer::value(StatusCode::OK, &of_it)),
        None => Err(Refused::not_measured(&asked.served.resource, namespace, name)),
    }
}

pub(super) async fn list(server: &Server, asked: &Asked) -> Result<Answer, Refused> {
    if asked.query.is_set("watch") {
        return Err(Refused::method(&Method::GET));
    }
    let params = ListParams::default()
        .labels(asked.query.labels()?)
        .fields(asked.query.fields()?);
    let list = json!({
        "kind": asked.served.list_kind(),
        "apiVersion": asked.served.resource.api_version(),
        "metadata": {},
        "items": measured(server, asked, &params).await?,
    });
    Ok(answer::value(StatusCode::OK, &list))
}

/// The metrics of what was asked for, without those of which nothing is known.
async fn measured(server: &Server, asked: &Asked, which: &ListParams) -> Result<Vec<Value>, Refused> {
    // It is not closed as long as the server is there.
    let _place = server.measuring.acquire().await;
    let of = Metrics {
        kind: &asked.served.resource.kind,
        api_version: &asked.served.resource.api_version(),
    };
    if asked.served.resource.is_namespaced() {
        let api: Api<Pod> = match asked.place.namespace.as_deref() {
            Some(namespace) => server.client.api(namespace),
            None => server.client.all(),
        };
        let all: Vec<_> = server.nodes.iter().collect();
        let reached = on(&api, &all, which).await?;
        let uses = uses(&reached).await;
        let mut pods: Vec<&Pod> = reached.iter().flat_map(|(_, pods)| pods).collect();
        pods.sort_by_key(|pod| (&pod.metadata.namespace, &pod.metadata.name));
        return Ok(pods.into_iter().filter_map(|pod| of.pod(pod, &uses)).collect());
    }
    let nodes = server.client.all::<Node>().list(which).await?.items;
    let wanted: HashMap<_, _> = nodes.iter().map(|node| (name(&node.metadata), node)).collect();
    let own = server.nodes.iter();
    let own: Vec<_> = own.filter(|own| wanted.contains_key(own.node())).collect();
    let reached = on(&server.client.all(), &own, &ListParams::default()).await?;
    let uses = uses(&reached).await;
    let mut measured: Vec<_> = reached
        .iter()
        .filter_map(|(own, pods)| Some((own.node(), of.node(wanted.get(own.node())?, pods, &uses)?)))
        .collect();
    measured.sort_by_key(|(name, _)| *name);
    Ok(measured.into_iter().map(|(_, of)| of).collect())
}

/// A node, and those of its pods that are looked at.
type Reached<'a> = (&'a NodeAccess, Vec<Pod>);

/// The pods that run on these nodes: not those of others, however many there are.
async fn on<'a>(
    api: &Api<Pod>,
    nodes: &[&'a NodeAccess],
    which: &ListParams,
) -> Result<Vec<Reached<'a>>, ApiError> {
    let mut reached = Vec::new();
    for &node in nodes {
        let fields = which.fields.clone().and_equal("spec.nodeName", node.node());
        let params = which.clone().fields(fields);
        reached.push((node, api.list(&params).await?.items));
    }
    Ok(reached)
}

fn name(metadata: &ObjectMeta) -> &str {
    metadata.name.as_deref().unwrap_or_default()
}

/// The containers of a pod that may run for long: with sidecars, which are among those that come first.
fn containers(pod: &Pod) -> impl Iterator<Item = &str> {
    let spec = pod.spec.iter();
    let all = spec.flat_map(|spec| {
        spec.containers
            .iter()
            .chain(spec.init_containers.iter().flatten())
    });
    all.map(|container| container.name.as_str())
}

/// What a container uses.
#[derive(Clone, Copy)]
struct Use {
    at: Timestamp,
    window: Duration,
    /// Billionths of one processor.
    nano_cpus: u128,
    memory_bytes: u64,
}

/// By the uid of the pod, and the name of the container.
type Uses = HashMap<(String, String), Use>;

/// Looks at the containers of these pods twice.
async fn uses(reached: &[Reached<'_>]) -> Uses {
    let first = looked(reached).await;
    if first.is_empty() {
        return Uses::new();
    }
    tokio::time::sleep(WINDOW).await;
    let second = looked(reached).await;
    let both = second.into_iter().filter_map(|(container, after)| {
        let before = first.get(&container)?;
        Some((container, between(before, &after)?))
    });
    both.collect()
}

/// What was used between two looks; none if another container has taken the first one's place.
fn between(before: &ContainerStats, after: &ContainerStats) -> Option<Use> {
    let window = Duration::try_from(after.at.duration_since(before.at)).ok()?;
    let used = after.cpu_nanos.checked_sub(before.cpu_nanos)?;
    Some(Use {
        at: after.at,
        window,
        nano_cpus: (u128::from(used) * 1_000_000_000).checked_div(window.as_nanos())?,
        memory_bytes: after.memory_working_set_bytes,
    })
}

async fn looked(reached: &[Reached<'_>]) -> HashMap<(String, String), ContainerStats> {
    let all = reached
        .iter()
        .flat_map(|(access, pods)| pods.iter().map(move |pod| (*access, pod)));
    let looks = all.flat_map(|(access, pod)| {
        containers(pod).map(move |container| async move {
            let namespace = pod.metadata.namespace.clone().unwrap_or_default();
            let at = ContainerAt::new(namespace, name(&pod.metadata)).container(container);
            // One that does not run, or is of a runtime that measures nothing, has nothing to show.
            let stats = access.stats(&at).await.ok()?;
            Some(((pod.metadata.uid.clone()?, container.to_owned()), stats))
        })
    });
    let looks: Vec<_> = looks.collect();
    let looks = stream::iter(looks).buffer_unordered(AT_ONCE);
    looks.filter_map(async |look| look).collect().await
}

/// Makes objects of one kind.
struct Metrics<'a> {
    kind: &'a str,
    api_version: &'a str,
}

impl Metrics<'_> {
    /// A pod's, by its containers; none where none of them has been measured.
    fn pod(&self, pod: &Pod, uses: &Uses) -> Option<Value> {
        let own = own(pod, uses);
        let all: Vec<Use> = own.iter().map(|(_, of)| *of).collect();
        let newest = newest(&all)?;
        let containers: Vec<Value> = own
            .iter()
            .map(|(name, of)| json!({"name": name, "usage": usage(&[*of])}))
            .collect();
        let mut metrics = self.head(&pod.metadata, newest.at, newest.window);
        metrics["metadata"]["namespace"] = json!(pod.metadata.namespace);
        metrics["containers"] = containers.into();
        Some(metrics)
    }

    /// A node's: of all its pods together; none where it has some and none of them has been measured.
    fn node(&self, node: &Node, pods: &[Pod], uses: &Uses) -> Option<Value> {
        let own_pods = pods.iter().flat_map(|pod| own(pod, uses));
        let all: Vec<Use> = own_pods.map(|(_, of)| of).collect();
        if all.is_empty() && !pods.is_empty() {
            return None;
        }
        let (at, window) = newest(&all).map_or_else(|| (time::now(), WINDOW), |of| (of.at, of.window));
        let mut metrics = self.head(&node.metadata, at, window);
        metrics["usage"] = usage(&all);
        Some(metrics)
    }

    fn head(&self, of: &ObjectMeta, at: Timestamp, window: Duration) -> Value {
        let to_seconds = |at: Timestamp| Timestamp::from_second(at.as_second()).map(|at| at.to_string());
        json!({
            "kind": self.kind,
            "apiVersion": self.api_version,
            "metadata": {
                "name": of.name,
                "creationTimestamp": to_seconds(time::now()).ok(),
                "labels": of.labels,
            },
            "timestamp": to_seconds(at).ok(),
            "window": format!("{:.3}s", window.as_secs_f64()),
        })
    }
}

/// What the containers of a pod use, by name.
fn own<'a>(pod: &'a Pod, uses: &Uses) -> Vec<(&'a str, Use)> {
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    containers(pod)
        .filter_map(|name| Some((name, *uses.get(&(uid.clone(), name.to_owned()))?)))
        .collect()
}

fn newest(uses: &[Use]) -> Option<&Use> {
    uses.iter().max_by_key(|of| of.at)
}

/// All together, as metrics-server writes amounts.
fn usage(uses: &[Use]) -> Value {
    let cpu: u128 = uses.iter().map(|of| of.nano_cpus).sum();
    let memory: u64 = uses.iter().map(|of| of.memory_bytes).sum();
    json!({"cpu": format!("{cpu}n"), "memory": format!("{}Ki", memory / 1024)})
}
