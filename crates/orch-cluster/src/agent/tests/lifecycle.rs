//! The life of pods.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_pod_becomes_ready_with_one_status_write() {
    let world = World::new().await;
    let created = world.create("web", ONE).await;
    let pod = world.until("web", is_ready).await;
    let status = pod.status.as_ref().unwrap();
    assert_eq!(phase(&pod), "Running");
    assert!(status.pod_ip.is_some() && status.start_time.is_some());
    let id = container(&pod).unwrap().container_id.as_ref().unwrap();
    assert!(id.starts_with("fake://"));
    let version = |pod: &Pod| {
        pod.metadata
            .resource_version
            .as_ref()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    assert_eq!(
        version(&pod),
        version(&created) + 1,
        "nothing else was written meanwhile"
    );
    assert_eq!(world.reasons().await, ["Created", "Pulled", "Started"]);
    assert_eq!(
        world.pod("web").await.metadata.resource_version,
        pod.metadata.resource_version
    );
}

#[tokio::test(start_paused = true)]
async fn a_crashing_container_backs_off_and_says_so() {
    let world = World::behaving(Behavior::new().crash(3, 7)).await;
    let begun = tokio::time::Instant::now();
    world.create("web", ONE).await;
    let pod = world
        .until("web", |pod| {
            waiting(pod) == Some("CrashLoopBackOff") && restarts(pod) == 1
        })
        .await;
    let message = waits_for(&pod);
    assert!(
        message.starts_with("back-off 10s restarting failed container=c pod=web_default("),
        "{message}"
    );
    let last = container(&pod).unwrap().last_state.as_ref().unwrap();
    let last = last.terminated.as_ref().unwrap();
    assert_eq!((last.exit_code, last.reason.as_deref()), (7, Some("Error")));
    let pod = world.until("web", is_ready).await;
    assert_eq!(restarts(&pod), 3);
    assert_eq!(begun.elapsed().as_secs(), 30, "at once, after 10 s, after 20 s");
    assert!(world.reasons().await.contains(&"BackOff".to_owned()));
    assert_eq!(
        world.containers().await.len(),
        2,
        "the newest and the one before it are kept"
    );
}

