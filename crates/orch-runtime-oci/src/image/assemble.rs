//! Brings the layers of an image into the store, three at a time, each but once however many ask for it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use futures::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use super::digest::Digest;
use super::fault::{Doing, Fault};
use super::limits::{Budget, Stop};
use super::manifest::Config;
use super::store::{Scratch, Store};
use super::unpack::{Unpacked, settle, unpack};

/// Layers that are fetched and unpacked at a time.
const PARALLEL: usize = 3;

/// A layer unpacked, but not yet in its place.
pub(crate) struct Ready {
    scratch: Scratch,
    unpacked: Unpacked,
}

/// Unpacks one layer, and checks that it is what the configuration says.
pub(crate) fn ready(
    store: &Arc<Store>,
    archive: impl Read,
    diff: Digest,
    budget: &Budget,
    stop: &Stop,
) -> Result<Ready, Fault> {
    let scratch = store.scratch()?;
    let fs = scratch.path.join("fs");
    fs::DirBuilder::new().mode(0o755).create(&fs).at("making", &fs)?;
    let unpacked = unpack(archive, &fs, budget, stop)?;
    if unpacked.diff != diff {
        return Err(Fault::Refused(format!(
            "its configuration promises the layer {diff}, and the layer is {}",
            unpacked.diff
        )));
    }
    Ok(Ready { scratch, unpacked })
}

/// Puts the last of these layers into its place; those before it are there.
fn place(store: &Store, ready: Ready, chains: &[Digest]) -> Result<(), Fault> {
    let Some((chain, below)) = chains.split_last() else {
        return Ok(());
    };
    let mut below: Vec<PathBuf> = store
        .layers(below)
        .ok_or_else(|| Fault::refused("a layer below it has gone meanwhile"))?;
    below.reverse();
    let Ready { scratch, unpacked } = ready;
    settle(&scratch.path.join("fs"), &unpacked, &below)?;
    store.add_layer(scratch, *chain, unpacked.diff, unpacked.size)
}

/// Brings all of an image's layers; `fetch` is asked for those that are not there, by their index. The caller
/// has pinned them.
pub(crate) async fn assemble<E, F>(
    store: &Arc<Store>,
    flights: &Flights,
    config: &Config,
    fetch: impl Fn(usize) -> F,
) -> Result<(), E>
where
    E: From<Fault>,
    F: Future<Output = Result<Ready, E>>,
{
    let chains = config.chains();
    let (chains_of, fetch) = (&chains, &fetch);
    // In order, so that each finds those below it in place; and whoever waits for one waits for a lower one, so no
    // two can wait for each other.
    let mut layers = stream::iter(0..chains.len())
        .map(async |index| {
            let flight = flights.take(chains_of[index]).await;
            if store.has_layer(chains_of[index]) {
                return Ok(None);
            }
            fetch(index).await.map(|ready| Some((flight, ready)))
        })
        .buffered(PARALLEL);
    let mut count = 0;
    while let Some(layer) = layers.next().await {
        count += 1;
        if let Some((_flight, ready)) = layer? {
            let (store, chains) = (store.clone(), chains[..count].to_vec());
            blocking(move || place(&store, ready, &chains)).await?;
        }
    }
    Ok(())
}

/// What is being fetched.
#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<BTreeMap<Digest, Weak<tokio::sync::Mutex<()>>>>);

impl Flights {
    /// Waits until nobody else fetches this.
    pub(crate) async fn take(&self, digest: Digest) -> OwnedMutexGuard<()> {
        let flight = {
            let mut flights = self.0.lock();
            flights.retain(|_, flight| flight.strong_count() > 0);
            match flights.get(&digest).and_then(Weak::upgrade) {
                Some(flight) => flight,
                None => {
                    let flight = Arc::new(tokio::sync::Mutex::new(()));
                    flights.insert(digest, Arc::downgrade(&flight));
                    flight
                }
            }
        };
        flight.lock_owned().await
    }
}

/// Runs what blocks where it may.
pub(crate) async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<Fault> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime shuts down.
            Err(_) => Err(Fault::GivenUp.into()),
        },
    }
}
