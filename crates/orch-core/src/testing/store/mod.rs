//! The conformance suite of [`Store`]: what every implementation must do, one sentence a case.
//!
//! Call [`store_conformance!`](crate::store_conformance) in a test file with an `async fn` that opens an empty
//! store of its own at each call. It makes one `#[tokio::test]` of each case, so the calling crate needs tokio
//! with `macros` and `rt-multi-thread` among its dev-dependencies, and this crate with the feature `store-conformance`.
//!
//! Cases suppose nothing about the revision at which a store starts. What a store promises beyond the trait
//! (bounds of its history, durability) it tests itself.
//!
//! ```
//! # mod example {
//! use orch_core::store::{MemoryStore, Store};
//!
//! async fn open() -> impl Store {
//!     MemoryStore::new()
//! }
//!
//! orch_core::store_conformance!(open);
//! # }
//! ```

pub mod compaction;
pub mod lists;
pub mod model;
pub mod reads;
pub mod transactions;
pub mod watches;

use std::sync::Arc;
use std::time::Duration;

use crate::store::{Batch, Change, Entry, Key, ListOptions, Prefix, Revision, Store, Txn, Watch, WatchError};

/// Makes one test of each case of the [suite](crate::testing::store), each with a store of its own from `$open`,
/// an `async fn() -> impl Store`.
#[macro_export]
macro_rules! store_conformance {
    ($open:expr) => {
        $crate::store_conformance! { @cases $open;
            reads {
                a_key_never_written_reads_as_absent_at_the_newest_revision
                a_get_returns_what_the_last_commit_wrote
                an_acknowledged_commit_is_read_by_every_task
                keys_and_values_may_hold_any_bytes
                the_revision_grows_by_one_with_each_commit
            }
            lists {
                a_list_holds_the_keys_under_its_prefix_in_byte_order
                pages_join_to_the_whole_list
                a_page_without_a_limit_holds_no_more_than_the_bound
                a_list_from_a_key_outside_its_prefix_keeps_to_the_prefix
                a_list_at_an_earlier_revision_shows_the_past
                a_list_at_a_future_revision_is_refused
                pages_of_one_snapshot_fit_together_under_concurrent_writes
            }
            transactions {
                each_kind_of_compare_holds_or_conflicts
                the_first_compare_that_fails_is_reported
                a_conflict_writes_nothing
                a_compare_may_guard_a_key_that_is_not_written
                all_operations_of_a_commit_share_its_revision
                a_transaction_that_changes_nothing_takes_no_revision
                a_put_of_an_equal_value_takes_a_revision
                a_key_deleted_and_written_again_is_created_anew
                a_transaction_beyond_a_bound_is_refused_whole
                a_transaction_at_the_bounds_is_accepted
                one_of_many_concurrent_creators_wins
                concurrent_increments_are_all_counted
                a_transaction_is_seen_whole_or_not_at_all
            }
            watches {
                a_watch_tells_what_a_key_holds_and_held
                a_watch_sees_its_prefix_alone
                the_changes_of_one_commit_come_in_one_batch
                a_watch_resumes_after_any_revision_without_gap_or_repeat
                a_watch_after_the_newest_revision_sees_what_comes
                a_watch_from_the_future_is_refused
                what_a_watch_delivers_can_be_read
                a_watch_that_is_dropped_leaves_the_others_alone
                no_change_is_lost_or_doubled_under_concurrent_writers_and_watchers
            }
            compaction {
                compaction_forgets_the_past_and_keeps_the_present
                compacting_again_or_to_before_does_nothing
                compacting_to_the_future_is_refused
                a_watcher_whose_unseen_change_was_compacted_is_told_or_was_given_it
                a_quiet_watcher_outlives_compaction
                a_key_keeps_its_creation_through_compaction
            }
            model {
                random_transactions_leave_what_a_map_with_history_would
            }
        }
    };
    (@cases $open:expr; $($module:ident { $($case:ident)* })*) => {
        $(
            mod $module {
                #[allow(unused_imports)]
                use super::*;
                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $case() {
                        $crate::testing::store::$module::$case(::std::sync::Arc::new($open().await)).await;
                    }
                )*
            }
        )*
    };
}

