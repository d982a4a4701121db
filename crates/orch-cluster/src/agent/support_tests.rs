//! What becomes of each field of a pod on a runtime that can do little, and on one that can do everything.

use orch_core::runtime::process::ProcessRuntime;
use orch_core::runtime::{Capabilities, Runtime, RuntimeError};
use orch_core::testing::FakeRuntime;

use super::config::AgentConfig;
use super::support::{Complaint, Host, Support, support};
use super::testkit::pod_with;
use super::translate::{Making, container_config, sandbox_config};
use crate::manifest::tests::coverage::served_by_pods;

/// What becomes of a field on a runtime that declares no abilities.
enum Bare {
    Served,
    /// The pod waits, and is told this.
    Refused(&'static str),
    /// The pod runs, and this is told.
    Warned(&'static str),
}

use Bare::{Refused, Served, Warned};

/// Which field, an example of it, and what becomes of it. `…` stands for the container.
const FIELDS: &[(&str, &str, Bare)] = &[
    (
        "spec.hostname",
        r#""hostname": "x""#,
        Warned("see the machine's own host name"),
    ),
    ("spec.hostname", r#""hostname": "x", "hostNetwork": true"#, Served),
    (
        "spec.hostAliases[*].ip spec.hostAliases[*].hostnames",
        r#""hostAliases": [{"ip": "10.1.1.1", "hostnames": ["db"]}]"#,
        Warned("see the machine's own /etc/hosts"),
    ),
    (
        "spec.dnsConfig.nameservers spec.dnsConfig.searches spec.dnsConfig.options[*].name spec.dnsConfig.options[*].value",
        r#""dnsConfig": {"searches": ["example.com"]}"#,
        Warned("spec.dnsConfig: "),
    ),
    (
        "spec.dnsPolicy",
        r#""dnsPolicy": "None", "dnsConfig": {"nameservers": ["9.9.9.9"]}"#,
        Warned("spec.dnsPolicy: "),
    ),
    ("spec.dnsPolicy", r#""dnsPolicy": "Default""#, Served),
    ("spec.dnsPolicy", r#""dnsPolicy": "ClusterFirst""#, Served),
    ("spec.hostPID", r#""hostPID": true"#, Served),
    (
        "spec.shareProcessNamespace",
        r#""shareProcessNamespace": true"#,
        Served,
    ),
    ("spec.hostNetwork", r#""hostNetwork": true"#, Served),
    (
        "spec.hostUsers",
        r#""hostUsers": false"#,
        Refused("spec.hostUsers: the bare runtime cannot give a pod users of its own; set it to true"),
    ),
    ("spec.hostUsers", r#""hostUsers": true"#, Served),
    (
        "spec.resources.limits",
        r#""resources": {"limits": {"memory": "1Gi"}}"#,
        Warned("spec.resources.limits[memory]: the bare runtime does not hold the containers of a pod"),
    ),
    ("spec.securityContext", r#""securityContext": {}"#, Served),
    (
        "spec.securityContext.runAsUser",
        r#""securityContext": {"runAsUser": 7}"#,
        Refused(
            "spec.securityContext.runAsUser: the bare runtime runs containers as user 1000, and not as 7",
        ),
    ),
    (
        "spec.securityContext.runAsUser",
        r#""securityContext": {"runAsUser": 1000}"#,
        Served,
    ),
    (
        "spec.securityContext.runAsNonRoot",
        r#""securityContext": {"runAsNonRoot": true}"#,
        Served,
    ),
    (
        "spec.securityContext.runAsGroup",
        r#""securityContext": {"runAsGroup": 7}"#,
        Warned("spec.securityContext.runAsGroup: "),
    ),
    (
        "spec.securityContext.supplementalGroups",
        r#""securityContext": {"supplementalGroups": [7]}"#,
        Warned("spec.securityContext.supplementalGroups: "),
    ),
    (
        "spec.securityContext.sysctls[*].name spec.securityContext.sysctls[*].value",
        r#""securityContext": {"sysctls": [{"name": "net.core.somaxconn", "value": "9"}]}"#,
        Warned("spec.securityContext.sysctls: "),
    ),
    (
        "spec.securityContext.seccompProfile",
        r#""securityContext": {"seccompProfile": {"type": "Localhost", "localhostProfile": "strict.json"}}"#,
        Warned("spec.securityContext.seccompProfile: "),
    ),
    (
        "spec.securityContext.appArmorProfile",
        r#""securityContext": {"appArmorProfile": {"type": "Localhost", "localhostProfile": "web"}}"#,
        Refused(
            "spec.securityContext.appArmorProfile: the bare runtime cannot enforce AppArmor on this machine",
        ),
    ),
    ("…image", r#""image": "host""#, Served),
    (
        "…image",
        r#""image": "web:1""#,
        Warned("image: the bare runtime has no images"),
    ),
    (
        "…command",
        r#""command": []"#,
        Refused("command: the bare runtime has no images to take a command from"),
    ),
    (
        "…volumeMounts[*].name …volumeMounts[*].mountPath …volumeMounts[*].readOnly …volumeMounts[*].subPath \
         …volumeMounts[*].subPathExpr",
        r#""volumeMounts": [{"name": "v", "mountPath": "/v"}]"#,
        Refused("volumeMounts: the bare runtime cannot mount volumes"),
    ),
    (
        "…ports[*].hostPort",
        r#""ports": [{"containerPort": 80, "hostPort": 8080}]"#,
        Refused(
            "ports[0].hostPort: the bare runtime cannot lead port 8080 of the machine to containerPort 80",
        ),
    ),
    (
        "…ports[*].hostPort",
        r#""ports": [{"containerPort": 80, "hostPort": 80}]"#,
        Served,
    ),
    (
        "…ports[*].hostIP",
        r#""ports": [{"containerPort": 80, "hostPort": 80, "hostIP": "127.0.0.1"}]"#,
        Warned("ports[0].hostIP: "),
    ),
    (
        "…livenessProbe.exec.command …readinessProbe.exec.command …startupProbe.exec.command",
        r#""livenessProbe": {"exec": {"command": ["true"]}}"#,
        Refused("livenessProbe.exec: the bare runtime cannot run commands in containers"),
    ),
    (
        "…lifecycle.postStart.exec.command …lifecycle.preStop.exec.command",
        r#""lifecycle": {"preStop": {"exec": {"command": ["true"]}}}"#,
        Refused("lifecycle.preStop.exec: the bare runtime cannot run commands in containers"),
    ),
    (
        "…resources.limits",
        r#""resources": {"limits": {"cpu": "1"}}"#,
        Warned("resources.limits[cpu]: the bare runtime does not enforce limits"),
    ),
    (
        "…resources.limits",
        r#""resources": {"limits": {"cpu": "1", "hugepages-2Mi": "4Mi"}}"#,
        Warned("resources.limits[hugepages-2Mi]: the bare runtime does not limit the use of huge pages"),
    ),
    (
        "…stdin",
        r#""stdin": true"#,
        Refused("stdin: the bare runtime cannot attach to containers"),
    ),
    (
        "…tty",
        r#""tty": true"#,
        Refused("tty: the bare runtime has no terminals"),
    ),
    (
        "…securityContext.runAsUser",
        r#""securityContext": {"runAsUser": 0}"#,
        Refused("securityContext.runAsUser: the bare runtime runs containers as user 1000, and not as 0"),
    ),
    (
        "…securityContext.runAsNonRoot",
        r#""securityContext": {"runAsNonRoot": true}"#,
        Served,
    ),
    (
        "…securityContext.runAsGroup",
        r#""securityContext": {"runAsGroup": 7}"#,
        Warned("securityContext.runAsGroup: the bare runtime does not confine containers"),
    ),
    (
        "…securityContext.allowPrivilegeEscalation",
        r#""securityContext": {"allowPrivilegeEscalation": false}"#,
        Warned("securityContext.allowPrivilegeEscalation: "),
    ),
    (
        "…securityContext.allowPrivilegeEscalation …securityContext.privileged …securityContext.readOnlyRootFilesystem",
        r#""securityContext": {"allowPrivilegeEscalation": true, "privileged": false, "readOnlyRootFilesystem": false}"#,
        Served,
    ),
    (
        "…securityContext.capabilities.add …securityContext.capabilities.drop",
        r#""securityContext": {"capabilities": {"drop": ["ALL"]}}"#,
        Warned("securityContext.capabilities: "),
    ),
    (
        "…securityContext.privileged",
        r#""securityContext": {"privileged": true}"#,
        Warned("securityContext.privileged: "),
    ),
    (
        "…securityContext.readOnlyRootFilesystem",
        r#""securityContext": {"readOnlyRootFilesystem": true}"#,
        Warned("securityContext.readOnlyRootFilesystem: "),
    ),
    (
        "…securityContext.seccompProfile",
        r#""securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}"#,
        Warned("securityContext.seccompProfile: "),
    ),
    (
        "…securityContext.seccompProfile",
        r#""securityContext": {"seccompProfile": {"type": "Unconfined"}}"#,
        Served,
    ),
    (
        "…securityContext.appArmorProfile",
        r#""securityContext": {"appArmorProfile": {"type": "Localhost", "localhostProfile": "web"}}"#,
        Refused("securityContext.appArmorProfile: the bare runtime cannot enforce AppArmor on this machine"),
    ),
    (
        "…securityContext.appArmorProfile",
        r#""securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}"#,
        Refused("securityContext.appArmorProfile: the bare runtime cannot enforce AppArmor on this machine"),
    ),
    (
        "…securityContext.appArmorProfile",
        r#""securityContext": {"appArmorProfile": {"type": "Unconfined"}}"#,
        Served,
    ),
];

/// What the scheduler and the agent do themselves, and what every runtime can.
const EVERYWHERE: &str = "spec.activeDeadlineSeconds spec.affinity spec.imagePullSecrets spec.nodeName spec.nodeSelector \
    spec.overhead spec.priority spec.readinessGates spec.resources.requests spec.restartPolicy spec.schedulingGates \
    spec.terminationGracePeriodSeconds spec.tolerations spec.volumes …args …env …envFrom …imagePullPolicy \
    …lifecycle.postStart.httpGet …lifecycle.postStart.sleep …lifecycle.preStop.httpGet …lifecycle.preStop.sleep \
    …lifecycle.stopSignal …name …resizePolicy …ports[*].containerPort …ports[*].name …ports[*].protocol …resources.requests \
    …restartPolicy …stdinOnce …workingDir";

/// What of a probe is the agent's own work.
const OF_PROBES: [&str; 8] = [
    "failureThreshold",
    "httpGet",
    "initialDelaySeconds",
    "periodSeconds",
    "successThreshold",
    "tcpSocket",
    "terminationGracePeriodSeconds",
    "timeoutSeconds",
];

pub(super) fn pod(field: &str, example: &str, list: &str) -> k8s_openapi::api::core::v1::Pod {
    let base = r#""name": "c", "image": "host", "command": ["true"]"#;
    let main = format!(r#"{{{base}}}"#);
    if field.starts_with("spec.") {
        return pod_with(&format!(r#"{{"containers": [{main}], {example}}}"#));
    }
    // A later field wins, so the example may have one of the base.
    let mut container: serde_json::Map<_, _> = serde_json::from_str(&main).unwrap();
    let example: serde_json::Map<_, _> = serde_json::from_str(&format!("{{{example}}}")).unwrap();
    container.extend(example);
    let container = serde_json::Value::from(container);
    match list {
        "containers" => pod_with(&format!(r#"{{"containers": [{container}]}}"#)),
        _ => pod_with(&format!(r#"{{"containers": [{main}], "{list}": [{container}]}}"#)),
    }
}

pub(super) const HOST: Host = Host {
    user: 1000,
    has_cluster_dns: false,
};

fn said(complaints: &[Complaint]) -> Vec<String> {
    complaints.iter().map(ToString::to_string).collect()
}

#[test]
fn a_bare_runtime_refuses_what_would_not_work_and_warns_of_the_rest() {
    for (field, example, bare) in FIELDS {
        for list in ["containers", "initContainers"] {
            let pod = pod(field, example, list);
            let found = support(&pod, "bare", &Capabilities::default(), &HOST);
            let message = found.refusal().map(|refusal| refusal.message);
            let warnings = said(&found.warnings);
            let at = if field.starts_with('…') {
                format!("spec.{list}[0].")
            } else {
                String::new()
            };
            match bare {
                Served => assert_eq!((message, warnings), (None, Vec::new()), "{field}: {example}"),
                Refused(why) => {
                    let message = message.unwrap_or_else(|| panic!("{example} is not refused"));
                    assert!(message.contains(&format!("{at}{why}")), "{example}: {message}");
                    assert_eq!(warnings, [] as [&str; 0], "{example}");
                }
                Warned(of) => {
                    assert_eq!(message, None, "{example}");
                    let of = format!("{at}{of}");
                    assert!(
                        warnings.iter().any(|warning| warning.contains(&of)),
                        "{example}: {warnings:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_runtime_that_can_do_everything_serves_every_field() {
    let can = FakeRuntime::new().capabilities();
    for (field, example, _) in FIELDS {
        let pod = pod(field, example, "containers");
        assert_eq!(
            support(&pod, "able", &can, &HOST),
            Support::default(),
            "{example}"
        );
    }
}

#[test]
fn every_field_that_is_served_has_a_word_on_a_bare_runtime() {
    let known = FIELDS.iter().flat_map(|(fields, ..)| fields.split_whitespace());
    let known: Vec<_> = known.chain(EVERYWHERE.split_whitespace()).collect();
    for leaf in served_by_pods() {
        let leaf = leaf
            .replace("spec.initContainers[*].", "…")
            .replace("spec.containers[*].", "…");
        let is_within = |outer: &str| {
            let rest = leaf.strip_prefix(outer);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let of_probe = leaf
            .split_once("Probe.")
            .is_some_and(|(_, rest)| OF_PROBES.iter().any(|field| rest.starts_with(field)));
        assert!(of_probe || known.iter().any(|field| is_within(field)), "{leaf}");
    }
}

#[test]
fn a_clusters_name_servers_are_missed_where_containers_see_the_machines() {
    let host = Host {
        has_cluster_dns: true,
        ..HOST
    };
    for (example, told) in [
        (r#""dnsPolicy": "ClusterFirst""#, true),
        (r#""dnsPolicy": "ClusterFirst", "hostNetwork": true"#, false),
        (
            r#""dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": true"#,
            true,
        ),
        (r#""dnsPolicy": "Default""#, false),
    ] {
        let warnings = support(
            &pod("spec.", example, ""),
            "bare",
            &Capabilities::default(),
            &host,
        )
        .warnings;
        assert_eq!(
            warnings
                .iter()
                .any(|warning| warning.field.to_string() == "spec.dnsPolicy"),
            told,
            "{example}"
        );
    }
}

#[test]
fn what_no_runtime_can_do_is_refused_by_all() {
    let can = FakeRuntime::new().capabilities();
    for (example, why) in [
        (
            r#""livenessProbe": {"grpc": {"port": 1}}"#,
            "livenessProbe: only exec, httpGet and tcpSocket",
        ),
        (
            r#""startupProbe": {"httpGet": {"port": 1, "scheme": "HTTPS"}}"#,
            "startupProbe.httpGet.scheme: ",
        ),
        (
            r#""lifecycle": {"preStop": {"httpGet": {"port": 1, "scheme": "HTTPS"}}}"#,
            "lifecycle.preStop.httpGet.scheme: ",
        ),
        (
            r#""lifecycle": {"postStart": {"tcpSocket": {"port": 1}}}"#,
            "lifecycle.postStart.tcpSocket: ",
        ),
        (
            r#""volumeDevices": [{"name": "v", "devicePath": "/dev/v"}]"#,
            "volumeDevices: ",
        ),
    ] {
        let refusal = support(&pod("…", example, "containers"), "able", &can, &HOST)
            .refusal()
            .unwrap();
        assert!(
            refusal.message.contains(&format!("spec.containers[0].{why}")),
            "{}",
            refusal.message
        );
    }
    let pod = pod(
        "spec.",
        r#""volumes": [{"name": "v", "nfs": {"server": "s", "path": "/"}}]"#,
        "",
    );
    let refusal = support(&pod, "able", &can, &HOST).refusal().unwrap();
    assert!(
        refusal
            .message
            .starts_with("spec.volumes[0]: volume v cannot be had: "),
        "{}",
        refusal.message
    );
}

#[test]
fn no_runtime_gives_a_container_more_than_processors_and_memory() {
    let can = FakeRuntime::new().capabilities();
    let example = r#""resources": {"limits": {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi", "example.com/gpu": "1"}}"#;
    let warnings = support(&pod("…", example, "containers"), "able", &can, &HOST).warnings;
    let told = "spec.containers[0].resources.limits[example.com/gpu]: the able runtime does not give it to the container; it counts in scheduling alone";
    assert_eq!(said(&warnings), [told]);
}

/// What the process runtime itself refuses would be tried again and again, without the field's path.
#[tokio::test]
async fn what_the_process_runtime_refuses_was_refused_before() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = ProcessRuntime::open(directory.path()).await.unwrap();
    let (can, host) = (runtime.capabilities(), Host::of(&AgentConfig::new("n1")));
    let mut refusals = 0;
    for (attempt, (field, example, _)) in (0..).zip(FIELDS) {
        let pod = pod(field, example, "containers");
        let sandbox = sandbox_config(&pod, &AgentConfig::new("n1"), attempt);
        let container = &pod.spec.as_ref().unwrap().containers[0];
        let config = container_config(&pod, container, Making::default());
        let created = match runtime.run_sandbox(&sandbox).await {
            Ok(sandbox) => runtime.create_container(&sandbox.id, &config).await.map(drop),
            Err(error) => Err(error),
        };
        let refused = support(&pod, "process", &can, &host).refusal();
        match created {
            Ok(()) => {}
            Err(RuntimeError::InvalidConfig { .. } | RuntimeError::Unsupported { .. }) => {
                assert!(refused.is_some(), "{example}");
                refusals += 1;
            }
            Err(error) => panic!("{example}: {error}"),
        }
    }
    assert!(
        refusals >= 4,
        "no command, a terminal, another user, users of its own"
    );
}
