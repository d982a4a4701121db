//! Cases: what watchers are told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::{PATIENCE, changes_through, check_batch, commit, delete, get, list, next, put, together};
use crate::store::{Key, Prefix, Revision, Store, Txn, Watch, WatchError};

/// Creation, rewrite, deletion and creation anew.
pub async fn a_watch_tells_what_a_key_holds_and_held(store: Arc<dyn Store>) {
    let start = store.revision().await.expect("a revision");
    let mut states = vec![None];
    put(&*store, "a", "1").await;
    states.push(get(&*store, "a").await);
    put(&*store, "a", "2").await;
    states.push(get(&*store, "a").await);
    delete(&*store, "a").await;
    states.push(None);
    let end = put(&*store, "a", "3").await;
    states.push(get(&*store, "a").await);

    let mut watch = store.watch(&"a".into(), start).await.expect("a watch");
    let changes = changes_through(&mut watch, end).await;
    assert_eq!(changes.len(), 4);
    for (n, (revision, change)) in changes.into_iter().enumerate() {
        assert_eq!(revision.get(), start.get() + 1 + n as u64);
        assert_eq!(change.key, "a".into());
        assert_eq!(
            (&change.previous, &change.current),
            (&states[n], &states[n + 1]),
            "at {revision}"
        );
    }
}

