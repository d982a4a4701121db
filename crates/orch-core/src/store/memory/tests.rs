//! The memory store against what only it promises: its bounds.

use super::*;

fn store(history_commits: usize) -> MemoryStore {
    MemoryStore::with_options(MemoryStoreOptions::default().history_commits(history_commits))
}

async fn put(store: &MemoryStore, key: &str) -> Revision {
    store.commit(Txn::new().put(key, "v")).await.unwrap().revision
}

#[tokio::test]
async fn history_beyond_the_bound_is_compacted_and_the_slow_told() {
    let store = store(10);
    let mut slow = store.watch(&"a".into(), Revision::ZERO).await.unwrap();
    let mut quiet = store.watch(&"b".into(), Revision::ZERO).await.unwrap();
    for _ in 0..25 {
        put(&store, "a").await;
    }
    let told = slow.next().await.unwrap().unwrap_err();
    assert!(
        matches!(told, WatchError::Compacted { after, oldest }
            if after == Revision::ZERO && oldest == Revision::new(15)),
        "{told:?}"
    );
    assert!(slow.next().await.is_none());
    let at = |at| ListOptions {
        at: Some(Revision::new(at)),
        ..ListOptions::default()
    };
    assert!(matches!(
        store.list(&"a".into(), at(14)).await,
        Err(ReadError::Compacted { .. })
    ));
    assert_eq!(
        store.list(&"a".into(), at(15)).await.unwrap().entries[0].modified,
        Revision::new(15)
    );
    let last = put(&store, "b").await;
    assert_eq!(quiet.next().await.unwrap().unwrap().revision, last);
}

#[tokio::test]
async fn versions_do_not_outlive_the_history_that_needs_them() {
    let store = store(10);
    for n in 0..100 {
        put(&store, &format!("key-{}", n % 5)).await;
        store.commit(Txn::new().put("gone", "v")).await.unwrap();
        store.commit(Txn::new().delete("gone")).await.unwrap();
    }
    let (versions, keys) = store.state.read().versions.count();
    assert!(keys <= 6, "{keys} keys");
    assert!(versions <= 6 + 10, "{versions} versions");
    store.compact(store.revision().await.unwrap()).await.unwrap();
    assert_eq!(store.state.read().versions.count(), (5, 5));
}

#[tokio::test]
async fn a_large_history_is_compacted_in_steps_and_whole() {
    let store = store(1_000_000);
    for n in 0..3 * COMPACT_STEP {
        put(&store, &format!("{}", n % 2)).await;
    }
    let newest = store.revision().await.unwrap();
    store.compact(newest).await.unwrap();
    assert_eq!(store.state.read().versions.count(), (2, 2));
    assert_eq!(store.log.oldest(), newest);
}

#[tokio::test]
async fn values_are_shared_not_copied() {
    let store = MemoryStore::new();
    let value = bytes::Bytes::from(vec![1; 100]);
    let mut watch = store.watch(&"a".into(), Revision::ZERO).await.unwrap();
    store.commit(Txn::new().put("a", value.clone())).await.unwrap();
    let read = store.get(&"a".into()).await.unwrap().value.unwrap();
    let told = watch
        .next()
        .await
        .unwrap()
        .unwrap()
        .changes
        .remove(0)
        .1
        .current
        .unwrap();
    assert!(
        [read.value.as_ptr(), told.value.as_ptr()]
            .iter()
            .all(|pointer| *pointer == value.as_ptr())
    );
}

#[tokio::test]
async fn the_watches_of_a_dropped_store_end_once_they_have_delivered() {
    let store = MemoryStore::new();
    let mut watch = store.watch(&"a".into(), Revision::ZERO).await.unwrap();
    put(&store, "a").await;
    drop(store);
    assert!(watch.next().await.unwrap().is_ok());
    assert!(matches!(
        watch.next().await,
        Some(Err(WatchError::Unavailable(_)))
    ));
    assert!(watch.next().await.is_none());
}

#[tokio::test(flavor = "current_thread")]
async fn a_task_that_only_writes_lets_others_run() {
    let store = std::sync::Arc::new(MemoryStore::new());
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            while store.get(&"stop".into()).await.unwrap().value.is_none() {
                put(&store, "a").await;
            }
        }
    });
    put(&store, "b").await;
    tokio::task::yield_now().await;
    put(&store, "stop").await;
    writer.await.unwrap();
}
