//! Cases: random transactions against a model, the smallest failing history found by proptest.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use super::{changes_through, list};
use crate::store::{Change, CommitError, Entry, Expect, Key, ListOptions, Op, Prefix, Revision, Store, Txn};

/// Histories tried; each starts in a corner of its own of the same store.
const HISTORIES: u32 = 48;

/// What a store would do with one step of a history.
#[derive(Clone, Debug)]
enum Step {
    Commit {
        compares: Vec<(u8, Guess)>,
        ops: BTreeMap<u8, Option<u8>>,
    },
    /// Compacts to this many commits back.
    Compact(u64),
}

#[derive(Clone, Copy, Debug)]
enum Guess {
    Absent,
    Present,
    /// The revision of the key's last write, less this: 0 guesses right.
    Modified(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let guess = prop_oneof![
        1 => Just(Guess::Absent),
        1 => Just(Guess::Present),
        6 => Just(Guess::Modified(0)),
        1 => Just(Guess::Modified(1)),
    ];
    let ops = proptest::collection::btree_map(0..8_u8, proptest::option::weighted(0.7, any::<u8>()), 0..5);
    prop_oneof![
        20 => (proptest::collection::vec((0..8_u8, guess), 0..2), ops)
            .prop_map(|(compares, ops)| Step::Commit { compares, ops }),
        1 => (0..20_u64).prop_map(Step::Compact),
    ]
}

/// Answers, reads, snapshots and watches of random histories are those of a map that forgets nothing.
pub async fn random_transactions_leave_what_a_map_with_history_would(store: Arc<dyn Store>) {
    let histories = proptest::collection::vec(step(), 1..60);
    let mut runner = TestRunner::new(Config::default());
    let mut corner = 0_u32;
    for _ in 0..HISTORIES {
        let mut tree = histories.new_tree(&mut runner).expect("a history can be made");
        let mut failure = None;
        loop {
            corner += 1;
            match check(&*store, &format!("{corner:05}/"), &tree.current()).await {
                Ok(()) if failure.is_none() => break,
                Ok(()) => {
                    if !tree.complicate() {
                        break;
                    }
                }
                Err(error) => {
                    failure = Some((error, tree.current()));
                    if !tree.simplify() {
                        break;
                    }
                }
            }
        }
        if let Some((error, steps)) = failure {
            panic!("{error}\nafter {steps:#?}");
        }
    }
}

/// All states of the corner of the store under `prefix`, by the revision that made them.
struct Model {
    prefix: String,
    states: BTreeMap<Revision, BTreeMap<Key, Entry>>,
    changes: Vec<(Revision, Change)>,
}

impl Model {
    fn now(&self) -> &BTreeMap<Key, Entry> {
        self.states.last_key_value().expect("it starts with one state").1
    }

    fn key(&self, n: u8) -> Key {
        // Keys that are each other's beginnings, with the bytes that encodings get wrong.
        const TAILS: [&[u8]; 8] = [
            b"a",
            b"a\0",
            b"a\0\0",
            b"a\0\xff",
            b"a\xff",
            b"a\xff\xff",
            b"\xff",
            b"\0",
        ];
        let mut key = self.prefix.clone().into_bytes();
        key.extend_from_slice(TAILS[usize::from(n % 8)]);
        bytes::Bytes::from(key).into()
    }

    fn txn(&self, compares: &[(u8, Guess)], ops: &BTreeMap<u8, Option<u8>>) -> Txn {
        let mut txn = Txn::new();
        for (n, guess) in compares {
            let key = self.key(*n);
            let expect = match guess {
                Guess::Absent => Expect::Absent,
                Guess::Present => Expect::Present,
                Guess::Modified(less) => {
                    let modified = self.now().get(&key).map_or(0, |entry| entry.modified.get());
                    Expect::Modified(Revision::new(modified.saturating_sub(*less)))
                }
            };
            txn = txn.compare(key, expect);
        }
        for (n, value) in ops {
            txn = match value {
                Some(value) => txn.put(self.key(*n), vec![*value; usize::from(*value)]),
                None => txn.delete(self.key(*n)),
            };
        }
        txn
    }

    fn conflict(&self, txn: &Txn) -> Option<(Key, Option<Revision>)> {
        txn.compares.iter().find_map(|compare| {
            let actual = self.now().get(&compare.key).map(|entry| entry.modified);
            (!compare.expect.holds(actual)).then(|| (compare.key.clone(), actual))
        })
    }

