//! The redb store under load.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use orch_core::store::{Key, Revision, Store, Txn};
use orch_store::RedbStore;

use crate::load::{self, Figures};

pub(crate) async fn figures(directory: &Path, time: Duration) -> Figures {
    let directory = tempfile::tempdir_in(directory).expect("a directory");
    let store = Arc::new(RedbStore::open(directory.path().join("state.redb")).expect("a new store"));
    let puts = |clients| {
        let (store, value) = (store.clone(), load::value());
        load::rate(clients, time, move |client, n| {
            let (store, value) = (store.clone(), value.clone());
            async move {
                store
                    .commit(Txn::new().put(load::key(client, n), value))
                    .await
                    .expect("a put");
            }
        })
    };
    let many = puts(64).await;
    let one = puts(1).await;
    let gets = {
        let store = store.clone();
        load::rate(64, time, move |client, n| {
            let store = store.clone();
            async move {
                let read = store.get(&Key::from(load::key(client, n))).await.expect("a get");
                assert!(read.value.is_none_or(|entry| entry.value.len() == 1024));
            }
        })
        .await
    };
    let mut figures = Figures::from([(load::PUTS_64, many), (load::PUTS_1, one), (load::GETS_64, gets)]);
    figures.insert(load::DELIVERIES, deliveries(&store, time).await);
    figures.extend(load::latencies(latency(&store).await));
    figures
}

async fn deliveries(store: &Arc<RedbStore>, time: Duration) -> f64 {
    let delivered = Arc::new(AtomicU64::new(0));
    let now = store.revision().await.expect("a revision");
    let mut watchers = Vec::new();
    for _ in 0..load::WATCHERS {
        let mut watch = store.watch(&"watched".into(), now).await.expect("a watch");
        let delivered = delivered.clone();
        watchers.push(tokio::spawn(async move {
            loop {
                let batch = watch.next().await.expect("it goes on").expect("history is held");
                delivered.fetch_add(batch.changes.len() as u64, Relaxed);
            }
        }));
    }
    let writers = tokio::spawn({
        let (store, value) = (store.clone(), load::value());
        load::rate(load::WATCHED_WRITERS, time + time / 2, move |_, _| {
            let (store, value) = (store.clone(), value.clone());
            async move {
                store
                    .commit(Txn::new().put("watched", value))
                    .await
                    .expect("a put");
            }
        })
    });
    let per_second = load::count(&delivered, time).await;
    writers.await.expect("the writers succeed");
    for watcher in watchers {
        watcher.abort();
    }
    per_second
}

/// One commit after the other, a millisecond apart, each followed to the watcher.
async fn latency(store: &Arc<RedbStore>) -> Vec<Duration> {
    let now: Revision = store.revision().await.expect("a revision");
    let mut watch = store.watch(&"latency".into(), now).await.expect("a watch");
    let mut times = Vec::new();
    for _ in 0..1000 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let started = Instant::now();
        let writer = tokio::spawn({
            let store = store.clone();
            async move { store.commit(Txn::new().put("latency", load::value())).await }
        });
        watch.next().await.expect("it goes on").expect("history is held");
        times.push(started.elapsed());
        writer.await.expect("the writer succeeds").expect("a put");
    }
    times
}
