//! The Node, and what it refuses.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_node_says_what_it_is_and_its_lease_that_it_lives() {
    let world = World::new().await;
    tokio::time::sleep(Duration::from_secs(35)).await;
    let node = world.client.all::<Node>().get("n1").await.unwrap();
    let status = node.status.unwrap();
    assert_eq!(status.capacity.as_ref().unwrap()["cpu"].0, "4");
    assert_eq!(status.allocatable.as_ref().unwrap()["pods"].0, "110");
    assert_eq!(node.metadata.labels.unwrap()["kubernetes.io/hostname"], "n1");
    let written = node.metadata.resource_version;
    let lease = world
        .client
        .api::<Lease>("kube-node-lease")
        .get("n1")
        .await
        .unwrap()
        .spec
        .unwrap();
    assert_eq!(
        (lease.holder_identity.as_deref(), lease.lease_duration_seconds),
        (Some("n1"), Some(40))
    );
    let age = orch_core::time::now().duration_since(lease.renew_time.unwrap().0);
    assert!(age.as_secs() <= 10, "{age:?}");
    tokio::time::sleep(Duration::from_secs(200)).await;
    let node = world.client.all::<Node>().get("n1").await.unwrap();
    assert_eq!(
        node.metadata.resource_version, written,
        "a status that says nothing new is not written"
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_runtime_cannot_do_is_refused_with_the_field() {
    let can = Capabilities::default();
    let world = World::on(FakeRuntime::with_capabilities(can)).await;
    let spec = r#"{"containers": [{"name": "c", "image": "web:1", "ports": [{"containerPort": 80, "hostPort": 8080}]}]}"#;
    world.create("web", spec).await;
    let pod = world
        .until("web", |pod| waiting(pod) == Some("CreateContainerConfigError"))
        .await;
    assert_eq!(phase(&pod), "Pending");
    let message = waits_for(&pod);
    assert!(message.contains("spec.containers[0].ports"), "{message}");
    assert_eq!(world.runtime.count(Call::RunSandbox), 0);
    assert!(world.reasons().await.contains(&"Unsupported".to_owned()));
    let asked = world.agent.as_ref().unwrap().support(&pod);
    let refusal = asked.refusal().map(|refusal| refusal.message);
    assert_eq!(refusal.as_deref(), Some(message));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_deleted_and_comes_back_has_a_lease_of_its_own() {
    let world = World::new().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let nodes = world.client.all::<Node>();
    let leases = world.client.api::<Lease>("kube-node-lease");
    let owner = |lease: Lease| lease.metadata.owner_references.unwrap()[0].uid.clone();
    let first = nodes.get("n1").await.unwrap().metadata.uid.unwrap();
    assert_eq!(owner(leases.get("n1").await.unwrap()), first);
    nodes.delete("n1", &DeleteParams::default()).await.unwrap();
    // As garbage collection does.
    leases.delete("n1", &DeleteParams::default()).await.unwrap();
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if let Some(lease) = leases.get_opt("n1").await.unwrap() {
            let node = nodes.get_opt("n1").await.unwrap();
            let node = node.expect("a lease only of a node that is there");
            assert_eq!(owner(lease), node.metadata.uid.unwrap());
        }
    }
    let second = nodes.get("n1").await.unwrap().metadata.uid.unwrap();
    assert_ne!(first, second);
    assert_eq!(owner(leases.get("n1").await.unwrap()), second);
}

#[tokio::test(start_paused = true)]
async fn the_node_says_of_itself_only_what_it_looked_at() {
    let mut world = World::new().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let nodes = world.client.all::<Node>();
    let types = async || {
        let conditions = nodes.get("n1").await.unwrap().status.unwrap().conditions.unwrap();
        conditions
            .into_iter()
            .map(|condition| condition.type_)
            .collect::<Vec<_>>()
    };
    assert_eq!(types().await, ["Ready"]);
    world.agent = None;
    // As node lifecycle writes of a node that is silent, beside a condition that somebody else looks after.
    let mut node = nodes.get("n1").await.unwrap();
    let conditions = node.status.as_mut().unwrap().conditions.as_mut().unwrap();
    for type_ in ["MemoryPressure", "example.com/Cool"] {
        let condition = serde_json::json!({"type": type_, "status": "Unknown"});
        conditions.push(serde_json::from_value(condition).unwrap());
    }
    nodes.update_status(&node).await.unwrap();
    world.start_agent().await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(types().await, ["Ready", "example.com/Cool"]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_taken_for_lost_or_whose_runtime_goes_soon_says_how_it_is() {
    let world = World::new().await;
    // It has looked twice by then, and had nothing to report.
    tokio::time::sleep(Duration::from_secs(25)).await;
    let nodes = world.client.all::<Node>();
    let ready = async || {
        let conditions = nodes.get("n1").await.unwrap().status.unwrap().conditions.unwrap();
        conditions[0].status.clone()
    };
    let mut node = nodes.get("n1").await.unwrap();
    // As node lifecycle does when it has not heard of it for long: it was away itself, or its clock was put forward.
    node.status.as_mut().unwrap().conditions.as_mut().unwrap()[0].status = "Unknown".to_owned();
    nodes.update_status(&node).await.unwrap();
    assert_eq!(ready().await, "Unknown");
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(ready().await, "True");

    // So it says that its runtime is away, and that it is back.
    for (is_away, expected) in [(true, "False"), (false, "True")] {
        if is_away {
            world.runtime.crash_engine();
        } else {
            world.runtime.restart_engine();
        }
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert_eq!(ready().await, expected);
        tokio::time::sleep(Duration::from_secs(25)).await;
    }
}
