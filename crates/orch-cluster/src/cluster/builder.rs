//! Which parts a cluster is made of.

use std::sync::Arc;
use std::time::Duration;

use orch_core::client::{Admission, ApiError, Client, ClientBuilder, Kind};
use orch_core::random::Random;
use orch_core::runtime::Runtime;
use orch_core::scheduler::Scheduler;
use orch_core::store::Store;

use super::{Cluster, Task};
use crate::agent::{Agent, AgentConfig};
use crate::controllers::{Controllers, NamespaceLifecycle, ensure_namespaces};
use crate::custom::Definitions;
use crate::policies::Policies;
use crate::scheduling::{Scheduling, SchedulingOptions};
use crate::webhooks::{Caller, Unasked, Webhooks};

/// How long events are kept (kube-apiserver's `--event-ttl`), and how often old ones are looked for.
const EVENTS_KEPT: Duration = Duration::from_secs(3600);
const EVENTS_SWEPT: Duration = Duration::from_secs(300);

/// Puts a [`Cluster`] together. Every part is there unless it is replaced or left out.
pub struct ClusterBuilder {
    client: ClientBuilder,
    random: Random,
    nodes: Vec<(AgentConfig, Arc<dyn Runtime>)>,
    scheduler: Option<Arc<dyn Scheduler>>,
    scheduling: Option<SchedulingOptions>,
    controllers: bool,
    webhooks: Option<Arc<dyn Caller>>,
}

impl ClusterBuilder {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            client: crate::kinds::teach(Client::builder(store)),
            random: Random::from_os(),
            nodes: Vec::new(),
            scheduler: None,
            scheduling: Some(SchedulingOptions::default()),
            controllers: true,
            webhooks: None,
        }
    }

    /// A node of this name, with its agent in this process, whose pods run on `runtime`.
    #[must_use]
    pub fn node(self, name: impl Into<String>, runtime: Arc<dyn Runtime>) -> Self {
        self.node_with(AgentConfig::new(name), runtime)
    }

    /// A node whose agent is configured; several make a cluster of several nodes.
    #[must_use]
    pub fn node_with(mut self, config: AgentConfig, runtime: Arc<dyn Runtime>) -> Self {
        self.nodes.push((config, runtime));
        self
    }

    /// Teaches it a kind of the embedder's own and its rules, or replaces those of a built-in kind.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.client = self.client.kind(kind);
        self
    }

    /// Adds a rule for all writers. It is asked before the [policies](Policies) that are stored, and before the rule that an
    /// object's namespace must exist.
    #[must_use]
    pub fn admission(mut self, rule: impl Admission) -> Self {
        self.client = self.client.admission(rule);
        self
    }

    /// Asks the admission webhooks that are configured, which it reaches so; see [`Webhooks`]. They are asked after the rules of the
    /// embedder, and before it is looked whether the namespace is there. Without it who configures one is warned. Those that convert objects of users' own kinds are asked too.
    #[must_use]
    pub fn webhooks(mut self, caller: impl Caller) -> Self {
        self.webhooks = Some(Arc::new(caller));
        self
    }

    /// Where uids, generated names and jitter come from, in every part that is not given a source of its own; by
    /// default the operating system's randomness.
    ///
    /// On a current-thread runtime with paused time and an [anchored](orch_core::time::anchor_thread) date, the same
    /// seed gives the same history, to the byte, as long as nothing else comes from outside of the process.
    #[must_use]
    pub fn random(mut self, random: Random) -> Self {
        self.random = random;
        self
    }

    /// Places pods with another scheduler than the shipped engine.
    #[must_use]
    pub fn scheduler(mut self, scheduler: Arc<dyn Scheduler>) -> Self {
        self.scheduler = Some(scheduler);
        self
    }

    /// How the scheduling loop works.
    #[must_use]
    pub fn scheduling(mut self, options: SchedulingOptions) -> Self {
        self.scheduling = Some(options);
        self
    }

    /// Binds no pods: something else does, through the client.
    #[must_use]
    pub fn without_scheduling(mut self) -> Self {
        self.scheduling = None;
        self
    }

    /// Runs no controllers: something else does, through the client.
    #[must_use]
    pub fn without_controllers(mut self) -> Self {
        self.controllers = false;
        self
    }

    /// Starts everything on the present tokio runtime. Returns once the namespaces that every cluster has exist
    /// and the agents know their pods and containers.
    pub async fn start(self) -> Result<Cluster, ApiError> {
        let client = self.client.admission(Policies::new());
        let client = match self.webhooks {
            Some(caller) => {
                let converting = Definitions::new().webhooks(caller.clone());
                client
                    .admission(Webhooks::shared(caller).random(self.random.fork()))
                    .definitions(converting.random(self.random.fork()))
            }
            None => client.admission(Unasked),
        };
        // The last rule: what it refuses, no other did. `Cluster::apply` relies on it.
        let client = client
            .admission(NamespaceLifecycle)
            .random(self.random.fork())
            .build();
        ensure_namespaces(&client).await?;
        let agents: Vec<_> = self
            .nodes
            .into_iter()
            .map(|(mut config, runtime)| {
                // Drawn for every node, so that no other's depends on whether this one has its own.
                let random = self.random.fork();
                config.random.get_or_insert(random);
                Agent::start(client.clone(), runtime, config)
            })
            .collect();
        let controllers = self.controllers.then(|| {
            let controllers = Controllers::new(&client).random(self.random.fork());
            controllers.start()
        });
        let mut tasks = vec![Task(tokio::spawn(sweep_events(client.clone())).abort_handle())];
        if let Some(options) = self.scheduling {
            let mut scheduling = Scheduling::new(client.clone()).options(options);
            if let Some(scheduler) = self.scheduler {
                scheduling = scheduling.scheduler(scheduler);
            }
            tasks.push(Task(tokio::spawn(scheduling.run()).abort_handle()));
        }
        for agent in &agents {
            agent.ready().await;
        }
        Ok(Cluster {
            client,
            agents,
            controllers,
            tasks,
        })
    }
}

/// Keeps the store from filling with what nobody reads any more.
async fn sweep_events(client: Client) {
    loop {
        tokio::time::sleep(EVENTS_SWEPT).await;
        if let Err(error) = crate::events::expire_events(&client, EVENTS_KEPT).await {
            tracing::warn!(%error, "old events could not be removed, trying again later");
        }
    }
}
