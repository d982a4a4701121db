//! Cases: ranges of keys, as snapshots.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::{commit, delete, keys, list, put, together};
use crate::store::{Key, ListOptions, Prefix, ReadError, Revision, Store, Txn, limits};

/// Prefixes that end in 0xff have no plain successor; that must not widen or cut the range.
pub async fn a_list_holds_the_keys_under_its_prefix_in_byte_order(store: Arc<dyn Store>) {
    let all: [&[u8]; 11] = [
        b"\0",
        b"a",
        b"a\0",
        b"a/",
        b"a/b",
        b"a/\xff",
        b"a\xff",
        b"a\xff\xff",
        b"b",
        b"\xff",
        b"\xff\xff\x01",
    ];
    let reversed = all
        .iter()
        .rev()
        .fold(Txn::new(), |txn, key| txn.put(Bytes::from_static(key), "v"));
    commit(&*store, reversed).await;
    let prefixes: [&[u8]; 9] = [
        b"",
        b"a",
        b"a/",
        b"a\xff",
        b"a\xff\xff",
        b"\xff",
        b"\xff\xff",
        b"\0",
        b"c",
    ];
    for prefix in prefixes {
        let expected: Vec<&[u8]> = all
            .iter()
            .copied()
            .filter(|key| key.starts_with(prefix))
            .collect();
        for limit in [1, 2, 100] {
            let listed = list(&*store, &Bytes::from_static(prefix).into(), None, limit).await;
            assert_eq!(
                keys(&listed),
                expected,
                "prefix {:?}",
                prefix.escape_ascii().to_string()
            );
        }
    }
}

/// Also where the last page is exactly full.
pub async fn pages_join_to_the_whole_list(store: Arc<dyn Store>) {
    for n in 0..12 {
        put(&*store, &format!("a/{n:02}"), "v").await;
    }
    put(&*store, "b", "v").await;
    delete(&*store, "a/11").await;
    let whole = list(&*store, &"a/".into(), None, 100).await;
    assert_eq!(whole.len(), 11);
    for limit in 1..=12 {
        assert_eq!(
            list(&*store, &"a/".into(), None, limit).await,
            whole,
            "pages of {limit}"
        );
    }
    let options = ListOptions {
        limit: Some(11),
        ..ListOptions::default()
    };
    let page = store.list(&"a/".into(), options).await.expect("a page");
    assert_eq!((page.entries.len(), page.next), (11, None));
}

/// None, zero and more than the bound all mean the bound.
pub async fn a_page_without_a_limit_holds_no_more_than_the_bound(store: Arc<dyn Store>) {
    let total = limits::PAGE_ENTRIES + 1;
    let mut names = (0..total).map(|n| format!("{n:08}"));
    loop {
        let txn = names
            .by_ref()
            .take(limits::TXN_OPS)
            .fold(Txn::new(), |txn, name| txn.put(name, "v"));
        if txn.ops.is_empty() {
            break;
        }
        commit(&*store, txn).await;
    }
    for limit in [None, Some(0), Some(total), Some(usize::MAX)] {
        let options = ListOptions {
            limit,
            ..ListOptions::default()
        };
        let page = store.list(&Prefix::default(), options).await.expect("a page");
        assert_eq!(page.entries.len(), limits::PAGE_ENTRIES);
        assert_eq!(page.next, Some(Key::from(format!("{:08}", total - 1))));
    }
}

/// A page token from elsewhere cannot leak other keys.
pub async fn a_list_from_a_key_outside_its_prefix_keeps_to_the_prefix(store: Arc<dyn Store>) {
    for key in ["a", "b/1", "b/2", "c"] {
        put(&*store, key, "v").await;
    }
    for (from, expected) in [("a", 2), ("b/2", 1), ("b/20", 0), ("c", 0)] {
        let options = ListOptions {
            from: Some(from.into()),
            ..ListOptions::default()
        };
        let page = store.list(&"b/".into(), options).await.expect("a page");
        assert_eq!((page.entries.len(), page.next), (expected, None), "from {from}");
    }
}

/// Values, deletions and creations as they were, at each revision.
pub async fn a_list_at_an_earlier_revision_shows_the_past(store: Arc<dyn Store>) {
    let prefix = Prefix::default();
    let mut past: Vec<(Revision, Vec<crate::store::Entry>)> = Vec::new();
    let txns = [
        Txn::new().put("a", "1").put("b", "1"),
        Txn::new().put("a", "2"),
        Txn::new().delete("a").put("c", "1"),
        Txn::new().put("a", "3").delete("b"),
        Txn::new().delete("a").delete("c"),
        Txn::new().put("b", "2"),
    ];
    for txn in txns {
        let revision = commit(&*store, txn).await;
        past.push((revision, list(&*store, &prefix, None, 100).await));
    }
    let live: Vec<usize> = past.iter().map(|(_, entries)| entries.len()).collect();
    assert_eq!(live, [2, 2, 2, 2, 0, 1]);
    for (revision, entries) in past {
        for limit in [1, 100] {
            assert_eq!(
                list(&*store, &prefix, Some(revision), limit).await,
                entries,
                "at {revision}"
            );
        }
    }
}

/// Rather than answered with something else.
pub async fn a_list_at_a_future_revision_is_refused(store: Arc<dyn Store>) {
    let newest = put(&*store, "a", "1").await;
    let options = ListOptions {
        at: Some(newest.next()),
        ..ListOptions::default()
    };
    let refused = store.list(&Prefix::default(), options).await;
    let Err(ReadError::Future {
        requested,
        newest: said,
    }) = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!((requested, said), (newest.next(), newest));
}

/// Every commit rewrites all keys with one value, some come and go: a snapshot shows one value only.
pub async fn pages_of_one_snapshot_fit_together_under_concurrent_writes(store: Arc<dyn Store>) {
    const KEYS: u64 = 20;
    let done = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (store, done) = (store.clone(), done.clone());
        async move {
            let mut round = 0_u64;
            while !done.load(Ordering::Relaxed) {
                let txn = (0..KEYS).fold(Txn::new(), |txn, n| match (round + n) % 3 {
                    0 => txn.delete(format!("k/{n:02}")),
                    _ => txn.put(format!("k/{n:02}"), round.to_string()),
                });
                commit(&*store, txn).await;
                round += 1;
                tokio::task::yield_now().await;
            }
        }
    });
    put(&*store, "ready", "1").await;
    together(&store, 3, |n, store| async move {
        for round in 0..30 {
            let limit = 1 + usize::try_from((n + round) % 7).expect("a small number");
            let listed = list(&*store, &"k/".into(), None, limit).await;
            assert!(listed.windows(2).all(|pair| pair[0].key < pair[1].key));
            let values: std::collections::BTreeSet<_> =
                listed.iter().map(|entry| entry.value.clone()).collect();
            assert!(values.len() <= 1, "one snapshot showed {values:?}");
            assert!(
                listed.is_empty() || listed.len() >= 13,
                "{} of the keys are there",
                listed.len()
            );
        }
    })
    .await;
    done.store(true, Ordering::Relaxed);
    writer.await.expect("the writer succeeds");
}
