//! The stores by themselves: what one operation costs.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use orch_core::store::{Key, ListOptions, MemoryStore, Prefix, Store, Txn};
use orch_store::RedbStore;
use tokio::runtime::{Builder, Runtime};

const KEYS: u64 = 100_000;

fn key(n: u64) -> String {
    format!("/registry/pods/default/{:08}", n.wrapping_mul(7919) % KEYS)
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
}

async fn fill(store: &dyn Store) {
    let value = Bytes::from(vec![7; 1024]);
    for first in (0..KEYS).step_by(1000) {
        let txn = (first..first + 1000).fold(Txn::new(), |txn, n| txn.put(key(n), value.clone()));
        store.commit(txn).await.expect("a commit");
    }
}

fn operations(c: &mut Criterion, name: &str, store: &Arc<dyn Store>) {
    let runtime = runtime();
    runtime.block_on(fill(&**store));
    let value = Bytes::from(vec![7; 1024]);
    let mut group = c.benchmark_group(name);
    let mut n = 0;
    let mut next = move || {
        n += 1;
        key(n)
    };
    group.bench_function("get", |b| {
        b.iter_batched(
            || Key::from(next()),
            |key| runtime.block_on(store.get(black_box(&key))),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("put", |b| {
        b.iter_batched(
            || Txn::new().put(next(), value.clone()),
            |txn| runtime.block_on(store.commit(txn)).expect("a put"),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("put and seen by a watcher", |b| {
        let prefix = Prefix::from("/registry/");
        let mut watch = runtime.block_on(async {
            let now = store.revision().await.expect("a revision");
            store.watch(&prefix, now).await.expect("a watch")
        });
        b.iter_batched(
            || Txn::new().put(next(), value.clone()),
            |txn| {
                runtime.block_on(async {
                    let (committed, batch) = tokio::join!(store.commit(txn), watch.next());
                    committed.expect("a put");
                    batch.expect("it goes on").expect("history is held")
                })
            },
            BatchSize::SmallInput,
        );
    });
    group.throughput(Throughput::Elements(500));
    group.bench_function("list a page of 500", |b| {
        let options = ListOptions {
            limit: Some(500),
            from: Some(key(1).into()),
            ..ListOptions::default()
        };
        b.iter(|| {
            runtime
                .block_on(store.list(&Prefix::default(), options.clone()))
                .expect("a page")
        });
    });
    group.finish();
}

fn memory(c: &mut Criterion) {
    operations(c, "memory", &(Arc::new(MemoryStore::new()) as Arc<dyn Store>));
}

fn redb(c: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = RedbStore::open(directory.path().join("state.redb")).expect("a new store");
    operations(c, "redb", &(Arc::new(store) as Arc<dyn Store>));
}

criterion_group!(benches, memory, redb);
criterion_main!(benches);
