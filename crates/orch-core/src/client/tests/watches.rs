//! Watches tell every change once, as each watcher's selectors see it.

use std::time::Duration;

use futures::{FutureExt, StreamExt};
use serde_json::json;

use super::*;
use crate::store::Revision;
use crate::testing::FaultyStore;

/// What a watcher has been told until now, as a word per event.
async fn told(
    watch: &mut futures::stream::BoxStream<'static, Result<WatchEvent<Cat>, ApiError>>,
    events: usize,
) -> Vec<String> {
    let mut told = Vec::new();
    for _ in 0..events {
        let event = watch.next().await.unwrap().unwrap();
        let verb = match &event {
            WatchEvent::Added(_) => "+",
            WatchEvent::Modified(_) => "~",
            WatchEvent::Deleted(_) => "-",
        };
        told.push(format!(
            "{verb}{}{}",
            event.object().metadata.name,
            event.object().spec.lives
        ));
    }
    assert!(watch.next().now_or_never().is_none(), "more was told");
    told
}

async fn history(cats: &Api<Cat>) {
    for (name, label) in [("tom", "a"), ("jerry", "b")] {
        let mut cat = cat(name, 1);
        cat.metadata.labels.insert("l".into(), label.into());
        cats.create(&cat).await.unwrap();
    }
    cats.patch("tom", &Patch::Merge(json!({"spec": {"lives": 2}})))
        .await
        .unwrap();
    cats.patch(
        "tom",
        &Patch::Merge(json!({"metadata": {"labels": {"l": "b"}}, "spec": {"lives": 3}})),
    )
    .await
    .unwrap();
    cats.patch(
        "jerry",
        &Patch::Merge(json!({"metadata": {"labels": {"l": "a"}}})),
    )
    .await
    .unwrap();
    cats.delete("jerry", &DeleteParams::now()).await.unwrap();
}

#[tokio::test]
async fn an_object_enters_and_leaves_a_selection_as_it_changes() {
    for (labels, fields, expected) in [
        (
            "",
            "",
            vec!["+tom1", "+jerry1", "~tom2", "~tom3", "~jerry1", "-jerry1"],
        ),
        ("l=a", "", vec!["+tom1", "~tom2", "-tom2", "+jerry1", "-jerry1"]),
        ("", "metadata.name=jerry", vec!["+jerry1", "~jerry1", "-jerry1"]),
        ("l=c", "", vec![]),
    ] {
        // Both as it happens, and replayed from the past.
        let cats = client().api::<Cat>("default");
        let params = WatchParams {
            labels: labels.parse().unwrap(),
            fields: fields.parse().unwrap(),
            after: Revision::ZERO,
        };
        let mut live = cats.watch(&params).await.unwrap();
        history(&cats).await;
        assert_eq!(
            told(&mut live, expected.len()).await,
            expected,
            "live {labels} {fields}"
        );
        let mut replayed = cats.watch(&params).await.unwrap();
        assert_eq!(
            told(&mut replayed, expected.len()).await,
            expected,
            "replayed {labels} {fields}"
        );
        drop((live, replayed));
        tokio::task::yield_now().await;
        let mut restarted = cats.watch(&params).await.unwrap();
        assert_eq!(
            told(&mut restarted, expected.len()).await,
            expected,
            "restarted {labels} {fields}"
        );
    }
}

#[tokio::test]
async fn a_watch_from_a_list_misses_nothing_and_repeats_nothing() {
    let cats = client().api::<Cat>("default");
    let mut from_start = cats.watch(&WatchParams::default()).await.unwrap();
    history(&cats).await;
    let list = cats.list(&ListParams::default()).await.unwrap();
    let after = WatchParams {
        after: list.revision,
        ..WatchParams::default()
    };
    let mut after_list = cats.watch(&after).await.unwrap();
    cats.create(&cat("late", 1)).await.unwrap();
    assert_eq!(told(&mut after_list, 1).await, ["+late1"]);
    assert_eq!(told(&mut from_start, 7).await.len(), 7);
}

#[tokio::test]
async fn a_watcher_far_behind_the_hub_still_gets_everything() {
    let cats = client().api::<Cat>("default");
    let mut feeding = cats.watch(&WatchParams::default()).await.unwrap();
    for n in 0..2_000 {
        cats.create(&cat(&format!("c{n}"), n)).await.unwrap();
    }
    assert_eq!(told(&mut feeding, 2_000).await.len(), 2_000);
    let mut far = cats.watch(&WatchParams::default()).await.unwrap();
    let told = told(&mut far, 2_000).await;
    assert_eq!((told[0].as_str(), told[1_999].as_str()), ("+c00", "+c19991999"));
}

#[tokio::test]
async fn a_watch_from_compacted_history_has_expired() {
    let store = Arc::new(MemoryStore::new());
    let cats = Client::new(store.clone()).api::<Cat>("default");
    history(&cats).await;
    crate::store::Store::compact(&*store, Revision::new(4))
        .await
        .unwrap();
    let after = WatchParams {
        after: Revision::new(2),
        ..WatchParams::default()
    };
    assert!(matches!(
        cats.watch(&after).await.map(drop),
        Err(ApiError::Expired(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_watch_outlives_an_outage_and_lets_go_of_a_store_that_stays_away() {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let cats = Client::new(store.clone()).api::<Cat>("default");
    let mut watch = cats.watch(&WatchParams::default()).await.unwrap();
    cats.create(&cat("tom", 1)).await.unwrap();
    assert_eq!(told(&mut watch, 1).await, ["+tom1"]);
    store.set_available(false);
    assert!(watch.next().now_or_never().is_none());
    tokio::time::sleep(Duration::from_secs(60)).await;
    store.set_available(true);
    cats.create(&cat("jerry", 1)).await.unwrap();
    assert_eq!(
        watch.next().await.unwrap().unwrap().object().metadata.name,
        "jerry"
    );

    store.set_available(false);
    tokio::time::sleep(Duration::from_secs(60)).await;
    drop((watch, cats));
    // One turn of the hub's task, and none of its timers.
    tokio::task::yield_now().await;
    assert_eq!(Arc::strong_count(&store), 1, "nothing tries on for nobody");
}