/// At the borders of the prefix too, live and from history.
pub async fn a_watch_sees_its_prefix_alone(store: Arc<dyn Store>) {
    let all: [&[u8]; 9] = [
        b"a",
        b"a\0",
        b"a/",
        b"a/b",
        b"a\xff",
        b"a\xff\xff",
        b"b",
        b"\xff",
        b"\xff\xff",
    ];
    let prefixes: [&'static [u8]; 7] = [b"", b"a", b"a/", b"a\xff", b"\xff", b"\xff\xff", b"b"];
    let start = store.revision().await.expect("a revision");
    let mut watches = Vec::new();
    for prefix in prefixes {
        watches.push((
            prefix,
            store
                .watch(&Bytes::from_static(prefix).into(), start)
                .await
                .expect("a watch"),
        ));
    }
    for key in all {
        commit(
            &*store,
            Txn::new().put(Bytes::from_static(key), "v").put("other", "v"),
        )
        .await;
    }
    for prefix in prefixes {
        watches.push((
            prefix,
            store
                .watch(&Bytes::from_static(prefix).into(), start)
                .await
                .expect("a watch"),
        ));
    }
    for (prefix, mut watch) in watches {
        let expected: Vec<&[u8]> = all
            .iter()
            .copied()
            .filter(|key| key.starts_with(prefix))
            .collect();
        let mut seen = Vec::new();
        while seen.len() < expected.len() {
            let batch = next(&mut watch).await.expect("a batch");
            seen.extend(
                batch
                    .changes
                    .into_iter()
                    .map(|(_, change)| change.key)
                    .filter(|key| *key != "other".into()),
            );
        }
        assert_eq!(seen.iter().map(Key::as_ref).collect::<Vec<&[u8]>>(), expected);
    }
}

/// However large.
pub async fn the_changes_of_one_commit_come_in_one_batch(store: Arc<dyn Store>) {
    let start = store.revision().await.expect("a revision");
    let mut live = store.watch(&"a/".into(), start).await.expect("a watch");
    let mut sizes: BTreeMap<Revision, usize> = BTreeMap::new();
    for size in [1, 700, 2, 1023, 500, 1] {
        let txn = (0..size).fold(Txn::new().put("b", "v"), |txn, n| txn.put(format!("a/{n}"), "v"));
        sizes.insert(commit(&*store, txn).await, size);
    }
    let mut resumed = store.watch(&"a/".into(), start).await.expect("a watch");
    for watch in [&mut live, &mut resumed] {
        let mut left = sizes.clone();
        let mut reached = start;
        while !left.is_empty() {
            let batch = next(watch).await.expect("a batch");
            check_batch(&batch, reached);
            reached = batch.revision;
            for commit in batch.changes.chunk_by(|one, two| one.0 == two.0) {
                assert_eq!(
                    left.remove(&commit[0].0),
                    Some(commit.len()),
                    "at {}",
                    commit[0].0
                );
            }
        }
    }
}

/// At each commit, and at each batch's end.
pub async fn a_watch_resumes_after_any_revision_without_gap_or_repeat(store: Arc<dyn Store>) {
    let start = store.revision().await.expect("a revision");
    let mut end = start;
    for n in 0..30 {
        put(&*store, &format!("b/{n}"), "v").await;
        end = put(&*store, &format!("a/{}", n % 7), &n.to_string()).await;
    }
    let prefix = Prefix::from("a/");
    let mut watch = store.watch(&prefix, start).await.expect("a watch");
    let whole = changes_through(&mut watch, end).await;
    assert_eq!(whole.len(), 30);
    for after in start.get()..end.get() {
        let after = Revision::new(after);
        let mut watch = store.watch(&prefix, after).await.expect("a watch");
        let expected: Vec<_> = whole
            .iter()
            .filter(|(revision, _)| *revision > after)
            .cloned()
            .collect();
        assert_eq!(changes_through(&mut watch, end).await, expected, "after {after}");
    }
    let mut seen = Vec::new();
    let mut after = start;
    while after < end {
        let mut watch = store.watch(&prefix, after).await.expect("a watch");
        let batch = next(&mut watch).await.expect("a batch");
        after = batch.revision;
        seen.extend(batch.changes);
    }
    assert_eq!(seen, whole);
}

/// And nothing of what was.
pub async fn a_watch_after_the_newest_revision_sees_what_comes(store: Arc<dyn Store>) {
    let newest = put(&*store, "a", "1").await;
    let mut watch = store.watch(&"a".into(), newest).await.expect("a watch");
    let coming = tokio::spawn({
        let store = store.clone();
        async move { put(&*store, "a", "2").await }
    });
    let batch = next(&mut watch).await.expect("a batch");
    assert_eq!(batch.revision, coming.await.expect("the writer succeeds"));
    assert_eq!(batch.changes.len(), 1);
}

/// Its changes may never be numbered as the caller thinks.
pub async fn a_watch_from_the_future_is_refused(store: Arc<dyn Store>) {
    let newest = put(&*store, "a", "1").await;
    let refused = store.watch(&"a".into(), newest.next()).await;
    assert!(
        matches!(&refused, Err(WatchError::Future { requested, newest: said })
            if *requested == newest.next() && *said == newest),
        "{refused:?}"
    );
}

/// A watcher never knows more than a reader.
pub async fn what_a_watch_delivers_can_be_read(store: Arc<dyn Store>) {
    let start = store.revision().await.expect("a revision");
    let mut watch = store.watch(&"a".into(), start).await.expect("a watch");
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            for n in 0..200 {
                put(&*store, "a", &n.to_string()).await;
            }
        }
    });
    let mut reached = start;
    while reached.get() < start.get() + 200 {
        let batch = next(&mut watch).await.expect("a batch");
        reached = batch.revision;
        let read = store.get(&"a".into()).await.expect("a get is answered");
        assert!(
            read.revision >= reached,
            "read {} after being told of {reached}",
            read.revision
        );
        assert!(read.value.expect("it was written").modified >= reached);
    }
    writer.await.expect("the writer succeeds");
}

/// Dropped while it waits, while it has unread changes, or never polled.
pub async fn a_watch_that_is_dropped_leaves_the_others_alone(store: Arc<dyn Store>) {
    let start = store.revision().await.expect("a revision");
    let mut stays = store.watch(&"a".into(), start).await.expect("a watch");
    for round in 0..20 {
        let unpolled = store.watch(&"a".into(), start).await.expect("a watch");
        let now = store.revision().await.expect("a revision");
        let mut waiting = store.watch(&"a".into(), now).await.expect("a watch");
        assert!(futures::poll!(std::pin::pin!(waiting.next())).is_pending());
        if round % 2 == 0 {
            drop(waiting);
            put(&*store, "a", "1").await;
        } else {
            put(&*store, "a", "1").await;
            drop(waiting);
        }
        drop(unpolled);
    }
    let end = store.revision().await.expect("a revision");
    assert_eq!(changes_through(&mut stays, end).await.len(), 20);
}

