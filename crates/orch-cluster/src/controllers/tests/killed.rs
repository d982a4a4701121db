//! The control plane is killed at any moment, whatever it is doing: nothing is doubled, nothing lost.

use std::time::Duration;

use serde_json::json;

use super::{Cluster, counts, image, seconds};

#[tokio::test(start_paused = true)]
async fn killed_in_the_middle_nothing_is_doubled_or_lost() {
    let mut cluster = Cluster::start(3).await;
    cluster.apply("web", "v1", json!({"replicas": 40})).await;
    for round in 0..60u64 {
        tokio::time::sleep(Duration::from_micros(137 * (round % 7))).await;
        for _ in 0..(round * 5) % 97 {
            tokio::task::yield_now().await;
        }
        cluster.restart().await;
        if round == 30 {
            cluster.patch("web", image("v2")).await;
        }
        let pods: usize = cluster.images().await.values().sum();
        assert!(pods <= 41, "{pods} pods in round {round}");
    }
    seconds(30).await;
    assert_eq!(cluster.images().await, counts(&[("v2", 40)]));
    assert_eq!(
        cluster.reason("web", "Progressing").await.as_deref(),
        Some("NewReplicaSetAvailable")
    );
}
