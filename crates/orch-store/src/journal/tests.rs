//! What the journal gives back.

use orch_core::store::Txn;
use orch_core::store::changelog::{Record, Version};

use super::*;
use crate::SimulatedDisk;

const IDENTITY: u64 = 77;
const BOUND: usize = 1 << 20;

fn commit(revision: u64, changes: &[(&str, Option<usize>)]) -> Arc<Commit> {
    let records = changes.iter().map(|(key, value)| Record {
        key: (*key).into(),
        current: value.map(|length| Version {
            value: vec![b'v'; length].into(),
            created: Revision::new(revision),
            modified: Revision::new(revision),
        }),
        previous: None,
    });
    Arc::new(Commit::new(Revision::new(revision), records.collect()))
}

fn store() -> (tempfile::TempDir, Place) {
    let directory = tempfile::tempdir().unwrap();
    let place = Place::of_system(&directory.path().join("state.redb"));
    (directory, place)
}

/// With room for `BOUND` in each file.
fn open(place: &Place, revision: u64) -> Result<(Journal, Vec<Logged>), OpenError> {
    Journal::open(place, IDENTITY, Revision::new(revision), 2 * BOUND)
}

fn reopened(place: &Place) -> Vec<(u64, u64, usize)> {
    reopened_at(place, 0)
}

/// What is left to replay for a store whose own file is at `revision`.
fn reopened_at(place: &Place, revision: u64) -> Vec<(u64, u64, usize)> {
    let (_, logged) = open(place, revision).unwrap();
    logged
        .iter()
        .map(|logged| (logged.after.get(), logged.compacted.get(), logged.txns.len()))
        .collect()
}

fn append(journal: &mut Journal, after: u64, commits: &[Arc<Commit>]) -> bool {
    journal
        .append(Revision::new(after), Revision::new(after / 2), commits)
        .unwrap()
}

#[test]
fn what_was_appended_is_read_again_in_order() {
    let (_directory, place) = store();
    let (mut journal, logged) = open(&place, 0).unwrap();
    assert!(logged.is_empty());
    let first = [
        commit(5, &[("a", Some(3)), ("b", None)]),
        commit(6, &[("a", Some(0))]),
    ];
    assert!(append(&mut journal, 4, &first));
    assert!(append(&mut journal, 6, &[]));
    assert!(append(&mut journal, 6, &[commit(7, &[("c", Some(70_000))])]));
    let (_, logged) = open(&place, 0).unwrap();
    let txns: Vec<_> = logged.into_iter().map(|logged| logged.txns).collect();
    let expected = [
        vec![Txn::new().put("a", "vvv").delete("b"), Txn::new().put("a", "")],
        vec![],
        vec![Txn::new().put("c", vec![b'v'; 70_000])],
    ];
    assert_eq!(format!("{txns:?}"), format!("{expected:?}"));
    assert_eq!(reopened(&place), [(4, 2, 2), (6, 3, 0), (6, 3, 1)]);
}

#[test]
fn a_record_cut_or_changed_anywhere_ends_the_journal() {
    let (_directory, place) = store();
    let (mut journal, _) = open(&place, 0).unwrap();
    append(&mut journal, 0, &[commit(1, &[("a", Some(9))])]);
    let first = journal.used;
    append(&mut journal, 1, &[commit(2, &[("b", Some(9))])]);
    let [file, _] = Journal::paths_of(&place);
    let whole = std::fs::read(&file).unwrap();
    for at in first..whole.len() {
        std::fs::write(&file, &whole[..at]).unwrap();
        assert_eq!(reopened(&place), [(0, 0, 1)], "cut at {at}");
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        std::fs::write(&file, changed).unwrap();
        assert_eq!(reopened(&place), [(0, 0, 1)], "changed at {at}");
    }
}

