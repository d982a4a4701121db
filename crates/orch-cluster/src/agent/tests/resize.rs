//! Pods that are given other resources while they run.

use serde_json::json;

use super::*;
use orch_core::client::Part;

/// Gives the pod's only container this much of the processors.
async fn resize(world: &World, name: &str, cpu: &str) {
    let amounts = json!({"cpu": cpu, "memory": "64Mi"});
    let change = json!({"spec": {"containers": [
        {"name": "c", "image": "web:1", "resources": {"requests": amounts, "limits": amounts}},
    ]}});
    let pods = world.client.api::<Pod>("default");
    let part = Part::Subresource("resize");
    pods.patch_part(name, part, &Patch::Merge(change)).await.unwrap();
}

fn spec(cpu: &str, more: &str) -> String {
    let amounts = format!(r#"{{"cpu": "{cpu}", "memory": "64Mi"}}"#);
    format!(
        r#"{{"containers": [
            {{"name": "c", "image": "web:1", "resources": {{"requests": {amounts}, "limits": {amounts}}}{more}}}
        ]}}"#
    )
}

/// What the pod's container is said to have of the processors.
fn has(pod: &Pod) -> Option<&str> {
    let resources = container(pod)?.resources.as_ref()?;
    Some(resources.requests.as_ref()?["cpu"].0.as_str())
}

/// Why its resources are not those that it says.
fn pending(pod: &Pod) -> Option<&str> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let mut pending = conditions.iter().filter(|one| one.type_ == "PodResizePending");
    pending.next()?.reason.as_deref()
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_given_more_without_a_restart() {
    let mut world = World::new().await;
    world.create("web", &spec("1", "")).await;
    world
        .until("web", |pod| is_ready(pod) && has(pod) == Some("1"))
        .await;
    resize(&world, "web", "2").await;
    let pod = world.until("web", |pod| has(pod) == Some("2")).await;
    assert_eq!(
        (restarts(&pod), condition(&pod, "PodResizeInProgress")),
        (0, None)
    );
    let limits = world.running("c").await.remove(0).resources;
    assert_eq!(
        (limits.cpu_limit_millis, limits.cpu_shares),
        (Some(2000), Some(2048))
    );
    assert!(world.reasons().await.contains(&"ResizeCompleted".to_owned()));

    // Another agent goes on from there.
    world.agent.take();
    resize(&world, "web", "500m").await;
    world.start_agent().await;
    world.until("web", |pod| has(pod) == Some("500m")).await;
    let limits = world.running("c").await.remove(0).resources;
    assert_eq!(limits.cpu_limit_millis, Some(500));
}

#[tokio::test(start_paused = true)]
async fn a_pod_waits_for_what_others_have() {
    let world = World::new().await;
    for name in ["one", "other"] {
        world.create(name, &spec("2", "")).await;
        world.until(name, is_ready).await;
    }
    resize(&world, "one", "5").await;
    world.until("one", |pod| pending(pod) == Some("Infeasible")).await;
    resize(&world, "one", "3").await;
    let pod = world.until("one", |pod| pending(pod) == Some("Deferred")).await;
    assert_eq!(has(&pod), Some("2"));
    // As soon as another makes room, and also if it does so by going.
    resize(&world, "other", "1").await;
    world
        .until("one", |pod| has(pod) == Some("3") && pending(pod).is_none())
        .await;
    resize(&world, "one", "4").await;
    world.until("one", |pod| pending(pod) == Some("Deferred")).await;
    world.delete("other").await;
    world.until("one", |pod| has(pod) == Some("4")).await;
    let reasons = world.reasons().await;
    for reason in ["ResizeDeferred", "ResizeInfeasible", "ResizeCompleted"] {
        assert!(reasons.contains(&reason.to_owned()), "{reasons:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_runtime_refuses_is_told_and_tried_again() {
    let world = World::new().await;
    world.create("web", &spec("1", "")).await;
    world.until("web", is_ready).await;
    let fault = Fault::Fails("not now".into());
    world.runtime.inject(Call::UpdateResources, fault, 2);
    resize(&world, "web", "2").await;
    let failed = |pod: &Pod| {
        let conditions = pod.status.as_ref().unwrap().conditions.as_ref().unwrap();
        let mut progress = conditions.iter().filter(|one| one.type_ == "PodResizeInProgress");
        progress
            .next()
            .is_some_and(|one| one.reason.as_deref() == Some("Error"))
    };
    world.until("web", failed).await;
    world.until("web", |pod| has(pod) == Some("2")).await;
    assert!(world.reasons().await.contains(&"ResizeError".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_cannot_change_what_runs_restarts_where_it_may() {
    let mut capabilities = FakeRuntime::new().capabilities();
    capabilities.update_resources = false;
    let world = World::on(FakeRuntime::with_capabilities(capabilities)).await;
    world.create("fixed", &spec("1", "")).await;
    let policy = r#", "resizePolicy": [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]"#;
    world.create("loose", &spec("1", policy)).await;
    for name in ["fixed", "loose"] {
        world.until(name, is_ready).await;
        resize(&world, name, "1500m").await;
    }
    world
        .until("fixed", |pod| pending(pod) == Some("Infeasible"))
        .await;
    let pod = world
        .until("loose", |pod| has(pod) == Some("1500m") && is_ready(pod))
        .await;
    assert_eq!(restarts(&pod), 1);
}
