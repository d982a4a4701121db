//! Cases: compares, atomicity and bounds of a commit.

use std::sync::Arc;

use bytes::Bytes;

use super::{commit, delete, get, list, put, together};
use crate::store::{CommitError, Expect, Key, Prefix, Revision, Store, Txn, limits};

/// Absent, present and the revision of the last write, on keys that are absent, written, rewritten, deleted.
pub async fn each_kind_of_compare_holds_or_conflicts(store: Arc<dyn Store>) {
    let before = store.revision().await.expect("a revision");
    let once = put(&*store, "once", "1").await;
    let created = put(&*store, "twice", "1").await;
    let twice = put(&*store, "twice", "2").await;
    put(&*store, "deleted", "1").await;
    let deleted = delete(&*store, "deleted").await;
    let cases = [
        ("never", Expect::Absent, Ok(())),
        ("never", Expect::Present, Err(None)),
        ("never", Expect::Modified(once), Err(None)),
        ("never", Expect::Modified(before), Err(None)),
        ("once", Expect::Absent, Err(Some(once))),
        ("once", Expect::Present, Ok(())),
        ("once", Expect::Modified(once), Ok(())),
        ("twice", Expect::Modified(created), Err(Some(twice))),
        ("twice", Expect::Modified(twice), Ok(())),
        ("twice", Expect::Modified(twice.next()), Err(Some(twice))),
        ("deleted", Expect::Absent, Ok(())),
        ("deleted", Expect::Present, Err(None)),
        ("deleted", Expect::Modified(deleted), Err(None)),
    ];
    for (key, expect, expected) in cases {
        let answer = store
            .commit(Txn::new().compare(key, expect).put("other", "1"))
            .await;
        match (answer, expected) {
            (Ok(committed), Ok(())) => assert!(committed.changed),
            (
                Err(CommitError::Conflict {
                    key: at,
                    expected,
                    actual,
                }),
                Err(found),
            ) => {
                assert_eq!((at, expected, actual), (Key::from(key), expect, found));
            }
            (answer, expected) => panic!("{key} {expect:?}: {answer:?} instead of {expected:?}"),
        }
    }
}

/// In the transaction's order, not the keys'.
pub async fn the_first_compare_that_fails_is_reported(store: Arc<dyn Store>) {
    put(&*store, "a", "1").await;
    let txn = Txn::new()
        .compare("a", Expect::Present)
        .compare("z", Expect::Present)
        .compare("a", Expect::Absent)
        .put("b", "1");
    let answer = store.commit(txn).await;
    let Err(CommitError::Conflict {
        key,
        expected,
        actual,
    }) = answer
    else {
        panic!("{answer:?}");
    };
    assert_eq!((key, expected, actual), ("z".into(), Expect::Present, None));
}

/// No operation of it, no revision.
pub async fn a_conflict_writes_nothing(store: Arc<dyn Store>) {
    let revision = put(&*store, "a", "1").await;
    let txn = Txn::new()
        .put("b", "1")
        .delete("a")
        .compare("c", Expect::Present)
        .put("c", "1");
    assert!(matches!(
        store.commit(txn).await,
        Err(CommitError::Conflict { .. })
    ));
    assert_eq!(store.revision().await.expect("a revision"), revision);
    assert_eq!(list(&*store, &Prefix::default(), None, 10).await.len(), 1);
    assert_eq!(put(&*store, "b", "2").await, revision.next());
}

/// A lease fences the writers that no longer hold it.
pub async fn a_compare_may_guard_a_key_that_is_not_written(store: Arc<dyn Store>) {
    let mine = put(&*store, "lease", "me").await;
    commit(
        &*store,
        Txn::new().compare("lease", Expect::Modified(mine)).put("a", "1"),
    )
    .await;
    put(&*store, "lease", "you").await;
    let late = store
        .commit(Txn::new().compare("lease", Expect::Modified(mine)).put("a", "2"))
        .await;
    assert!(matches!(late, Err(CommitError::Conflict { .. })), "{late:?}");
    assert_eq!(get(&*store, "a").await.expect("it was written").value, "1");
}

