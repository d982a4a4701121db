//! Validates whom a pod's processes run as and what they may do.

use k8s_openapi::api::core::v1::{PodSecurityContext, PodSpec, SeccompProfile, SecurityContext, Sysctl};
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use super::app_armor::validate_app_armor;
use crate::kinds::check;

/// Longest name of a kernel parameter.
const SYSCTL_NAME_LIMIT: usize = 253;

/// Validates `spec.securityContext`.
pub(super) fn validate_pod(errors: &mut FieldErrors, at: &FieldPath, context: &PodSecurityContext) {
    check::id(errors, &at.child("fsGroup"), context.fs_group);
    check::id(errors, &at.child("runAsUser"), context.run_as_user);
    check::id(errors, &at.child("runAsGroup"), context.run_as_group);
    for (index, group) in context.supplemental_groups.iter().flatten().enumerate() {
        check::id(errors, &at.child("supplementalGroups").index(index), Some(*group));
    }
    validate_sysctls(
        errors,
        &at.child("sysctls"),
        context.sysctls.as_deref().unwrap_or_default(),
    );
    let policy = context.fs_group_change_policy.as_deref();
    check::optional_one_of(
        errors,
        &at.child("fsGroupChangePolicy"),
        policy,
        &["Always", "OnRootMismatch"],
    );
    let policy = context.supplemental_groups_policy.as_deref();
    check::optional_one_of(
        errors,
        &at.child("supplementalGroupsPolicy"),
        policy,
        &["Merge", "Strict"],
    );
    if let Some(profile) = &context.seccomp_profile {
        validate_seccomp(errors, &at.child("seccompProfile"), profile);
    }
    if let Some(profile) = &context.app_armor_profile {
        validate_app_armor(errors, &at.child("appArmorProfile"), profile);
    }
}

/// Validates the namespaces of the host that a pod asks for.
pub(super) fn validate_host(errors: &mut FieldErrors, at: &FieldPath, spec: &PodSpec) {
    if spec.share_process_namespace == Some(true) && spec.host_pid == Some(true) {
        let at = at.child("shareProcessNamespace");
        errors.push(FieldError::invalid(
            &at,
            true,
            "ShareProcessNamespace and HostPID cannot both be enabled",
        ));
    }
    validate_users(errors, at, spec);
    if spec.host_network != Some(true) {
        return;
    }
    for (list, containers) in [
        ("containers", Some(&spec.containers)),
        ("initContainers", spec.init_containers.as_ref()),
    ] {
        for (index, container) in containers.into_iter().flatten().enumerate() {
            for (number, port) in container.ports.iter().flatten().enumerate() {
                if port.host_port.unwrap_or(0) != port.container_port {
                    let at = at
                        .child(list)
                        .index(index)
                        .child("ports")
                        .index(number)
                        .child("containerPort");
                    let detail = "must match `hostPort` when `hostNetwork` is true";
                    errors.push(FieldError::invalid(&at, port.container_port, detail));
                }
            }
        }
    }
}

/// A pod with users of its own shares none of the host's namespaces, and no other sees all of `/proc`.
fn validate_users(errors: &mut FieldErrors, at: &FieldPath, spec: &PodSpec) {
    if spec.host_users != Some(false) {
        for (list, containers) in [
            ("containers", Some(&spec.containers)),
            ("initContainers", spec.init_containers.as_ref()),
        ] {
            for (index, container) in containers.into_iter().flatten().enumerate() {
                let context = container.security_context.as_ref();
                if context.and_then(|context| context.proc_mount.as_deref()) == Some("Unmasked") {
                    let at = at.child(list).index(index).child("securityContext");
                    let detail = "`hostUsers` must be false to use `Unmasked`";
                    errors.push(FieldError::invalid(&at.child("procMount"), "Unmasked", detail));
                }
            }
        }
        return;
    }
    for (field, shared) in [
        ("hostNetwork", spec.host_network),
        ("hostPID", spec.host_pid),
        ("hostIPC", spec.host_ipc),
    ] {
        if shared == Some(true) {
            errors.push(FieldError::forbidden(
                &at.child(field),
                "when `hostUsers` is false",
            ));
        }
    }
}

/// Validates the `securityContext` of a container.
pub(super) fn validate_container(errors: &mut FieldErrors, at: &FieldPath, context: &SecurityContext) {
    check::id(errors, &at.child("runAsUser"), context.run_as_user);
    check::id(errors, &at.child("runAsGroup"), context.run_as_group);
    let mount = context.proc_mount.as_deref();
    check::optional_one_of(errors, &at.child("procMount"), mount, &["Default", "Unmasked"]);
    if let Some(profile) = &context.seccomp_profile {
        validate_seccomp(errors, &at.child("seccompProfile"), profile);
    }
    if let Some(profile) = &context.app_armor_profile {
        validate_app_armor(errors, &at.child("appArmorProfile"), profile);
    }
    if context.allow_privilege_escalation != Some(false) {
        return;
    }
    if context.privileged == Some(true) {
        let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
        errors.push(FieldError::invalid(at, context, detail));
    }
    let added = context
        .capabilities
        .iter()
        .flat_map(|capabilities| capabilities.add.iter().flatten());
    if added.into_iter().any(|capability| capability == "CAP_SYS_ADMIN") {
        let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
        errors.push(FieldError::invalid(at, context, detail));
    }
}

fn validate_seccomp(errors: &mut FieldErrors, at: &FieldPath, profile: &SeccompProfile) {
    let type_at = at.child("type");
    if profile.type_.is_empty() {
        errors.push(FieldError::required(
            &type_at,
            "type is required when seccompProfile is set",
        ));
    } else {
        let types = ["Localhost", "RuntimeDefault", "Unconfined"];
        check::optional_one_of(errors, &type_at, Some(&profile.type_), &types);
    }
    let at = at.child("localhostProfile");
    match (profile.type_.as_str(), &profile.localhost_profile) {
        ("Localhost", None) => {
            errors.push(FieldError::required(
                &at,
                "must be set when seccomp type is Localhost",
            ));
        }
        ("Localhost", Some(path)) => check::descending_path(errors, &at, path),
        (_, Some(_)) => {
            errors.push(FieldError::invalid(
                &at,
                profile,
                "can only be set when seccomp type is Localhost",
            ));
        }
        (_, None) => {}
    }
}

fn validate_sysctls(errors: &mut FieldErrors, at: &FieldPath, sysctls: &[Sysctl]) {
    for (index, sysctl) in sysctls.iter().enumerate() {
        let at = at.index(index).child("name");
        let name = sysctl.name.as_str();
        if name.is_empty() {
            errors.push(FieldError::required(&at, ""));
        } else if !is_sysctl_name(name) {
            let segment = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
            let detail = format!(
                "must have at most {SYSCTL_NAME_LIMIT} characters and match regex ^({segment}[\\./])*{segment}$"
            );
            errors.push(FieldError::invalid(&at, name, detail));
        } else if sysctls[..index].iter().any(|other| other.name == name) {
            errors.push(FieldError::duplicate(&at, name));
        }
    }
}

fn is_sysctl_name(name: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= SYSCTL_NAME_LIMIT
        && name.split(['.', '/']).all(|segment| {
            segment.starts_with(alphanumeric)
                && segment.ends_with(alphanumeric)
                && segment.chars().all(|c| alphanumeric(c) || matches!(c, '-' | '_'))
        })
}
