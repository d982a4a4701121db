//! Of several candidates one leads.

use super::*;
use crate::store::{
    CommitError, Committed, Entry, Key, ListOptions, Page, Prefix, Read, ReadError, Revision, Store, Txn,
    Watch, WatchError,
};

struct Dutiful(Arc<AtomicU32>);

#[async_trait]
impl Controller for Dutiful {
    type Object = Cat;

    async fn reconcile(&self, cat: Arc<Cat>, cx: &Context) -> Result<Action, ReconcileError> {
        // One write a second: each leads to one more reconcile, which then has nothing to write.
        let second = crate::time::now().as_second().unsigned_abs();
        if cat.status != Some(second) {
            cx.client()
                .api::<Cat>("default")
                .put_status(&cat.metadata.name, None, &second)
                .await?;
        }
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Action::requeue_after(Duration::from_secs(1)))
    }
}

#[tokio::test(start_paused = true)]
async fn of_several_engines_one_leads_and_another_takes_over_when_it_stops() {
    let client = client();
    client.api("default").create(&cat("tom")).await.unwrap();
    let start = |identity: &str| {
        let counter = Arc::new(AtomicU32::new(0));
        let election = Election::new("default", "cats", identity);
        let engine = Engine::new(Dutiful(counter.clone()), &client).leader_election(election);
        (engine.start(), counter)
    };
    let (one, first) = start("one");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (two, second) = start("two");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(first.load(Ordering::Relaxed) > 50);
    assert_eq!(second.load(Ordering::Relaxed), 0);
    one.stop().await;
    let stopped = first.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(first.load(Ordering::Relaxed), stopped);
    assert!(
        second.load(Ordering::Relaxed) > 4,
        "the lease was given back, so nobody waited for it to run out"
    );
    let lease = client.api::<Lease>("default").get("cats").await.unwrap();
    assert_eq!(lease.spec.holder_identity.as_deref(), Some("two"));
    drop(two);
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_lease_is_taken_stops_and_its_late_writes_are_refused() {
    let client = client();
    client.api("default").create(&cat("tom")).await.unwrap();
    let mut first = Leadership::campaign(client.clone(), Election::new("default", "cats", "one"));
    let behind_fence = first.won().await;
    behind_fence
        .api::<Cat>("default")
        .put_status("tom", None, &1)
        .await
        .unwrap();

    // Another steals the lease outright, as if the first had been asleep past its time.
    let leases = client.api::<Lease>("default");
    let mut lease = leases.get("cats").await.unwrap();
    lease.spec.holder_identity = None;
    leases.update(&lease).await.unwrap();
    let mut second = Leadership::campaign(client.clone(), Election::new("default", "cats", "two"));
    second.won().await;
    let late = behind_fence
        .api::<Cat>("default")
        .put_status("tom", None, &2)
        .await;
    assert!(
        late.unwrap_err()
            .to_string()
            .contains("another leader has taken over")
    );
    first.lost().await;
    assert!(!first.is_leader() && second.is_leader());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_loses_the_lease_and_has_it_again_at_once_is_told_of_the_loss() {
    let client = client();
    client.api("default").create(&cat("tom")).await.unwrap();
    let mut leader = Leadership::campaign(client.clone(), Election::new("default", "cats", "one"));
    let before = leader.won().await;
    let leases = client.api::<Lease>("default");
    leases.delete("cats", &DeleteParams::default()).await.unwrap();
    // The memory store answers at once, so nothing is seen of the time in between.
    tokio::time::timeout(Duration::from_secs(20), leader.lost())
        .await
        .unwrap();
    let again = leader.won().await;
    let cats = |client: &Client| client.api::<Cat>("default");
    cats(&again).put_status("tom", None, &1).await.unwrap();
    let late = cats(&before).put_status("tom", None, &2).await;
    assert!(late.is_err(), "the old fence has fallen");
}

#[tokio::test(start_paused = true)]
async fn a_write_of_somebody_else_to_the_lease_does_not_depose_its_holder() {
    let client = client();
    let mut leader = Leadership::campaign(client.clone(), Election::new("default", "cats", "one"));
    leader.won().await;
    let leases = client.api::<Lease>("default");
    for round in 0..20 {
        tokio::time::sleep(Duration::from_millis(1_900)).await;
        let mut lease = leases.get("cats").await.unwrap();
        lease
            .metadata
            .labels
            .insert("round".to_owned(), round.to_string());
        // A conflict here is one for the leader's renewal elsewhere.
        let _ = leases.update(&lease).await;
        assert!(leader.is_leader());
    }
    assert_eq!(leases.get("cats").await.unwrap().spec.lease_transitions, Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_not_renewed_runs_out_by_the_candidates_own_clock() {
    let client = client();
    let mut first = Leadership::campaign(client.clone(), Election::new("default", "cats", "one"));
    first.won().await;
    drop(first);
    let before = Instant::now();
    let mut second = Leadership::campaign(client.clone(), Election::new("default", "cats", "two"));
    second.won().await;
    let waited = before.elapsed();
    assert!(
        waited >= Duration::from_secs(15) && waited < Duration::from_secs(20),
        "{waited:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_others_keep_with_a_lease_survives_its_whole_course() {
    let client = client();
    let dynamic = json!({"strategy": "OldestEmulationVersion", "x": {"y": [1, null]}});
    let mut leader = Leadership::campaign(client.clone(), Election::new("default", "cats", "one"));
    leader.won().await;
    let leases = client.api::<Lease>("default");
    let patch = Patch::Merge(json!({"spec": dynamic, "metadata": {"annotations": {"a": "b"}}}));
    leases.patch("cats", &patch).await.unwrap();
    let kept = async |what: &str| {
        let lease = leases.get("cats").await.unwrap();
        let spec = serde_json::to_value(&lease.spec).unwrap();
        let strategy = (&spec["strategy"], &spec["x"]["y"][0]);
        assert_eq!(strategy, (&json!("OldestEmulationVersion"), &json!(1)), "{what}");
        lease.spec
    };
    let before = kept("written").await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(kept("renewed").await.renew_time > before.renew_time);
    leader.resign().await;
    assert_eq!(kept("given back").await.holder_identity, None);
    let mut second = Leadership::campaign(client.clone(), Election::new("default", "cats", "two"));
    second.won().await;
    assert_eq!(kept("taken").await.lease_transitions, Some(1));
}

/// A store that takes its time to raise a fence, and for nothing else.
struct SlowFences(MemoryStore, Duration);

#[async_trait]
impl Store for SlowFences {
    async fn get(&self, key: &Key) -> Result<Read<Option<Entry>>, ReadError> {
        self.0.get(key).await
    }

    async fn list(&self, prefix: &Prefix, options: ListOptions) -> Result<Page, ReadError> {
        self.0.list(prefix, options).await
    }

    async fn commit(&self, txn: Txn) -> Result<Committed, CommitError> {
        // Writes behind a fence compare it with others.
        if let [only] = &txn.compares[..]
            && only.key.as_ref().starts_with(b"fence/")
        {
            tokio::time::sleep(self.1).await;
        }
        self.0.commit(txn).await
    }

    async fn watch(&self, prefix: &Prefix, after: Revision) -> Result<Watch, WatchError> {
        self.0.watch(prefix, after).await
    }

    async fn compact(&self, through: Revision) -> Result<(), ReadError> {
        self.0.compact(through).await
    }

    async fn revision(&self) -> Result<Revision, ReadError> {
        self.0.revision().await
    }
}

fn slow_to_fence(seconds: u64) -> Client {
    Client::new(Arc::new(SlowFences(
        MemoryStore::new(),
        Duration::from_secs(seconds),
    )))
}

async fn holder(client: &Client) -> Option<String> {
    let lease = client.api::<Lease>("default").get("cats").await.unwrap();
    lease.spec.holder_identity
}

#[tokio::test(start_paused = true)]
async fn a_candidate_that_resigns_in_the_middle_of_taking_the_lease_gives_it_back() {
    let client = slow_to_fence(3_600);
    let candidate = Leadership::campaign(client.clone(), Election::new("default", "cats", "one"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(holder(&client).await.as_deref(), Some("one"));
    assert!(!candidate.is_leader(), "its fence is not raised yet");
    tokio::time::timeout(Duration::from_secs(5), candidate.resign())
        .await
        .unwrap();
    assert_eq!(holder(&client).await, None);
}

#[tokio::test(start_paused = true)]
async fn the_lease_counts_from_when_it_was_asked_for_however_long_the_fence_takes() {
    // Eight seconds of ten are gone when it leads, so it renews at once.
    let client = slow_to_fence(8);
    let began = Instant::now();
    let mut leader = Leadership::campaign(client.clone(), Election::new("default", "cats", "one"));
    leader.won().await;
    let won = began.elapsed();
    assert!(
        won >= Duration::from_secs(8) && won < Duration::from_secs(9),
        "{won:?}"
    );
    tokio::time::sleep(Duration::from_millis(100)).await;
    let lease = client.api::<Lease>("default").get("cats").await.unwrap();
    let spec = lease.spec;
    let renewed = spec
        .renew_time
        .unwrap()
        .duration_since(spec.acquire_time.unwrap());
    assert!(renewed.as_secs() == 8 && leader.is_leader(), "{renewed:?}");

    // Beyond that the lease may be another's, so it does not lead.
    let mut late = Leadership::campaign(slow_to_fence(11), Election::new("default", "cats", "one"));
    let led = tokio::time::timeout(Duration::from_secs(120), late.won()).await;
    assert!(led.is_err());
}
