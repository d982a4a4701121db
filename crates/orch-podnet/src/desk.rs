//! Where a network works on its sandboxes: in the namespace that it was opened in, one at a time per sandbox, and not
//! too many at once.

use std::sync::Arc;

use futures::future;
use orch_core::runtime::{RuntimeError, SandboxId};
use tokio::sync::Semaphore;

use crate::files;
use crate::threads::Home;
use crate::turns::Turns;

/// How many sandboxes are worked on at once. The kernel does one change of links at a time anyway, and plugins are
/// programs that take locks of their own.
const AT_ONCE: usize = 8;

#[derive(Debug)]
pub(crate) struct Desk<N> {
    home: Home,
    network: Arc<N>,
    turns: Turns,
    places: Arc<Semaphore>,
}

impl<N: Send + Sync + 'static> Desk<N> {
    /// Has the network made where the calling thread is.
    pub(crate) async fn open(
        what: &str,
        make: impl FnOnce() -> Result<N, RuntimeError> + Send + 'static,
    ) -> Result<Self, RuntimeError> {
        let home =
            Home::here().map_err(|error| RuntimeError::failed("opening /proc/thread-self/ns/net", error))?;
        let network = home.run(what, make).await?;
        Ok(Self {
            home,
            network: Arc::new(network),
            turns: Turns::default(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    pub(crate) fn network(&self) -> &N {
        &self.network
    }

    /// Does what is of no single sandbox.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        what: &str,
        work: impl FnOnce(&N) -> Result<T, RuntimeError> + Send + 'static,
    ) -> Result<T, RuntimeError> {
        let network = self.network.clone();
        self.home.run(what, move || work(&network)).await
    }

    /// Works on one sandbox, when its turn comes.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        what: &str,
        sandbox: &SandboxId,
        work: impl FnOnce(&N) -> Result<T, RuntimeError> + Send + 'static,
    ) -> Result<T, RuntimeError> {
        files::checked(sandbox)?;
        let turn = self.turns.take(&sandbox.0).await;
        let place = self.places.clone().acquire_owned().await;
        let held = move |network: &N| {
            let _held = (turn, place);
            work(network)
        };
        self.run(&format!("{what} sandbox {sandbox}"), held).await
    }

    /// Disconnects those that nobody knows any more.
    pub(crate) async fn disconnect(
        &self,
        orphans: Vec<SandboxId>,
        detach: impl Fn(&N, &SandboxId) -> Result<(), RuntimeError> + Clone + Send + 'static,
    ) -> Result<(), RuntimeError> {
        let gone = orphans.into_iter().map(|orphan| {
            let detach = detach.clone();
            async move {
                tracing::info!(sandbox = %orphan, "disconnecting what belongs to no sandbox");
                let id = orphan.clone();
                self.work("disconnecting", &orphan, move |network| detach(network, &id))
                    .await
            }
        });
        future::join_all(gone).await.into_iter().collect()
    }
}
