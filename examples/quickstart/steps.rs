//! The main job, step by step: apply, kill, roll, roll back.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Container, EnvVar, Pod};
use orch_cluster::agent::ContainerAt;
use orch_cluster::cluster::{Cluster, Outcome};
use orch_cluster::controllers::{RollbackTo, rollback_to};
use orch_cluster::kinds::pod::status::{is_ready, restarts};
use orch_cluster::manifest::Manifest;
use orch_core::client::{ListParams, retry_on_conflict};
use orch_core::object::{Object, ObjectKey};
use orch_core::runtime::ContainerFilter;

use super::Error;
use super::deadline::Deadline;
use super::news::ended;
use super::state::{ends_by_itself, has_failed, is_node_ready, is_settled, runs_to_its_end};
use super::surge::{STUCK, has_no_room, stands_still};
use super::wait::{PATIENCE, Wait};
use super::watch::{Views, all_pods};

/// What was measured.
#[derive(Default)]
pub(crate) struct Measured {
    pub(crate) ready: Option<Duration>,
    /// The same where pods have ended.
    pub(crate) settled: Option<Duration>,
    pub(crate) heal: Option<Duration>,
    pub(crate) roll: Option<Duration>,
    pub(crate) back: Option<Duration>,
}

/// What was applied.
#[derive(Default)]
pub(crate) struct Applied {
    pub(crate) deployments: Vec<ObjectKey>,
    sets: Vec<ObjectKey>,
    pods: Vec<ObjectKey>,
    /// Whether everything was there already, and as the manifest says.
    pub(crate) unchanged: bool,
}

/// How it was when there was no more to wait for.
pub(crate) struct Ready {
    /// Whether pods of the manifest have ended: then not all of it is ready.
    pub(crate) ended: bool,
    /// Those of them that have failed, and how.
    pub(crate) failed: Vec<String>,
    pub(crate) took: Duration,
}

/// Waits until there is a node that pods can be bound to.
pub(crate) async fn node(views: &Views, deadline: Deadline) -> Result<(), Error> {
    let is_there = |views: &Views| views.nodes.list().iter().any(|node| is_node_ready(node));
    let wait = Wait::with_patience("the node to be ready", PATIENCE).by(deadline);
    views.until(wait, is_there).await?;
    Ok(())
}

/// Applies the manifest: all of it, or nothing if it is refused.
pub(crate) async fn apply(cluster: &Cluster, manifest: &Manifest) -> Result<Applied, Error> {
    for warning in &manifest.warnings {
        say!("warning: {warning}")?;
    }
    let mut all = Applied {
        unchanged: true,
        ..Applied::default()
    };
    for applied in cluster.apply(manifest).await? {
        all.unchanged &= applied.outcome == Outcome::Unchanged;
        let document = &applied.document;
        say!(
            "{}/{} {}",
            document.kind().to_lowercase(),
            document.meta().name,
            applied.outcome
        )?;
        for warning in &applied.warnings {
            say!("warning: {warning}")?;
        }
        match document.kind() {
            "Deployment" => all.deployments.push(document.key()),
            "ReplicaSet" => all.sets.push(document.key()),
            "Pod" => all.pods.push(document.key()),
            _ => {}
        }
    }
    Ok(all)
}

/// What is enough of a pod that is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// That it has ended.
    Ended,
    /// That it runs: its end is told when it comes.
    Runs,
}