/// Long enough for the slowest machine: a case that gets there has failed.
const PATIENCE: Duration = Duration::from_secs(60);

async fn put(store: &dyn Store, key: &str, value: &str) -> Revision {
    commit(store, Txn::new().put(key, value.to_owned())).await
}

async fn delete(store: &dyn Store, key: &str) -> Revision {
    commit(store, Txn::new().delete(key)).await
}

async fn commit(store: &dyn Store, txn: Txn) -> Revision {
    let committed = store.commit(txn).await.expect("the transaction holds");
    assert!(committed.changed);
    committed.revision
}

async fn get(store: &dyn Store, key: impl Into<Key>) -> Option<Entry> {
    store.get(&key.into()).await.expect("a get is answered").value
}

/// All entries under `prefix` at `at`, by pages of `limit`.
async fn list(store: &dyn Store, prefix: &Prefix, at: Option<Revision>, limit: usize) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut options = ListOptions {
        limit: Some(limit),
        from: None,
        at,
        ..ListOptions::default()
    };
    loop {
        let page = store.list(prefix, options.clone()).await.expect("a page");
        assert!(
            page.entries.len() <= limit,
            "{} entries in a page of {limit}",
            page.entries.len()
        );
        entries.extend(page.entries);
        options.at = Some(page.revision);
        options.from = page.next;
        if options.from.is_none() {
            return entries;
        }
    }
}

async fn next(watch: &mut Watch) -> Result<Batch, WatchError> {
    tokio::time::timeout(PATIENCE, watch.next())
        .await
        .expect("a watch delivers what was committed")
        .expect("a watch ends only after an error")
}

/// Reads from `watch` until it has delivered up to `through`.
async fn changes_through(watch: &mut Watch, through: Revision) -> Vec<(Revision, Change)> {
    let mut changes = Vec::new();
    let mut reached = Revision::ZERO;
    while reached < through {
        let batch = next(watch).await.expect("history is held");
        check_batch(&batch, reached);
        reached = batch.revision;
        changes.extend(batch.changes);
    }
    changes
}

/// What is true of every batch that follows one up to `reached`.
fn check_batch(batch: &Batch, reached: Revision) {
    let (Some((first, _)), Some((last, _))) = (batch.changes.first(), batch.changes.last()) else {
        panic!("an empty batch up to {}", batch.revision);
    };
    assert!(
        *first > reached,
        "a change of {first} after a batch up to {reached}"
    );
    assert!(
        *last <= batch.revision,
        "a change of {last} in a batch up to {}",
        batch.revision
    );
    assert!(batch.changes.is_sorted_by_key(|(revision, _)| *revision));
    for (revision, change) in &batch.changes {
        if let Some(current) = &change.current {
            assert_eq!(current.modified, *revision);
            assert_eq!(current.key, change.key);
        }
        if let Some(previous) = &change.previous {
            assert!(previous.modified < *revision);
            assert_eq!(previous.key, change.key);
        }
        assert!(change.current.is_some() || change.previous.is_some());
    }
}

fn keys(entries: &[Entry]) -> Vec<&[u8]> {
    entries.iter().map(|entry| entry.key.as_ref()).collect()
}

/// Runs `count` tasks side by side, made from their number and the store, and waits for them all.
async fn together<T, F>(store: &Arc<dyn Store>, count: u64, task: impl Fn(u64, Arc<dyn Store>) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<_> = (0..count).map(|n| tokio::spawn(task(n, store.clone()))).collect();
    let mut results = Vec::new();
    for task in tasks {
        let result = tokio::time::timeout(PATIENCE, task).await.expect("a task ends");
        results.push(result.expect("a task succeeds"));
    }
    results
}

#[cfg(test)]
mod memory {
    use crate::store::{MemoryStore, Store};

    async fn open() -> impl Store {
        MemoryStore::new()
    }

    crate::store_conformance!(open);
}