/// Creations and rewrites alike.
pub async fn all_operations_of_a_commit_share_its_revision(store: Arc<dyn Store>) {
    let first = commit(&*store, Txn::new().put("a", "1").put("b", "1").put("d", "1")).await;
    let second = commit(&*store, Txn::new().put("c", "2").delete("d").put("a", "2")).await;
    let entries = list(&*store, &Prefix::default(), None, 10).await;
    let seen: Vec<_> = entries
        .iter()
        .map(|e| (e.key.to_string(), e.created, e.modified))
        .collect();
    let expected = [("a", first, second), ("b", first, first), ("c", second, second)]
        .map(|(k, c, m)| (k.to_owned(), c, m));
    assert_eq!(seen, expected);
}

/// Nor wakes a watcher; its compares still count.
pub async fn a_transaction_that_changes_nothing_takes_no_revision(store: Arc<dyn Store>) {
    let revision = put(&*store, "a", "1").await;
    let mut watch = store.watch(&Prefix::default(), revision).await.expect("a watch");
    let nothing = [
        Txn::new(),
        Txn::new().compare("a", Expect::Present),
        Txn::new().delete("b"),
        Txn::new().compare("b", Expect::Absent).delete("b").delete("c"),
    ];
    for txn in nothing {
        let committed = store.commit(txn.clone()).await.expect("it holds");
        assert_eq!(
            (committed.revision, committed.changed),
            (revision, false),
            "{txn:?}"
        );
    }
    let conflict = store
        .commit(Txn::new().compare("b", Expect::Present).delete("b"))
        .await;
    assert!(
        matches!(conflict, Err(CommitError::Conflict { .. })),
        "{conflict:?}"
    );
    // Part of it changes something: it is a commit, and tells of that part only.
    let part = commit(&*store, Txn::new().delete("a").delete("b")).await;
    assert_eq!(part, revision.next());
    let batch = super::next(&mut watch).await.expect("a batch");
    assert_eq!((batch.revision, batch.changes.len()), (part, 1));
}

/// Equal to what? That is for the layers above to know.
pub async fn a_put_of_an_equal_value_takes_a_revision(store: Arc<dyn Store>) {
    let first = put(&*store, "a", "1").await;
    let second = put(&*store, "a", "1").await;
    assert_eq!(second, first.next());
    let entry = get(&*store, "a").await.expect("it was written");
    assert_eq!((entry.created, entry.modified), (first, second));
}

/// So that a reader who missed the deletion can tell.
pub async fn a_key_deleted_and_written_again_is_created_anew(store: Arc<dyn Store>) {
    let first = put(&*store, "a", "1").await;
    put(&*store, "a", "2").await;
    delete(&*store, "a").await;
    let again = put(&*store, "a", "3").await;
    let last = put(&*store, "a", "4").await;
    let entry = get(&*store, "a").await.expect("it was written");
    assert_eq!((entry.created, entry.modified), (again, last));
    assert!(entry.created > first);
}

/// Too many, too long, too large, empty, twice: each refused with nothing written.
pub async fn a_transaction_beyond_a_bound_is_refused_whole(store: Arc<dyn Store>) {
    let revision = store.revision().await.expect("a revision");
    let many = |n: usize| (0..n).fold(Txn::new(), |txn, n| txn.put(format!("{n}"), "v"));
    let long = Bytes::from(vec![b'k'; limits::KEY_BYTES + 1]);
    let cases = [
        ("too many operations", many(limits::TXN_OPS + 1)),
        (
            "too many with the compares",
            many(limits::TXN_OPS).compare("a", Expect::Absent),
        ),
        ("a long key", Txn::new().put("a", "1").put(long.clone(), "1")),
        (
            "a long key compared",
            Txn::new().put("a", "1").compare(long.clone(), Expect::Absent),
        ),
        ("a long key deleted", Txn::new().put("a", "1").delete(long)),
        ("an empty key", Txn::new().put("a", "1").put("", "1")),
        (
            "a large value",
            Txn::new()
                .put("a", "1")
                .put("b", vec![0; limits::VALUE_BYTES + 1]),
        ),
        (
            "a key twice",
            Txn::new().put("a", "1").put("b", "1").put("a", "2"),
        ),
        ("a key put and deleted", Txn::new().put("a", "1").delete("a")),
    ];
    for (name, txn) in cases {
        let answer = store.commit(txn).await;
        assert!(
            matches!(answer, Err(CommitError::Invalid { .. })),
            "{name}: {answer:?}"
        );
    }
    assert_eq!(store.revision().await.expect("a revision"), revision);
    assert_eq!(list(&*store, &Prefix::default(), None, 10).await, []);
}