/// Waits until the Deployments, ReplicaSets and pods that were applied are ready, or have ended, and stay so.
pub(crate) async fn ready(
    cluster: &Cluster,
    views: &Views,
    applied: &Applied,
    until: Until,
    deadline: Deadline,
) -> Result<Ready, Error> {
    let Applied {
        deployments,
        sets,
        pods,
        ..
    } = applied;
    let settled = |views: &Views| {
        let is_enough = |pod: &Pod| is_settled(pod) || (until == Until::Runs && runs_to_its_end(pod));
        let is_enough = |key| views.pods.get(key).is_some_and(|pod| is_enough(&pod));
        sets.iter().all(|key| views.is_filled(key)) && pods.iter().all(is_enough)
    };
    let wait = Wait::for_pods("everything to be ready", deadline)
        .of(deployments)
        .steadily();
    let done = |views: &Views| views.complete(deployments) && settled(views);
    let took = views.until(wait, done).await?;
    let ended = pods.iter().filter_map(|key| {
        let pod = views.pods.get(key)?;
        Some((key, has_failed(&pod), ended(&pod)?))
    });
    let ended: Vec<_> = ended.collect();
    // Of those that have failed it was told when they did.
    for (key, _, end) in ended.iter().filter(|(_, failed, _)| !failed) {
        say!("  pod {} has ended: {end}", key.name())?;
    }
    let failed = ended.iter().filter(|(_, failed, _)| *failed);
    let failed = failed.map(|(key, _, end)| format!("pod {}: {end}", key.name()));
    let failed = failed.collect();
    say!("\n{}\n", views.table(cluster).await?)?;
    for key in pods {
        let pod = views.pods.get(key).filter(|pod| runs_to_its_end(pod));
        if let Some(policy) = pod.as_deref().and_then(ends_by_itself) {
            say!(
                "pod {} runs, and is to end (restartPolicy: {policy}), which is not waited for",
                key.name()
            )?;
        }
    }
    Ok(Ready {
        ended: !ended.is_empty(),
        failed,
        took,
    })
}

/// Why a Deployment cannot show how it heals and rolls.
pub(crate) fn is_still(views: &Views, key: &ObjectKey) -> Option<&'static str> {
    let deployment = views.deployments.get(key)?;
    match (deployment.spec.replicas, deployment.spec.paused) {
        (Some(0), _) => Some("it wants no pods"),
        (_, Some(true)) => Some("it is paused"),
        _ => None,
    }
}

/// Why a Deployment that can show how it heals cannot show how it rolls.
pub(crate) fn cannot_roll(views: &Views, key: &ObjectKey) -> Option<String> {
    has_no_room(&*views.deployments.get(key)?)
}

/// Kills a container behind the cluster's back and waits until it is ready again.
pub(crate) async fn kill(
    cluster: &Cluster,
    views: &Views,
    of: &ObjectKey,
    deadline: Deadline,
) -> Result<Duration, Error> {
    let pod = ready_pod_of(cluster, of).await?;
    let name = pod.metadata.name.clone().unwrap_or_default();
    let agent = cluster.agents().first().ok_or("the cluster has no node")?;
    let filter = ContainerFilter {
        pod_uid: pod.metadata.uid.clone(),
        ..ContainerFilter::default()
    };
    let containers = agent.runtime().containers(&filter).await?;
    let running = containers.iter().find(|container| container.state.is_running());
    let container = running.ok_or_else(|| format!("pod {name}: no container runs: it ended by itself"))?;
    say!("killing container {} of pod {name}", container.name)?;
    let before = restarts(&pod);
    agent
        .runtime()
        .stop_container(&container.id, Duration::ZERO)
        .await?;
    let key = pod.key();
    let is_back = |views: &Views| {
        let pod = views.pods.get(&key);
        pod.is_some_and(|pod| restarts(&pod) > before && is_ready(&pod))
    };
    let wait = Wait::for_pods("the killed container to come back", deadline).steadily();
    let took = views.until(wait, is_back).await?;
    say!("\n{}\n", views.table(cluster).await?)?;
    Ok(took)
}

/// Gives the Deployment a new version and waits until it is rolled out. None if that cannot go on, which it says.
pub(crate) async fn roll(
    cluster: &Cluster,
    views: &Views,
    key: &ObjectKey,
    deadline: Deadline,
) -> Result<Option<Duration>, Error> {
    let api = cluster
        .client()
        .api::<Deployment>(key.namespace().unwrap_or_default());
    say!("rolling {key} to version v2")?;
    let updated = retry_on_conflict(|| async {
        let mut deployment = api.get(key.name()).await?;
        set_version(&mut deployment, "v2");
        api.update(&deployment).await
    })
    .await?;
    let mut stuck = None;
    let stands_still = async {
        stuck = Some(views.held_for(STUCK, || why_stuck(views, key)).await);
        Ok(())
    };
    let took = rolled(views, key, &updated, deadline, stands_still).await?;
    if let Some(why) = stuck {
        say!("deployment {key} is not rolled on: {why}")?;
        return Ok(None);
    }
    show_version(cluster, views, key).await?;
    Ok(Some(took))
}

