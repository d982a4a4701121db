//! Agents, engines and machines that die.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_new_agent_takes_over_what_runs() {
    let mut world = World::new().await;
    let spec = r#"{"containers": [{"name": "c", "image": "web:1",
        "readinessProbe": {"exec": {"command": ["ready"]}}}]}"#;
    world.create("web", spec).await;
    world.create("other", ONE).await;
    world.until("web", is_ready).await;
    let before = world.until("other", is_ready).await;
    let web = world.running("c").await[0].id.clone();
    world.runtime.kill(&web, 1);
    world
        .until("web", |pod| restarts(pod) == 1 && is_ready(pod))
        .await;
    let containers = world.containers().await;
    world.agent = None;
    tokio::time::sleep(Duration::from_secs(30)).await;
    world.start_agent().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.containers().await, containers, "nothing was touched");
    assert_eq!(world.pod("other").await, before, "nor anything written");
    assert_eq!(restarts(&world.pod("web").await), 1);
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_no_pod_goes_when_an_agent_starts() {
    let mut world = World::new().await;
    world.create("web", ONE).await;
    world.create("keep", ONE).await;
    world.until("web", is_ready).await;
    world.until("keep", is_ready).await;
    world.agent = None;
    world.delete_now("web").await;
    world.start_agent().await;
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(world.runtime.leaks().len(), 2, "{:?}", world.runtime.leaks());
    assert!(is_ready(&world.pod("keep").await));
}

