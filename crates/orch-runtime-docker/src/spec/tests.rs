//! Tests of what is asked of the engine.

use orch_core::runtime::{HostPort, Protocol, Security};

use super::*;

const DOCKER: Engine = Engine {
    protects: true,
    is_docker: true,
};

fn made(config: &ContainerConfig) -> ContainerCreateBody {
    let sandbox = SandboxId("box".into());
    let options = DockerOptions::default();
    container(
        &options,
        DOCKER,
        (&sandbox, Pids::Own),
        config,
        HashMap::new(),
        None,
    )
    .unwrap()
}

#[test]
fn a_container_joins_its_sandbox() {
    let config = ContainerConfig::default();
    let host = made(&config).host_config.unwrap();
    assert_eq!(host.network_mode.as_deref(), Some("container:box"));
    assert_eq!(host.ipc_mode.as_deref(), Some("container:box"));
    assert_eq!(host.pid_mode, None);
    let sandbox = SandboxId("box".into());
    for (pids, mode) in [(Pids::Sandbox, "container:box"), (Pids::Host, "host")] {
        let options = DockerOptions::default();
        let body = container(&options, DOCKER, (&sandbox, pids), &config, HashMap::new(), None).unwrap();
        assert_eq!(body.host_config.unwrap().pid_mode.as_deref(), Some(mode));
    }
}

#[test]
fn what_is_not_given_is_left_to_the_image() {
    let body = made(&ContainerConfig::default());
    assert_eq!(
        (body.entrypoint, body.cmd, body.env, body.user, body.working_dir),
        (None, None, None, None, None)
    );
}

