//! Puts pods into the runtime's words.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::{self, Pod, PodSpec};
use orch_core::object::FieldPath;
use orch_core::runtime::{
    AppArmorProfile, ContainerConfig, HostPort, Mount, Protocol, SandboxConfig, SeccompProfile, Security,
};

use super::config::AgentConfig;
use super::env::expand;
use super::qos::resources;
use crate::kinds::pod::app_armor_of;

/// The image a container was made from, as the pod wrote it.
pub(crate) const IMAGE_ANNOTATION: &str = "orch.image";
/// The requests and limits that it was made with, as JSON; none if it has none.
pub(crate) const RESOURCES_ANNOTATION: &str = "orch.resources";
/// How long its successor waits if it ends soon, in milliseconds.
pub(crate) const BACKOFF_ANNOTATION: &str = "orch.restart-backoff-ms";
/// How long the pod's containers get to end, in seconds; for when the object can no longer be asked.
pub(crate) const GRACE_ANNOTATION: &str = "io.kubernetes.pod.terminationGracePeriod";

const POD_NAME: &str = "io.kubernetes.pod.name";
const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
const POD_UID: &str = "io.kubernetes.pod.uid";
const CONTAINER_NAME: &str = "io.kubernetes.container.name";

/// The longest name a host may have.
const HOSTNAME_MAX: usize = 63;

/// The sandbox a pod wants.
pub(crate) fn sandbox_config(pod: &Pod, config: &AgentConfig, attempt: u32) -> SandboxConfig {
    let name = pod.metadata.name.clone().unwrap_or_default();
    let empty = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&empty);
    let host_network = spec.host_network.unwrap_or_default();
    let mut sandbox = SandboxConfig {
        namespace: namespace(pod).to_owned(),
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        attempt,
        hostname: if host_network {
            config.node_name.clone()
        } else {
            hostname(spec, &name)
        },
        host_network,
        host_pid: spec.host_pid.unwrap_or_default(),
        share_process_namespace: spec.share_process_namespace.unwrap_or_default(),
        user_namespace: spec.host_users == Some(false),
        host_ports: if host_network {
            Vec::new()
        } else {
            host_ports(spec)
        },
        host_aliases: host_aliases(spec),
        labels: labels(pod),
        annotations: BTreeMap::from([(GRACE_ANNOTATION.to_owned(), grace(spec).to_string())]),
        name,
        ..SandboxConfig::default()
    };
    for sysctl in spec
        .security_context
        .iter()
        .flat_map(|context| context.sysctls.iter().flatten())
    {
        sandbox.sysctls.insert(sysctl.name.clone(), sysctl.value.clone());
    }
    dns(spec, namespace(pod), config, &mut sandbox);
    sandbox
}

/// What differs from one making of a container to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Making {
    /// Which container of the name.
    pub attempt: u32,
    /// How long its successor waits if it ends soon.
    pub backoff: Duration,
    /// Its environment.
    pub env: Vec<(String, String)>,
    /// What is mounted.
    pub mounts: Vec<Mount>,
    /// The node's memory in bytes, where known.
    pub node_memory: Option<u64>,
    /// The sizes of huge pages that the node has; none where the runtime does not limit their use.
    pub page_sizes: Option<BTreeSet<u64>>,
    /// Where the node keeps profiles of system calls.
    pub seccomp_dir: PathBuf,
}

/// The container a pod wants.
pub(crate) fn container_config(pod: &Pod, spec: &v1::Container, making: Making) -> ContainerConfig {
    let image = spec.image.clone().unwrap_or_default();
    let env: BTreeMap<&str, &str> = making
        .env
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let expand_all = |list: &Option<Vec<String>>| {
        let expanded = list
            .iter()
            .flatten()
            .map(|text| expand(text, |name| env.get(name).copied()));
        expanded.collect::<Vec<_>>()
    };
    let (command, args) = (expand_all(&spec.command), expand_all(&spec.args));
    let mut labels = labels(pod);
    labels.insert(CONTAINER_NAME.to_owned(), spec.name.clone());
    let grace = pod.spec.as_ref().map_or(30, grace);
    let mut annotations = BTreeMap::from([
        (IMAGE_ANNOTATION.to_owned(), image.clone()),
        (
            BACKOFF_ANNOTATION.to_owned(),
            making.backoff.as_millis().to_string(),
        ),
        (GRACE_ANNOTATION.to_owned(), grace.to_string()),
    ]);
    let given = spec
        .resources
        .as_ref()
        .and_then(|given| serde_json::to_string(given).ok());
    annotations.extend(given.map(|given| (RESOURCES_ANNOTATION.to_owned(), given)));
    ContainerConfig {
        name: spec.name.clone(),
        attempt: making.attempt,
        command,
        args,
        working_dir: spec.working_dir.clone().filter(|dir| !dir.is_empty()),
        mounts: making.mounts,
        resources: resources(pod, spec, making.node_memory, making.page_sizes.as_ref()),
        security: security(pod, spec, &making.seccomp_dir),
        stdin: spec.stdin.unwrap_or_default(),
        stdin_once: spec.stdin_once.unwrap_or_default(),
        tty: spec.tty.unwrap_or_default(),
        stop_signal: spec
            .lifecycle
            .as_ref()
            .and_then(|lifecycle| lifecycle.stop_signal.clone()),
        labels,
        annotations,
        image,
        env: making.env,
    }
}

fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or_default()
}

fn grace(spec: &PodSpec) -> i64 {
    spec.termination_grace_period_seconds.unwrap_or(30)
}

fn labels(pod: &Pod) -> BTreeMap<String, String> {
    let meta = &pod.metadata;
    [
        (POD_NAME, &meta.name),
        (POD_NAMESPACE, &meta.namespace),
        (POD_UID, &meta.uid),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.clone().unwrap_or_default()))
    .collect()
}

fn hostname(spec: &PodSpec, pod_name: &str) -> String {
    let wanted = spec
        .hostname
        .as_deref()
        .filter(|name| !name.is_empty())
        .unwrap_or(pod_name);
    let mut name = wanted.get(..HOSTNAME_MAX).unwrap_or(wanted);
    name = name.trim_end_matches(['-', '.']);
    name.to_owned()
}

fn host_ports(spec: &PodSpec) -> Vec<HostPort> {
    let containers = spec
        .containers
        .iter()
        .chain(spec.init_containers.iter().flatten());
    let ports = containers.flat_map(|container| container.ports.iter().flatten());
    ports
        .filter_map(|port| {
            Some(HostPort {
                host_ip: port.host_ip.as_deref().and_then(|ip| ip.parse().ok()),
                host_port: u16::try_from(port.host_port?).ok().filter(|port| *port > 0)?,
                container_port: u16::try_from(port.container_port).ok()?,
                protocol: match port.protocol.as_deref() {
                    Some("UDP") => Protocol::Udp,
                    Some("SCTP") => Protocol::Sctp,
                    _ => Protocol::Tcp,
                },
            })
        })
        .collect()
}

fn host_aliases(spec: &PodSpec) -> Vec<(IpAddr, Vec<String>)> {
    let aliases = spec.host_aliases.iter().flatten();
    aliases
        .filter_map(|alias| {
            Some((
                alias.ip.parse().ok()?,
                alias.hostnames.clone().unwrap_or_default(),
            ))
        })
        .collect()
}

/// The rules of `dnsPolicy`: the cluster's servers first for `ClusterFirst`, nothing for `None`, the
/// machine's own otherwise, and `dnsConfig` on top of each.
fn dns(spec: &PodSpec, namespace: &str, config: &AgentConfig, sandbox: &mut SandboxConfig) {
    let on_host = spec.host_network.unwrap_or_default();
    let cluster_first = match spec.dns_policy.as_deref() {
        Some("ClusterFirstWithHostNet") => true,
        None | Some("ClusterFirst") => !on_host,
        _ => false,
    };
    if cluster_first && !config.cluster_dns.is_empty() {
        let domain = &config.cluster_domain;
        sandbox.dns_servers.clone_from(&config.cluster_dns);
        sandbox.dns_searches = vec![
            format!("{namespace}.svc.{domain}"),
            format!("svc.{domain}"),
            domain.clone(),
        ];
        sandbox.dns_options = vec!["ndots:5".to_owned()];
    }
    let Some(own) = &spec.dns_config else { return };
    sandbox.dns_servers.extend(
        own.nameservers
            .iter()
            .flatten()
            .filter_map(|server| server.parse::<IpAddr>().ok()),
    );
    sandbox
        .dns_searches
        .extend(own.searches.iter().flatten().cloned());
    for option in own.options.iter().flatten() {
        let Some(name) = &option.name else { continue };
        let same = |given: &String| given.split(':').next() == Some(name.as_str());
        sandbox.dns_options.retain(|given| !same(given));
        sandbox.dns_options.push(match &option.value {
            Some(value) if !value.is_empty() => format!("{name}:{value}"),
            _ => name.clone(),
        });
    }
}

