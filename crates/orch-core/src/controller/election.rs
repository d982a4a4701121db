//! Leader election over a lease, as client-go does it, with a fence that client-go lacks.
//!
//! A candidate takes the lease if nobody holds it or if it has seen it unrenewed for the lease's own duration by
//! its own clock (clocks need not agree). The leader renews it, and stops when it could not do so in time. Taking
//! the lease also raises a fence in the store: from then on the writes of the one before are refused there,
//! however late it notices.

use std::time::Duration;

use serde_json::Map;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::engine::told;
use super::{Lease, LeaseSpec};
use crate::client::{Api, ApiError, Client, Fence};
use crate::object::ObjectMeta;
use crate::store::Revision;
use crate::time;

/// Which lease to hold, and how; times are client-go's defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Election {
    /// The lease's namespace.
    pub namespace: String,
    /// The lease's name, shared by all candidates.
    pub name: String,
    /// Who this candidate is, different for each.
    pub identity: String,
    /// How long the lease holds without being renewed.
    pub duration: Duration,
    /// How long the leader tries to renew it before it gives up; below `duration`.
    pub renew_deadline: Duration,
    /// How often candidates look, and the leader renews.
    pub retry_period: Duration,
}

impl Election {
    /// An election with client-go's times: 15 s, 10 s and 2 s.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>, identity: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            identity: identity.into(),
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

/// A candidate: campaigns in a task of its own until it resigns or is dropped.
pub struct Leadership {
    client: Client,
    state: watch::Receiver<Option<Reign>>,
    resign: watch::Sender<bool>,
    task: JoinHandle<()>,
    /// The reign that was won last.
    won: Option<u64>,
}

/// One time of leading.
#[derive(Clone, Debug)]
struct Reign {
    /// Which of this candidate's it is: one can end and the next begin before anybody looks.
    number: u64,
    /// None where the backend has no fences.
    fence: Option<Fence>,
}

impl Leadership {
    /// Starts to campaign.
    pub fn campaign(client: Client, election: Election) -> Self {
        let (reign, state) = watch::channel(None);
        let (resign, resigned) = watch::channel(false);
        let candidate = Candidate {
            api: client.api(&election.namespace),
            client: client.clone(),
            election,
            seen: None,
            reigns: 0,
        };
        let task = tokio::spawn(candidate.run(reign, resigned));
        Self {
            client,
            state,
            resign,
            task,
            won: None,
        }
    }