#[test]
fn a_later_variable_wins_in_the_place_of_the_first() {
    let given = [("A", "1"), ("B", "2"), ("A", "3=x")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(environment(&given).unwrap(), ["A=3=x", "B=2"]);
    for name in ["", "A=B", "A\0"] {
        assert!(
            environment(&[(name.to_owned(), String::new())]).is_err(),
            "{name:?}"
        );
    }
}

#[test]
fn limits_become_quota_and_memory_without_swap() {
    let resources = Resources {
        cpu_shares: Some(1),
        cpu_limit_millis: Some(250),
        memory_limit_bytes: Some(64 << 20),
        pids_limit: Some(10),
        ..Resources::default()
    };
    let host = made(&ContainerConfig {
        resources: resources.clone(),
        ..Default::default()
    })
    .host_config
    .unwrap();
    assert_eq!(
        (host.cpu_shares, host.cpu_period, host.cpu_quota),
        (Some(2), Some(100_000), Some(25_000))
    );
    assert_eq!(
        (host.memory, host.memory_swap, host.pids_limit),
        (Some(64 << 20), Some(64 << 20), Some(10))
    );
    for (memory, is_refused) in [(0, false), (1, true), (MEMORY_MIN - 1, true), (MEMORY_MIN, false)] {
        let limits = Resources {
            memory_limit_bytes: Some(memory),
            ..Resources::default()
        };
        match update(&limits) {
            Err(RuntimeError::InvalidConfig { field, reason }) => {
                assert!(
                    is_refused && field == "resources.memory_limit_bytes",
                    "{field}: {reason}"
                );
                assert!(
                    reason.starts_with(&format!("{memory}: must be at least 6291456")),
                    "{reason}"
                );
            }
            other => assert!(!is_refused && other.is_ok(), "{memory}: {other:?}"),
        }
    }
    let tiny = Resources {
        cpu_limit_millis: Some(1),
        ..Resources::default()
    };
    assert_eq!(
        update(&tiny).unwrap().cpu_quota,
        Some(1000),
        "the kernel's minimum"
    );
    let none = Resources {
        cpu_limit_millis: Some(0),
        memory_limit_bytes: Some(u64::MAX),
        pids_limit: Some(0),
        ..Resources::default()
    };
    let unlimited = made(&ContainerConfig {
        resources: none.clone(),
        ..Default::default()
    })
    .host_config
    .unwrap();
    assert_eq!(
        (
            unlimited.cpu_quota,
            unlimited.memory,
            unlimited.memory_swap,
            unlimited.pids_limit
        ),
        (None, None, None, None)
    );
    let unlimited = update(&none).unwrap();
    assert_eq!(
        (
            unlimited.cpu_quota,
            unlimited.memory,
            unlimited.memory_swap,
            unlimited.pids_limit
        ),
        (Some(-1), Some(i64::MAX), Some(i64::MAX), Some(-1)),
        "what there was is taken away"
    );
    let changed = update(&Resources {
        memory_limit_bytes: Some(1 << 30),
        ..Resources::default()
    })
    .unwrap();
    assert_eq!(
        (changed.memory, changed.cpu_shares, changed.cpu_quota),
        (Some(1 << 30), None, None)
    );
    assert!(
        update(&Resources {
            oom_score_adj: Some(5),
            ..Resources::default()
        })
        .is_err()
    );
}

#[test]
fn who_a_container_runs_as() {
    let as_user = |user, group, non_root| ContainerConfig {
        security: Security {
            run_as_user: user,
            run_as_group: group,
            run_as_non_root: non_root,
            ..Security::default()
        },
        ..ContainerConfig::default()
    };
    for (config, image, want) in [
        (as_user(None, None, false), None, Ok(None)),
        (as_user(Some(5), None, false), None, Ok(Some("5"))),
        (as_user(Some(5), Some(6), true), None, Ok(Some("5:6"))),
        (
            as_user(None, Some(6), false),
            Some("app:staff"),
            Ok(Some("app:6")),
        ),
        (as_user(None, Some(6), false), Some(""), Ok(Some("0:6"))),
        (as_user(None, None, true), Some("1000"), Ok(None)),
        (as_user(None, None, true), Some("1000:0"), Ok(None)),
        (as_user(None, None, true), Some("0"), Err("root")),
        (as_user(None, None, true), Some(""), Err("root")),
        (as_user(None, None, true), Some("app"), Err("no number")),
        (as_user(Some(0), None, true), Some("1000"), Err("root")),
    ] {
        match (user(&config, image), want) {
            (Ok(got), Ok(want)) => assert_eq!(got.as_deref(), want),
            (Err(error), Err(why)) => assert!(error.to_string().contains(why), "{error}"),
            (got, want) => panic!("{image:?} {:?}: {got:?}, not {want:?}", config.security),
        }
    }
}

#[test]
fn host_ports_are_published_by_the_sandbox() {
    let port = |host_port, container_port, protocol| HostPort {
        host_ip: None,
        host_port,
        container_port,
        protocol,
    };
    let mut config = SandboxConfig {
        host_ports: vec![
            port(8080, 80, Protocol::Tcp),
            port(8081, 80, Protocol::Tcp),
            port(53, 53, Protocol::Udp),
        ],
        hostname: "web".into(),
        ..SandboxConfig::default()
    };
    let body = sandbox(&DockerOptions::default(), &config, "p", HashMap::new(), true);
    let bindings = body.host_config.unwrap().port_bindings.unwrap();
    assert_eq!(bindings["80/tcp"].as_ref().unwrap().len(), 2);
    assert_eq!(
        bindings["53/udp"].as_ref().unwrap()[0].host_port.as_deref(),
        Some("53")
    );
    config.host_network = true;
    let body = sandbox(&DockerOptions::default(), &config, "p", HashMap::new(), false);
    let host = body.host_config.unwrap();
    assert_eq!(
        (host.port_bindings, host.oom_score_adj, body.hostname),
        (None, None, None)
    );
}

#[test]
fn the_engine_is_told_of_privileges_and_profiles_only_what_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (own, missing) = (dir.path().join("own.json"), dir.path().join("missing.json"));
    std::fs::write(&own, "{}").unwrap();
    for (escalation, seccomp, expected) in [
        (None, SeccompProfile::RuntimeDefault, Some(None)),
        (Some(true), SeccompProfile::RuntimeDefault, Some(None)),
        (
            Some(false),
            SeccompProfile::RuntimeDefault,
            Some(Some(vec!["no-new-privileges"])),
        ),
        (
            None,
            SeccompProfile::Unconfined,
            Some(Some(vec!["seccomp=unconfined"])),
        ),
        (
            Some(false),
            SeccompProfile::Localhost(own),
            Some(Some(vec!["no-new-privileges", "seccomp={}"])),
        ),
        (None, SeccompProfile::Localhost(missing), None),
    ] {
        let security = Security {
            allow_privilege_escalation: escalation,
            seccomp,
            ..Security::default()
        };
        let told = security_options(&security).ok().map(some_list);
        let expected = expected.map(|some| some.map(|words| words.into_iter().map(str::to_owned).collect()));
        assert_eq!(told, expected, "{security:?}");
    }
}

#[test]
fn the_engine_is_told_of_apparmor_what_was_asked_for() {
    for (app_armor, expected) in [
        (AppArmorProfile::RuntimeDefault, None),
        (AppArmorProfile::Unconfined, Some("apparmor=unconfined")),
        (AppArmorProfile::Localhost("web".into()), Some("apparmor=web")),
    ] {
        let security = Security {
            app_armor,
            ..Security::default()
        };
        let told = security_options(&security).unwrap();
        assert_eq!(told, Vec::from_iter(expected), "{security:?}");
    }
}

#[test]
fn limits_that_the_engine_has_no_field_for_are_refused() {
    let huge = Resources {
        hugepages: [(2 << 20, 2 << 20)].into(),
        ..Resources::default()
    };
    let refused = update(&huge);
    assert!(
        matches!(refused, Err(RuntimeError::Unsupported { .. })),
        "{refused:?}"
    );
}
