//! Images, environment and what they wait for.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_pod_deleted_while_its_image_is_pulled_does_not_wait_for_it() {
    let world = World::with_image(
        "slow:1",
        ImageBehavior::absent().pull_delay(Duration::from_secs(300)),
    )
    .await;
    world
        .create("web", r#"{"containers": [{"name": "c", "image": "slow:1"}]}"#)
        .await;
    world
        .until("web", |pod| waiting(pod) == Some("ContainerCreating"))
        .await;
    let begun = tokio::time::Instant::now();
    world.delete("web").await;
    world.until_gone("web").await;
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert_eq!(world.runtime.leaks(), [] as [String; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_pull_is_told_and_tried_again() {
    let world = World::with_image(
        "web:1",
        ImageBehavior::absent().pull_fails(2, "no such manifest", false),
    )
    .await;
    let begun = tokio::time::Instant::now();
    world.create("web", ONE).await;
    let pod = world
        .until("web", |pod| waiting(pod) == Some("ErrImagePull"))
        .await;
    assert_eq!(phase(&pod), "Pending");
    world
        .until("web", |pod| waiting(pod) == Some("ImagePullBackOff"))
        .await;
    world.until("web", is_ready).await;
    assert_eq!(begun.elapsed().as_secs(), 30, "after 10 s and after 20 s");
    let reasons = world.reasons().await;
    assert!(
        reasons.contains(&"Failed".to_owned()) && reasons.contains(&"Pulling".to_owned()),
        "{reasons:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_image_that_may_not_be_pulled_is_missed() {
    let world = World::with_image("web:1", ImageBehavior::absent()).await;
    let spec = r#"{"containers": [{"name": "c", "image": "web:1", "imagePullPolicy": "Never"}]}"#;
    world.create("web", spec).await;
    world
        .until("web", |pod| waiting(pod) == Some("ErrImageNeverPull"))
        .await;
    assert_eq!(world.runtime.count(Call::PullImage), 0);
}

#[tokio::test(start_paused = true)]
async fn a_missing_config_map_is_named_and_waited_for() {
    let world =
        World::behaving(Behavior::new().run(Program::new().then(Step::Env("MODE".into())).wait())).await;
    let spec = r#"{"containers": [{"name": "c", "image": "web:1", "env": [
        {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "mode"}}},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}}]}]}"#;
    world.create("web", spec).await;
    let pod = world
        .until("web", |pod| waiting(pod) == Some("CreateContainerConfigError"))
        .await;
    assert_eq!(
        waits_for(&pod),
        "configmap \"settings\" not found: create it in the pod's namespace, or set optional: true"
    );
    let map: ConfigMap =
        serde_json::from_str(r#"{"metadata": {"name": "settings"}, "data": {"mode": "fast"}}"#).unwrap();
    world
        .client
        .api::<ConfigMap>("default")
        .create(&map)
        .await
        .unwrap();
    let secret: Secret =
        serde_json::from_str(r#"{"metadata": {"name": "keys"}, "data": {"token": "eA=="}}"#).unwrap();
    world
        .client
        .api::<Secret>("default")
        .create(&secret)
        .await
        .unwrap();
    world.until("web", is_ready).await;
    assert_eq!(world.first_words("web").await, "fast\n");
}