    /// Waits until this candidate leads; the client's writes are refused once another does.
    pub async fn won(&mut self) -> Client {
        loop {
            if let Some(reign) = self.state.borrow_and_update().clone() {
                self.won = Some(reign.number);
                return match (&reign.fence, self.client.backend().fences()) {
                    (Some(fence), Some(fences)) => fences.behind(fence),
                    _ => self.client.clone(),
                };
            }
            if self.state.changed().await.is_err() {
                // The campaign is over; there is nothing to win any more.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until the lead that was [won](Self::won) last is over, also if this candidate leads anew by then.
    pub async fn lost(&mut self) {
        let won = self.won;
        let is_over = |now: &Option<Reign>| now.is_none() || now.as_ref().map(|reign| reign.number) != won;
        // An error means that the campaign ended, and the lead with it.
        let _ = self.state.wait_for(is_over).await;
    }

    /// Whether this candidate leads now.
    pub fn is_leader(&self) -> bool {
        self.state.borrow().is_some()
    }

    /// Ends the campaign and gives the lease back, so that the next leader need not wait for it to run out.
    pub async fn resign(mut self) {
        self.resign.send_replace(true);
        if let Err(error) = (&mut self.task).await {
            tracing::error!(%error, "the campaign ended abnormally");
        }
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Candidate {
    api: Api<Lease>,
    client: Client,
    election: Election,
    /// The lease as last seen, and when it was first seen so.
    seen: Option<(LeaseSpec, Instant)>,
    /// How often it has led.
    reigns: u64,
}

impl Candidate {
    async fn run(mut self, reign: watch::Sender<Option<Reign>>, mut resigned: watch::Receiver<bool>) {
        let campaign = async {
            loop {
                self.reign(&reign).await;
            }
        };
        tokio::select! {
            biased;
            () = told(&mut resigned) => {}
            () = campaign => {}
        }
        reign.send_replace(None);
        // Whether or not it led: it may have been told in the middle of taking the lease.
        self.release().await;
    }

    /// Takes the lease, leads for as long as it can be renewed, and returns when it is lost.
    async fn reign(&mut self, reign: &watch::Sender<Option<Reign>>) {
        let (fence, mut asked) = self.acquire().await;
        self.reigns += 1;
        let number = self.reigns;
        let (lease, holder) = (&self.election.name, &self.election.identity);
        tracing::info!(lease, holder, "leading");
        reign.send_replace(Some(Reign { number, fence }));
        // Others count from when the lease was written, which is after it was asked for.
        let mut renewed = asked;
        loop {
            // From then too: much of the lease's time may be gone already.
            tokio::time::sleep_until(asked + self.election.retry_period).await;
            let deadline = renewed + self.election.renew_deadline;
            asked = Instant::now();
            match tokio::time::timeout_at(deadline, self.renew()).await {
                Ok(Ok(true)) => renewed = asked,
                Ok(Ok(false)) => break,
                Ok(Err(error)) if Instant::now() < deadline => {
                    tracing::warn!(lease = self.election.name, %error, "could not renew the lease, trying again");
                }
                Ok(Err(_)) | Err(_) => break,
            }
        }
        tracing::warn!(
            lease = self.election.name,
            holder = self.election.identity,
            "no longer leading"
        );
        reign.send_replace(None);
    }

    /// Waits until the lease is this candidate's and the fence is raised; with it, when the lease was asked for.
    async fn acquire(&mut self) -> (Option<Fence>, Instant) {
        loop {
            match self.try_acquire().await {
                // Where raising the fence took that long, the lease may be another's by now.
                Ok(Some((_, asked))) if asked.elapsed() >= self.election.renew_deadline => continue,
                Ok(Some(taken)) => return taken,
                Ok(None) => {}
                Err(error) => tracing::debug!(lease = self.election.name, %error, "could not take the lease"),
            }
            tokio::time::sleep(self.election.retry_period).await;
        }
    }

    async fn try_acquire(&mut self) -> Result<Option<(Option<Fence>, Instant)>, ApiError> {
        let client = self.client.clone();
        let fences = client.backend().fences();
        // Read before the lease is taken: if another takes the lease and raises the fence after this, raising
        // it here fails.
        let seen_fence = match fences {
            Some(fences) => fences.read_fence(&self.fence_name()).await?,
            None => Revision::ZERO,
        };
        let asked = Instant::now();
        if !self.try_take().await? {
            return Ok(None);
        }
        let Some(fences) = fences else {
            return Ok(Some((None, asked)));
        };
        let raised = fences
            .raise_fence(&self.fence_name(), &self.election.identity, seen_fence)
            .await?;
        Ok(raised.map(|fence| (Some(fence), asked)))
    }

    fn fence_name(&self) -> String {
        format!("{}/{}", self.election.namespace, self.election.name)
    }

    /// Takes the lease if it is free, or run out, or this candidate's own already.
    async fn try_take(&mut self) -> Result<bool, ApiError> {
        let now = time::now();
        let Some(mut lease) = self.api.get_opt(&self.election.name).await? else {
            let mut spec = self.claim(None);
            spec.lease_transitions = Some(0);
            let metadata = ObjectMeta::named(&self.election.name).in_namespace(&self.election.namespace);
            return won(self.api.create(&Lease { metadata, spec }).await);
        };
        let holder = lease.spec.holder_identity.as_deref().unwrap_or_default();
        if !holder.is_empty() && holder != self.election.identity {
            // What others keep with it is no sign of the holder's life.
            let spec = LeaseSpec {
                other: Map::new(),
                ..lease.spec.clone()
            };
            match &self.seen {
                Some((seen, since)) if *seen == spec => {
                    let seconds = lease
                        .spec
                        .lease_duration_seconds
                        .and_then(|s| u64::try_from(s).ok());
                    let duration = seconds.map_or(self.election.duration, Duration::from_secs);
                    if since.elapsed() < duration {
                        return Ok(false);
                    }
                }
                _ => {
                    self.seen = Some((spec, Instant::now()));
                    return Ok(false);
                }
            }
        }
        let mut spec = self.claim(Some(&lease.spec));
        if holder != self.election.identity {
            spec.lease_transitions = Some(lease.spec.lease_transitions.unwrap_or(0).saturating_add(1));
            spec.acquire_time = Some(now);
        }
        lease.spec = spec;
        won(self.api.update(&lease).await)
    }

    /// Renews the lease; false if it is another's now.
    async fn renew(&self) -> Result<bool, ApiError> {
        let Some(mut lease) = self.api.get_opt(&self.election.name).await? else {
            return Ok(false);
        };
        if lease.spec.holder_identity.as_deref() != Some(self.election.identity.as_str()) {
            return Ok(false);
        }
        lease.spec = self.claim(Some(&lease.spec));
        // A conflict is no loss: somebody wrote to the lease, and the next look tells whose it is.
        self.api.update(&lease).await.map(|_| true)
    }

    fn claim(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = time::now();
        LeaseSpec {
            holder_identity: Some(self.election.identity.clone()),
            lease_duration_seconds: i32::try_from(self.election.duration.as_secs().max(1)).ok(),
            acquire_time: before.and_then(|spec| spec.acquire_time).or(Some(now)),
            renew_time: Some(now),
            lease_transitions: before.and_then(|spec| spec.lease_transitions),
            other: before.map(|spec| spec.other.clone()).unwrap_or_default(),
        }
    }

    async fn release(&self) {
        let result = async {
            let mut lease = self.api.get(&self.election.name).await?;
            if lease.spec.holder_identity.as_deref() == Some(self.election.identity.as_str()) {
                lease.spec.holder_identity = None;
                lease.spec.renew_time = Some(time::now());
                self.api.update(&lease).await?;
            }
            Ok::<_, ApiError>(())
        };
        if let Err(error) = result.await {
            // It runs out by itself.
            tracing::debug!(lease = self.election.name, %error, "could not give the lease back");
        }
    }
}

/// Losing a race for the lease is no error.
fn won<T>(written: Result<T, ApiError>) -> Result<bool, ApiError> {
    match written {
        Ok(_) => Ok(true),
        Err(ApiError::Conflict { .. } | ApiError::AlreadyExists(_)) => Ok(false),
        Err(error) => Err(error),
    }
}
