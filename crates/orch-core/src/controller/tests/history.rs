//! The same seed gives the same history.

use super::*;

/// Which objects are reconciled in which order, with a lease that is lost in between.
async fn history() -> Vec<String> {
    let client = client();
    let cats = client.api::<Cat>("default");
    for number in 0..40 {
        cats.create(&cat(&format!("cat-{number}"))).await.unwrap();
    }
    for number in [3, 17, 18, 30] {
        cats.delete(&format!("cat-{number}"), &DeleteParams::default())
            .await
            .unwrap();
    }
    let (mut tester, seen) = Tester::new(|_, calls| match calls % 3 {
        0 => Ok(Action::requeue_after(Duration::from_secs(7))),
        1 => Err("not yet".into()),
        _ => Ok(Action::done()),
    });
    tester.takes = Duration::from_millis(100);
    let running = Engine::new(tester, &client)
        .random(Random::seeded(3))
        .leader_election(Election::new("default", "cats", "one"))
        .start();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let leases = client.api::<Lease>("default");
    leases.delete("cats", &DeleteParams::default()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    running.stop().await;
    let calls = seen.calls.lock();
    calls.iter().map(|(name, _)| name.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_history() {
    let first = history().await;
    assert!(first.len() > 100, "{}", first.len());
    for _ in 0..3 {
        assert_eq!(history().await, first);
    }
}
