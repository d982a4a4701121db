//! Caches follow, resume and relist.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::*;
use crate::client::{DeleteParams, Patch};
use crate::object::Scope;
use crate::store::{MemoryStore, Store, Txn};
use crate::testing::FaultyStore;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Cat {
    metadata: ObjectMeta,
    #[serde(default)]
    colour: String,
}

impl Object for Cat {
    fn resource() -> ApiResource {
        ApiResource::new("example.com", "v1", "Cat", "cats", Scope::Namespaced)
    }

    fn metadata(&self) -> Cow<'_, ObjectMeta> {
        Cow::Borrowed(&self.metadata)
    }

    fn set_metadata(&mut self, metadata: ObjectMeta) {
        self.metadata = metadata;
    }
}

fn cat(name: &str, colour: &str) -> Cat {
    Cat {
        metadata: ObjectMeta::named(name).label("colour", colour),
        colour: colour.into(),
    }
}

fn by_colour(client: &Client) -> Cache<Cat> {
    Cache::<Cat>::builder(client)
        .index("colour", |cat, _| vec![cat.colour.clone()])
        .start()
}

fn names(cats: &[Arc<Cat>]) -> Vec<&str> {
    let mut names: Vec<_> = cats.iter().map(|cat| cat.metadata.name.as_str()).collect();
    names.sort_unstable();
    names
}

async fn paint(client: &Client, name: &str, colour: &str) -> Revision {
    let patch = Patch::Merge(json!({"colour": colour, "metadata": {"labels": {"colour": colour}}}));
    let painted: Cat = client.api("default").patch(name, &patch).await.unwrap();
    painted.metadata.resource_version.unwrap()
}

#[tokio::test]
async fn the_view_and_its_indexes_follow_every_change() {
    let client = Client::new(Arc::new(MemoryStore::new()));
    let api = client.api::<Cat>("default");
    api.create(&cat("tom", "grey")).await.unwrap();
    let cats = by_colour(&client);
    cats.synced().await;
    assert_eq!(names(&cats.list()), ["tom"]);

    let felix = api.create(&cat("felix", "black")).await.unwrap();
    cats.wait_for(felix.metadata.resource_version.unwrap()).await;
    assert_eq!(names(&cats.list()), ["felix", "tom"]);

    cats.wait_for(paint(&client, "tom", "black").await).await;
    assert_eq!(names(&cats.by_index("colour", "black")), ["felix", "tom"]);
    assert!(cats.by_index("colour", "grey").is_empty());

    let gone = api.delete("felix", &DeleteParams::now()).await.unwrap();
    cats.wait_for(gone.document().revision()).await;
    assert_eq!(names(&cats.by_index("colour", "black")), ["tom"]);
    assert_eq!(cats.len(), 1);
    assert_eq!(cats.get(&ObjectKey::new(Some("default"), "felix")), None);
}

#[tokio::test]
async fn a_selecting_cache_holds_what_it_selects() {
    let client = Client::new(Arc::new(MemoryStore::new()));
    let api = client.api::<Cat>("default");
    api.create(&cat("tom", "grey")).await.unwrap();
    api.create(&cat("felix", "black")).await.unwrap();
    let black = Cache::<Cat>::builder(&client)
        .labels("colour=black".parse().unwrap())
        .namespace("default")
        .start();
    black.synced().await;
    assert_eq!(names(&black.list()), ["felix"]);
    black.wait_for(paint(&client, "tom", "black").await).await;
    black.wait_for(paint(&client, "felix", "white").await).await;
    assert_eq!(names(&black.list()), ["tom"]);
}