#[test]
fn what_is_appended_behind_a_record_that_was_cut_is_read_again() {
    let (_directory, place) = store();
    let [file, _] = Journal::paths_of(&place);
    let (mut journal, _) = open(&place, 4).unwrap();
    append(&mut journal, 4, &[commit(5, &[("a", Some(9))])]);
    let whole = std::fs::read(&file).unwrap();
    for cut in 0..whole.len() {
        std::fs::write(&file, &whole[..cut]).unwrap();
        let (mut journal, logged) = open(&place, 4).unwrap();
        assert!(logged.is_empty());
        append(&mut journal, 4, &[commit(5, &[("b", Some(1))])]);
        append(&mut journal, 5, &[commit(6, &[("c", Some(1))])]);
        assert_eq!(reopened_at(&place, 4), [(4, 2, 1), (5, 2, 1)], "cut at {cut}");
    }
}

#[test]
fn records_of_an_earlier_round_are_not_read() {
    let (_directory, place) = store();
    let (mut journal, _) = open(&place, 0).unwrap();
    for revision in 1..=5 {
        append(
            &mut journal,
            revision - 1,
            &[commit(revision, &[("k", Some(100))])],
        );
    }
    journal.turn();
    journal.turn();
    append(&mut journal, 5, &[commit(6, &[("k", Some(100))])]);
    // The second record of the first round follows, whole, and is not what comes next.
    assert_eq!(reopened_at(&place, 5), [(5, 2, 1)]);
}

#[test]
fn a_full_journal_says_so_and_is_as_it_was() {
    let (_directory, place) = store();
    let (mut journal, _) = open(&place, 0).unwrap();
    let big = |revision| commit(revision, &[("k", Some(BOUND / 3))]);
    assert!(journal.is_empty() && journal.quarters() == 0);
    assert!(append(&mut journal, 0, &[big(1)]));
    assert!(append(&mut journal, 1, &[big(2)]));
    assert_eq!(journal.quarters(), 2);
    assert!(!append(&mut journal, 2, &[big(3)]));
    assert_eq!(reopened(&place), [(0, 0, 1), (1, 0, 1)]);
    journal.turn();
    assert!(journal.is_empty() && journal.quarters() == 0);
    assert!(append(&mut journal, 2, &[big(3)]));
    assert_eq!(reopened(&place), [(0, 0, 1), (1, 0, 1), (2, 1, 1)]);
}

#[test]
fn two_files_are_read_in_the_order_they_were_written_and_what_the_store_has_is_passed_over() {
    let (_directory, place) = store();
    let (mut journal, _) = open(&place, 0).unwrap();
    let mut revision = 0;
    for round in 1..=5_u64 {
        for n in 0..4 {
            // Every fourth makes only compaction durable.
            let commits: Vec<_> = (n < 3)
                .then(|| commit(revision + 1, &[("k", Some(10))]))
                .into_iter()
                .collect();
            assert!(append(&mut journal, revision, &commits));
            revision += commits.len() as u64;
        }
        let held = reopened_at(&place, (round - 1) * 3);
        let after: Vec<_> = held.iter().map(|(after, ..)| *after).collect();
        let first = (round - 1) * 3;
        let rest = [first, first + 1, first + 2, first + 3];
        match round {
            1 => assert_eq!(after, rest),
            // The end of the file before is that which the store is known to have.
            _ => assert_eq!(after, [[first - 1, first].as_slice(), &rest].concat()),
        }
        // While a checkpoint is under way the store may still be where the file before begins.
        if round > 1 {
            let both = reopened_at(&place, (round - 2) * 3);
            assert_eq!(both.iter().map(|(.., txns)| txns).sum::<usize>(), 6);
        }
        journal.turn();
    }
}

#[test]
fn a_record_that_was_not_written_is_not_made_whole_by_what_lay_there_before() {
    for seed in 0..50 {
        let disk = SimulatedDisk::new(seed);
        let place = disk.place(None);
        let (mut journal, _) = open(&place, 0).unwrap();
        append(&mut journal, 0, &[commit(1, &[("k", Some(500))])]);
        journal.turn();
        journal.turn();
        // The next record differs from that in its first bytes alone.
        disk.fails(|access| match access.syncs {
            false if access.changes => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        });
        let next = [commit(2, &[("k", Some(500))])];
        let refused = journal.append(Revision::new(1), Revision::ZERO, &next);
        // It cannot be cut away: nobody may rely on it.
        assert!(matches!(refused, Err(AppendError::Unknown(_))), "{refused:?}");
        let mut is_write = true;
        disk.fails(
            move |access| match access.changes && std::mem::take(&mut is_write) {
                true => Err(io::ErrorKind::StorageFull.into()),
                false => Ok(()),
            },
        );
        let refused = journal.append(Revision::new(1), Revision::ZERO, &next);
        assert!(matches!(refused, Err(AppendError::NotWritten(_))), "{refused:?}");
        assert_eq!(reopened_at(&place, 1), []);
        assert!(append(&mut journal, 1, &next));
        assert_eq!(reopened_at(&place, 1), [(1, 0, 1)]);
    }
}

