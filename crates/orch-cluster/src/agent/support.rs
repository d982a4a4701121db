//! What a pod asks for that the runtime cannot give: refused where the pod could not work, warned of where
//! it works with less.

use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Pod, PodSpec, Probe};
use orch_core::runtime::Capabilities;

use super::volumes::is_supported;

/// Why a pod cannot run on a node, ever. Its phase stays `Pending`, and its containers wait with this reason, as
/// Kubernetes has it of containers whose configuration is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// One word, as the containers' `waiting.reason` shows it.
    pub reason: &'static str,
    /// What is asked for, where, and what to do about it.
    pub message: String,
}

/// What came of comparing a pod with a runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Support {
    /// It cannot run.
    pub refusal: Option<Refusal>,
    /// It can, without these.
    pub warnings: Vec<String>,
}

/// Compares what a pod asks for with what a runtime declares.
pub(crate) fn support(pod: &Pod, runtime: &str, can: &Capabilities) -> Support {
    let Some(spec) = &pod.spec else {
        return Support::default();
    };
    let mut complaints = Vec::new();
    let mut warnings = Vec::new();
    for (field, container) in containers(spec) {
        refuse_in(&field, container, spec, runtime, can, &mut complaints);
        warn_in(&field, container, runtime, can, &mut warnings);
    }
    for (index, volume) in spec
        .volumes
        .iter()
        .flatten()
        .enumerate()
        .filter(|(_, volume)| !is_supported(volume))
    {
        complaints.push(format!(
            "spec.volumes[{index}] ({}): only emptyDir, hostPath, configMap, secret, downwardAPI and projected volumes are supported",
            volume.name
        ));
    }
    let projected = spec
        .volumes
        .iter()
        .flatten()
        .filter_map(|volume| volume.projected.as_ref());
    if projected
        .flat_map(|projected| projected.sources.iter().flatten())
        .any(|source| source.service_account_token.is_some())
    {
        warnings.push("spec.volumes: there are no service account tokens; the files are left out".to_owned());
    }
    if !can.security && spec.security_context.is_some() {
        warnings.push(format!(
            "spec.securityContext: the {runtime} runtime does not confine containers"
        ));
    }
    let refusal = (!complaints.is_empty()).then(|| Refusal {
        reason: "CreateContainerConfigError",
        message: complaints.join("; "),
    });
    Support { refusal, warnings }
}

fn containers(spec: &PodSpec) -> impl Iterator<Item = (String, &Container)> {
    let of = |list, index: usize| format!("spec.{list}[{index}]");
    let init = spec.init_containers.iter().flatten().enumerate();
    let init = init.map(move |(index, container)| (of("initContainers", index), container));
    init.chain(
        spec.containers
            .iter()
            .enumerate()
            .map(move |(index, c)| (of("containers", index), c)),
    )
}

fn refuse_in(
    field: &str,
    container: &Container,
    spec: &PodSpec,
    runtime: &str,
    can: &Capabilities,
    complaints: &mut Vec<String>,
) {
    if !can.mounts
        && container
            .volume_mounts
            .as_ref()
            .is_some_and(|mounts| !mounts.is_empty())
    {
        complaints.push(format!(
            "{field}.volumeMounts: the {runtime} runtime cannot mount volumes; run the pod on a runtime with images"
        ));
    }
    if container
        .volume_devices
        .as_ref()
        .is_some_and(|devices| !devices.is_empty())
    {
        complaints.push(format!("{field}.volumeDevices: block devices are not supported"));
    }
    for port in container.ports.iter().flatten() {
        // Without a network of its own a container listens on the machine itself: the same number needs
        // nothing, another cannot be had.
        let maps = port
            .host_port
            .is_some_and(|host| host != 0 && host != port.container_port);
        if maps && !can.host_ports && !spec.host_network.unwrap_or_default() {
            complaints.push(format!(
                "{field}.ports: the {runtime} runtime cannot lead hostPort {} to containerPort {}",
                port.host_port.unwrap_or_default(),
                port.container_port
            ));
        }
    }
    let probes = [
        ("startupProbe", &container.startup_probe),
        ("livenessProbe", &container.liveness_probe),
        ("readinessProbe", &container.readiness_probe),
    ];
    for (name, probe) in probes {
        let Some(probe) = probe else { continue };
        if probe.exec.is_some() && !can.exec {
            complaints.push(format!(
                "{field}.{name}.exec: the {runtime} runtime cannot run commands in containers"
            ));
        }
        if !is_known(probe) {
            complaints.push(format!(
                "{field}.{name}: only exec, httpGet and tcpSocket probes are supported"
            ));
        }
        if is_https(probe.http_get.as_ref()) {
            complaints.push(format!(
                "{field}.{name}.httpGet.scheme: HTTPS is not supported; use HTTP or a tcpSocket probe"
            ));
        }
    }
    let hooks = container.lifecycle.as_ref();
    let hooks = hooks
        .into_iter()
        .flat_map(|hooks| [("postStart", &hooks.post_start), ("preStop", &hooks.pre_stop)]);
    for (name, hook) in hooks {
        let Some(hook) = hook else { continue };
        if hook.exec.is_some() && !can.exec {
            complaints.push(format!(
                "{field}.lifecycle.{name}.exec: the {runtime} runtime cannot run commands in containers"
            ));
        }
        if hook.tcp_socket.is_some() {
            complaints.push(format!(
                "{field}.lifecycle.{name}.tcpSocket: only exec, httpGet and sleep hooks are supported"
            ));
        }
        if is_https(hook.http_get.as_ref()) {
            complaints.push(format!(
                "{field}.lifecycle.{name}.httpGet.scheme: HTTPS is not supported; use HTTP or an exec hook"
            ));
        }
    }
}

