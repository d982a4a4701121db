//! Controllers converge, retry, take turns and clean up.

mod bounds;
mod history;
mod leases;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

use super::*;
use crate::cache::Cache;
use crate::client::{DeleteParams, Patch};
use crate::object::{ApiResource, ObjectMeta, OwnerReference, Scope};
use crate::store::MemoryStore;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Cat {
    metadata: ObjectMeta,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Kitten {
    metadata: ObjectMeta,
}

macro_rules! kind {
    ($type:ty, $kind:literal, $plural:literal) => {
        impl Object for $type {
            fn resource() -> ApiResource {
                ApiResource::new("example.com", "v1", $kind, $plural, Scope::Namespaced)
            }

            fn metadata(&self) -> Cow<'_, ObjectMeta> {
                Cow::Borrowed(&self.metadata)
            }

            fn set_metadata(&mut self, metadata: ObjectMeta) {
                self.metadata = metadata;
            }
        }
    };
}

kind!(Cat, "Cat", "cats");
kind!(Kitten, "Kitten", "kittens");

fn client() -> Client {
    Client::new(Arc::new(MemoryStore::new()))
}

fn cat(name: &str) -> Cat {
    Cat {
        metadata: ObjectMeta::named(name),
        status: None,
    }
}

/// What the reconciler under test does with an object, and what it has seen.
#[derive(Default)]
struct Seen {
    calls: Mutex<Vec<(String, Instant)>>,
    running: Mutex<HashMap<ObjectKey, u32>>,
    overlaps: AtomicU32,
    most_at_once: AtomicU32,
    cleaned: AtomicU32,
    gone: AtomicU32,
}

impl Seen {
    fn times(&self, name: &str) -> usize {
        self.calls
            .lock()
            .iter()
            .filter(|(called, _)| called == name)
            .count()
    }
}

type Decide = Box<dyn Fn(&Cat, usize) -> Result<Action, ReconcileError> + Send + Sync>;

struct Tester {
    seen: Arc<Seen>,
    decide: Decide,
    takes: Duration,
    finalizer: Option<&'static str>,
}

impl Tester {
    fn new(
        decide: impl Fn(&Cat, usize) -> Result<Action, ReconcileError> + Send + Sync + 'static,
    ) -> (Self, Arc<Seen>) {
        let seen = Arc::new(Seen::default());
        let tester = Self {
            seen: seen.clone(),
            decide: Box::new(decide),
            takes: Duration::ZERO,
            finalizer: None,
        };
        (tester, seen)
    }
}

#[async_trait]
impl Controller for Tester {
    type Object = Cat;

    fn finalizer(&self) -> Option<&str> {
        self.finalizer
    }

    async fn reconcile(&self, cat: Arc<Cat>, _: &Context) -> Result<Action, ReconcileError> {
        let key = cat.key();
        {
            let mut running = self.seen.running.lock();
            let at_once = running.entry(key.clone()).or_default();
            *at_once += 1;
            if *at_once > 1 {
                self.seen.overlaps.fetch_add(1, Ordering::Relaxed);
            }
            let all = running.values().sum();
            self.seen.most_at_once.fetch_max(all, Ordering::Relaxed);
        }
        self.seen
            .calls
            .lock()
            .push((cat.metadata.name.clone(), Instant::now()));
        if !self.takes.is_zero() {
            tokio::time::sleep(self.takes).await;
        }
        *self.seen.running.lock().get_mut(&key).unwrap() -= 1;
        (self.decide)(&cat, self.seen.times(&cat.metadata.name))
    }

    async fn cleanup(&self, _: Arc<Cat>, _: &Context) -> Result<Action, ReconcileError> {
        match self.seen.cleaned.fetch_add(1, Ordering::Relaxed) {
            0 => Err("not yet".into()),
            1 => Ok(Action::requeue_after(Duration::from_secs(5))),
            _ => Ok(Action::done()),
        }
    }

