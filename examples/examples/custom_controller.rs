//! A kind of your own and its controller on orch-core alone: status, an owned child, a finalizer, retries.
//!
//!     cargo run --example custom_controller -- [--data FILE]
//!
//! A `Workspace` asks for a directory and for a `Badge` (an object) that belongs to it, and ends when it expires.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use orch_core::cache::Cache;
use orch_core::client::{Api, ApiError, Client, DeleteParams};
use orch_core::controller::{Action, Context, Controller, Engine, ReconcileError};
use orch_core::object::{Object, ObjectKey, ObjectMeta, OwnerReference};
use orch_core::store::{MemoryStore, Store};
use orch_store::RedbStore;
use serde::{Deserialize, Serialize};

const NAMESPACE: &str = "default";

/// How long the workspace of this example lives.
const LIFETIME: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, Serialize, Deserialize, Object)]
#[object(group = "example.com")]
struct Workspace {
    metadata: ObjectMeta,
    spec: WorkspaceSpec,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<WorkspaceStatus>,
}

/// What is wanted.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct WorkspaceSpec {
    /// A date, for creation dates are whole seconds: who counts from one is up to a second early.
    expires: Timestamp,
}

/// What is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct WorkspaceStatus {
    ready: bool,
    message: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, Object)]
#[object(group = "example.com")]
struct Badge {
    metadata: ObjectMeta,
}

struct Workspaces {
    base: PathBuf,
}

impl Workspaces {
    fn directory(&self, workspace: &Workspace) -> PathBuf {
        self.base.join(&workspace.metadata.name)
    }

    /// Makes what is missing. Every step may be repeated.
    async fn make(&self, workspace: &Workspace, client: &Client) -> Result<(), ReconcileError> {
        match tokio::fs::create_dir(self.directory(workspace)).await {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
        let mut metadata = ObjectMeta::named(&workspace.metadata.name);
        metadata.owner_references = vec![OwnerReference {
            api_version: Workspace::resource().api_version().into_owned(),
            kind: Workspace::resource().kind.into_owned(),
            name: workspace.metadata.name.clone(),
            uid: workspace.metadata.uid.clone(),
            controller: true,
            ..OwnerReference::default()
        }];
        match client.api(NAMESPACE).create(&Badge { metadata }).await {
            Err(error) if !error.is_already_exists() => Err(error.into()),
            _ => Ok(()),
        }
    }
}

#[async_trait::async_trait]
impl Controller for Workspaces {
    type Object = Workspace;

    async fn reconcile(&self, workspace: Arc<Workspace>, cx: &Context) -> Result<Action, ReconcileError> {
        let api: Api<Workspace> = cx.client().api(NAMESPACE);
        let meta = &workspace.metadata;
        let made = self.make(&workspace, cx.client()).await;
        let status = WorkspaceStatus {
            ready: made.is_ok(),
            message: made.as_ref().err().map(ToString::to_string).unwrap_or_default(),
        };
        // Only what differs is written: a write is a change, and brings the object here again.
        if workspace.status.as_ref() != Some(&status) {
            api.put_status(&meta.name, Some(&meta.uid), &status).await?;
        }
        // An error is tried again after a backoff.
        made?;
        // A date that has passed leaves less than nothing, which no Duration can be.
        let left = workspace.spec.expires.duration_since(orch_core::time::now());
        if let Ok(left) = Duration::try_from(left)
            && !left.is_zero()
        {
            return Ok(Action::requeue_after(left));
        }
        println!("{}: expired", meta.name);
        api.delete(&meta.name, &DeleteParams::default().uid(&meta.uid))
            .await?;
        Ok(Action::done())
    }

    fn finalizer(&self) -> Option<&str> {
        Some("example.com/workspace")
    }

