//! Control groups of pods: where they are, what they hold their containers to, and that nothing is left of them.

mod common;

use std::fs;
use std::path::PathBuf;

use common::groups::{Files, MIB};
use common::pods::{idle, pod, run};
use common::{Oci, clear, open, says};
use orch_core::runtime::{ContainerId, Resources, Runtime, RuntimeError, SandboxConfig, SandboxId};

fn grouped(uid: &str, class: &str, resources: Resources) -> SandboxConfig {
    SandboxConfig {
        cgroup_parent: format!("{class}pod{uid}"),
        resources,
        ..pod(uid)
    }
}

fn asks(cpu_shares: u64) -> Resources {
    Resources {
        cpu_shares: Some(cpu_shares),
        ..Resources::default()
    }
}

fn shares(files: &Files) -> String {
    files.read("cpu", "cpu.shares", "cpu.weight")
}

/// What version 2 calls these, as runc has it.
fn weight(files: &Files, shares: u64) -> String {
    match (files.unified(), shares) {
        (false, shares) => shares.to_string(),
        (true, 2) => "1".into(),
        (true, 256) => "35".into(),
        (true, 512) => "59".into(),
        (true, 768) => "80".into(),
        (true, other) => panic!("{other}"),
    }
}

/// Where the group of a class is, by one of a container in it.
fn class(files: &Files) -> PathBuf {
    files.above(2).dir("cpu").to_owned()
}

#[tokio::test]
async fn pods_are_in_groups_of_their_classes_with_their_own_limits_and_the_shares_of_all() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let limited = Resources {
        cpu_limit_millis: Some(500),
        memory_limit_bytes: Some(64 * MIB),
        pids_limit: Some(50),
        ..asks(512)
    };
    let web = run(&runtime, &grouped("web", "burstable/", limited)).await;
    let more = run(&runtime, &grouped("more", "burstable/", asks(256))).await;
    let last = run(&runtime, &grouped("last", "besteffort/", asks(2))).await;
    let first = run(&runtime, &grouped("first", "", asks(256))).await;
    let files = async |sandbox: SandboxId, place: &str| {
        let id: ContainerId = idle(&runtime, &sandbox, "main").await;
        let files = Files::of(&oci, &id);
        let place = format!("{place}/{id}");
        for controller in ["cpu", "memory", "pids"] {
            let dir = files.dir(controller);
            assert!(dir.ends_with(&place), "{place}: {}", dir.display());
        }
        (files, sandbox)
    };
    let web = files(web, "burstable/podweb").await;
    let more = files(more, "burstable/podmore").await;
    let last = files(last, "besteffort/podlast").await;
    let (first, _) = files(first, "podfirst").await;
    // Of the state directory, not of a class.
    assert_eq!(first.above(2).dir("cpu"), web.0.above(3).dir("cpu"));
    let of_web = web.0.above(1);
    assert_eq!(shares(&of_web), weight(&of_web, 512));
    let limit = of_web.read("memory", "memory.limit_in_bytes", "memory.max");
    assert_eq!(limit, "67108864");
    let quota = if of_web.unified() { "50000 100000" } else { "50000" };
    assert_eq!(of_web.read("cpu", "cpu.cfs_quota_us", "cpu.max"), quota);
    assert_eq!(of_web.read("pids", "pids.max", "pids.max"), "50");
    let (burstable, besteffort) = (web.0.above(2), last.0.above(2));
    assert_eq!(shares(&burstable), weight(&burstable, 768));
    assert_eq!(shares(&besteffort), weight(&besteffort, 2));
    runtime.stop_sandbox(&more.1).await.expect("stopping a sandbox");
    assert_eq!(
        shares(&burstable),
        weight(&burstable, 512),
        "what is stopped takes no part"
    );
    assert!(
        more.0.above(1).dir("cpu").exists(),
        "it is there until it is removed"
    );
    runtime.remove_sandbox(&more.1).await.expect("removing a sandbox");
    assert!(!more.0.above(1).dir("cpu").exists() && class(&web.0).exists());
    for sandbox in [web.1, last.1] {
        runtime
            .remove_sandbox(&sandbox)
            .await
            .expect("removing a sandbox");
    }
    for files in [&web.0, &last.0] {
        for controller in ["cpu", "memory", "pids"] {
            assert!(
                !files.above(2).dir(controller).exists(),
                "a class without pods is gone"
            );
        }
    }
    clear(&runtime).await;
}

