//! Cases: one key read.

use std::sync::Arc;

use bytes::Bytes;

use super::{commit, delete, get, put, together};
use crate::store::{Entry, Key, Revision, Store, Txn};

/// An absent key is no error.
pub async fn a_key_never_written_reads_as_absent_at_the_newest_revision(store: Arc<dyn Store>) {
    let revision = put(&*store, "a", "1").await;
    let read = store.get(&"b".into()).await.expect("a get is answered");
    assert_eq!((read.value, read.revision), (None, revision));
}

/// Value, creation and last write.
pub async fn a_get_returns_what_the_last_commit_wrote(store: Arc<dyn Store>) {
    let created = put(&*store, "a", "1").await;
    let modified = put(&*store, "a", "2").await;
    let revision = put(&*store, "b", "3").await;
    let entry = Entry {
        key: "a".into(),
        value: "2".into(),
        created,
        modified,
    };
    let read = store.get(&"a".into()).await.expect("a get is answered");
    assert_eq!((read.value, read.revision), (Some(entry), revision));
    delete(&*store, "a").await;
    assert_eq!(get(&*store, "a").await, None);
}

/// Reads are linearizable, not only within one task.
pub async fn an_acknowledged_commit_is_read_by_every_task(store: Arc<dyn Store>) {
    for round in 0..50_u64 {
        let revision = put(&*store, "a", &round.to_string()).await;
        let reads = together(&store, 4, |_, store| async move { store.get(&"a".into()).await }).await;
        for read in reads {
            let read = read.expect("a get is answered");
            assert_eq!(read.value.map(|entry| entry.modified), Some(revision));
            assert!(read.revision >= revision);
        }
    }
}

/// Nothing is interpreted: not a zero byte, not 0xff, not the empty value.
pub async fn keys_and_values_may_hold_any_bytes(store: Arc<dyn Store>) {
    let all: Vec<u8> = (0..=255).collect();
    let raw: [&[u8]; 7] = [b"\0", b"\0\0", b"a\0b", b"a\0\xff", b"\xff\xff", b"a/\xfe", &all];
    for bytes in raw {
        let key = Key::from(Bytes::copy_from_slice(bytes));
        commit(
            &*store,
            Txn::new().put(key.clone(), Bytes::copy_from_slice(bytes)),
        )
        .await;
    }
    commit(&*store, Txn::new().put("empty", "")).await;
    for bytes in raw {
        let entry = get(&*store, Bytes::copy_from_slice(bytes))
            .await
            .expect("it was written");
        assert_eq!((entry.key.as_ref(), entry.value.as_ref()), (bytes, bytes));
    }
    assert_eq!(get(&*store, "empty").await.expect("it was written").value, "");
}

/// No gaps: a watcher may count on it.
pub async fn the_revision_grows_by_one_with_each_commit(store: Arc<dyn Store>) {
    let mut revision = store.revision().await.expect("a revision");
    for _ in 0..5 {
        let next = put(&*store, "a", "1").await;
        assert_eq!(next, revision.next());
        revision = store.revision().await.expect("a revision");
        assert_eq!(revision, next);
    }
    let many = together(&store, 8, |n, store| async move {
        put(&*store, &n.to_string(), "1").await
    })
    .await;
    let mut numbers: Vec<u64> = many.into_iter().map(Revision::get).collect();
    numbers.sort_unstable();
    let first = revision.get() + 1;
    assert_eq!(numbers, (first..first + 8).collect::<Vec<_>>());
}
