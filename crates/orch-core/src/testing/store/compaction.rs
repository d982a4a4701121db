//! Cases: what is forgotten and who is told.

use std::sync::Arc;

use super::{changes_through, check_batch, delete, get, list, next, put};
use crate::store::{ListOptions, Prefix, ReadError, Revision, Store, WatchError};

async fn list_at(store: &dyn Store, at: Revision) -> Result<usize, ReadError> {
    let options = ListOptions {
        at: Some(at),
        ..ListOptions::default()
    };
    Ok(store.list(&Prefix::default(), options).await?.entries.len())
}

/// A list at the compacted revision and a watch after it still work; earlier ones say what is the oldest.
pub async fn compaction_forgets_the_past_and_keeps_the_present(store: Arc<dyn Store>) {
    let first = put(&*store, "a", "1").await;
    put(&*store, "b", "1").await;
    delete(&*store, "b").await;
    let through = put(&*store, "a", "2").await;
    let later = put(&*store, "c", "1").await;
    let last = delete(&*store, "a").await;
    store.compact(through).await.expect("it is compacted");

    for at in first.get()..through.get() {
        let at = Revision::new(at);
        let refused = list_at(&*store, at).await;
        assert!(
            matches!(refused, Err(ReadError::Compacted { requested, oldest }) if requested == at && oldest == through),
            "{refused:?}"
        );
        let refused = store.watch(&Prefix::default(), at).await;
        assert!(
            matches!(refused, Err(WatchError::Compacted { after, oldest }) if after == at && oldest == through),
            "{refused:?}"
        );
    }
    assert_eq!(list_at(&*store, through).await.expect("it is held"), 1);
    assert_eq!(list_at(&*store, later).await.expect("it is held"), 2);
    assert_eq!(list_at(&*store, last).await.expect("it is held"), 1);
    let at_through = list(&*store, &Prefix::default(), Some(through), 10).await;
    assert_eq!(at_through[0].value, "2");
    let mut watch = store.watch(&Prefix::default(), through).await.expect("a watch");
    let changes = changes_through(&mut watch, last).await;
    assert_eq!(changes.len(), 2);
    assert_eq!(
        changes[1].1.previous.as_ref().map(|entry| entry.value.clone()),
        Some("2".into())
    );
    assert_eq!(get(&*store, "c").await.map(|entry| entry.modified), Some(later));
}

/// It never goes backwards.
pub async fn compacting_again_or_to_before_does_nothing(store: Arc<dyn Store>) {
    let first = put(&*store, "a", "1").await;
    let second = put(&*store, "a", "2").await;
    for through in [second, second, first, Revision::ZERO] {
        store.compact(through).await.expect("it is no error");
        assert_eq!(list_at(&*store, second).await.expect("it is held"), 1);
        assert!(list_at(&*store, first).await.is_err());
    }
    assert_eq!(store.revision().await.expect("a revision"), second);
}

/// With what there is.
pub async fn compacting_to_the_future_is_refused(store: Arc<dyn Store>) {
    let newest = put(&*store, "a", "1").await;
    let refused = store.compact(newest.next()).await;
    assert!(
        matches!(refused, Err(ReadError::Future { requested, newest: said }) if requested == newest.next() && said == newest),
        "{refused:?}"
    );
    assert_eq!(list_at(&*store, newest).await.expect("it is held"), 1);
}

/// A store may have handed the changes out before (over a network they are on their way); but what it delivers
/// has no gap, and ends with the newest change or with `Compacted`, after which nothing comes.
pub async fn a_watcher_whose_unseen_change_was_compacted_is_told_or_was_given_it(store: Arc<dyn Store>) {
    let start = store.revision().await.expect("a revision");
    let mut slow = store.watch(&"a/".into(), start).await.expect("a watch");
    let mut end = start;
    for n in 0..2000 {
        end = put(&*store, &format!("a/{}", n % 10), "v").await;
    }
    store.compact(end).await.expect("it is compacted");
    let mut reached = start;
    while reached < end {
        match next(&mut slow).await {
            Ok(batch) => {
                check_batch(&batch, reached);
                for (revision, _) in &batch.changes {
                    assert_eq!(*revision, reached.next());
                    reached = *revision;
                }
            }
            Err(WatchError::Compacted { after, oldest }) => {
                assert_eq!((after, oldest), (reached, end));
                assert!(slow.next().await.is_none(), "nothing follows an error");
                return;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// What it has not seen does not concern it, so it has missed nothing.
pub async fn a_quiet_watcher_outlives_compaction(store: Arc<dyn Store>) {
    let seen = put(&*store, "quiet/a", "1").await;
    let mut quiet = store
        .watch(
            &"quiet/".into(),
            Revision::ZERO.max(Revision::new(seen.get() - 1)),
        )
        .await
        .expect("a watch");
    assert_eq!(next(&mut quiet).await.expect("a batch").revision, seen);
    let mut untouched = store.watch(&"never/".into(), seen).await.expect("a watch");
    for n in 0..2000 {
        put(&*store, &format!("loud/{n}"), "v").await;
    }
    store
        .compact(store.revision().await.expect("a revision"))
        .await
        .expect("it is compacted");
    for n in 0..10 {
        put(&*store, &format!("loud/{n}"), "v").await;
    }
    let told = put(&*store, "quiet/a", "2").await;
    let batch = next(&mut quiet).await.expect("it missed nothing");
    assert_eq!((batch.revision, batch.changes.len()), (told, 1));
    let told = put(&*store, "never/a", "2").await;
    assert_eq!(
        next(&mut untouched).await.expect("it missed nothing").revision,
        told
    );
}

/// Though the commit that created it is forgotten.
pub async fn a_key_keeps_its_creation_through_compaction(store: Arc<dyn Store>) {
    let created = put(&*store, "a", "1").await;
    let modified = put(&*store, "a", "2").await;
    store.compact(modified).await.expect("it is compacted");
    let last = put(&*store, "a", "3").await;
    store.compact(last).await.expect("it is compacted");
    let entry = get(&*store, "a").await.expect("it is there");
    assert_eq!((entry.created, entry.modified), (created, last));
}