/// As the kubelet resizes a pod (KEP-1287): up first as a whole, down last.
#[tokio::test]
async fn what_a_pod_may_use_changes_in_place_and_is_known_to_who_opens_the_directory_again() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let memory = |mib: u64| Resources {
        memory_limit_bytes: Some(mib * MIB),
        ..Resources::default()
    };
    let limited = Resources {
        pids_limit: Some(50),
        cpu_shares: Some(512),
        ..memory(32)
    };
    let web = run(&runtime, &grouped("web", "burstable/", limited)).await;
    let id = idle(&runtime, &web, "main").await;
    let files = Files::of(&oci, &id);
    let (pod, class) = (files.above(1), files.above(2));
    let limit = |files: &Files| files.number("memory", "memory.limit_in_bytes", "memory.max");
    let more = Resources {
        cpu_shares: Some(768),
        ..memory(96)
    };
    runtime
        .update_sandbox(&web, &more)
        .await
        .expect("raising the pod's limits");
    runtime
        .update_resources(&id, &memory(64))
        .await
        .expect("raising a container's");
    assert_eq!((limit(&pod), limit(&files)), (96 * MIB, 64 * MIB));
    assert_eq!(shares(&pod), weight(&pod, 768));
    assert_eq!(
        shares(&class),
        weight(&class, 768),
        "its class has what its pods have"
    );
    assert_eq!(
        pod.read("pids", "pids.max", "pids.max"),
        "50",
        "what is not set stays"
    );
    drop(runtime);
    let runtime = open(&oci).await;
    assert_eq!(
        shares(&class),
        weight(&class, 768),
        "whoever comes next knows of it"
    );
    // Less than what is in use is refused, and changes nothing.
    says(&runtime, &id, "head -c 20000000 /dev/zero > /dev/shm/filled").await;
    match runtime.update_sandbox(&web, &memory(8)).await {
        Err(RuntimeError::InvalidConfig { field, reason }) => {
            assert_eq!(field, "resources.memory_limit_bytes");
            assert!(reason.contains(&web.0), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(limit(&pod), 96 * MIB);
    let plain = run(&runtime, &common::pods::pod("plain")).await;
    let unscored = Resources {
        oom_score_adj: Some(1),
        ..Resources::default()
    };
    for (sandbox, asked, field) in [
        (&plain, memory(64), "resources"),
        (&web, unscored, "resources.oom_score_adj"),
    ] {
        match runtime.update_sandbox(sandbox, &asked).await {
            Err(RuntimeError::InvalidConfig { field: refused, .. }) => assert_eq!(refused, field),
            other => panic!("{field}: {other:?}"),
        }
    }
    runtime.stop_sandbox(&web).await.expect("stopping a sandbox");
    let ended = runtime.update_sandbox(&web, &memory(64)).await;
    assert!(matches!(ended, Err(RuntimeError::Failed { .. })), "{ended:?}");
    clear(&runtime).await;
    let gone = runtime.update_sandbox(&web, &memory(64)).await;
    assert!(matches!(gone, Err(RuntimeError::NotFound { .. })), "{gone:?}");
}

#[tokio::test]
async fn who_opens_the_directory_again_finds_them_and_sweeps_what_belongs_to_nothing() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let sandbox = run(&runtime, &grouped("web", "burstable/", asks(512))).await;
    let id = idle(&runtime, &sandbox, "main").await;
    let files = Files::of(&oci, &id);
    drop(runtime);
    let strays: Vec<_> = ["cpu", "memory"]
        .into_iter()
        .flat_map(|controller| {
            let class = files.above(2).dir(controller).to_owned();
            let inside = files
                .above(1)
                .dir(controller)
                .join("0123456789abcdef0123456789abcdef");
            [
                inside,
                class.join("podgone/inner"),
                class.with_file_name("besteffort"),
            ]
        })
        .collect();
    for stray in &strays {
        fs::create_dir_all(stray).expect("making a group");
    }
    if !files.unified() {
        fs::write(files.above(2).dir("cpu").join("cpu.shares"), "9").expect("changing shares");
    }
    let runtime = open(&oci).await;
    for stray in strays {
        assert!(!stray.exists(), "{}", stray.display());
    }
    assert!(!class(&files).join("podgone").exists());
    assert_eq!(shares(&files.above(2)), weight(&files, 512), "they are set right");
    assert_eq!(says(&runtime, &id, "echo here").await, "here\n");
    runtime.stats(&id).await.expect("its group is known");
    clear(&runtime).await;
    assert!(!class(&files).exists());
}
