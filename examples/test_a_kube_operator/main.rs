//! An operator written with kube-rs, tested against a whole cluster: API, controllers, scheduler and a node whose containers are
//! make-believe, in this process and without a socket. Time is virtual: what an operator waits for takes no time.
//!
//!     cargo run --example test_a_kube_operator
//!     cargo test --example test_a_kube_operator

mod operator;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use futures::TryStreamExt;
use kube::api::PostParams;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, CustomResourceExt};
use operator::{Directory, Website, WebsiteSpec};
use orch_api::ServeApi;
use orch_cluster::cluster::Cluster;
use orch_core::store::MemoryStore;
use orch_core::testing::FakeRuntime;
use tokio::task::JoinHandle;

type Failure = Box<dyn std::error::Error>;

/// A directory that the test can look into.
#[derive(Default)]
struct Entered(Mutex<BTreeSet<String>>);

impl Entered {
    fn names(&self) -> BTreeSet<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Directory for Entered {
    fn enter(&self, name: &str) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(name.to_owned());
    }

    fn strike(&self, name: &str) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.remove(name);
    }
}

/// A cluster in which the operator runs.
struct Stage {
    cluster: Cluster,
    client: Client,
    directory: Arc<Entered>,
    operator: JoinHandle<()>,
}

impl Stage {
    async fn set() -> Result<Self, Failure> {
        let node = Arc::new(FakeRuntime::new());
        let store = Arc::new(MemoryStore::new());
        let cluster = Cluster::builder(store).node("node-1", node).start().await?;
        // The line that makes it a cluster for kube-rs.
        let client = Client::new(cluster.api(), "default");
        let definitions = Api::all(client.clone());
        definitions
            .create(&PostParams::default(), &Website::crd())
            .await?;
        let directory = Arc::new(Entered::default());
        let operator = tokio::spawn(operator::run(client.clone(), directory.clone()));
        Ok(Self {
            cluster,
            client,
            directory,
            operator,
        })
    }

    fn sites(&self) -> Api<Website> {
        Api::default_namespaced(self.client.clone())
    }

    async fn create(&self, name: &str, replicas: i32) -> Result<Website, kube::Error> {
        let spec = WebsiteSpec {
            page: format!("<h1>{name}</h1>"),
            replicas,
        };
        let site = Website::new(name, spec);
        self.sites().create(&PostParams::default(), &site).await
    }

    /// Waits until a number of Websites are served as they ask.
    async fn until_served(&self, count: usize) -> Result<(), Failure> {
        let mut served = BTreeSet::new();
        let seen = watcher(self.sites(), watcher::Config::default()).applied_objects();
        let mut seen = std::pin::pin!(seen);
        while served.len() < count {
            let site = seen.try_next().await?.ok_or("the watch has ended")?;
            if site
                .status
                .is_some_and(|status| status.ready == site.spec.replicas)
            {
                served.extend(site.metadata.name);
            }
        }
        Ok(())
    }

    async fn strike(self) {
        self.operator.abort();
        self.cluster.stop().await;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    tokio::time::pause();
    let began = Instant::now();
    let stage = Stage::set().await?;
    for number in 0..10 {
        stage.create(&format!("site-{number}"), 2).await?;
    }
    stage.until_served(10).await?;
    let took = began.elapsed().as_secs_f64() * 1000.0;
    let entered = stage.directory.names().len();
    stage.strike().await;
    println!("10 Websites, each served by 2 pods, {entered} of them in the directory: {took:.1} ms");
    Ok(())
}