/// The heart of the suite: every watcher, whenever it starts and however it resumes, sees each commit under its
/// prefix once, in order, and ends with the state that a list shows.
pub async fn no_change_is_lost_or_doubled_under_concurrent_writers_and_watchers(store: Arc<dyn Store>) {
    const WRITERS: u64 = 6;
    const ROUNDS: u64 = 100;
    let start = store.revision().await.expect("a revision");
    let done = Arc::new(AtomicBool::new(false));
    let watchers: Vec<_> = (0..8_u64)
        .map(|n| {
            let (store, done) = (store.clone(), done.clone());
            let prefix = Prefix::from(["", "w/", "w/1/", "w/2/"][usize::try_from(n % 4).expect("small")]);
            tokio::spawn(async move {
                let seen = follow(&store, &prefix, start, n >= 4, &done).await;
                (prefix, seen)
            })
        })
        .collect();
    let committed = together(&store, WRITERS, |writer, store| async move {
        let mut revisions = Vec::new();
        for round in 0..ROUNDS {
            let key = format!("w/{}/{}", writer % 3, round % 5);
            let txn = match (writer + round) % 4 {
                0 => Txn::new().delete(key),
                1 => Txn::new()
                    .put(key, round.to_string())
                    .put(format!("x/{writer}"), "v"),
                _ => Txn::new().put(key, format!("{writer}-{round}")),
            };
            let outcome = store.commit(txn).await.expect("no compares, no conflict");
            if outcome.changed {
                revisions.push(outcome.revision);
            }
        }
        revisions
    })
    .await;
    let mut revisions: Vec<u64> = committed.into_iter().flatten().map(Revision::get).collect();
    revisions.sort_unstable();
    assert_eq!(
        revisions,
        (start.get() + 1..=start.get() + revisions.len() as u64).collect::<Vec<_>>()
    );
    // One last commit that touches every watched prefix ends the watchers.
    done.store(true, Ordering::SeqCst);
    let end = commit(&*store, Txn::new().put("w/1/end", "v").put("w/2/end", "v")).await;

    for watcher in watchers {
        let (prefix, seen) = tokio::time::timeout(PATIENCE, watcher)
            .await
            .expect("it ends")
            .expect("it succeeds");
        if prefix == Prefix::default() {
            let mut told: Vec<Revision> = seen.iter().map(|(revision, _)| *revision).collect();
            told.dedup();
            assert_eq!(
                told,
                (start.get() + 1..=end.get())
                    .map(Revision::new)
                    .collect::<Vec<_>>()
            );
        }
        let mut state = BTreeMap::new();
        for (revision, change) in seen {
            let before = match change.current {
                Some(entry) => state.insert(change.key, entry),
                None => state.remove(&change.key),
            };
            assert_eq!(before, change.previous, "at {revision}");
        }
        let listed = list(&*store, &prefix, Some(end), 1000).await;
        assert_eq!(state.into_values().collect::<Vec<_>>(), listed, "under {prefix}");
    }
}

async fn follow(
    store: &Arc<dyn Store>,
    prefix: &Prefix,
    start: Revision,
    resumes: bool,
    done: &AtomicBool,
) -> Vec<(Revision, crate::store::Change)> {
    let watch = |after| async move { store.watch(prefix, after).await.expect("a watch") };
    let mut open: Watch = watch(start).await;
    let mut reached = start;
    let mut seen = Vec::new();
    loop {
        let batch = next(&mut open).await.expect("history is held");
        check_batch(&batch, reached);
        reached = batch.revision;
        let last = batch
            .changes
            .iter()
            .any(|(_, change)| change.key.as_ref().ends_with(b"/end"));
        seen.extend(batch.changes);
        if last {
            assert!(done.load(Ordering::SeqCst));
            return seen;
        }
        if resumes {
            open = watch(reached).await;
        }
    }
}
