//! Who is woken, who is passed over, and what trimming takes away.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::*;
use crate::store::Key;

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Wakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn log(commits: usize) -> ChangeLog {
    let bounds = LogBounds {
        commits,
        bytes: usize::MAX,
    };
    ChangeLog::new(bounds, Revision::ZERO)
}

fn commit(log: &ChangeLog, keys: &[&str]) -> Revision {
    let revision = log.newest().next();
    let record = |key: &&str| Record {
        key: Key::from(*key),
        current: Some(Version {
            value: "v".into(),
            created: revision,
            modified: revision,
        }),
        previous: None,
    };
    log.append(Commit::new(revision, keys.iter().map(record).collect()))
        .wake();
    revision
}

/// What the cursor says without waiting: the keys of a batch, or what else; none if it would wait.
fn look(cursor: &mut Cursor) -> Option<Result<Vec<String>, Next>> {
    match cursor.poll_next(&mut Context::from_waker(Waker::noop())) {
        Poll::Pending => None,
        Poll::Ready(Next::Batch(batch)) => Some(Ok(batch
            .changes
            .into_iter()
            .map(|(_, change)| change.key.to_string())
            .collect())),
        Poll::Ready(next) => Some(Err(next)),
    }
}

fn keys(cursor: &mut Cursor) -> Vec<String> {
    match look(cursor) {
        None => Vec::new(),
        Some(Ok(keys)) => keys,
        Some(Err(next)) => panic!("{next:?}"),
    }
}

fn topics(log: &ChangeLog) -> (usize, usize) {
    let state = log.0.lock();
    (state.topics.by_prefix.len(), state.topics.lengths.len())
}

#[test]
fn a_commit_wakes_the_watchers_of_its_prefixes_once_and_no_other() {
    let log = log(100);
    let prefixes = ["", "a", "a/", "a/b", "b/"];
    let wakes: Vec<_> = prefixes.iter().map(|_| Arc::new(Wakes::default())).collect();
    let mut cursors: Vec<_> = prefixes
        .iter()
        .map(|prefix| log.subscribe(&(*prefix).into(), Revision::ZERO).unwrap())
        .collect();
    for (cursor, wakes) in cursors.iter_mut().zip(&wakes) {
        let waker = wakes.clone().into();
        assert!(cursor.poll_next(&mut Context::from_waker(&waker)).is_pending());
    }
    commit(&log, &["a/x", "a/y"]);
    commit(&log, &["a/z"]);
    let counts: Vec<_> = wakes.iter().map(|wakes| wakes.count()).collect();
    assert_eq!(counts, [1, 1, 1, 0, 0]);
    assert_eq!(keys(&mut cursors[2]), ["a/x", "a/y", "a/z"]);
    assert_eq!(keys(&mut cursors[3]), Vec::<String>::new());
}

#[test]
fn trimming_passes_over_a_watcher_that_has_seen_everything_of_its_prefix() {
    let log = log(10);
    let mut quiet = log.subscribe(&"quiet/".into(), Revision::ZERO).unwrap();
    for _ in 0..100 {
        commit(&log, &["loud/a"]);
    }
    assert_eq!(
        (log.oldest(), log.newest()),
        (Revision::new(90), Revision::new(100))
    );
    commit(&log, &["quiet/a"]);
    assert_eq!(keys(&mut quiet), ["quiet/a"]);
}

#[test]
fn a_watcher_whose_unseen_change_is_trimmed_is_told_which() {
    let log = log(10);
    let mut slow = log.subscribe(&"a/".into(), Revision::ZERO).unwrap();
    commit(&log, &["a/1"]);
    assert_eq!(keys(&mut slow), ["a/1"]);
    let unseen = commit(&log, &["a/2"]);
    for _ in 0..9 {
        commit(&log, &["b"]);
    }
    let mut lucky = log.subscribe(&"a/".into(), unseen).unwrap();
    commit(&log, &["a/3"]);
    for _ in 0..2 {
        let Some(Err(Next::Trimmed { unseen: said })) = look(&mut slow) else {
            panic!()
        };
        assert_eq!((said, slow.seen()), (unseen, Revision::new(1)));
    }
    assert_eq!(keys(&mut lucky), ["a/3"]);
}

#[test]
fn trimming_goes_no_further_than_asked_and_gives_back_what_it_took() {
    let log = log(100);
    for n in 0..10 {
        commit(&log, &[&n.to_string()]);
    }
    let revisions =
        |commits: Vec<Arc<Commit>>| -> Vec<u64> { commits.iter().map(|c| c.revision.get()).collect() };
    assert_eq!(revisions(log.trim(Revision::new(5), 3)), [1, 2, 3]);
    assert_eq!(revisions(log.trim(Revision::new(5), 100)), [4, 5]);
    assert!(revisions(log.trim(Revision::new(5), 100)).is_empty());
    assert!(log.commits(Revision::new(4), Revision::new(8)).is_none());
    assert_eq!(
        revisions(log.commits(Revision::new(6), Revision::new(8)).unwrap()),
        [7, 8]
    );
    assert!(log.commits(Revision::new(6), Revision::new(11)).is_none());
}

