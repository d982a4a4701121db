//! Limits are the kernel's: what its own files say, and what it does to what exceeds them.

mod common;

use std::fs;

use common::groups::{Files, MIB, limited, memory};
use common::pods::pod;
use common::{
    Oci, PATIENCE, clear, config, create, ended, exec, exit_code, kernel_has, open, processes, says, start,
    text,
};
use orch_core::runtime::{
    ContainerId, ContainerState, ExecRequest, ExitReason, Mount, Resources, Runtime, RuntimeError,
    SandboxConfig,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, pidfd_open};

/// The score of a container's first process.
fn score_of(oci: &Oci, id: &ContainerId) -> String {
    let (_, init) = processes(oci, id);
    let file = format!("/proc/{}/oom_score_adj", init.as_raw_nonzero());
    fs::read_to_string(file).unwrap().trim().to_owned()
}

#[tokio::test]
async fn the_kernels_files_say_what_was_asked_for() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let asked = Resources {
        cpu_shares: Some(512),
        cpu_limit_millis: Some(1500),
        memory_limit_bytes: Some(64 * MIB),
        pids_limit: Some(99),
        oom_score_adj: Some(500),
        ..Resources::default()
    };
    let id = start(&runtime, &limited("all", "sleep 3600", asked.clone())).await;
    let files = Files::of(&oci, &id);
    let v2 = files.unified();
    let limit = |v1: &str, v2: &str| files.read("memory", v1, v2);
    assert_eq!(limit("memory.limit_in_bytes", "memory.max"), "67108864");
    let swap = if v2 { "0" } else { "67108864" };
    assert_eq!(limit("memory.memsw.limit_in_bytes", "memory.swap.max"), swap);
    let shares = if v2 { "59" } else { "512" };
    assert_eq!(files.read("cpu", "cpu.shares", "cpu.weight"), shares);
    let quota = if v2 { "150000 100000" } else { "150000" };
    assert_eq!(files.read("cpu", "cpu.cfs_quota_us", "cpu.max"), quota);
    assert_eq!(files.read("pids", "pids.max", "pids.max"), "99");
    if v2 {
        assert_eq!(files.read("memory", "", "memory.oom.group"), "1");
    }
    // Of its program, and of a command in it.
    let score = "cat /proc/self/oom_score_adj";
    assert_eq!(score_of(&oci, &id), "500");
    assert_eq!(says(&runtime, &id, score).await, "500\n");
    let container = runtime.container(&id).await.unwrap();
    assert_eq!(container.resources, asked);
    // What is not asked for is not limited.
    let id = start(&runtime, &config("none", "sleep 3600")).await;
    let files = Files::of(&oci, &id);
    assert_eq!(files.read("pids", "pids.max", "pids.max"), "max");
    let quota = if v2 { "max 100000" } else { "-1" };
    assert_eq!(files.read("cpu", "cpu.cfs_quota_us", "cpu.max"), quota);
    assert_eq!(score_of(&oci, &id), "0");
    assert_eq!(says(&runtime, &id, score).await, "0\n");
    assert_eq!(
        runtime.container(&id).await.unwrap().resources,
        Resources::default()
    );
    drop(runtime);
    let runtime = open(&oci).await;
    let found = runtime.containers(&Default::default()).await.unwrap();
    let found = found.iter().find(|found| found.name == "all").unwrap();
    assert_eq!(found.resources, asked, "it is known again");
    clear(&runtime).await;
}

#[tokio::test]
async fn a_score_that_takes_a_capability_is_given_where_that_is_there_and_is_not_claimed_where_not() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let bounding = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    let able = u64::from_str_radix(bounding.unwrap().trim(), 16).unwrap() & (1 << 24) != 0;
    let own = fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    let asked = Resources {
        oom_score_adj: Some(-900),
        ..Resources::default()
    };
    let id = start(&runtime, &limited("main", "sleep 3600", asked)).await;
    let told = runtime.container(&id).await.unwrap().resources.oom_score_adj;
    let score = says(&runtime, &id, "cat /proc/self/oom_score_adj").await;
    if able {
        assert_eq!((told, score.as_str()), (Some(-900), "-900\n"));
    } else {
        let expected = own.trim().parse::<i32>().unwrap().max(0);
        assert_eq!((told, score.trim()), (None, expected.to_string().as_str()));
    }
    clear(&runtime).await;
}

#[tokio::test]
async fn bad_limits_are_refused_before_anything_is_made() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let id = create(&runtime, &config("fine", "true")).await;
    let sandbox = runtime.container(&id).await.unwrap().sandbox;
    for (resources, expected) in [
        (memory(4 * MIB), "resources.memory_limit_bytes"),
        (
            Resources {
                pids_limit: Some(1),
                ..Resources::default()
            },
            "resources.pids_limit",
        ),
    ] {
        let refused = runtime
            .create_container(&sandbox, &limited("bad", "true", resources))
            .await;
        match refused {
            Err(RuntimeError::InvalidConfig { field, .. }) => assert_eq!(field, expected),
            other => panic!("{other:?}"),
        }
    }
    let all = runtime.containers(&Default::default()).await.unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    clear(&runtime).await;
}

