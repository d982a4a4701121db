//! Views of what is shown: Deployments and pods as they are, and what has changed of them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Node, Pod};
use orch_cluster::cluster::Cluster;
use orch_cluster::kinds::pod::status::is_deleting;
use orch_cluster::manifest::Manifest;
use orch_core::cache::Cache;
use orch_core::client::{Client, ListParams};
use orch_core::object::{Object, ObjectKey};
use orch_core::runtime::Runtime;
use tokio::sync::watch;

use super::Error;
use super::changes::changes;
use super::events::Events;
use super::last_words::LastWords;
use super::news::{ended, line, trouble};
use super::nowhere::Nodes;
use super::ours::{Ours, set_of};
use super::state::{has_failed, is_complete, is_well, node_ready, refusal};

/// Views of what is shown, and a bell that rings when one of them changes.
pub(crate) struct Views {
    pub(crate) ours: Ours,
    pub(crate) nodes: Cache<Node>,
    pub(crate) deployments: Cache<Deployment>,
    pub(crate) sets: Cache<ReplicaSet>,
    pub(crate) pods: Cache<Pod>,
    pub(super) events: Events,
    /// What runs the pods of the one node; none in tests of what needs none.
    pub(super) runtime: Option<Arc<dyn Runtime>>,
    told: Mutex<Told>,
    /// Pods, by uid, that were refused before anything was applied: that of them is known.
    refused_before: HashSet<String>,
    /// The nodes that are in this process.
    pub(super) local: Nodes,
    pub(super) bell: watch::Receiver<()>,
}

/// Which containers pods have, and how often each was started again, by the pod's uid.
pub(crate) type Standing = BTreeMap<String, Vec<(Option<String>, i32)>>;

/// What has been shown.
#[derive(Default)]
struct Told {
    /// The pods as they were shown last, by uid.
    pods: HashMap<String, Arc<Pod>>,
    /// Those whose last words were told, or cannot be had, by uid.
    failed: HashSet<String>,
    /// That the runtime does not answer.
    away: bool,
}

impl Views {
    pub(crate) async fn open(cluster: &Cluster, manifest: &Manifest) -> Self {
        let client = cluster.client();
        let (ring, bell) = watch::channel(());
        let ring = Arc::new(ring);
        let (nodes, deployments, sets, pods) = (
            view(client, &ring),
            view(client, &ring),
            view(client, &ring),
            view(client, &ring),
        );
        let mut views = Self {
            ours: Ours::of(manifest),
            events: Events::open(client).await,
            nodes,
            deployments,
            sets,
            pods,
            runtime: cluster.agents().first().map(|agent| agent.runtime().clone()),
            told: Mutex::default(),
            refused_before: HashSet::new(),
            local: Nodes::of(cluster),
            bell,
        };
        views.nodes.synced().await;
        views.deployments.synced().await;
        views.sets.synced().await;
        views.pods.synced().await;
        let refused = views.pods.list().into_iter().filter(|pod| refusal(pod).is_some());
        views.refused_before = refused.map(|pod| uid(&pod)).collect();
        views
    }

    /// Shows for ever what changes of the pods since they were shown last, and warnings.
    pub(crate) async fn follow(&self) -> Result<(), Error> {
        let (mut bell, mut rumours) = (self.bell.clone(), self.events.bell());
        let mut last_words = LastWords::of(self);
        loop {
            bell.borrow_and_update();
            rumours.borrow_and_update();
            last_words.ask();
            // What explains the rest goes first.
            let runtime = self.runtime_news();
            let (changed, warnings) = (self.changed(), self.warnings());
            for news in runtime.iter().chain(&changed).chain(&warnings) {
                tell_now(news)?;
            }
            tokio::select! {
                _ = bell.changed() => {}
                _ = rumours.changed() => {}
                words = last_words.next() => tell_now(&words)?,
            }
        }
    }

    /// All pods in a table. What changes of them from now on is news.
    pub(crate) async fn table(&self, cluster: &Cluster) -> Result<String, Error> {
        let pods = all_pods(cluster.client()).await?;
        self.look(&pods).await;
        Ok(orch_examples::pod_table(&pods))
    }

    /// Takes these as the pods shown last, and waits until the views are as new.
    pub(crate) async fn look(&self, pods: &[Pod]) {
        let newest = pods
            .iter()
            .filter_map(|pod| Object::metadata(pod).resource_version)
            .max();
        if let Some(newest) = newest {
            self.pods.wait_for(newest).await;
        }
        let seen = pods.iter().map(|pod| (uid(pod), Arc::new(pod.clone())));
        self.told(|told| told.pods = seen.collect());
    }

    /// What has changed since the last look, by pod. This is one.
    pub(crate) fn changed(&self) -> Vec<(String, String)> {
        let now = self.pods.list();
        let now: HashMap<_, _> = now.into_iter().map(|pod| (uid(&pod), pod)).collect();
        let seen = self.told(|told| std::mem::replace(&mut told.pods, now.clone()));
        let gone = seen.iter().filter(|(uid, _)| !now.contains_key(*uid));
        let gone = gone.map(|(_, was)| (Some(was), None));
        let others = now.iter().map(|(uid, is)| (seen.get(uid), Some(is)));
        let told = gone.chain(others).filter_map(|(was, is)| {
            let changes = changes(was.map(|pod| &**pod), is.map(|pod| &**pod));
            (!changes.is_empty()).then(|| Some((named(was.or(is)?), changes.join(", "))))?
        });
        let mut told: Vec<_> = told.collect();
        told.sort();
        told
    }

