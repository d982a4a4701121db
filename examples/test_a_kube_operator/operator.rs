//! The operator: what a team would run in a cluster, written with kube-rs and nothing of orch.
//!
//! A Website is a page that some pods serve. Its ConfigMap and its Deployment belong to it, it is entered in a directory outside
//! the cluster, and out of that before it goes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::runtime::finalizer::{self, finalizer};
use kube::runtime::watcher;
use kube::{Api, Client, CustomResource, Resource, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Who it says that it is where it writes.
const ME: &str = "website-operator";
const FINALIZER: &str = "example.com/directory";

/// A page, and how many pods serve it.
#[derive(Clone, CustomResource, Debug, Deserialize, JsonSchema, Serialize)]
#[kube(
    group = "example.com",
    version = "v1",
    kind = "Website",
    namespaced,
    status = "WebsiteStatus",
    shortname = "site",
    printcolumn = r#"{"name": "Ready", "type": "integer", "jsonPath": ".status.ready"}"#
)]
pub(crate) struct WebsiteSpec {
    /// What is shown.
    #[schemars(length(max = 10_000))]
    pub(crate) page: String,
    /// How many pods serve it.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 20))]
    pub(crate) replicas: i32,
}

fn one() -> i32 {
    1
}

/// What has come of it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WebsiteStatus {
    /// How many pods serve it.
    pub(crate) ready: i32,
    /// Of which generation of the Website that is.
    pub(crate) observed_generation: i64,
}

/// Where people find Websites: some service outside the cluster.
pub(crate) trait Directory: Send + Sync + 'static {
    /// Enters a Website, if it is not in it.
    fn enter(&self, name: &str);
    /// Takes it out, if it is in it.
    fn strike(&self, name: &str);
}

/// What the operator works with.
pub(crate) struct Operator {
    client: Client,
    directory: Arc<dyn Directory>,
    recorder: Recorder,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum OperatorError {
    #[error(transparent)]
    Kube(#[from] kube::Error),
    #[error("its finalizer: {0}")]
    Finalizer(#[source] Box<finalizer::Error<kube::Error>>),
}

/// Runs the operator until it is dropped.
pub(crate) async fn run(client: Client, directory: Arc<dyn Directory>) {
    let operator = Arc::new(Operator {
        recorder: Recorder::new(client.clone(), Reporter::from(ME)),
        client: client.clone(),
        directory,
    });
    Controller::new(Api::<Website>::all(client.clone()), watcher::Config::default())
        .owns(Api::<Deployment>::all(client), watcher::Config::default())
        .run(
            reconcile,
            |_, _, _| Action::requeue(Duration::from_secs(1)),
            operator,
        )
        .for_each(|_| std::future::ready(()))
        .await;
}

async fn reconcile(site: Arc<Website>, operator: Arc<Operator>) -> Result<Action, OperatorError> {
    let namespace = site.namespace().unwrap_or_default();
    let sites = Api::<Website>::namespaced(operator.client.clone(), &namespace);
    let reconciled = finalizer(&sites, FINALIZER, site, |event| async {
        match event {
            finalizer::Event::Apply(site) => operator.serve(&site, &sites).await,
            finalizer::Event::Cleanup(site) => operator.remove(&site).await,
        }
    });
    reconciled
        .await
        .map_err(|error| OperatorError::Finalizer(Box::new(error)))
}

impl Operator {
    async fn serve(&self, site: &Website, sites: &Api<Website>) -> Result<Action, kube::Error> {
        let (name, namespace) = (site.name_any(), site.namespace().unwrap_or_default());
        self.directory.enter(&name);
        let mine = PatchParams::apply(ME).force();
        let maps = Api::<ConfigMap>::namespaced(self.client.clone(), &namespace);
        maps.patch(&name, &mine, &Patch::Apply(page(site))).await?;
        let deployments = Api::<Deployment>::namespaced(self.client.clone(), &namespace);
        let deployment = deployments
            .patch(&name, &mine, &Patch::Apply(deployment(site)))
            .await?;
        let ready = deployment.status.and_then(|status| status.ready_replicas);
        let status = WebsiteStatus {
            ready: ready.unwrap_or_default(),
            observed_generation: site.metadata.generation.unwrap_or_default(),
        };
        if site.status.as_ref() == Some(&status) {
            return Ok(Action::await_change());
        }
        let was_ready = site
            .status
            .as_ref()
            .is_some_and(|was| was.ready == site.spec.replicas);
        if status.ready == site.spec.replicas && !was_ready {
            let event = Event {
                type_: EventType::Normal,
                reason: "Served".to_owned(),
                note: Some(format!("{} pods serve it", status.ready)),
                action: "Serve".to_owned(),
                secondary: None,
            };
            self.recorder.publish(&event, &site.object_ref(&())).await?;
        }
        let status = json!({"apiVersion": Website::api_version(&()), "kind": "Website", "status": status});
        sites.patch_status(&name, &mine, &Patch::Apply(status)).await?;
        Ok(Action::await_change())
    }

    async fn remove(&self, site: &Website) -> Result<Action, kube::Error> {
        self.directory.strike(&site.name_any());
        Ok(Action::await_change())
    }
}

fn page(site: &Website) -> ConfigMap {
    let mut page = ConfigMap {
        data: Some(BTreeMap::from([(
            "index.html".to_owned(),
            site.spec.page.clone(),
        )])),
        ..ConfigMap::default()
    };
    page.metadata.name = site.metadata.name.clone();
    page.metadata.owner_references = site.controller_owner_ref(&()).map(|owner| vec![owner]);
    page
}

fn deployment(site: &Website) -> serde_json::Value {
    let labels = json!({"example.com/website": site.name_any()});
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": site.name_any(), "ownerReferences": [site.controller_owner_ref(&())]},
        "spec": {
            "replicas": site.spec.replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [{
                        "name": "httpd",
                        "image": "busybox",
                        "command": ["httpd", "-f", "-h", "/page"],
                        "volumeMounts": [{"name": "page", "mountPath": "/page"}],
                    }],
                    "volumes": [{"name": "page", "configMap": {"name": site.name_any()}}],
                },
            },
        },
    })
}