#[tokio::test]
async fn the_least_memory_and_the_fewest_processes_that_are_taken_are_enough_to_start() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let least = Resources {
        pids_limit: Some(2),
        ..memory(6 * MIB)
    };
    let id = start(&runtime, &limited("least", "(echo one); exit 3", least)).await;
    let state = ended(&runtime, &id).await;
    assert_eq!(exit_code(&state), Some(3), "{state:?}");
    assert_eq!(text(&runtime, &id, false).await, "one\n");
    clear(&runtime).await;
}

#[tokio::test]
async fn a_program_has_no_more_processes_than_its_limit() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let few = Resources {
        pids_limit: Some(5),
        ..Resources::default()
    };
    let script = "for i in 1 2 3 4 5 6 7 8; do sleep 3600 & done; wait";
    let id = start(&runtime, &limited("few", script, few)).await;
    // The shell says that it cannot fork, and ends.
    let state = ended(&runtime, &id).await;
    assert!(exit_code(&state).is_some_and(|code| code != 0), "{state:?}");
    let said = text(&runtime, &id, false).await;
    assert!(said.to_lowercase().contains("fork"), "{said}");
    clear(&runtime).await;
}

fn reason(state: &ContainerState) -> (Option<i32>, Option<ExitReason>) {
    match state {
        ContainerState::Exited {
            exit_code, reason, ..
        } => (*exit_code, Some(*reason)),
        _ => (None, None),
    }
}

/// Uses up all memory there is, in one process.
const EATER: &str = "tail /dev/zero";

#[tokio::test]
async fn a_kill_over_memory_is_told_as_one_if_the_program_did_not_end_well_all_the_same() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let killed = (137, ExitReason::OutOfMemory);
    // Looked up of one that is there long enough.
    let idle = start(&runtime, &config("idle", "sleep 3600")).await;
    let dies_together = Files::of(&oci, &idle).unified();
    for (name, script, alone) in [
        ("program", format!("exec {EATER}"), killed),
        ("last", format!("{EATER}; exit $?"), killed),
        ("child", format!("{EATER}; exit 3"), (3, ExitReason::OutOfMemory)),
        (
            "none-the-less",
            format!("{EATER}; exit 0"),
            (0, ExitReason::Completed),
        ),
        ("by-itself", "exit 137".into(), (137, ExitReason::Error)),
    ] {
        let id = start(&runtime, &limited(name, &script, memory(16 * MIB))).await;
        let state = ended(&runtime, &id).await;
        // Of version 2 a child does not die alone.
        let with_child = name != "by-itself" && dies_together;
        let (code, why) = if with_child { killed } else { alone };
        assert_eq!(reason(&state), (Some(code), Some(why)), "{name}");
    }
    clear(&runtime).await;
}

/// Of version 1 the kernel picks one process, of version 2 it is told to take all (`memory.oom.group`).
#[tokio::test]
async fn a_command_that_is_killed_over_memory_leaves_the_program_its_own_end_or_takes_it_along() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let script = "trap 'exit 143' TERM; echo ready; while :; do sleep 3600 & wait; done";
    let id = start(&runtime, &limited("main", script, memory(16 * MIB))).await;
    let dies_together = Files::of(&oci, &id).unified();
    let request = ExecRequest::new(["/bin/sh", "-c", &format!("exec {EATER}")]);
    let done = runtime.exec(&id, &request).await;
    assert_eq!(done.unwrap().exit_code, 137);
    if dies_together {
        let state = ended(&runtime, &id).await;
        assert_eq!(reason(&state), (Some(137), Some(ExitReason::OutOfMemory)));
    } else {
        runtime.stop_container(&id, PATIENCE).await.unwrap();
        let state = ended(&runtime, &id).await;
        assert_eq!(reason(&state), (Some(143), Some(ExitReason::Error)));
    }
    clear(&runtime).await;
}

#[tokio::test]
async fn a_kill_over_memory_is_known_to_who_was_away_then() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let place = oci.beside("place");
    fs::create_dir(&place).unwrap();
    let script = format!("until test -e /mnt/go; do sleep 0.01; done; exec {EATER}");
    let mut config = limited("main", &script, memory(16 * MIB));
    config.mounts = vec![Mount {
        source: place.clone(),
        target: "/mnt".into(),
        read_only: true,
    }];
    let id = start(&runtime, &config).await;
    let (shim, _) = processes(&oci, &id);
    let shim = pidfd_open(shim, PidfdFlags::empty()).unwrap();
    drop(runtime);
    fs::write(place.join("go"), "").unwrap();
    let mut fds = [PollFd::new(&shim, PollFlags::IN)];
    let bound = Timespec::try_from(PATIENCE).unwrap();
    assert_eq!(poll(&mut fds, Some(&bound)), Ok(1), "it ends");
    let runtime = open(&oci).await;
    let state = runtime.container(&id).await.unwrap().state;
    assert_eq!(reason(&state), (Some(137), Some(ExitReason::OutOfMemory)));
    clear(&runtime).await;
}