fn is_https(http: Option<&HTTPGetAction>) -> bool {
    http.is_some_and(|http| http.scheme.as_deref() == Some("HTTPS"))
}

fn is_known(probe: &Probe) -> bool {
    probe.exec.is_some() || probe.http_get.is_some() || probe.tcp_socket.is_some()
}

fn warn_in(
    field: &str,
    container: &Container,
    runtime: &str,
    can: &Capabilities,
    warnings: &mut Vec<String>,
) {
    let limits = container
        .resources
        .as_ref()
        .and_then(|resources| resources.limits.as_ref());
    if !can.resource_limits && limits.is_some_and(|limits| !limits.is_empty()) {
        warnings.push(format!(
            "{field}.resources.limits: the {runtime} runtime does not enforce limits"
        ));
    }
    if !can.security && container.security_context.is_some() {
        warnings.push(format!(
            "{field}.securityContext: the {runtime} runtime does not confine containers"
        ));
    }
    if !can.tty && container.tty == Some(true) {
        warnings.push(format!("{field}.tty: the {runtime} runtime has no terminals"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::testkit::pod_with;

    #[test]
    fn a_bare_runtime_refuses_what_would_not_work_and_warns_of_the_rest() {
        let cases = [
            (
                r#""volumeMounts": [{"name": "v", "mountPath": "/v"}]"#,
                Some("volumeMounts"),
                None,
            ),
            (
                r#""ports": [{"containerPort": 80, "hostPort": 8080}]"#,
                Some("hostPort 8080"),
                None,
            ),
            (r#""ports": [{"containerPort": 80, "hostPort": 80}]"#, None, None),
            (
                r#""livenessProbe": {"exec": {"command": ["true"]}}"#,
                Some("livenessProbe.exec"),
                None,
            ),
            (
                r#""livenessProbe": {"grpc": {"port": 1}}"#,
                Some("only exec, httpGet and tcpSocket"),
                None,
            ),
            (r#""livenessProbe": {"tcpSocket": {"port": 1}}"#, None, None),
            (
                r#""livenessProbe": {"httpGet": {"port": 1, "scheme": "HTTPS"}}"#,
                Some("livenessProbe.httpGet.scheme"),
                None,
            ),
            (
                r#""lifecycle": {"preStop": {"httpGet": {"port": 1, "scheme": "HTTPS"}}}"#,
                Some("lifecycle.preStop.httpGet.scheme"),
                None,
            ),
            (
                r#""lifecycle": {"postStart": {"tcpSocket": {"port": 1}}}"#,
                Some("lifecycle.postStart.tcpSocket"),
                None,
            ),
            (
                r#""lifecycle": {"preStop": {"httpGet": {"port": 1}}}"#,
                None,
                None,
            ),
            (
                r#""resources": {"limits": {"cpu": "1"}}"#,
                None,
                Some("does not enforce limits"),
            ),
            (
                r#""securityContext": {"runAsUser": 1}"#,
                None,
                Some("does not confine"),
            ),
        ];
        for (field, refused, warned) in cases {
            let pod = pod_with(&format!(
                r#"{{"containers": [{{"name": "c", "image": "i", {field}}}]}}"#
            ));
            let support = support(&pod, "bare", &Capabilities::default());
            let refusal = support.refusal.map(|refusal| refusal.message);
            assert_eq!(refusal.is_some(), refused.is_some(), "{field}: {refusal:?}");
            if let (Some(message), Some(part)) = (refusal, refused) {
                assert!(
                    message.contains(part) && message.contains("spec.containers[0]"),
                    "{message}"
                );
            }
            assert_eq!(
                support
                    .warnings
                    .iter()
                    .any(|warning| warning.contains(warned.unwrap_or("\0"))),
                warned.is_some()
            );
        }
    }
}