    /// Applies `txn` as `revision`; false if it changes nothing.
    fn apply(&mut self, txn: &Txn, revision: Revision) -> bool {
        let mut state = self.now().clone();
        let before = self.changes.len();
        for op in &txn.ops {
            let key = op.key().clone();
            let previous = state.remove(&key);
            let current = match op {
                Op::Delete { .. } if previous.is_none() => continue,
                Op::Delete { .. } => None,
                Op::Put { value, .. } => Some(Entry {
                    key: key.clone(),
                    value: value.clone(),
                    created: previous.as_ref().map_or(revision, |entry| entry.created),
                    modified: revision,
                }),
            };
            state.extend(current.clone().map(|entry| (key.clone(), entry)));
            self.changes.push((
                revision,
                Change {
                    key,
                    current,
                    previous,
                },
            ));
        }
        let changed = self.changes.len() > before;
        if changed {
            self.states.insert(revision, state);
        }
        changed
    }
}

async fn check(store: &dyn Store, prefix: &str, steps: &[Step]) -> Result<(), String> {
    let start = store.revision().await.map_err(|error| error.to_string())?;
    let range = Prefix::from(prefix);
    let mut live = store
        .watch(&range, start)
        .await
        .map_err(|error| error.to_string())?;
    let mut model = Model {
        prefix: prefix.to_owned(),
        states: BTreeMap::from([(start, BTreeMap::new())]),
        changes: Vec::new(),
    };
    let mut newest = start;
    let mut compacted = start;
    for (n, step) in steps.iter().enumerate() {
        match step {
            Step::Compact(back) => {
                // The live watcher reads what it is owed first.
                let told = model
                    .changes
                    .last()
                    .map_or(Revision::ZERO, |(revision, _)| *revision);
                let delivered = changes_through(&mut live, told).await;
                if delivered != model.changes.drain(..).collect::<Vec<_>>() {
                    return Err(format!("step {n}: the watch told {delivered:?}"));
                }
                live = store
                    .watch(&range, newest)
                    .await
                    .map_err(|error| error.to_string())?;
                let through = Revision::new(newest.get().saturating_sub(*back)).max(compacted);
                store.compact(through).await.map_err(|error| error.to_string())?;
                compacted = through;
            }
            Step::Commit { compares, ops } => {
                let txn = model.txn(compares, ops);
                let answer = store.commit(txn.clone()).await;
                match (answer, model.conflict(&txn)) {
                    (Err(CommitError::Conflict { key, actual, .. }), Some(expected)) => {
                        if (&key, actual) != (&expected.0, expected.1) {
                            return Err(format!(
                                "step {n}: conflict on {key}, {actual:?} instead of {expected:?}"
                            ));
                        }
                    }
                    (Ok(committed), None) => {
                        let changed = model.apply(&txn, newest.next());
                        if changed {
                            newest = newest.next();
                        }
                        if (committed.revision, committed.changed) != (newest, changed) {
                            return Err(format!("step {n}: {committed:?} instead of {newest}, {changed}"));
                        }
                    }
                    (answer, expected) => {
                        return Err(format!("step {n}: {answer:?} instead of {expected:?}"));
                    }
                }
            }
        }
    }
    reads_agree(store, &range, &model, newest, compacted).await?;
    let expected = &model.changes;
    let end = expected.last().map_or(Revision::ZERO, |(revision, _)| *revision);
    let delivered = changes_through(&mut live, end).await;
    if delivered != *expected {
        return Err(format!("the watch told {delivered:?} instead of {expected:?}"));
    }
    Ok(())
}

/// Every key, and a list at every revision that is still held.
async fn reads_agree(
    store: &dyn Store,
    range: &Prefix,
    model: &Model,
    newest: Revision,
    compacted: Revision,
) -> Result<(), String> {
    for n in 0..8 {
        let key = model.key(n);
        let read = store.get(&key).await.map_err(|error| error.to_string())?;
        if read.value.as_ref() != model.now().get(&key) || read.revision != newest {
            return Err(format!("{key} reads as {read:?}"));
        }
    }
    for at in compacted.get()..=newest.get() {
        let at = Revision::new(at);
        let (_, state) = model
            .states
            .range(..=at)
            .next_back()
            .expect("it starts with one state");
        let listed = list(store, range, Some(at), 3).await;
        if !listed.iter().eq(state.values()) {
            return Err(format!(
                "at {at} it lists {listed:?} instead of {:?}",
                state.values()
            ));
        }
    }
    let before = ListOptions {
        at: Some(Revision::new(compacted.get().saturating_sub(1))),
        ..ListOptions::default()
    };
    match store.list(range, before).await {
        Ok(_) if compacted == *model.states.keys().next().expect("it starts with one state") => Ok(()),
        Err(crate::store::ReadError::Compacted { .. }) => Ok(()),
        answer => Err(format!("before {compacted} it lists {answer:?}")),
    }
}