#[test]
fn the_log_keeps_within_its_bytes_but_always_the_newest_commit() {
    let bounds = LogBounds {
        commits: 1000,
        bytes: 5_000,
    };
    let log = ChangeLog::new(bounds, Revision::new(7));
    let sized = |revision, bytes: usize| {
        let version = Version {
            value: vec![0; bytes].into(),
            created: revision,
            modified: revision,
        };
        let record = Record {
            key: "a".into(),
            current: Some(version),
            previous: None,
        };
        Commit::one(revision, record)
    };
    for n in 8..28 {
        let _ = log.append(sized(Revision::new(n), 1_000));
        assert!(log.0.lock().bytes <= 5_000);
    }
    assert_eq!(log.oldest(), Revision::new(23));
    let trimmed = log.append(sized(Revision::new(28), 100_000)).trimmed;
    assert_eq!((trimmed.len(), log.oldest()), (4, Revision::new(27)));
}

#[test]
fn a_late_watcher_of_a_watched_prefix_is_given_the_older_commits_too() {
    let log = log(100);
    for n in 0..10 {
        commit(&log, &[if n % 2 == 0 { "a/even" } else { "b/odd" }]);
    }
    let mut newer = log.subscribe(&"a/".into(), Revision::new(8)).unwrap();
    let mut older = log.subscribe(&"a/".into(), Revision::new(2)).unwrap();
    let mut oldest = log.subscribe(&"a/".into(), Revision::ZERO).unwrap();
    assert_eq!(keys(&mut newer).len(), 1);
    assert_eq!(keys(&mut older).len(), 4);
    assert_eq!(keys(&mut oldest).len(), 5);
    assert_eq!(topics(&log), (1, 1));
}

#[test]
fn a_batch_is_bounded_and_made_of_whole_commits() {
    let log = log(10_000);
    let mut cursor = log.subscribe(&"a".into(), Revision::ZERO).unwrap();
    let names: Vec<String> = (0..300).map(|n| format!("a{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for _ in 0..4 {
        commit(&log, &names);
    }
    let sizes: Vec<usize> = std::iter::from_fn(|| look(&mut cursor))
        .map(|batch| batch.unwrap().len())
        .collect();
    assert_eq!(sizes, [600, 600]);
}

#[test]
fn watchers_that_leave_leave_nothing_behind() {
    let log = log(100);
    let stays = log.subscribe(&"a".into(), Revision::ZERO).unwrap();
    for _ in 0..1000 {
        drop(log.subscribe(&"a".into(), Revision::ZERO).unwrap());
        drop(log.subscribe(&"bc".into(), Revision::ZERO).unwrap());
    }
    assert_eq!(topics(&log), (1, 1));
    assert!(
        stays.waiting() < 32,
        "{} readers wait where one is left",
        stays.waiting()
    );
    drop(stays);
    assert_eq!(topics(&log), (0, 0));
}

#[test]
fn a_closed_log_delivers_what_is_unseen_and_then_says_so() {
    let log = log(100);
    let mut one = log.subscribe(&"a".into(), Revision::ZERO).unwrap();
    let mut two = log.subscribe(&"b".into(), Revision::ZERO).unwrap();
    let wakes = Arc::new(Wakes::default());
    let waker = wakes.clone().into();
    assert!(two.poll_next(&mut Context::from_waker(&waker)).is_pending());
    commit(&log, &["a"]);
    log.close();
    assert_eq!(wakes.count(), 1);
    assert_eq!(keys(&mut one), ["a"]);
    for cursor in [&mut one, &mut two] {
        assert!(matches!(look(cursor), Some(Err(Next::Closed))));
    }
    let mut late = log.subscribe(&"c".into(), Revision::ZERO).unwrap();
    assert!(matches!(look(&mut late), Some(Err(Next::Closed))));
}

#[test]
fn the_future_and_the_past_are_refused() {
    let log = log(2);
    for _ in 0..5 {
        commit(&log, &["a"]);
    }
    let refused = |after| log.subscribe(&"a".into(), Revision::new(after)).err();
    let trimmed = Refused::Trimmed {
        oldest: Revision::new(3),
    };
    let future = Refused::Future {
        newest: Revision::new(5),
    };
    assert_eq!(
        [refused(2), refused(3), refused(5), refused(6)],
        [Some(trimmed), None, None, Some(future)]
    );
}
