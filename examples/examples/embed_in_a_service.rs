//! An HTTP service that runs its workers itself: an orchestrator in the same process as its endpoint.
//!
//!     cargo run --features axum --example embed_in_a_service -- [--port N] [--data DIR] [--seconds N]
//!
//! A made-up CI product. `GET /` shows its workers, `POST /replicas/N` makes them more or fewer. It ends at Ctrl-C, at
//! SIGTERM or after `--seconds`. With `--data` the workers go on without it: an update or a crash of the service costs
//! no build, and started again it finds them as they were (to end for good, first scale to 0). Without, all ends.

use std::ffi::OsString;
use std::fmt::Display;
use std::path::{Path as FilePath, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use futures::FutureExt;
use futures::future::try_join_all;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use orch_cluster::agent::AgentConfig;
use orch_cluster::cluster::Cluster;
use orch_cluster::manifest::{Manifest, ManifestKinds};
use orch_core::cache::Cache;
use orch_core::client::{Admission, AdmissionRequest, Api, ApiError, Operation, Patch, Refusal};
use orch_core::object::ApiResource;
use orch_core::runtime::process::ProcessRuntime;
use orch_core::runtime::{ContainerFilter, Runtime, SandboxFilter};
use orch_examples::pod_table;
use orch_store::RedbStore;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

type Error = Box<dyn std::error::Error + Send + Sync>;

const NAMESPACE: &str = "default";
const NAME: &str = "worker";
/// Says nothing of replicas, which are the endpoint's: what a manifest says is set again at each start.
const MANIFEST: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker}
spec:
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: worker
        image: host
        command: [sh, -c, "echo waiting for builds; exec sleep 1000000000"]
"#;

/// How many workers a customer may have.
const MOST: i64 = 10;
/// How long requests in hand may take when the service stops.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// How long workers may take to end before they are killed.
const GRACE: Duration = Duration::from_secs(5);

/// For whoever starts it, and whoever asks for another.
const ENDPOINTS: &str = "\
endpoints:
  GET /              shows the workers
  POST /replicas/N   makes them more or fewer
";

const HELP: &str = "\
embed_in_a_service [--port N] [--data DIR] [--seconds N]

  --port N     where it listens on 127.0.0.1; by default on any free port
  --data DIR   where the state is kept: the workers then go on without the service, and are taken over when it is
               started again; without, they end with it
  --seconds N  after how long it ends; by default at Ctrl-C or SIGTERM
";

/// What the customer has paid for. An admission rule holds for every writer, not for this endpoint alone.
struct Plan;

#[async_trait::async_trait]
impl Admission for Plan {
    fn name(&self) -> &str {
        "Plan"
    }

    fn handles(&self, resource: &ApiResource, operation: Operation) -> bool {
        resource.kind == "Deployment" && operation != Operation::Delete
    }

    async fn validate(&self, request: &AdmissionRequest<'_>) -> Result<(), Refusal> {
        let replicas = request
            .object
            .get("spec")
            .and_then(|spec| spec["replicas"].as_i64());
        match replicas {
            Some(replicas) if replicas > MOST => Err(Refusal::Forbidden(format!(
                "spec.replicas: {replicas}: the plan allows at most {MOST}"
            ))),
            _ => Ok(()),
        }
    }
}

/// What the endpoint knows of the orchestrator.
#[derive(Clone)]
struct Service {
    pods: Cache<Pod>,
    deployments: Api<Deployment>,
}

/// The workers, from memory: looking costs the store nothing, however many look.
async fn table(State(service): State<Service>) -> String {
    let mut pods = service.pods.list();
    pods.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    pod_table(&pods) + "\n"
}

/// Writes what is wanted and returns; the controllers see to it.
async fn scale(State(service): State<Service>, Path(replicas): Path<String>) -> (StatusCode, String) {
    let Ok(wanted) = replicas.parse::<i32>() else {
        let text = format!("replicas: {replicas:?}: must be a whole number from 0 to {MOST}\n");
        return (StatusCode::BAD_REQUEST, text);
    };
    let patch = Patch::Merge(json!({"spec": {"replicas": wanted}}));
    match service.deployments.patch(NAME, &patch).await {
        Ok(_) => (StatusCode::ACCEPTED, format!("{wanted} workers wanted\n")),
        Err(error) => (status(&error), format!("{error}\n")),
    }
}