    async fn gone(&self, _: &ObjectKey, _: &Context) {
        self.seen.gone.fetch_add(1, Ordering::Relaxed);
    }
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn changes_made_while_an_object_is_reconciled_lead_to_one_more_reconcile_never_to_two_at_once() {
    let client = client();
    let (mut tester, seen) = Tester::new(|_, _| Ok(Action::done()));
    tester.takes = Duration::from_secs(1);
    let running = Engine::new(tester, &client).concurrency(3).start();
    let cats = client.api::<Cat>("default");
    for name in ["a", "b", "c", "d"] {
        cats.create(&cat(name)).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    for n in 0..10 {
        cats.put_status("a", None, &n).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!((seen.times("a"), seen.times("b")), (2, 1));
    assert_eq!(seen.overlaps.load(Ordering::Relaxed), 0);
    assert_eq!(seen.most_at_once.load(Ordering::Relaxed), 3);
    let metrics = running.metrics();
    assert_eq!(
        (
            metrics.succeeded,
            metrics.failed,
            metrics.queue_depth,
            metrics.working
        ),
        (5, 0, 0, 0)
    );
    assert_eq!(metrics.work_time.count, 5);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn failures_are_retried_with_growing_delays_and_forgotten_after_a_success() {
    let client = client();
    let (tester, seen) = Tester::new(|_, calls| {
        if calls < 5 {
            Err("not yet".into())
        } else {
            Ok(Action::done())
        }
    });
    let backoff = Backoff {
        first: Duration::from_secs(1),
        longest: Duration::from_secs(4),
        jitter: 0.0,
    };
    let running = Engine::new(tester, &client).backoff(backoff).start();
    client.api("default").create(&cat("tom")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(100)).await;
    let calls = seen.calls.lock().clone();
    let gaps: Vec<_> = calls
        .windows(2)
        .map(|pair| (pair[1].1 - pair[0].1).as_millis() / 100)
        .collect();
    assert_eq!(gaps, [10, 20, 40, 40]);
    let metrics = running.metrics();
    assert_eq!((metrics.succeeded, metrics.failed, metrics.retried), (1, 4, 4));
}

#[tokio::test(start_paused = true)]
async fn a_requeue_comes_when_asked_for_and_an_earlier_change_replaces_it() {
    let client = client();
    let (tester, seen) = Tester::new(|_, _| Ok(Action::requeue_after(Duration::from_secs(3600))));
    let running = Engine::new(tester, &client).start();
    let cats = client.api::<Cat>("default");
    cats.create(&cat("tom")).await.unwrap();
    settle().await;
    tokio::time::sleep(Duration::from_secs(1800)).await;
    cats.put_status("tom", None, &1).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3599)).await;
    assert_eq!(
        seen.times("tom"),
        2,
        "the change at half past has put the requeue off"
    );
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(seen.times("tom"), 3);
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    assert_eq!(seen.times("tom"), 27);
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_like_any_other() {
    let client = client();
    let (tester, seen) = Tester::new(|_, calls| {
        if calls == 1 {
            panic!("claws")
        } else {
            Ok(Action::done())
        }
    });
    let running = Engine::new(tester, &client).concurrency(1).start();
    client.api("default").create(&cat("tom")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((seen.times("tom"), running.metrics().failed), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn what_an_object_owns_brings_it_back_to_the_queue() {
    let client = client();
    let (tester, seen) = Tester::new(|_, _| Ok(Action::done()));
    let kittens_seen = Cache::<Kitten>::builder(&client).start();
    let running = Engine::new(tester, &client).owns(&kittens_seen).start();
    let cats = client.api::<Cat>("default");
    let tom = cats.create(&cat("tom")).await.unwrap();
    cats.create(&cat("felix")).await.unwrap();
    settle().await;
    let kittens = client.api::<Kitten>("default");
    let owner = |api_version: &str| OwnerReference {
        api_version: api_version.into(),
        kind: "Cat".into(),
        name: "tom".into(),
        uid: tom.metadata.uid.clone(),
        controller: true,
        ..OwnerReference::default()
    };
    let mut kitten = Kitten {
        metadata: ObjectMeta::named("kit"),
    };
    kitten.metadata.owner_references = vec![owner("example.com/v1beta1")];
    kittens.create(&kitten).await.unwrap();
    settle().await;
    assert_eq!(seen.times("tom"), 2, "in whatever version the owner is named");
    // Taken away from tom: tom is told, though the kitten is another's now.
    let mut stolen = owner("other.com/v1");
    stolen.name = "felix".into();
    let patch = Patch::Merge(json!({"metadata": {"ownerReferences": [stolen]}}));
    kittens.patch("kit", &patch).await.unwrap();
    settle().await;
    assert_eq!((seen.times("tom"), seen.times("felix")), (3, 1));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_object_with_a_finalizer_goes_only_after_its_cleanup_succeeded() {
    let client = client();
    let (mut tester, seen) = Tester::new(|cat, _| {
        assert_eq!(
            cat.metadata.finalizers,
            ["example.com/cleanup"],
            "never reconciled without it"
        );
        Ok(Action::done())
    });
    tester.finalizer = Some("example.com/cleanup");
    let running = Engine::new(tester, &client).start();
    let cats = client.api::<Cat>("default");
    cats.create(&cat("tom")).await.unwrap();
    settle().await;
    assert!(seen.times("tom") >= 1);
    cats.delete("tom", &DeleteParams::default()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(
        seen.cleaned.load(Ordering::Relaxed),
        2,
        "failed once, then asked for time"
    );
    assert!(cats.get("tom").await.unwrap().metadata.is_deleting());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(cats.get("tom").await.unwrap_err().is_not_found());
    assert_eq!(seen.gone.load(Ordering::Relaxed), 1);
    assert_eq!(running.metrics().failed, 1);
}

#[tokio::test(start_paused = true)]
async fn stopping_finishes_what_is_in_hand_and_takes_on_nothing_more() {
    let client = client();
    let (mut tester, seen) = Tester::new(|_, _| Ok(Action::done()));
    tester.takes = Duration::from_secs(5);
    let running = Engine::new(tester, &client).concurrency(1).start();
    let cats = client.api::<Cat>("default");
    cats.create(&cat("a")).await.unwrap();
    cats.create(&cat("b")).await.unwrap();
    settle().await;
    let before = Instant::now();
    running.stop().await;
    assert!(
        before.elapsed() >= Duration::from_secs(4),
        "waited for the one in hand"
    );
    assert_eq!(seen.calls.lock().len(), 1);
    assert!(seen.running.lock().values().all(|n| *n == 0));
}

#[tokio::test(start_paused = true)]
async fn many_objects_are_each_reconciled_once() {
    let client = client();
    let cats = client.api::<Cat>("default");
    for n in 0..500 {
        cats.create(&cat(&format!("cat-{n}"))).await.unwrap();
    }
    let done = Arc::new(AtomicBool::new(false));
    let flag = done.clone();
    let (tester, seen) = Tester::new(move |_, _| {
        flag.store(true, Ordering::Relaxed);
        Ok(Action::done())
    });
    let running = Engine::new(tester, &client).concurrency(16).start();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(done.load(Ordering::Relaxed));
    assert_eq!(seen.calls.lock().len(), 500);
    assert_eq!(running.metrics().succeeded, 500);
}
