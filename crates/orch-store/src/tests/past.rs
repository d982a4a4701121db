//! Lists of a past that only the file has.

use std::future::Future;
use std::pin::pin;

use super::*;

/// The page, and how often the list gave way to other tasks.
async fn counted(list: impl Future<Output = Result<Page, ReadError>>) -> (Page, usize) {
    let mut list = pin!(list);
    let mut polls = 0;
    let page = std::future::poll_fn(|cx| {
        polls += 1;
        list.as_mut().poll(cx)
    });
    (page.await.unwrap(), polls - 1)
}

#[tokio::test]
async fn a_list_of_the_past_gives_way_as_it_reads_and_its_next_page_reads_on() {
    let directory = tempfile::tempdir().unwrap();
    let live = LogBounds {
        commits: 1 << 20,
        bytes: 1 << 20,
    };
    let store = options(live, 32 << 20)
        .open(directory.path().join("state.redb"))
        .unwrap();
    let mut past = Revision::ZERO;
    for key in ["a", "b", "c", "d", "e"] {
        past = store.commit(Txn::new().put(key, "then")).await.unwrap().revision;
    }
    // Each a row of the file.
    for n in 0..320_u32 {
        let txn = Txn::new().put("hot", vec![7; 40_000 + n as usize]);
        store.commit(txn).await.unwrap();
    }
    store
        .commit(Txn::new().put("b", "now").delete("d"))
        .await
        .unwrap();
    let mut options = ListOptions {
        limit: Some(1),
        ..at(past)
    };
    let mut ways = Vec::new();
    for key in ["a", "b", "c", "d", "e"] {
        let (page, way) = counted(store.list(&Prefix::default(), options.clone())).await;
        ways.push(way);
        let [entry] = &page.entries[..] else {
            panic!("{} entries", page.entries.len())
        };
        assert_eq!((&entry.key, &entry.value[..]), (&key.into(), &b"then"[..]));
        options.from = page.next;
        // What changes between two pages has not been undone yet.
        store.commit(Txn::new().put("c", key).delete("e")).await.unwrap();
    }
    assert_eq!(options.from, None);
    assert!(ways[0] >= 9, "300 rows in {} steps", ways[0]);
    assert!(ways[1..].iter().all(|way| *way <= 1), "{ways:?}");
}