/// The container's own security context over the pod's.
fn security(pod: &Pod, container: &v1::Container, seccomp_dir: &Path) -> Security {
    // Which field asks is of no interest here.
    let app_armor = app_armor_of(pod, container, &FieldPath::new("spec"));
    let app_armor = app_armor.map_or_else(AppArmorProfile::default, |(profile, _)| to_app_armor(&profile));
    let pod = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
    let own = container.security_context.as_ref();
    let profile = own.and_then(|own| own.seccomp_profile.as_ref());
    let profile = profile.or_else(|| pod.and_then(|pod| pod.seccomp_profile.as_ref()));
    let id = |own: Option<i64>, pod: Option<i64>| own.or(pod).and_then(|id| u32::try_from(id).ok());
    let capabilities = own.and_then(|own| own.capabilities.as_ref());
    let mut groups: Vec<u32> = pod
        .into_iter()
        .flat_map(|pod| {
            pod.supplemental_groups
                .iter()
                .flatten()
                .chain(pod.fs_group.as_ref())
        })
        .filter_map(|group| u32::try_from(*group).ok())
        .collect();
    groups.dedup();
    Security {
        run_as_user: id(
            own.and_then(|own| own.run_as_user),
            pod.and_then(|pod| pod.run_as_user),
        ),
        run_as_group: id(
            own.and_then(|own| own.run_as_group),
            pod.and_then(|pod| pod.run_as_group),
        ),
        supplemental_groups: groups,
        run_as_non_root: own
            .and_then(|own| own.run_as_non_root)
            .or_else(|| pod.and_then(|pod| pod.run_as_non_root))
            .unwrap_or_default(),
        privileged: own.and_then(|own| own.privileged).unwrap_or_default(),
        read_only_root: own
            .and_then(|own| own.read_only_root_filesystem)
            .unwrap_or_default(),
        allow_privilege_escalation: own.and_then(|own| own.allow_privilege_escalation),
        add_capabilities: capabilities.and_then(|caps| caps.add.clone()).unwrap_or_default(),
        drop_capabilities: capabilities
            .and_then(|caps| caps.drop.clone())
            .unwrap_or_default(),
        seccomp: profile.map_or_else(SeccompProfile::default, |profile| seccomp(profile, seccomp_dir)),
        app_armor,
    }
}

fn to_app_armor(profile: &v1::AppArmorProfile) -> AppArmorProfile {
    match (profile.type_.as_str(), &profile.localhost_profile) {
        ("Unconfined", _) => AppArmorProfile::Unconfined,
        ("Localhost", Some(name)) => AppArmorProfile::Localhost(name.clone()),
        _ => AppArmorProfile::RuntimeDefault,
    }
}