    /// That the runtime has begun to answer, or has ceased to, if that has changed since it was told.
    pub(super) fn runtime_news(&self) -> Option<(String, String)> {
        let nodes = self.nodes.list();
        let why = nodes
            .iter()
            .filter_map(|node| node_ready(node))
            .find(|ready| ready.reason.as_deref() == Some("ContainerRuntimeNotReady"));
        let is_news = self.told(|told| std::mem::replace(&mut told.away, why.is_some()) != why.is_some());
        let name = self.runtime.as_ref().map_or("", |runtime| runtime.name());
        is_news.then(|| {
            let said = match why {
                Some(why) => format!(
                    "does not answer: {}",
                    line(why.message.as_deref().unwrap_or_default())
                ),
                None => "answers again".to_owned(),
            };
            (format!("runtime {name}"), said)
        })
    }

    pub(super) fn warnings(&self) -> Vec<(String, String)> {
        // Probes fail as well while nothing can be run, and say no more than that.
        let away = self.told(|told| told.away);
        let ours = |about: &_| self.ours.is_about(self, about);
        self.events.take(ours, |reason| away && reason == "Unhealthy")
    }

    /// Whether a pod's last words were told, or cannot be had.
    pub(super) fn has_said_last(&self, uid: &str) -> bool {
        self.told(|told| told.failed.contains(uid))
    }

    pub(super) fn said_last(&self, uid: String) {
        let pods = self
            .our_pods()
            .iter()
            .map(|pod| self::uid(pod))
            .collect::<HashSet<_>>();
        self.told(|told| {
            told.failed.retain(|uid| pods.contains(uid));
            told.failed.insert(uid);
        });
    }

    /// Whether every Deployment of `keys` is as it should be, and so are its pods.
    pub(crate) fn complete(&self, keys: &[ObjectKey]) -> bool {
        let mut deployments = keys.iter().map(|key| self.deployments.get(key));
        if !deployments.all(|deployment| deployment.is_some_and(|deployment| is_complete(&deployment))) {
            return false;
        }
        // Its status is counted from theirs, and may not have followed yet.
        let mut pods = self.pods.list().into_iter().filter(|pod| !is_deleting(pod));
        pods.all(|pod| {
            let of = self.ours.deployment_of(self, &pod);
            of.is_none_or(|of| !keys.contains(&of)) || is_well(&pod)
        })
    }

    /// Whether a ReplicaSet has the pods it wants, all ready.
    pub(crate) fn is_filled(&self, key: &ObjectKey) -> bool {
        let counted = self.sets.get(key).is_some_and(|set| {
            set.status.as_ref().is_some_and(|status| {
                let wanted = set.spec.replicas.unwrap_or(1);
                status.observed_generation == set.metadata.generation
                    && status.replicas == wanted
                    && status.ready_replicas.unwrap_or(0) == wanted
            })
        });
        // Which is of what its pods were a moment ago.
        let mut pods = self.pods.list().into_iter().filter(|pod| !is_deleting(pod));
        counted && pods.all(|pod| set_of(&pod).as_ref() != Some(key) || is_well(&pod))
    }

    /// The manifest's pods.
    pub(crate) fn our_pods(&self) -> Vec<Arc<Pod>> {
        let mut pods = self.pods.list();
        pods.retain(|pod| self.ours.has(self, pod));
        pods
    }

    /// The containers of the manifest's pods that are to stay.
    pub(super) fn standing(&self) -> Standing {
        let pods = self.our_pods().into_iter().filter(|pod| !is_deleting(pod));
        let containers = |pod: &Pod| {
            let containers = orch_examples::statuses(pod);
            containers
                .map(|one| (one.container_id.clone(), one.restart_count))
                .collect()
        };
        pods.map(|pod| (uid(&pod), containers(&pod))).collect()
    }

    /// Pods of the manifest that are to run, ask for what the runtime cannot give, and what that is.
    pub(super) fn refused(&self) -> impl Iterator<Item = (String, String)> {
        let new = |pod: &Arc<Pod>| !is_deleting(pod) && !self.refused_before.contains(&uid(pod));
        self.our_pods()
            .into_iter()
            .filter(new)
            .filter_map(|pod| Some((pod.metadata.name.clone().unwrap_or_default(), refusal(&pod)?)))
    }

    /// Pods of the manifest that something keeps from running, and what; or that have failed for good, and how.
    pub(super) fn troubles(&self) -> Vec<(String, String)> {
        let pods = self.our_pods();
        let troubled = pods.iter().filter_map(|pod| {
            let failed = ended(pod).filter(|_| has_failed(pod));
            let failed = failed.map(|failed| format!("has ended: {failed}"));
            Some((named(pod), failed.or_else(|| trouble(pod))?))
        });
        troubled.collect()
    }

    fn told<T>(&self, look: impl FnOnce(&mut Told) -> T) -> T {
        look(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn tell_now((what, line): &(String, String)) -> Result<(), Error> {
    let now = orch_core::time::now().strftime("%H:%M:%SZ");
    say!("  {now}  {what}  {line}")
}

/// A view of all objects of a kind that rings the bell when one changes.
fn view<K: Object>(client: &Client, bell: &Arc<watch::Sender<()>>) -> Cache<K> {
    let (cache, bell) = (Cache::builder(client).start(), bell.clone());
    cache.on_change(move |_| bell.send_replace(())).keep();
    cache
}

pub(super) fn uid(pod: &Pod) -> String {
    pod.metadata.uid.clone().unwrap_or_default()
}

pub(super) fn named(pod: &Pod) -> String {
    format!("pod {}", pod.metadata.name.as_deref().unwrap_or_default())
}

pub(crate) async fn all_pods(client: &Client) -> Result<Vec<Pod>, Error> {
    Ok(client.all::<Pod>().list(&ListParams::default()).await?.items)
}
