//! What an earlier run has left, and whether it is as it was.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use orch_cluster::agent::Agent;
use orch_cluster::cluster::Cluster;
use orch_core::client::Client;
use orch_core::store::Store;

use super::Error;
use super::deadline::Deadline;
use super::wait::{PATIENCE, Wait};
use super::watch::{Views, all_pods};

/// The pods as the earlier run's agent saw them last.
pub(crate) struct Earlier(Vec<Pod>);

impl Earlier {
    /// To be asked before an agent begins, which writes what it sees.
    pub(crate) async fn read(store: &Arc<dyn Store>) -> Result<Self, Error> {
        Ok(Self(all_pods(&Client::new(store.clone())).await?))
    }

    /// Says what there is, and what of it is not as it was: what is written of a pod was true of the earlier run's
    /// time, until this one's agent has looked. Returns whether all is as it was.
    pub(crate) async fn compare(
        &self,
        cluster: &Cluster,
        views: &Views,
        deadline: Deadline,
    ) -> Result<bool, Error> {
        let Self(pods) = self;
        if pods.is_empty() {
            return Ok(true);
        }
        let looked = async {
            for agent in cluster.agents() {
                Agent::caught_up(agent).await;
            }
            Ok(())
        };
        let what = "the agent to look at the pods of an earlier run";
        // What they wrote last belongs below what is said of them here.
        let wait = Wait::with_patience(what, PATIENCE)
            .by(deadline)
            .before_last_words();
        views.during(wait, |_| false, looked).await?;

        let now = all_pods(cluster.client()).await?;
        views.look(&now).await;
        views.look(pods).await;
        let changed = views.changed();
        let many = pods.len();
        let words = match (many, changed.is_empty()) {
            (1, true) => "1 pod of an earlier run, as it was".to_owned(),
            (many, true) => format!("{many} pods of an earlier run, all as they were"),
            (1, false) => "1 pod of an earlier run, which is not as it was".to_owned(),
            (many, false) => format!("{many} pods of an earlier run, not all as they were"),
        };
        say!("found {words}:\n")?;
        for (pod, line) in &changed {
            say!("  {pod}  {line}")?;
        }
        if !changed.is_empty() {
            say!("")?;
        }
        say!("{}\n", views.table(cluster).await?)?;
        Ok(changed.is_empty())
    }
}
