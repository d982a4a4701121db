//! Tests of events, in virtual time.

use orch_core::client::{DeleteParams, ListParams};

use super::news::REFILL;
use super::*;
use k8s_openapi::api::core::v1::Pod;
use orch_core::store::MemoryStore;

fn client() -> Client {
    Client::new(Arc::new(MemoryStore::new()))
}

fn pod(name: &str) -> ObjectReference {
    reference(&Pod {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some("shop".to_owned()),
            uid: Some("u".to_owned()),
            ..ObjectMeta::default()
        },
        ..Pod::default()
    })
}

async fn events(client: &Client) -> Vec<Event> {
    client
        .all::<Event>()
        .list(&ListParams::default())
        .await
        .unwrap()
        .items
}

#[tokio::test(start_paused = true)]
async fn the_same_news_is_one_event_that_counts() {
    let client = client();
    let recorder = Recorder::new(client.clone(), "kubelet", "n1");
    for _ in 0..3 {
        recorder.warning(&pod("web"), "BackOff", "Back-off restarting");
        recorder.normal(&pod("web"), "Pulled", "present");
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    let mut events = events(&client).await;
    events.sort_by_key(|event| event.reason.clone());
    assert_eq!(events.len(), 2);
    let event = &events[0];
    assert_eq!((event.count, event.type_.as_deref()), (Some(3), Some("Warning")));
    assert_eq!(
        (
            event.involved_object.kind.as_deref(),
            event.metadata.namespace.as_deref()
        ),
        (Some("Pod"), Some("shop"))
    );
    let (first, last) = (
        event.first_timestamp.as_ref().unwrap(),
        event.last_timestamp.as_ref().unwrap(),
    );
    assert_eq!(last.0.duration_since(first.0).as_secs(), 20);
    assert_eq!(event.source.as_ref().unwrap().host.as_deref(), Some("n1"));
}

#[tokio::test(start_paused = true)]
async fn too_much_about_one_object_is_left_out_and_others_are_heard() {
    let client = client();
    let recorder = Recorder::new(client.clone(), "kubelet", "n1");
    for number in 0..100 {
        recorder.normal(&pod("loud"), "Talk", format!("news {number}"));
    }
    recorder.normal(&pod("quiet"), "Talk", "one");
    recorder.flush().await;
    assert_eq!(events(&client).await.len(), 26);
    tokio::time::sleep(REFILL * 2).await;
    for number in 0..10 {
        recorder.normal(&pod("loud"), "Talk", format!("later news {number}"));
    }
    recorder.flush().await;
    assert_eq!(events(&client).await.len(), 28);
}

#[tokio::test(start_paused = true)]
async fn recorders_that_speak_at_the_same_instant_both_are_heard() {
    let client = client();
    let recorders = [
        Recorder::new(client.clone(), "a", ""),
        Recorder::new(client.clone(), "b", ""),
    ];
    for recorder in &recorders {
        recorder.normal(&pod("web"), "Same", "same");
    }
    for recorder in &recorders {
        recorder.flush().await;
    }
    assert_eq!(events(&client).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_event_somebody_deleted_is_written_anew() {
    let client = client();
    let recorder = Recorder::new(client.clone(), "a", "");
    recorder.normal(&pod("web"), "Same", "same");
    recorder.flush().await;
    let name = events(&client).await[0].metadata.name.clone().unwrap();
    client
        .api::<Event>("shop")
        .delete(&name, &DeleteParams::default())
        .await
        .unwrap();
    recorder.normal(&pod("web"), "Same", "same");
    recorder.flush().await;
    assert_eq!(events(&client).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn old_events_go() {
    let client = client();
    let recorder = Recorder::new(client.clone(), "a", "");
    recorder.normal(&pod("web"), "Old", "old");
    recorder.flush().await;
    tokio::time::sleep(Duration::from_secs(3000)).await;
    recorder.normal(&pod("web"), "New", "new");
    recorder.flush().await;
    let hour = Duration::from_secs(3600);
    assert_eq!(expire_events(&client, hour).await.unwrap(), 0);
    tokio::time::sleep(Duration::from_secs(1000)).await;
    assert_eq!(expire_events(&client, hour).await.unwrap(), 1);
    assert_eq!(events(&client).await[0].reason.as_deref(), Some("New"));
}