#[tokio::test(start_paused = true)]
async fn a_pod_deleted_while_no_agent_ran_is_ended_by_the_next() {
    let mut world = World::new().await;
    world.create("web", ONE).await;
    world.until("web", is_ready).await;
    world.agent = None;
    world.delete("web").await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    world.start_agent().await;
    world.until_gone("web").await;
    assert_eq!(world.runtime.leaks(), [] as [String; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_crashed_engine_makes_the_node_not_ready_and_pods_stay() {
    let world = World::new().await;
    world.create("web", ONE).await;
    let before = world.until("web", is_ready).await;
    world.runtime.crash_engine();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let ready = world.node_ready().await;
    assert_eq!(
        (ready.status.as_str(), ready.reason.as_deref()),
        ("False", Some("ContainerRuntimeNotReady"))
    );
    assert!(ready.message.unwrap().contains("crashed"));
    assert_eq!(world.pod("web").await, before);
    world.create("late", ONE).await;
    world.runtime.restart_engine();
    world.until("late", is_ready).await;
    assert_eq!(restarts(&world.pod("web").await), 0);
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert_eq!(world.node_ready().await.status, "True");
}

#[tokio::test(start_paused = true)]
async fn a_rebooted_machine_starts_its_pods_again() {
    let world = World::new().await;
    world.create("web", ONE).await;
    world.until("web", is_ready).await;
    world.runtime.crash_machine();
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.runtime.restart_engine();
    world
        .until("web", |pod| restarts(pod) == 1 && is_ready(pod))
        .await;
    assert_eq!(world.running("c").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_agent_killed_in_any_call_is_replaced_without_doubles_or_leaks() {
    let calls = [
        Call::RunSandbox,
        Call::CreateContainer,
        Call::StartContainer,
        Call::Container,
        Call::StopContainer,
        Call::RemoveSandbox,
    ];
    for call in calls {
        for fault in [Fault::Hangs, Fault::DoneButHangs] {
            let mut world = World::new().await;
            world.runtime.inject(call, fault.clone(), 1);
            world.create("web", ONE).await;
            tokio::time::sleep(Duration::from_secs(2)).await;
            let deleting = matches!(call, Call::StopContainer | Call::RemoveSandbox);
            if deleting {
                world.delete("web").await;
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            world.agent = None;
            world.start_agent().await;
            if !deleting {
                let pod = world.until("web", is_ready).await;
                assert_eq!(restarts(&pod), 0, "{call:?} {fault:?}");
                assert_eq!(world.containers().await.len(), 1, "{call:?} {fault:?}");
                world.delete("web").await;
            }
            world.until_gone("web").await;
            assert_eq!(world.runtime.leaks(), [] as [String; 0], "{call:?} {fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_fail_are_tried_again_until_all_is_well() {
    let calls = [
        Call::RunSandbox,
        Call::CreateContainer,
        Call::StartContainer,
        Call::Container,
        Call::StopContainer,
        Call::RemoveSandbox,
        Call::Sandboxes,
        Call::Containers,
    ];
    for call in calls {
        for fault in [Fault::Fails("no".into()), Fault::DoneButFails("no".into())] {
            let world = World::new().await;
            world.runtime.inject(call, fault.clone(), 2);
            world.create("web", ONE).await;
            let pod = world.until("web", is_ready).await;
            assert_eq!(restarts(&pod), 0, "{call:?} {fault:?}");
            assert_eq!(world.runtime.leaks().len(), 2, "{call:?} {fault:?}");
            world.delete("web").await;
            world.until_gone("web").await;
            assert_eq!(world.runtime.leaks(), [] as [String; 0], "{call:?} {fault:?}");
        }
    }
}

const WITH_VOLUME: &str = r#"{"volumes": [{"name": "v", "emptyDir": {}}], "containers": [
    {"name": "c", "image": "web:1", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]}"#;

/// The directories of pods' volumes, however deep they lie.
fn pods_with_volumes(world: &World) -> Vec<String> {
    let inside = |path: std::path::PathBuf| std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    let clusters = inside(world.volumes.path().to_owned());
    let nodes = clusters.flat_map(|cluster| inside(cluster.path()));
    let pods = nodes.flat_map(|node| inside(node.path()));
    pods.map(|pod| pod.file_name().into_string().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn volumes_go_after_their_containers_and_not_before() {
    let mut world = World::new().await;
    world.create("web", WITH_VOLUME).await;
    let keep = world.create("keep", WITH_VOLUME).await;
    world.until("web", is_ready).await;
    world.until("keep", is_ready).await;
    world.agent = None;
    assert_eq!(pods_with_volumes(&world).len(), 2);
    world.delete_now("web").await;
    world
        .runtime
        .inject(Call::RemoveSandbox, Fault::Fails("no".into()), 1);
    world.start_agent().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.runtime.count(Call::RemoveSandbox), 1);
    assert_eq!(
        pods_with_volumes(&world).len(),
        2,
        "what is still there still has its volumes"
    );
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        pods_with_volumes(&world),
        [format!("pod-{}", keep.metadata.uid.unwrap())]
    );
}

#[tokio::test(start_paused = true)]
async fn volumes_of_pods_that_nothing_is_left_of_go_when_an_agent_starts() {
    let mut world = World::new().await;
    let pod = world.create("web", WITH_VOLUME).await;
    world.until("web", is_ready).await;
    let name = format!("pod-{}", pod.metadata.uid.unwrap());
    let own = |world: &World| {
        let cluster = std::fs::read_dir(world.volumes.path())
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        cluster.path().join("node-n1")
    };
    world.agent = None;
    std::fs::create_dir(own(&world).join("pod-gone")).unwrap();
    world.start_agent().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(pods_with_volumes(&world), [name]);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_comes_while_an_agent_is_dropped_makes_no_worker() {
    let mut world = World::new().await;
    let agent = world.agent.take().unwrap();
    let shared = agent.shared.clone();
    drop(agent);
    let router = crate::agent::Router {
        shared: Arc::downgrade(&shared),
        found: Arc::default(),
    };
    let pod = Arc::new(world.create("web", ONE).await);
    router.route(&orch_core::cache::Change {
        key: &orch_core::object::ObjectKey::new(Some("default"), "web"),
        old: None,
        new: Some(&pod),
        old_controller: None,
        controller: None,
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.containers().await, []);
}

#[tokio::test(start_paused = true)]
async fn once_a_new_agent_has_caught_up_the_store_says_what_it_found() {
    let mut world = World::new().await;
    world.create("web", ONE).await;
    world.create("other", ONE).await;
    let before = world.until("web", is_ready).await;
    let other = world.until("other", is_ready).await;
    let uid = before.metadata.uid.clone().unwrap();
    let containers = world.running("c").await;
    let of_web = containers.iter().find(|container| container.pod_uid == uid);
    let id = of_web.unwrap().id.clone();
    world.agent = None;
    world.runtime.kill(&id, 137);
    assert_eq!(world.pod("web").await, before, "nobody is there to say otherwise");

    world.start_agent().await;
    world.agent.as_ref().unwrap().caught_up().await;
    let found = world.pod("web").await;
    let status = &found
        .status
        .as_ref()
        .unwrap()
        .container_statuses
        .as_ref()
        .unwrap()[0];
    let ended = [&status.state, &status.last_state].into_iter().flatten();
    let mut ended = ended.filter_map(|state| state.terminated.as_ref());
    assert!(
        ended.any(|ended| ended.exit_code == 137
            && ended
                .container_id
                .as_deref()
                .is_some_and(|it| it.ends_with(&*id.0))),
        "{status:?}"
    );
    assert_eq!(
        world.pod("other").await,
        other,
        "and of what is as it was nothing is written"
    );
}