#[test]
fn files_that_hold_only_compactions_are_read_beside_those_that_hold_commits() {
    for compactions_first in [true, false] {
        let (_directory, place) = store();
        let (mut journal, _) = open(&place, 0).unwrap();
        let one = [commit(1, &[("k", Some(1))])];
        if compactions_first {
            append(&mut journal, 0, &[]);
            journal.turn();
            append(&mut journal, 0, &one);
            assert_eq!(reopened(&place), [(0, 0, 0), (0, 0, 1)]);
        } else {
            append(&mut journal, 0, &one);
            journal.turn();
            append(&mut journal, 1, &[]);
            assert_eq!(reopened(&place), [(0, 0, 1), (1, 0, 0)]);
        }
    }
}

#[test]
fn a_gap_between_the_two_files_is_refused() {
    let (_directory, place) = store();
    let (mut journal, _) = open(&place, 0).unwrap();
    append(&mut journal, 0, &[commit(1, &[("k", Some(1))])]);
    append(&mut journal, 1, &[commit(2, &[("k", Some(1))])]);
    journal.turn();
    append(&mut journal, 2, &[commit(3, &[("k", Some(1))])]);
    let [first, _] = Journal::paths_of(&place);
    let whole = std::fs::read(&first).unwrap();
    std::fs::write(&first, &whole[..whole.len() - 1]).unwrap();
    let error = open(&place, 0).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("commits are missing"), "{error}");
    assert_eq!(reopened_at(&place, 2), [(2, 1, 1)]);
}

#[test]
fn the_journal_of_another_store_is_refused() {
    let (_directory, place) = store();
    let (mut journal, _) = open(&place, 0).unwrap();
    append(&mut journal, 0, &[commit(1, &[("a", Some(9))])]);
    let error = Journal::open(&place, IDENTITY + 1, Revision::ZERO, BOUND)
        .map(|_| ())
        .unwrap_err();
    assert!(error.to_string().contains("belongs to another store"), "{error}");
}

/// A record as a version to come might write it: what its body holds has no meaning here.
fn record_of_format(format: u32) -> Vec<u8> {
    let mut covered = 9_u32.to_le_bytes().to_vec();
    covered.extend_from_slice(&format.to_le_bytes());
    covered.extend_from_slice(&IDENTITY.to_le_bytes());
    covered.extend_from_slice(b"something");
    [&crc32fast::hash(&covered).to_le_bytes(), &covered[..]].concat()
}

#[test]
fn a_journal_of_another_format_is_refused_and_left_alone() {
    for (format, behind_one_of_ours) in [(2, false), (2, true), (0, false), (u32::MAX, true)] {
        for file in 0..2 {
            let (_directory, place) = store();
            let (mut journal, _) = open(&place, 0).unwrap();
            if file == 1 {
                journal.turn();
            }
            let mut held = Vec::new();
            let path_of_file = &Journal::paths_of(&place)[file];
            if behind_one_of_ours {
                append(&mut journal, 0, &[commit(1, &[("a", Some(9))])]);
                held = std::fs::read(path_of_file).unwrap();
            }
            held.extend(record_of_format(format));
            std::fs::write(path_of_file, &held).unwrap();
            let error = open(&place, 0).map(|_| ()).unwrap_err();
            assert!(
                matches!(&error, OpenError::Format { path, found, supported: 1 } if path == path_of_file && *found == format),
                "{error}"
            );
            assert_eq!(std::fs::read(path_of_file).unwrap(), held);
        }
    }
}
