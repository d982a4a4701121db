//! What never returns stops neither the others nor the end.

use super::*;

struct Hanging(Arc<AtomicU32>);

#[async_trait]
impl Controller for Hanging {
    type Object = Cat;

    async fn reconcile(&self, cat: Arc<Cat>, _: &Context) -> Result<Action, ReconcileError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        match cat.metadata.name.as_str() {
            "stuck" => std::future::pending().await,
            _ => Ok(Action::done()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reconcile_that_never_returns_is_dropped_counted_and_repeated() {
    let client = client();
    let calls = Arc::new(AtomicU32::new(0));
    let backoff = Backoff {
        first: Duration::from_secs(10),
        longest: Duration::from_secs(20),
        jitter: 0.0,
    };
    let engine = Engine::new(Hanging(calls.clone()), &client).concurrency(1);
    let running = engine
        .reconcile_timeout(Duration::from_secs(60))
        .backoff(backoff)
        .start();
    let cats = client.api::<Cat>("default");
    cats.create(&cat("stuck")).await.unwrap();
    settle().await;
    cats.create(&cat("tom")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(calls.load(Ordering::Relaxed), 1, "the only worker is kept");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(calls.load(Ordering::Relaxed), 2, "until the time is up");
    tokio::time::sleep(Duration::from_secs(10 + 60 + 20)).await;
    let metrics = running.metrics();
    assert_eq!((metrics.succeeded, metrics.failed, metrics.retried), (1, 2, 2));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_although_a_reconcile_hangs_and_gives_the_lease_back() {
    let client = client();
    client.api("default").create(&cat("stuck")).await.unwrap();
    for election in [None, Some(Election::new("default", "cats", "one"))] {
        let calls = Arc::new(AtomicU32::new(0));
        let mut engine =
            Engine::new(Hanging(calls.clone()), &client).shutdown_timeout(Duration::from_secs(7));
        let is_elected = election.is_some();
        if let Some(election) = election {
            engine = engine.leader_election(election);
        }
        let running = engine.start();
        settle().await;
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        let before = Instant::now();
        tokio::time::timeout(Duration::from_secs(60), running.stop())
            .await
            .expect("stopped within a bound");
        let took = before.elapsed();
        assert!(
            took >= Duration::from_secs(7) && took < Duration::from_secs(8),
            "{took:?}"
        );
        if is_elected {
            let lease = client.api::<Lease>("default").get("cats").await.unwrap();
            assert_eq!(lease.spec.holder_identity, None);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_stopped_no_longer_hears_of_changes() {
    let client = client();
    let (tester, _) = Tester::new(|_, _| Ok(Action::done()));
    let kittens = Cache::<Kitten>::builder(&client).start();
    let token = Arc::new(());
    let heard = token.clone();
    let running = Engine::new(tester, &client)
        .watches(&kittens, move |_| {
            let _ = &heard;
            Vec::new()
        })
        .start();
    settle().await;
    assert_eq!(Arc::strong_count(&token), 2);
    running.stop().await;
    assert_eq!(
        Arc::strong_count(&token),
        1,
        "the cache lives on without the handler"
    );
}
