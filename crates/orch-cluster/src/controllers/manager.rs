//! Runs all controllers.

use orch_core::client::Client;
use orch_core::controller::{Election, Leadership, MetricsSnapshot, Running};
use orch_core::random::Random;
use tokio::task::JoinHandle;

use super::caches::Caches;
use super::{definition, deployment, disruption, garbage, namespace, node_lifecycle, pod_gc, replica_set};

/// All controllers over one client: Deployments, ReplicaSets, garbage collection, namespaces, definitions of kinds, nodes, pods
/// and disruption budgets.
///
/// They share their views of the store. They hold nothing that is not in it, so they can be stopped, or killed, and
/// started anew at any time.
///
/// ```
/// use std::sync::Arc;
///
/// use orch_cluster::controllers::Controllers;
/// use orch_core::client::Client;
/// use orch_core::store::MemoryStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let client = Client::new(Arc::new(MemoryStore::new()));
/// let running = Controllers::new(&client).start();
/// assert!(running.metrics().iter().any(|(name, _)| name == "deployment"));
/// running.stop().await;
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Controllers {
    client: Client,
    random: Random,
}

impl Controllers {
    /// Controllers that read and write through `client`.
    pub fn new(client: &Client) -> Self {
        Self {
            client: client.clone(),
            random: Random::from_os(),
        }
    }

    /// Where jitter comes from; by default the operating system's randomness.
    #[must_use]
    pub fn random(mut self, random: Random) -> Self {
        self.random = random;
        self
    }

    /// Starts them on the present tokio runtime.
    pub fn start(self) -> RunningControllers {
        let (client, caches) = (&self.client, Caches::start(&self.client));
        // One each, in this order: what one draws does not depend on how the others' turns fall.
        let random = || self.random.fork();
        RunningControllers {
            engines: vec![
                deployment::start(client, &caches, random()),
                replica_set::start(client, &caches, random()),
                namespace::start(client, &caches, random()),
                node_lifecycle::start(client, &caches, random()),
                definition::start(client, random()),
                disruption::start(client, &caches, random()),
            ],
            collector: garbage::start(client, random()),
            pods: Task(tokio::spawn(pod_gc::run(self.client.clone(), caches))),
        }
    }

    /// Runs them whenever this process leads, until dropped. Of all processes with the same election one does.
    pub async fn run_elected(self, election: Election) {
        let Self { client, random } = self;
        let mut leadership = Leadership::campaign(client, election);
        loop {
            // What the controllers write through it is refused once another process leads.
            let client = leadership.won().await;
            let running = Self {
                client,
                random: random.clone(),
            }
            .start();
            leadership.lost().await;
            drop(running);
        }
    }
}

/// Controllers at work; dropped, they stop at once, in the middle of whatever they do.
#[derive(Debug)]
pub struct RunningControllers {
    engines: Vec<Running>,
    collector: garbage::Collector,
    pods: Task,
}

impl RunningControllers {
    /// What those that run on the engine have done so far, by name.
    pub fn metrics(&self) -> Vec<(String, MetricsSnapshot)> {
        let engines = self.engines.iter();
        engines
            .map(|engine| (engine.name().to_owned(), engine.metrics()))
            .collect()
    }

    /// Lets what is in hand finish, and returns when all have stopped.
    pub async fn stop(self) {
        drop((self.collector, self.pods));
        for engine in self.engines {
            engine.stop().await;
        }
    }
}

/// A task that ends when this is dropped.
#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