/// What is hidden from libcontainer is not hidden from who is to see it.
#[tokio::test]
async fn a_container_is_in_its_group_whether_or_not_it_sees_the_machines_groups() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    for (name, source) in [
        ("none", None),
        ("groups", Some("/sys/fs/cgroup")),
        ("above", Some("/sys")),
    ] {
        let mut config = config(name, "sleep 3600");
        config.mounts = source
            .map(|source| Mount {
                source: source.into(),
                target: "/host".into(),
                read_only: true,
            })
            .into_iter()
            .collect();
        let id = start(&runtime, &config).await;
        let own = says(&runtime, &id, "cat /proc/self/cgroup").await;
        assert!(own.contains(&id.0), "{name}: {own}");
        let (_, init) = processes(&oci, &id);
        let list = Files::of(&oci, &id).read("pids", "cgroup.procs", "cgroup.procs");
        let init = init.as_raw_nonzero().to_string();
        assert!(list.lines().any(|pid| pid == init), "{name}: {list}");
        let find = "find /host -name cgroup.procs 2>/dev/null | grep -c .; true";
        let seen: u32 = says(&runtime, &id, find).await.trim().parse().unwrap();
        assert_eq!(seen > 0, source.is_some(), "{name}");
    }
    clear(&runtime).await;
}

#[tokio::test]
async fn huge_pages_are_limited_in_containers_and_pods() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let found = runtime.capabilities().hugepages;
    if !kernel_has(found, "a control group hugetlb where containers have theirs") {
        return;
    }
    let sizes = fs::read_dir("/sys/kernel/mm/hugepages").expect("there are huge pages");
    let kib = sizes.filter_map(|entry| {
        let name = entry.ok()?.file_name();
        name.to_str()?
            .strip_prefix("hugepages-")?
            .strip_suffix("kB")?
            .parse::<u64>()
            .ok()
    });
    let size = kib.min().expect("of some size") << 10;
    let pages = |count: u64| Resources {
        hugepages: [(size, count * size)].into(),
        ..Resources::default()
    };
    let pod = SandboxConfig {
        cgroup_parent: "burstable/podweb".into(),
        resources: pages(5),
        ..pod("web")
    };
    let sandbox = runtime.run_sandbox(&pod).await.expect("running a sandbox").id;
    let id = runtime
        .create_container(&sandbox, &limited("main", "sleep 3600", pages(3)))
        .await;
    let id = id.expect("creating a container");
    runtime.start_container(&id).await.expect("starting a container");
    let files = Files::of(&oci, &id);
    let word = match size >> 20 {
        0 => format!("{}KB", size >> 10),
        mib => format!("{mib}MB"),
    };
    let limit = |files: &Files| {
        let (v1, v2) = (
            format!("hugetlb.{word}.limit_in_bytes"),
            format!("hugetlb.{word}.max"),
        );
        files.read("hugetlb", &v1, &v2)
    };
    assert_eq!(limit(&files), (3 * size).to_string());
    assert_eq!(limit(&files.above(1)), (5 * size).to_string());
    let free = format!(
        "/sys/kernel/mm/hugepages/hugepages-{}kB/free_hugepages",
        size >> 10
    );
    let free: u64 = fs::read_to_string(free).unwrap().trim().parse().unwrap();
    let are_there = kernel_has(
        free >= 4 && cfg!(target_arch = "x86_64"),
        "huge pages that are free",
    );
    // A map of so many that are its own, of none's file: whether it was given, or there is no memory.
    let takes = async |count: u64| {
        let flags = 0x4_0022;
        let length = count * size;
        let script = format!("perl -e 'syscall(9, 0, {length}, 3, {flags}, -1, 0) == -1 and exit $!+0'");
        exec(&runtime, &id, &script).await.exit_code
    };
    if are_there {
        assert_eq!((takes(3).await, takes(4).await), (0, 12));
    }
    runtime
        .update_resources(&id, &pages(2))
        .await
        .expect("changing limits");
    assert_eq!(limit(&files), (2 * size).to_string());
    if are_there {
        assert_eq!((takes(2).await, takes(3).await), (0, 12));
    }
    assert_eq!(
        runtime.container(&id).await.unwrap().resources.hugepages,
        pages(2).hugepages
    );
    let odd = Resources {
        hugepages: [(size + 1, size)].into(),
        ..Resources::default()
    };
    match runtime.update_resources(&id, &odd).await {
        Err(RuntimeError::InvalidConfig { field, .. }) => assert_eq!(field, "resources.hugepages"),
        other => panic!("{other:?}"),
    }
    clear(&runtime).await;
}