/// The bounds themselves are allowed.
pub async fn a_transaction_at_the_bounds_is_accepted(store: Arc<dyn Store>) {
    let key = Bytes::from(vec![0xff; limits::KEY_BYTES]);
    let value = Bytes::from(vec![0xff; limits::VALUE_BYTES]);
    let many = (1..limits::TXN_OPS).fold(Txn::new(), |txn, n| txn.put(format!("{n}"), "v"));
    let revision = commit(&*store, many.put(key.clone(), value.clone())).await;
    let entry = get(&*store, key).await.expect("it was written");
    assert_eq!((entry.value, entry.modified), (value, revision));
    assert_eq!(
        list(&*store, &Prefix::default(), None, 5000).await.len(),
        limits::TXN_OPS
    );
}

/// And the others are told who was there.
pub async fn one_of_many_concurrent_creators_wins(store: Arc<dyn Store>) {
    for round in 0..10 {
        let key = format!("key-{round}");
        let answers = together(&store, 16, |n, store| {
            let txn = Txn::new()
                .create(key.as_str(), n.to_string())
                .put(format!("{key}/{n}"), "mine");
            async move { store.commit(txn).await }
        })
        .await;
        let won: Vec<Revision> = answers
            .iter()
            .flatten()
            .map(|committed| committed.revision)
            .collect();
        let [winner] = won[..] else {
            panic!("{} creators of one key", won.len())
        };
        for answer in answers {
            if let Err(error) = answer {
                let CommitError::Conflict { actual, .. } = error else {
                    panic!("{error}")
                };
                assert_eq!(actual, Some(winner));
            }
        }
        assert_eq!(list(&*store, &format!("{key}/").into(), None, 100).await.len(), 1);
    }
}

/// Compare-and-swap in a loop is enough to count.
pub async fn concurrent_increments_are_all_counted(store: Arc<dyn Store>) {
    put(&*store, "counter", "0").await;
    together(&store, 4, |_, store| async move {
        for _ in 0..25 {
            loop {
                let entry = get(&*store, "counter").await.expect("it is there");
                let count: u64 = std::str::from_utf8(&entry.value)
                    .expect("text")
                    .parse()
                    .expect("a number");
                let txn = Txn::new().update("counter", entry.modified, (count + 1).to_string());
                match store.commit(txn).await {
                    Ok(_) => break,
                    Err(CommitError::Conflict { .. }) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    })
    .await;
    assert_eq!(get(&*store, "counter").await.expect("it is there").value, "100");
}

/// Money moves between accounts: no list and no watch ever shows some missing.
pub async fn a_transaction_is_seen_whole_or_not_at_all(store: Arc<dyn Store>) {
    const ACCOUNTS: u64 = 5;
    let opening = (0..ACCOUNTS).fold(Txn::new(), |txn, n| txn.put(format!("{n}"), "100"));
    let start = commit(&*store, opening).await;
    let amount = |value: &Bytes| -> i64 {
        std::str::from_utf8(value)
            .expect("text")
            .parse()
            .expect("a number")
    };
    together(&store, 6, |n, store| async move {
        for round in 0..40 {
            let entries = list(&*store, &Prefix::default(), None, 2).await;
            assert_eq!(entries.iter().map(|entry| amount(&entry.value)).sum::<i64>(), 500);
            let from = &entries[usize::try_from((n + round) % ACCOUNTS).expect("small")];
            let to = &entries[usize::try_from((n + 2 * round + 1) % ACCOUNTS).expect("small")];
            if from.key == to.key {
                continue;
            }
            let txn = Txn::new()
                .update(
                    from.key.clone(),
                    from.modified,
                    (amount(&from.value) - 1).to_string(),
                )
                .update(to.key.clone(), to.modified, (amount(&to.value) + 1).to_string());
            match store.commit(txn).await {
                Ok(_) | Err(CommitError::Conflict { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await;
    let end = store.revision().await.expect("a revision");
    assert!(end > start, "some transfer succeeded");
    let mut watch = store.watch(&Prefix::default(), start).await.expect("a watch");
    let changes = super::changes_through(&mut watch, end).await;
    for pair in changes.chunks(2) {
        let moved: i64 = pair
            .iter()
            .map(|(_, change)| {
                let value =
                    |e: &Option<crate::store::Entry>| amount(&e.as_ref().expect("accounts stay").value);
                value(&change.current) - value(&change.previous)
            })
            .sum();
        assert_eq!((pair[0].0, moved), (pair[1].0, 0));
    }
}
