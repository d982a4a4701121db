//! Validates the containers of a pod.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, ContainerPort, PodSpec};
use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use super::volume::Volumes;
use super::{env, mount, probe, resource, security};
use crate::kinds::check;

/// Exit codes that one restart rule may name, and rules that one container may have.
const RESTART_CODES_LIMIT: usize = 255;
const RESTART_RULES_LIMIT: usize = 20;

/// Validates `spec.containers` and `spec.initContainers`.
pub(super) fn validate_containers(
    errors: &mut FieldErrors,
    at: &FieldPath,
    spec: &PodSpec,
    volumes: &Volumes<'_>,
) {
    let grace = spec.termination_grace_period_seconds;
    let containers_at = at.child("containers");
    if spec.containers.is_empty() {
        errors.push(FieldError::required(&containers_at, ""));
    }
    let mut taken = BTreeSet::new();
    let mut host_ports = BTreeSet::new();
    for (index, container) in spec.containers.iter().enumerate() {
        let at = containers_at.index(index);
        validate_container(errors, &at, container, volumes, &mut taken);
        unique_host_ports(errors, &at, container, &mut host_ports);
        validate_hooks(errors, &at, container, grace);
        validate_restart(errors, &at, container);
    }
    for (index, container) in spec.init_containers.iter().flatten().enumerate() {
        let at = at.child("initContainers").index(index);
        validate_container(errors, &at, container, volumes, &mut taken);
        if is_sidecar(container) {
            // It runs beside the others, so it may not take their host ports.
            unique_host_ports(errors, &at, container, &mut host_ports);
            validate_hooks(errors, &at, container, grace);
        } else {
            unique_host_ports(errors, &at, container, &mut BTreeSet::new());
            forbid_hooks(errors, &at, container);
        }
        validate_restart(errors, &at, container);
    }
}

/// Whether an init container is a sidecar: it goes on running beside the containers (KEP-753).
pub fn is_sidecar(init: &Container) -> bool {
    is_policy_of_sidecars(init.restart_policy.as_deref())
}

/// The same of the `restartPolicy` that an init container has, for whoever has read no more of it.
pub(crate) fn is_policy_of_sidecars(policy: Option<&str>) -> bool {
    policy == Some("Always")
}

fn validate_container<'a>(
    errors: &mut FieldErrors,
    at: &FieldPath,
    container: &'a Container,
    volumes: &Volumes<'_>,
    taken: &mut BTreeSet<&'a str>,
) {
    let name_at = at.child("name");
    check::required_name(errors, &name_at, &container.name, names::dns_label);
    if !taken.insert(&container.name) && !container.name.is_empty() {
        errors.push(FieldError::duplicate(&name_at, &container.name));
    }
    if container.image.as_deref().unwrap_or_default().is_empty() {
        errors.push(FieldError::required(&at.child("image"), ""));
    }
    match container
        .termination_message_policy
        .as_deref()
        .unwrap_or_default()
    {
        "File" | "FallbackToLogsOnError" => {}
        policy => {
            let at = at.child("terminationMessagePolicy");
            let policies = ["FallbackToLogsOnError", "File"];
            check::one_of(errors, &at, Some(policy), &policies);
        }
    }
    validate_ports(
        errors,
        &at.child("ports"),
        container.ports.as_deref().unwrap_or_default(),
    );
    env::validate_env(
        errors,
        &at.child("env"),
        container.env.as_deref().unwrap_or_default(),
    );
    env::validate_env_from(
        errors,
        &at.child("envFrom"),
        container.env_from.as_deref().unwrap_or_default(),
    );
    mount::validate_mounts(errors, at, container, volumes);
    let policies = ["Always", "IfNotPresent", "Never"];
    check::one_of(
        errors,
        &at.child("imagePullPolicy"),
        container.image_pull_policy.as_deref(),
        &policies,
    );
    if let Some(resources) = &container.resources {
        resource::validate_requirements(errors, &at.child("resources"), resources);
    }
    if let Some(context) = &container.security_context {
        security::validate_container(errors, &at.child("securityContext"), context);
    }
}

/// Validates what a pod alone, and no template, is strict about: blanks around an image.
pub(super) fn validate_images(errors: &mut FieldErrors, at: &FieldPath, spec: &PodSpec) {
    let lists = [
        ("containers", Some(&spec.containers)),
        ("initContainers", spec.init_containers.as_ref()),
    ];
    for (list, containers) in lists {
        for (index, container) in containers.into_iter().flatten().enumerate() {
            let image = container.image.as_deref().unwrap_or_default();
            if image.trim() != image {
                let at = at.child(list).index(index).child("image");
                errors.push(FieldError::invalid(
                    &at,
                    image,
                    "must not have leading or trailing whitespace",
                ));
            }
        }
    }
}