/// Where a pod does not say, the runtime's own profile is in force, as with the kubelet's `--seccomp-default`.
fn seccomp(profile: &v1::SeccompProfile, dir: &Path) -> SeccompProfile {
    match (profile.type_.as_str(), &profile.localhost_profile) {
        ("Unconfined", _) => SeccompProfile::Unconfined,
        // Validation sees to it that the path does not lead out.
        ("Localhost", Some(path)) => SeccompProfile::Localhost(dir.join(path)),
        _ => SeccompProfile::RuntimeDefault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::testkit::pod_with;

    #[test]
    fn a_containers_own_profile_comes_before_its_pods_and_is_a_file_of_the_nodes() {
        let localhost = SeccompProfile::Localhost("/profiles/web/strict.json".into());
        for (pod, own, expected) in [
            ("null", "null", SeccompProfile::RuntimeDefault),
            (r#"{"type": "Unconfined"}"#, "null", SeccompProfile::Unconfined),
            (
                r#"{"type": "Unconfined"}"#,
                r#"{"type": "RuntimeDefault"}"#,
                SeccompProfile::RuntimeDefault,
            ),
            (
                "null",
                r#"{"type": "Localhost", "localhostProfile": "web/strict.json"}"#,
                localhost,
            ),
        ] {
            let pod = pod_with(&format!(
                r#"{{"securityContext": {{"seccompProfile": {pod}}}, "containers": [{{"name": "main", "image": "i",
                    "securityContext": {{"seccompProfile": {own}}}}}]}}"#
            ));
            let making = Making {
                seccomp_dir: "/profiles".into(),
                ..Making::default()
            };
            let spec = &pod.spec.as_ref().unwrap().containers[0];
            assert_eq!(container_config(&pod, spec, making).security.seccomp, expected);
        }
    }

    #[test]
    fn a_containers_own_word_of_apparmor_comes_before_its_pods() {
        let web = r#"{"type": "Localhost", "localhostProfile": "web"}"#;
        for (pod, own, expected) in [
            ("null", "null", AppArmorProfile::RuntimeDefault),
            (web, "null", AppArmorProfile::Localhost("web".into())),
            (r#"{"type": "Unconfined"}"#, "null", AppArmorProfile::Unconfined),
            (
                r#"{"type": "Unconfined"}"#,
                web,
                AppArmorProfile::Localhost("web".into()),
            ),
            (
                web,
                r#"{"type": "RuntimeDefault"}"#,
                AppArmorProfile::RuntimeDefault,
            ),
        ] {
            let pod = pod_with(&format!(
                r#"{{"securityContext": {{"appArmorProfile": {pod}}}, "containers": [{{"name": "main", "image": "i",
                    "securityContext": {{"appArmorProfile": {own}}}}}]}}"#
            ));
            let spec = &pod.spec.as_ref().unwrap().containers[0];
            let config = container_config(&pod, spec, Making::default());
            assert_eq!(config.security.app_armor, expected);
        }
    }

    #[test]
    fn an_annotation_of_apparmors_counts_where_the_container_has_no_field() {
        let mut pod = pod_with(
            r#"{"securityContext": {"appArmorProfile": {"type": "Unconfined"}}, "containers": [{"name": "main", "image": "i"}]}"#,
        );
        let key = "container.apparmor.security.beta.kubernetes.io/main".to_owned();
        pod.metadata.annotations = Some([(key, "localhost/web".to_owned())].into());
        let spec = &pod.spec.as_ref().unwrap().containers[0];
        let config = container_config(&pod, spec, Making::default());
        assert_eq!(
            config.security.app_armor,
            AppArmorProfile::Localhost("web".into())
        );
    }

    #[test]
    fn a_sandbox_carries_ports_names_and_dns() {
        let pod = pod_with(
            r#"{"hostname": "shop", "terminationGracePeriodSeconds": 5,
                "hostAliases": [{"ip": "10.1.1.1", "hostnames": ["db"]}],
                "dnsConfig": {"nameservers": ["9.9.9.9"], "options": [{"name": "ndots", "value": "2"}]},
                "containers": [{"name": "c", "image": "i",
                    "ports": [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 81}]}]}"#,
        );
        let mut config = AgentConfig::new("n1");
        config.cluster_dns = vec!["10.96.0.10".parse().unwrap()];
        let sandbox = sandbox_config(&pod, &config, 3);
        assert_eq!((sandbox.hostname.as_str(), sandbox.attempt), ("shop", 3));
        assert_eq!(sandbox.host_ports.len(), 1);
        assert_eq!(
            (
                sandbox.host_ports[0].host_port,
                sandbox.host_ports[0].container_port
            ),
            (8080, 80)
        );
        assert_eq!(
            sandbox.dns_searches,
            ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"]
        );
        assert_eq!(sandbox.dns_servers.len(), 2);
        assert_eq!(sandbox.dns_options, ["ndots:2"]);
        assert_eq!(
            sandbox.host_aliases,
            [("10.1.1.1".parse().unwrap(), vec!["db".to_owned()])]
        );
        assert_eq!(sandbox.annotations[GRACE_ANNOTATION], "5");
    }

    #[test]
    fn a_container_is_expanded_and_confined() {
        let pod = pod_with(
            r#"{"securityContext": {"runAsUser": 5, "runAsNonRoot": true, "fsGroup": 7},
                "containers": [{"name": "c", "image": "i", "command": ["run", "$(PORT)", "$(NONE)"],
                    "securityContext": {"runAsUser": 6, "capabilities": {"drop": ["ALL"]}}}]}"#,
        );
        let making = Making {
            attempt: 2,
            backoff: Duration::from_secs(10),
            env: vec![("PORT".into(), "80".into())],
            ..Making::default()
        };
        let spec = &pod.spec.as_ref().unwrap().containers[0];
        let config = container_config(&pod, spec, making);
        assert_eq!(config.command, ["run", "80", "$(NONE)"]);
        assert_eq!(config.security.run_as_user, Some(6));
        assert!(config.security.run_as_non_root);
        assert_eq!(config.security.supplemental_groups, [7]);
        assert_eq!(config.security.drop_capabilities, ["ALL"]);
        assert_eq!(config.annotations[BACKOFF_ANNOTATION], "10000");
        assert_eq!(config.labels[CONTAINER_NAME], "c");
    }
}