    async fn cleanup(&self, workspace: Arc<Workspace>, cx: &Context) -> Result<Action, ReconcileError> {
        let badges = cx.client().api::<Badge>(NAMESPACE);
        match badges
            .delete(&workspace.metadata.name, &DeleteParams::now())
            .await
        {
            Err(error) if !error.is_not_found() => return Err(error.into()),
            _ => {}
        }
        match tokio::fs::remove_dir_all(self.directory(&workspace)).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        println!("{}: directory and badge removed", workspace.metadata.name);
        Ok(Action::done())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store: Arc<dyn Store> = match data()? {
        Some(file) => Arc::new(RedbStore::open(file)?),
        None => Arc::new(MemoryStore::new()),
    };
    let base = std::env::temp_dir().join(format!("orch-workspaces-{}", std::process::id()));
    let client = Client::new(store);
    let result = tokio::select! {
        result = tokio::time::timeout(Duration::from_secs(30), run(&client, &base)) => {
            result.map_err(|_| "gave up after 30 s".into()).and_then(|done| done.map_err(Into::into))
        }
        _ = tokio::signal::ctrl_c() => {
            println!("interrupted; with --data the next run goes on from here");
            Ok(())
        }
    };
    if base.exists() {
        std::fs::remove_dir_all(&base)?;
    }
    result
}

async fn run(client: &Client, base: &Path) -> Result<(), ApiError> {
    let workspaces: Cache<Workspace> = Cache::builder(client).start();
    let badges: Cache<Badge> = Cache::builder(client).start();
    let controller = Workspaces {
        base: base.to_owned(),
    };
    let running = Engine::new(controller, client)
        .cache(workspaces.clone())
        .owns(&badges)
        .start();
    let key = ObjectKey::new(Some(NAMESPACE), "demo");
    let status = || {
        workspaces
            .get(&key)
            .and_then(|workspace| workspace.status.clone())
    };

    workspaces.synced().await;
    if workspaces.get(&key).is_some() {
        println!("demo: removing what an interrupted run has left");
        let api = client.api::<Workspace>(NAMESPACE);
        api.delete("demo", &DeleteParams::default()).await?;
        workspaces
            .until(|workspaces| workspaces.get(&key).is_none())
            .await;
    }
    let wanted = Workspace {
        metadata: ObjectMeta::named("demo"),
        spec: WorkspaceSpec {
            expires: orch_core::time::now() + LIFETIME,
        },
        status: None,
    };
    client.api(NAMESPACE).create(&wanted).await?;

    workspaces
        .until(|_| status().is_some_and(|status| !status.ready))
        .await;
    println!(
        "demo: failed: {}",
        status().unwrap_or_else(|| unreachable!("just seen")).message
    );
    if let Err(error) = std::fs::create_dir(base) {
        return Err(ApiError::BadRequest(format!("{}: {error}", base.display())));
    }
    workspaces
        .until(|_| status().is_some_and(|status| status.ready))
        .await;
    println!("demo: ready after a retry");

    badges.until(|badges| badges.get(&key).is_some()).await;
    let lost = badges.get(&key).map(|badge| badge.metadata.uid.clone());
    client
        .api::<Badge>(NAMESPACE)
        .delete("demo", &DeleteParams::now())
        .await?;
    let uid = || badges.get(&key).map(|badge| badge.metadata.uid.clone());
    badges.until(|_| uid().is_some() && uid() != lost).await;
    println!("demo: its badge was deleted and made again");

    workspaces
        .until(|workspaces| workspaces.get(&key).is_none())
        .await;
    let metrics = running.metrics();
    running.stop().await;
    println!(
        "stopped: {} reconciles succeeded, {} failed, {} retried, {} requeued",
        metrics.succeeded, metrics.failed, metrics.retried, metrics.requeued
    );
    Ok(())
}

fn data() -> Result<Option<PathBuf>, lexopt::Error> {
    let mut parser = lexopt::Parser::from_env();
    let mut file = None;
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("data") => file = Some(parser.value()?.into()),
            other => return Err(other.unexpected()),
        }
    }
    Ok(file)
}