fn why_stuck(views: &Views, key: &ObjectKey) -> Option<String> {
    let mut pods = views.pods.list();
    pods.retain(|pod| views.ours.deployment_of(views, pod).as_ref() == Some(key));
    stands_still(&*views.deployments.get(key)?, &pods)
}

/// Takes the Deployment back to the version before.
pub(crate) async fn roll_back(
    cluster: &Cluster,
    views: &Views,
    key: &ObjectKey,
    deadline: Deadline,
) -> Result<Duration, Error> {
    let namespace = key.namespace().unwrap_or_default();
    let api = cluster.client().api::<Deployment>(namespace);
    say!("rolling {key} back")?;
    let sets = cluster
        .client()
        .api::<ReplicaSet>(namespace)
        .list(&ListParams::default())
        .await?
        .items;
    let sets: Vec<_> = sets.into_iter().map(Arc::new).collect();
    let template = rollback_to(&api.get(key.name()).await?, &sets, RollbackTo::Previous)?;
    let updated = retry_on_conflict(|| async {
        let mut deployment = api.get(key.name()).await?;
        deployment.spec.template = template.clone();
        api.update(&deployment).await
    })
    .await?;
    let took = rolled(views, key, &updated, deadline, pending()).await?;
    show_version(cluster, views, key).await?;
    Ok(took)
}

/// Waits until an update is rolled out, or `over`.
async fn rolled(
    views: &Views,
    key: &ObjectKey,
    updated: &Deployment,
    deadline: Deadline,
    over: impl Future<Output = Result<(), Error>>,
) -> Result<Duration, Error> {
    let keys = std::slice::from_ref(key);
    // Before the view shows the update, it shows the version before as complete.
    if let Some(revision) = Object::metadata(updated).resource_version {
        views.deployments.wait_for(revision).await;
    }
    let wait = Wait::for_pods("the version to be rolled out", deadline)
        .of(keys)
        .steadily();
    views.during(wait, |views| views.complete(keys), over).await
}

async fn show_version(cluster: &Cluster, views: &Views, key: &ObjectKey) -> Result<(), Error> {
    let pod = ready_pod_of(cluster, key).await?;
    let at = ContainerAt::new(
        key.namespace().unwrap_or_default(),
        pod.metadata.name.clone().unwrap_or_default(),
    );
    let log = cluster.tail(&at, 1).await?;
    if !log.is_empty() {
        say!("  its log: {}", String::from_utf8_lossy(&log).trim_end())?;
    }
    say!("\n{}\n", views.table(cluster).await?)
}

/// Says the version in the first container's environment, which also is a new template.
fn set_version(deployment: &mut Deployment, version: &str) {
    let spec = deployment.spec.template.spec.get_or_insert_default();
    let Some(Container { env, .. }) = spec.containers.first_mut() else {
        return;
    };
    let env = env.get_or_insert_default();
    match env.iter_mut().find(|variable| variable.name == "VERSION") {
        Some(variable) => variable.value = Some(version.to_owned()),
        None => env.push(EnvVar {
            name: "VERSION".to_owned(),
            value: Some(version.to_owned()),
            ..EnvVar::default()
        }),
    }
}

async fn ready_pod_of(cluster: &Cluster, deployment: &ObjectKey) -> Result<Pod, Error> {
    let namespace = deployment.namespace().unwrap_or_default();
    let object = cluster
        .client()
        .api::<Deployment>(namespace)
        .get(deployment.name())
        .await?;
    let labels = object.spec.selector.match_labels.unwrap_or_default();
    let pods = all_pods(cluster.client()).await?;
    let its = |pod: &Pod| {
        let has = pod.metadata.labels.clone().unwrap_or_default();
        pod.metadata.namespace.as_deref() == Some(namespace)
            && labels.iter().all(|(key, value)| has.get(key) == Some(value))
    };
    let found = pods
        .into_iter()
        .find(|pod| its(pod) && is_ready(pod) && pod.metadata.deletion_timestamp.is_none());
    found.ok_or_else(|| format!("deployment {deployment}: no ready pod").into())
}
