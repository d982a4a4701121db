//! Deletes wait for grace and finalizers, and for nothing else.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::object::Document;

/// Cats take thirty seconds to leave, as pods do.
struct Graceful;

impl KindRules for Graceful {
    fn grace_period_seconds(&self, _: &Document, requested: Option<u64>) -> u64 {
        requested.unwrap_or(30)
    }
}

fn graceful() -> Api<Cat> {
    let store = Arc::new(MemoryStore::new());
    Client::builder(store)
        .kind(Kind::new(Cat::resource(), Graceful))
        .build()
        .api("default")
}

#[tokio::test]
async fn an_object_nobody_holds_goes_at_once() {
    let cats = client().api::<Cat>("default");
    let tom = cats.create(&cat("tom", 9)).await.unwrap();
    let deleted = cats.delete("tom", &DeleteParams::default()).await.unwrap();
    let Deleted::Gone(last) = deleted else {
        panic!("{deleted:?}")
    };
    assert!(last.revision() > revision(&tom));
    assert!(
        cats.delete("tom", &DeleteParams::default())
            .await
            .unwrap_err()
            .is_not_found()
    );
}

#[tokio::test]
async fn preconditions_must_hold() {
    let cats = client().api::<Cat>("default");
    let tom = cats.create(&cat("tom", 9)).await.unwrap();
    let other = DeleteParams::default().uid("other");
    assert!(cats.delete("tom", &other).await.unwrap_err().is_conflict());
    let stale = DeleteParams {
        resource_version: Some(revision(&tom).next()),
        ..DeleteParams::default()
    };
    assert!(cats.delete("tom", &stale).await.unwrap_err().is_conflict());
    cats.delete("tom", &DeleteParams::default().uid(tom.metadata.uid))
        .await
        .unwrap();
}

#[tokio::test]
async fn finalizers_hold_an_object_until_the_last_is_taken_away() {
    let cats = client().api::<Cat>("default");
    let mut tom = cat("tom", 9);
    tom.metadata.finalizers = vec!["example.com/a".into(), "example.com/b".into()];
    cats.create(&tom).await.unwrap();
    let deleted = cats.delete("tom", &DeleteParams::default()).await.unwrap();
    assert!(matches!(deleted, Deleted::Pending(_)));
    let leaving = cats.get("tom").await.unwrap();
    assert_eq!(
        (leaving.metadata.is_deleting(), leaving.metadata.generation),
        (true, 2)
    );
    let again = cats.delete("tom", &DeleteParams::default()).await.unwrap();
    assert_eq!(
        again.document().revision(),
        revision(&leaving),
        "a second delete changes nothing"
    );

    let added = Patch::Merge(json!({"metadata": {"finalizers": ["example.com/a", "example.com/c"]}}));
    let error = cats.patch("tom", &added).await.unwrap_err().to_string();
    assert!(
        error.contains("metadata.finalizers: Forbidden: no new finalizers"),
        "{error}"
    );
    let undone = Patch::Merge(json!({"metadata": {"deletionTimestamp": null}}));
    assert!(
        cats.patch("tom", &undone).await.unwrap().metadata.is_deleting(),
        "deletion never goes back"
    );

    cats.patch(
        "tom",
        &Patch::Merge(json!({"metadata": {"finalizers": ["example.com/a"]}})),
    )
    .await
    .unwrap();
    cats.get("tom").await.unwrap();
    cats.patch("tom", &Patch::Merge(json!({"metadata": {"finalizers": null}})))
        .await
        .unwrap();
    assert!(cats.get("tom").await.unwrap_err().is_not_found());
}

#[tokio::test(start_paused = true)]
async fn a_second_delete_that_names_no_period_leaves_a_longer_one() {
    let cats = graceful();
    cats.create(&cat("tom", 9)).await.unwrap();
    let long = DeleteParams {
        grace_period_seconds: Some(600),
        ..DeleteParams::default()
    };
    cats.delete("tom", &long).await.unwrap();
    cats.delete("tom", &DeleteParams::default()).await.unwrap();
    let meta = cats.get("tom").await.unwrap().metadata;
    assert_eq!(meta.deletion_grace_period_seconds, Some(600));
}

#[tokio::test(start_paused = true)]
async fn a_grace_period_can_be_shortened_but_not_lengthened() {
    let cats = graceful();
    cats.create(&cat("tom", 9)).await.unwrap();
    cats.delete("tom", &DeleteParams::default()).await.unwrap();
    let first = cats.get("tom").await.unwrap().metadata;
    assert_eq!(first.deletion_grace_period_seconds, Some(30));
    tokio::time::advance(Duration::from_secs(3)).await;
    let longer = DeleteParams {
        grace_period_seconds: Some(100),
        ..DeleteParams::default()
    };
    cats.delete("tom", &longer).await.unwrap();
    assert_eq!(
        cats.get("tom").await.unwrap().metadata.resource_version,
        first.resource_version
    );
    let shorter = DeleteParams {
        grace_period_seconds: Some(5),
        ..DeleteParams::default()
    };
    cats.delete("tom", &shorter).await.unwrap();
    let second = cats.get("tom").await.unwrap().metadata;
    assert_eq!(second.deletion_grace_period_seconds, Some(5));
    // The kind's own thirty seconds are not asked for again.
    cats.delete("tom", &DeleteParams::default()).await.unwrap();
    assert_eq!(cats.get("tom").await.unwrap().metadata, second);
    assert!(second.deletion_timestamp < first.deletion_timestamp);
    assert!(matches!(
        cats.delete("tom", &DeleteParams::now()).await.unwrap(),
        Deleted::Gone(_)
    ));
}

#[tokio::test]
async fn the_propagation_policy_is_left_as_a_finalizer_for_the_collector() {
    for (policy, finalizers) in [
        (Propagation::Foreground, vec!["foregroundDeletion"]),
        (Propagation::Orphan, vec!["orphan"]),
    ] {
        let cats = client().api::<Cat>("default");
        cats.create(&cat("tom", 9)).await.unwrap();
        cats.delete("tom", &DeleteParams::default().propagation(policy))
            .await
            .unwrap();
        assert_eq!(cats.get("tom").await.unwrap().metadata.finalizers, finalizers);
        cats.delete(
            "tom",
            &DeleteParams::default().propagation(Propagation::Background),
        )
        .await
        .unwrap();
        assert!(cats.get("tom").await.unwrap_err().is_not_found(), "{policy:?}");
    }
}