#[tokio::test(start_paused = true)]
async fn a_program_that_cannot_be_started_is_told_as_kubernetes_tells_it() {
    let program = Program::new().then(Step::CannotStart);
    let world = World::behaving(Behavior::new().run(program)).await;
    world.create("web", ONE).await;
    let pod = world
        .until("web", |pod| waiting(pod) == Some("CrashLoopBackOff"))
        .await;
    let last = container(&pod).unwrap().last_state.clone().unwrap();
    let last = last.terminated.unwrap();
    assert_eq!(
        (last.exit_code, last.reason.as_deref()),
        (128, Some("StartError"))
    );
    assert_eq!(last.message.as_deref(), Some("no such program"));
    assert!(last.container_id.is_some() && last.finished_at.is_some() && last.started_at.is_none());
    let once = r#"{"restartPolicy": "Never", "containers": [{"name": "c", "image": "web:1"}]}"#;
    world.create("once", once).await;
    let pod = world.until("once", |pod| phase(pod) == "Failed").await;
    let ended = container(&pod)
        .unwrap()
        .state
        .clone()
        .unwrap()
        .terminated
        .unwrap();
    assert_eq!(
        (ended.exit_code, ended.reason.as_deref()),
        (128, Some("StartError"))
    );
    assert!(world.reasons().await.contains(&"Failed".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_killed_container_is_back_at_once() {
    let world = World::new().await;
    world.create("web", ONE).await;
    world.until("web", is_ready).await;
    let id = world.running("c").await[0].id.clone();
    let begun = tokio::time::Instant::now();
    world.runtime.kill(&id, 137);
    world
        .until("web", |pod| restarts(pod) == 1 && is_ready(pod))
        .await;
    assert!(
        begun.elapsed() < Duration::from_millis(50),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_finishes_succeeds_and_keeps_its_logs() {
    let world = World::behaving(Behavior::new().run(Program::new().out("done\n").exit(0))).await;
    world
        .create(
            "job",
            r#"{"restartPolicy": "Never", "containers": [{"name": "c", "image": "job:1"}]}"#,
        )
        .await;
    let pod = world.until("job", |pod| phase(pod) == "Succeeded").await;
    assert_eq!(condition(&pod, "Ready"), Some("False"));
    assert_eq!(world.first_words("job").await, "done\n");
    let other = ContainerAt::new("default", "job").container("x");
    let (agent, options) = (world.agent.as_ref().unwrap(), LogOptions::default());
    assert!(agent.access().logs(&other, false, &options).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_deleted_pod_ends_within_its_grace_and_leaves_nothing() {
    let runtime = FakeRuntime::new();
    runtime.on(
        On::container("stubborn"),
        Behavior::new().run(Program::new().then(Step::Ignore("TERM".into())).wait()),
    );
    let world = World::on(runtime).await;
    let spec = r#"{"terminationGracePeriodSeconds": 5,
        "containers": [{"name": "stubborn", "image": "web:1"}, {"name": "kind", "image": "web:1"}]}"#;
    world.create("web", spec).await;
    world.until("web", is_ready).await;
    let begun = tokio::time::Instant::now();
    world.delete("web").await;
    let ending = world
        .until("web", |pod| condition(pod, "Ready") == Some("False"))
        .await;
    assert!(ending.metadata.deletion_timestamp.is_some());
    world.until_gone("web").await;
    let took = begun.elapsed().as_secs();
    assert!((4..=6).contains(&took), "{took}");
    assert_eq!(world.runtime.leaks(), [] as [String; 0]);
    assert!(world.reasons().await.contains(&"Killing".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_force_deleted_pod_leaves_nothing() {
    let world = World::new().await;
    world.create("web", ONE).await;
    world.until("web", is_ready).await;
    world.delete_now("web").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(world.runtime.leaks(), [] as [String; 0]);
}

#[tokio::test(start_paused = true)]
async fn readiness_gates_ready_and_liveness_restarts() {
    let world = World::behaving(Behavior::new().exec(|call| {
        let ready = call.command[0] == "ready" && call.running_for >= Duration::from_secs(10);
        let alive = call.command[0] == "alive" && call.running_for < Duration::from_secs(60);
        Program::new().exit(i32::from(!(ready || alive)))
    }))
    .await;
    let spec = r#"{"containers": [{"name": "c", "image": "web:1",
        "readinessProbe": {"exec": {"command": ["ready"]}, "periodSeconds": 1},
        "livenessProbe": {"exec": {"command": ["alive"]}, "periodSeconds": 5, "failureThreshold": 2}}]}"#;
    let begun = tokio::time::Instant::now();
    world.create("web", spec).await;
    let pod = world.until("web", |pod| phase(pod) == "Running").await;
    assert!(!is_ready(&pod));
    world.until("web", is_ready).await;
    assert_eq!(begun.elapsed().as_secs(), 10);
    world.until("web", |pod| restarts(pod) == 1).await;
    assert_eq!(begun.elapsed().as_secs(), 65, "the second failure in a row");
    let reasons = world.reasons().await;
    assert!(
        reasons.contains(&"Unhealthy".to_owned()) && reasons.contains(&"Killing".to_owned()),
        "{reasons:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_condition_somebody_else_writes_survives_and_gates() {
    let world = World::new().await;
    let spec = r#"{"readinessGates": [{"conditionType": "example.com/lb"}],
        "containers": [{"name": "c", "image": "web:1"}]}"#;
    world.create("web", spec).await;
    let pod = world
        .until("web", |pod| condition(pod, "ContainersReady") == Some("True"))
        .await;
    assert!(!is_ready(&pod));
    let mut conditions = pod.status.unwrap().conditions.unwrap();
    conditions.push(serde_json::from_str(r#"{"type": "example.com/lb", "status": "True"}"#).unwrap());
    let patch = serde_json::json!({ "status": { "conditions": conditions } });
    world
        .client
        .api::<Pod>("default")
        .patch_status("web", &Patch::Merge(patch))
        .await
        .unwrap();
    let pod = world.until("web", is_ready).await;
    assert_eq!(condition(&pod, "example.com/lb"), Some("True"));
}

#[tokio::test(start_paused = true)]
async fn hooks_run_around_a_containers_life() {
    let world = World::new().await;
    let spec = r#"{"containers": [{"name": "c", "image": "web:1", "lifecycle": {
        "postStart": {"exec": {"command": ["hello"]}}, "preStop": {"sleep": {"seconds": 7}}}}]}"#;
    world.create("web", spec).await;
    world.until("web", is_ready).await;
    assert_eq!(world.runtime.count(Call::Exec), 1);
    let begun = tokio::time::Instant::now();
    world.delete("web").await;
    world.until_gone("web").await;
    assert_eq!(begun.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_probe_of_a_port_that_has_no_such_name_keeps_the_container_unready_and_says_why() {
    let world = World::new().await;
    let spec = r#"{"containers": [{"name": "c", "image": "web:1",
        "readinessProbe": {"httpGet": {"port": "nowhere"}}}]}"#;
    world.create("web", spec).await;
    world.until("web", |pod| phase(pod) == "Running").await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let pod = world.pod("web").await;
    assert!(!is_ready(&pod));
    assert_eq!(restarts(&pod), 0);
    assert!(world.reasons().await.contains(&"Unhealthy".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_post_start_hook_that_hangs_does_not_hold_the_pods_deletion() {
    let world = World::behaving(Behavior::new().exec(|_| Program::new().wait())).await;
    let spec = r#"{"terminationGracePeriodSeconds": 5, "containers": [{"name": "c", "image": "web:1",
        "lifecycle": {"postStart": {"exec": {"command": ["hang"]}}}}]}"#;
    world.create("web", spec).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(world.running("c").await.len(), 1);
    let begun = tokio::time::Instant::now();
    world.delete("web").await;
    world.until_gone("web").await;
    assert!(begun.elapsed() <= Duration::from_secs(6), "{:?}", begun.elapsed());
    assert_eq!(world.runtime.leaks(), [] as [String; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_cannot_be_run_has_failed() {
    let hooks = [
        (
            r#""postStart": {"httpGet": {"port": "nowhere"}}"#,
            "FailedPostStartHook",
        ),
        (
            r#""postStart": {"exec": {"command": ["hello"]}}"#,
            "FailedPostStartHook",
        ),
        (
            r#""preStop": {"httpGet": {"port": "nowhere"}}"#,
            "FailedPreStopHook",
        ),
    ];
    for (hook, reason) in hooks {
        let world = World::new().await;
        world.runtime.inject(Call::Exec, Fault::Fails("no".into()), 1);
        let spec = format!(
            r#"{{"restartPolicy": "Never",
                "containers": [{{"name": "c", "image": "web:1", "lifecycle": {{{hook}}}}}]}}"#
        );
        world.create("web", &spec).await;
        if reason == "FailedPostStartHook" {
            world.until("web", |pod| phase(pod) == "Failed").await;
        } else {
            world.until("web", is_ready).await;
            let pods = world.client.api::<Pod>("default");
            pods.delete("web", &DeleteParams::default()).await.unwrap();
            world.until_gone("web").await;
        }
        assert!(world.reasons().await.contains(&reason.to_owned()), "{hook}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_quality_of_service_stays_what_it_was_at_creation() {
    let world = World::new().await;
    let of = |pod: &Pod| pod.status.as_ref().and_then(|status| status.qos_class.clone());
    let cases = [
        (
            r#""resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}},"#,
            "Guaranteed",
        ),
        (r#""resources": {"requests": {"cpu": "1"}},"#, "Burstable"),
        ("", "BestEffort"),
    ];
    for (number, (resources, class)) in cases.into_iter().enumerate() {
        let name = format!("web-{number}");
        let spec = format!(r#"{{{resources} "containers": [{{"name": "c", "image": "web:1"}}]}}"#);
        let created = world.create(&name, &spec).await;
        assert_eq!(of(&created).as_deref(), Some(class));
        assert_eq!(of(&world.until(&name, is_ready).await).as_deref(), Some(class));
    }
}

#[tokio::test(start_paused = true)]
async fn pods_are_given_control_groups_where_the_runtime_has_them() {
    for able in [true, false] {
        let mut can = FakeRuntime::new().capabilities();
        can.pod_groups = able;
        let world = World::on(FakeRuntime::with_capabilities(can)).await;
        world.create("web", ONE).await;
        world.until("web", is_ready).await;
        let sandbox = world.runtime.present().remove(0);
        let asked = world.runtime.asked_for(&sandbox.id).unwrap();
        let parent = format!("besteffort/pod{}", sandbox.uid);
        let expected = if able {
            (parent.as_str(), Some(2))
        } else {
            ("", None)
        };
        assert_eq!(
            (asked.cgroup_parent.as_str(), asked.resources.cpu_shares),
            expected
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_given_users_of_its_own_if_it_asks_for_them() {
    let world = World::on(FakeRuntime::new()).await;
    for (name, users, expected) in [
        ("own", r#""hostUsers": false,"#, true),
        ("machine", r#""hostUsers": true,"#, false),
        ("either", "", false),
    ] {
        let spec = format!(r#"{{{users} "containers": [{{"name": "c", "image": "web:1"}}]}}"#);
        world.create(name, &spec).await;
        world.until(name, is_ready).await;
        let present = world.runtime.present();
        let sandbox = present.iter().find(|sandbox| sandbox.name == name);
        let asked = world.runtime.asked_for(&sandbox.unwrap().id).unwrap();
        assert_eq!(asked.user_namespace, expected, "{name}");
    }
}