fn status(error: &ApiError) -> StatusCode {
    match error {
        ApiError::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        ApiError::Forbidden { .. } => StatusCode::FORBIDDEN,
        ApiError::NotFound(_) => StatusCode::NOT_FOUND,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn router(service: Service) -> Router {
    Router::new()
        .route("/", get(table))
        .route("/replicas/{replicas}", post(scale))
        .fallback(|| async { (StatusCode::NOT_FOUND, ENDPOINTS) })
        .method_not_allowed_fallback(|| async { (StatusCode::METHOD_NOT_ALLOWED, ENDPOINTS) })
        .with_state(service)
}

#[tokio::main]
async fn run(options: &Options, data: &FilePath) -> Result<(), Error> {
    let stop = told_to_stop(options.seconds)?.shared();
    let listener = TcpListener::bind(("127.0.0.1", options.port))
        .await
        .map_err(|error| format!("port {}: {error}", options.port))?;
    tokio::fs::create_dir_all(data).await?;
    let node = AgentConfig::new("local").volumes_dir(data.join("volumes"));
    let runtime = Arc::new(ProcessRuntime::open(data.join("processes")).await?);
    let cluster = Cluster::builder(Arc::new(RedbStore::open(data.join("state.redb"))?))
        .node_with(node, runtime)
        .admission(Plan)
        .start()
        .await?;
    let service = Service {
        pods: Cache::builder(cluster.client()).namespace(NAMESPACE).start(),
        deployments: cluster.client().api(NAMESPACE),
    };
    service.pods.synced().await;
    println!("workers of an earlier run: {}", service.pods.len());
    let manifest = Manifest::read("worker.yaml", MANIFEST, &ManifestKinds::builtin())?;
    cluster.apply(&manifest).await?;

    println!("listening on http://{}", listener.local_addr()?);
    print!("{ENDPOINTS}");
    let server = axum::serve(listener, router(service.clone())).with_graceful_shutdown(stop.clone());
    let result = tokio::select! {
        result = server.into_future() => result.map_err(Error::from),
        // Whoever is still being answered then is cut off.
        () = stop.then(|()| tokio::time::sleep(ANSWERED_WITHIN)) => Ok(()),
    };
    cluster.stop().await;
    result
}

/// Ends what runs below a directory that no cluster has open, without one: its state is of no more use.
#[tokio::main]
async fn end_workers(data: &FilePath) -> Result<(), Error> {
    let runtime = ProcessRuntime::open(data.join("processes")).await?;
    let containers = runtime.containers(&ContainerFilter::default()).await?;
    let stops = containers
        .iter()
        .map(|container| runtime.stop_container(&container.id, GRACE));
    try_join_all(stops).await?;
    for sandbox in runtime.sandboxes(&SandboxFilter::default()).await? {
        runtime.remove_sandbox(&sandbox.id).await?;
    }
    Ok(())
}

/// Resolves at a signal or when the time is over. Listens from now on, not only once it is awaited.
fn told_to_stop(seconds: Option<u64>) -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let time = tokio::time::sleep(seconds.map_or(Duration::MAX, Duration::from_secs));
    Ok(async move {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
            () = time => {}
        }
    })
}

/// What was asked for on the command line.
#[derive(Default)]
struct Options {
    port: u16,
    data: Option<PathBuf>,
    seconds: Option<u64>,
}

/// None: help was asked for.
fn options() -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;

    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("port") => options.port = number("--port", u16::MAX, parser.value()?)?,
            Long("data") => options.data = Some(parser.value()?.into()),
            Long("seconds") => options.seconds = Some(number("--seconds", u64::MAX, parser.value()?)?),
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(options))
}

fn number<N: FromStr + Display>(option: &str, most: N, word: OsString) -> Result<N, lexopt::Error> {
    let number = word.to_str().and_then(|word| word.parse().ok());
    number.ok_or_else(|| {
        let word = word.to_string_lossy();
        format!("{option} {word}: must be a whole number from 0 to {most}").into()
    })
}

fn start(options: Options) -> Result<(), Error> {
    if let Some(data) = &options.data {
        run(&options, data)?;
        println!("stopped; the workers go on, and started with the same --data it takes them over");
        return Ok(());
    }
    let data = tempfile::Builder::new().prefix("orch-service-").tempdir()?;
    let result = run(&options, data.path());
    end_workers(data.path())?;
    data.close()?;
    result?;
    println!("stopped; nothing is left");
    Ok(())
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}\n{ENDPOINTS}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}\n\n{HELP}\n{}", ENDPOINTS.trim_end());
            return ExitCode::from(2);
        }
    };
    match start(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