#[tokio::test]
async fn a_handler_hears_of_each_object_once_and_in_order_however_late_it_comes() {
    let client = Client::new(Arc::new(MemoryStore::new()));
    let api = client.api::<Cat>("default");
    let cats = by_colour(&client);
    let heard = |cats: &Cache<Cat>| {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let log = heard.clone();
        let hearing = cats.on_change(move |change| {
            let colour = |cat: Option<&Arc<Cat>>| cat.map_or("-".to_owned(), |cat| cat.colour.clone());
            log.lock().push(format!(
                "{} {}>{}",
                change.key.name(),
                colour(change.old),
                colour(change.new)
            ));
        });
        hearing.keep();
        heard
    };
    let early = heard(&cats);
    api.create(&cat("tom", "grey")).await.unwrap();
    cats.wait_for(paint(&client, "tom", "black").await).await;
    tokio::task::yield_now().await;
    let late = heard(&cats);
    let gone = api.delete("tom", &DeleteParams::now()).await.unwrap();
    cats.wait_for(gone.document().revision()).await;
    tokio::task::yield_now().await;
    assert_eq!(*late.lock(), ["tom ->black", "tom black>-"]);
    let early = early.lock();
    // The first list may have come before or after the first writes.
    assert_eq!(early.last().unwrap(), "tom black>-");
    assert!(early[0].starts_with("tom ->"), "{early:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_lost_its_place_lists_anew() {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let client = Client::new(store.clone());
    let api = client.api::<Cat>("default");
    for n in 0..5 {
        api.create(&cat(&format!("cat-{n}"), "grey")).await.unwrap();
    }
    let cats = by_colour(&client);
    cats.synced().await;
    assert_eq!(store.pages(), 1);
    // All without letting the cache's task run: the store forgets what the cache has not seen.
    for n in 0..5 {
        api.delete(&format!("cat-{n}"), &DeleteParams::now())
            .await
            .unwrap();
    }
    let last = api
        .create(&cat("last", "white"))
        .await
        .unwrap()
        .metadata
        .resource_version
        .unwrap();
    store.compact(last).await.unwrap();
    cats.wait_for(last).await;
    assert_eq!(store.pages(), 2, "what it missed cannot be had by watching");
    assert_eq!(names(&cats.list()), ["last"]);
    assert!(cats.by_index("colour", "grey").is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_view_to_show_something_sees_it_when_it_does() {
    let client = Client::new(Arc::new(MemoryStore::new()));
    let api = client.api::<Cat>("default");
    let cats = by_colour(&client);
    let waiting = |count: usize| {
        let cats = cats.clone();
        tokio::spawn(async move { cats.until(|cats| cats.len() == count).await })
    };
    let (none, two) = (waiting(0), waiting(2));
    none.await.unwrap();
    api.create(&cat("tom", "grey")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!two.is_finished());
    api.create(&cat("felix", "grey")).await.unwrap();
    two.await.unwrap();
    waiting(2).await.unwrap();
}

#[tokio::test]
async fn an_object_that_cannot_be_decoded_is_shown_as_it_last_was() {
    let client = Client::new(Arc::new(MemoryStore::new()));
    let api = client.api::<Cat>("default");
    api.create(&cat("tom", "grey")).await.unwrap();
    let cats = by_colour(&client);
    cats.synced().await;
    let broken = Patch::Merge(json!({"colour": 3}));
    let written = api
        .patch_part("tom", crate::client::Part::Whole, &broken)
        .await
        .unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hearing = heard.clone();
    let _heard = cats.on_change(move |change| hearing.lock().push(change.new.is_some()));
    cats.wait_for(written.document.revision()).await;
    assert_eq!(names(&cats.by_index("colour", "grey")), ["tom"]);
    // Listed anew it is the same object; a view that begins now never saw it.
    let late = by_colour(&client);
    late.synced().await;
    assert!(late.is_empty());
    cats.wait_for(paint(&client, "tom", "white").await).await;
    late.wait_for(cats.revision().unwrap()).await;
    assert_eq!(names(&cats.by_index("colour", "white")), ["tom"]);
    assert_eq!(names(&late.list()), ["tom"]);

    // Another object under its name is another: of that one nothing was ever read.
    api.delete("tom", &DeleteParams::now()).await.unwrap();
    let other = json!({"metadata": {"name": "tom"}, "colour": 3});
    let collection = api.collection();
    let other = other.as_object().cloned().unwrap();
    let made = client
        .backend()
        .create(collection, other, &Default::default())
        .await
        .unwrap();
    cats.wait_for(made.document.revision()).await;
    tokio::task::yield_now().await;
    assert!(cats.is_empty());
    assert_eq!(
        *heard.lock(),
        [true, true, false],
        "what could not be read was no change"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_damaged_in_the_store_is_shown_as_it_last_was_when_listed_anew_too() {
    let store = Arc::new(MemoryStore::new());
    let client = Client::new(store.clone());
    let api = client.api::<Cat>("default");
    api.create(&cat("tom", "grey")).await.unwrap();
    let cats = by_colour(&client);
    cats.synced().await;
    let key = "registry/cats.example.com/default/tom";
    store.commit(Txn::new().put(key, "{\"broken")).await.unwrap();
    let follow = api.create(&cat("felix", "grey")).await.unwrap();
    cats.wait_for(follow.metadata.resource_version.unwrap()).await;
    assert_eq!(
        names(&cats.list()),
        ["felix", "tom"],
        "nothing told of a deletion"
    );
    // Without letting the cache's task run: it has to list anew.
    let last = api.create(&cat("last", "white")).await.unwrap();
    let last = last.metadata.resource_version.unwrap();
    store.compact(last).await.unwrap();
    cats.wait_for(last).await;
    assert_eq!(names(&cats.list()), ["felix", "last", "tom"]);
    store.commit(Txn::new().delete(key)).await.unwrap();
    let after = api.create(&cat("after", "white")).await.unwrap();
    cats.wait_for(after.metadata.resource_version.unwrap()).await;
    assert_eq!(names(&cats.list()), ["after", "felix", "last"]);
}

#[test]
fn what_cannot_be_read_is_kept_only_as_the_same_object() {
    let mut state = state::State::new(0);
    let key = ObjectKey::new(None, "tom");
    let meta = |uid: &str| ObjectMeta {
        uid: uid.into(),
        ..ObjectMeta::named("tom")
    };
    let item = state::Item::new(Arc::new("grey"), &meta("1"), Vec::new());
    assert!(state.see(&key, state::Seen::Item(item)).is_some());
    assert!(
        state
            .see(&key, state::Seen::Unreadable(state::identity("1")))
            .is_none()
    );
    assert_eq!(state.get(&key).map(|value| **value), Some("grey"));
    let (old, new) = state
        .see(&key, state::Seen::Unreadable(state::identity("2")))
        .unwrap();
    assert!(old.is_some() && new.is_none() && state.len() == 0);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_cache_is_no_longer_fed() {
    let client = Client::new(Arc::new(MemoryStore::new()));
    let cats = by_colour(&client);
    cats.synced().await;
    let feed = cats.0.feed.clone();
    let shared = Arc::downgrade(&cats.0.shared);
    drop(cats.clone());
    assert!(!feed.is_finished(), "another handle is left");
    drop(cats);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(feed.is_finished() && shared.upgrade().is_none());
}

#[tokio::test]
async fn a_handler_projection_or_index_that_panics_misses_a_change_and_no_more() {
    let client = Client::new(Arc::new(MemoryStore::new()));
    let heard = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let view = Cache::projected(&client, Cat::resource(), |cat| {
        let cat: Cat = cat.decode()?;
        assert_ne!(cat.colour, "plaid", "cannot be seen");
        Ok(cat.colour)
    });
    let view = view
        .index("short", |_, meta| vec![meta.name[..3].to_owned()])
        .start();
    view.synced().await;
    let telling = heard.clone();
    let _hearing = view.on_change(move |change| {
        let colour = change.new.map(ToString::to_string).unwrap_or_default();
        assert_ne!(colour, "pink", "cannot be heard");
        telling.lock().push(colour);
    });
    let api = client.api("default");
    let mut newest = Revision::ZERO;
    for (name, colour) in [
        ("tom", "grey"),
        ("jinx", "pink"),
        ("bob", "plaid"),
        ("bo", "white"),
        ("ann", "black"),
    ] {
        let made = api.create(&cat(name, colour)).await.unwrap();
        newest = made.metadata.resource_version.unwrap();
    }
    tokio::time::timeout(Duration::from_secs(60), view.wait_for(newest))
        .await
        .unwrap();
    assert_eq!(view.len(), 3, "only what cannot be seen is not there");
    assert_eq!(*heard.lock(), ["grey", "black"]);
}

#[tokio::test]
async fn a_handler_is_called_until_its_subscription_is_dropped_or_kept_with_the_cache() {
    let client = Client::new(Arc::new(MemoryStore::new()));
    let api = client.api::<Cat>("default");
    let cats = by_colour(&client);
    cats.synced().await;
    let count = Arc::new(Mutex::new([0; 3]));
    let subscribe = |number: usize| {
        let count = count.clone();
        cats.on_change(move |_| count.lock()[number] += 1)
    };
    let (dropped, held) = (subscribe(0), subscribe(1));
    subscribe(2).keep();
    let seen = async |name: &str| {
        let made = api.create(&cat(name, "grey")).await.unwrap();
        cats.wait_for(made.metadata.resource_version.unwrap()).await;
        tokio::task::yield_now().await;
    };
    seen("tom").await;
    assert_eq!(*count.lock(), [1, 1, 1]);
    drop(dropped);
    assert_eq!(Arc::strong_count(&count), 3, "what it held is let go of at once");
    seen("felix").await;
    assert_eq!(*count.lock(), [1, 2, 2]);
    drop(held);
    drop(cats);
    tokio::time::timeout(Duration::from_secs(60), async {
        while Arc::strong_count(&count) > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("a kept handler goes with its cache");
}

#[tokio::test]
async fn a_subscription_can_be_dropped_within_a_call() {
    let client = Client::new(Arc::new(MemoryStore::new()));
    let api = client.api::<Cat>("default");
    let cats = by_colour(&client);
    cats.synced().await;
    let (own, count) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(0)));
    let (taken, counted) = (own.clone(), count.clone());
    let once = cats.on_change(move |_| {
        *counted.lock() += 1;
        drop(taken.lock().take());
    });
    *own.lock() = Some(once);
    for name in ["tom", "felix", "ann"] {
        let made = api.create(&cat(name, "grey")).await.unwrap();
        cats.wait_for(made.metadata.resource_version.unwrap()).await;
    }
    tokio::task::yield_now().await;
    assert_eq!(*count.lock(), 1);
}

#[tokio::test]
async fn the_same_history_gives_the_same_order() {
    let client = Client::new(Arc::new(MemoryStore::new()));
    let api = client.api::<Cat>("default");
    let views = [by_colour(&client), by_colour(&client)];
    for view in &views {
        view.synced().await;
    }
    let mut newest = Revision::ZERO;
    for number in 0..60 {
        let colour = ["grey", "black"][number % 2];
        api.create(&cat(&format!("cat-{number}"), colour)).await.unwrap();
        if number % 7 == 6 {
            let gone = api
                .delete(&format!("cat-{}", number - 3), &DeleteParams::now())
                .await;
            newest = gone.unwrap().document().revision();
        }
    }
    let [one, other] = views.each_ref().map(async |view| {
        view.wait_for(newest).await;
        let names = |cats: Vec<Arc<Cat>>| -> Vec<String> {
            cats.iter().map(|cat| cat.metadata.name.clone()).collect()
        };
        let (mut visited, told) = (Vec::new(), Arc::new(Mutex::new(Vec::new())));
        view.for_each(|key, _| visited.push(key.name().to_owned()));
        let telling = told.clone();
        let telling = view.on_change(move |change| telling.lock().push(change.key.name().to_owned()));
        drop(telling);
        let keys = view.keys_by_index("colour", "black");
        let keys: Vec<_> = keys.iter().map(|key| key.name().to_owned()).collect();
        let told = told.lock().clone();
        [
            names(view.list()),
            names(view.by_index("colour", "grey")),
            visited,
            told,
            keys,
        ]
    });
    assert_eq!(one.await, other.await);
}