fn validate_hooks(errors: &mut FieldErrors, at: &FieldPath, container: &Container, grace: Option<i64>) {
    if let Some(lifecycle) = &container.lifecycle {
        probe::validate_lifecycle(errors, &at.child("lifecycle"), lifecycle, grace);
    }
    probe::validate_probes(errors, at, container, grace);
}

fn forbid_hooks(errors: &mut FieldErrors, at: &FieldPath, container: &Container) {
    for (field, given) in [
        ("lifecycle", container.lifecycle.is_some()),
        ("livenessProbe", container.liveness_probe.is_some()),
        ("readinessProbe", container.readiness_probe.is_some()),
        ("startupProbe", container.startup_probe.is_some()),
    ] {
        if given {
            let detail = "may not be set for init containers without restartPolicy=Always";
            errors.push(FieldError::forbidden(&at.child(field), detail));
        }
    }
}

fn validate_restart(errors: &mut FieldErrors, at: &FieldPath, container: &Container) {
    let policy = container.restart_policy.as_deref();
    let policies = ["Always", "Never", "OnFailure"];
    check::optional_one_of(errors, &at.child("restartPolicy"), policy, &policies);
    let rules = container.restart_policy_rules.as_deref().unwrap_or_default();
    let rules_at = at.child("restartPolicyRules");
    if !rules.is_empty() && policy.is_none() {
        let detail = "must specify restartPolicy when restart rules are used";
        errors.push(FieldError::required(&at.child("restartPolicy"), detail));
    }
    if rules.len() > RESTART_RULES_LIMIT {
        errors.push(FieldError::too_many(&rules_at, rules.len(), RESTART_RULES_LIMIT));
    }
    for (index, rule) in rules.iter().enumerate() {
        let at = rules_at.index(index);
        check::one_of(
            errors,
            &at.child("action"),
            Some(&rule.action),
            &["Restart", "RestartAllContainers"],
        );
        let at = at.child("exitCodes");
        let Some(codes) = &rule.exit_codes else {
            errors.push(FieldError::required(&at, "must be specified"));
            continue;
        };
        check::one_of(
            errors,
            &at.child("operator"),
            Some(&codes.operator),
            &["In", "NotIn"],
        );
        let count = codes.values.as_ref().map_or(0, Vec::len);
        if count > RESTART_CODES_LIMIT {
            errors.push(FieldError::too_many(
                &at.child("values"),
                count,
                RESTART_CODES_LIMIT,
            ));
        }
    }
}

fn validate_ports(errors: &mut FieldErrors, at: &FieldPath, ports: &[ContainerPort]) {
    let mut taken = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let at = at.index(index);
        if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            let before = errors.len();
            check::format(errors, &at.child("name"), name, names::port_name(name));
            if errors.len() == before && !taken.insert(name) {
                errors.push(FieldError::duplicate(&at.child("name"), name));
            }
        }
        match port.container_port {
            0 => errors.push(FieldError::required(&at.child("containerPort"), "")),
            number => check::port_number(errors, &at.child("containerPort"), number),
        }
        if let Some(number) = port.host_port.filter(|number| *number != 0) {
            check::port_number(errors, &at.child("hostPort"), number);
        }
        if let Some(address) = port.host_ip.as_deref().filter(|address| !address.is_empty()) {
            check::ip_address(errors, &at.child("hostIP"), address);
        }
        check::one_of(
            errors,
            &at.child("protocol"),
            port.protocol.as_deref(),
            &["SCTP", "TCP", "UDP"],
        );
    }
}

fn unique_host_ports(
    errors: &mut FieldErrors,
    at: &FieldPath,
    container: &Container,
    taken: &mut BTreeSet<String>,
) {
    for (index, port) in container.ports.iter().flatten().enumerate() {
        let Some(number) = port.host_port.filter(|number| *number != 0) else {
            continue;
        };
        let protocol = port.protocol.as_deref().unwrap_or_default();
        let address = port.host_ip.as_deref().unwrap_or_default();
        let key = format!("{protocol}/{address}/{number}");
        if taken.contains(&key) {
            errors.push(FieldError::duplicate(
                &at.child("ports").index(index).child("hostPort"),
                key,
            ));
        } else {
            taken.insert(key);
        }
    }
}
