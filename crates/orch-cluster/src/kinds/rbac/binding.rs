//! RoleBindings and ClusterRoleBindings: their defaults, and what Kubernetes refuses of them.

use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding, RoleRef, Subject};
use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use crate::kinds::check;
use crate::kinds::meta::{self, NameRule};
use crate::kinds::raw::{Raw, child_mut, default_text, items_mut, text};

const GROUP: &str = "rbac.authorization.k8s.io";

/// Fills a binding: roles, users and groups are of the group of this kind, service accounts of none.
pub(super) fn default(binding: &mut Raw) {
    if let Some(role) = child_mut(binding, "roleRef") {
        default_text(role, "apiGroup", GROUP);
    }
    for subject in items_mut(binding, "subjects") {
        if matches!(text(subject, "kind"), "User" | "Group") {
            default_text(subject, "apiGroup", GROUP);
        }
    }
}

pub(super) fn validate(binding: &RoleBinding) -> FieldErrors {
    let mut errors = meta::validate(&binding.metadata, true, NameRule::PathSegment);
    validate_role(&mut errors, &binding.role_ref, &["ClusterRole", "Role"]);
    validate_subjects(&mut errors, binding.subjects.as_deref(), true);
    errors
}

pub(super) fn validate_cluster(binding: &ClusterRoleBinding) -> FieldErrors {
    let mut errors = meta::validate(&binding.metadata, false, NameRule::PathSegment);
    validate_role(&mut errors, &binding.role_ref, &["ClusterRole"]);
    validate_subjects(&mut errors, binding.subjects.as_deref(), false);
    errors
}

/// Validates a RoleBinding that replaces `old`: what it gives stays.
pub(super) fn validate_update(new: &RoleBinding, old: &RoleBinding) -> FieldErrors {
    let mut errors = validate(new);
    same_role(&mut errors, &new.role_ref, &old.role_ref);
    errors
}

pub(super) fn validate_cluster_update(new: &ClusterRoleBinding, old: &ClusterRoleBinding) -> FieldErrors {
    let mut errors = validate_cluster(new);
    same_role(&mut errors, &new.role_ref, &old.role_ref);
    errors
}

fn same_role(errors: &mut FieldErrors, new: &RoleRef, old: &RoleRef) {
    if new != old {
        let detail = "cannot change roleRef";
        errors.push(FieldError::invalid(&FieldPath::new("roleRef"), new, detail));
    }
}

fn validate_role(errors: &mut FieldErrors, role: &RoleRef, kinds: &[&str]) {
    let at = FieldPath::new("roleRef");
    // Optional in one version of Kubernetes' schema, required in another.
    let group = check::given::<String>(&role.api_group).map(String::as_str);
    check::optional_one_of(errors, &at.child("apiGroup"), group, &[GROUP]);
    check::optional_one_of(errors, &at.child("kind"), Some(&role.kind), kinds);
    check::required_name(errors, &at.child("name"), &role.name, names::path_segment);
}

fn validate_subjects(errors: &mut FieldErrors, subjects: Option<&[Subject]>, is_namespaced: bool) {
    for (index, subject) in subjects.unwrap_or_default().iter().enumerate() {
        let at = FieldPath::new("subjects").index(index);
        let group = subject.api_group.as_deref().unwrap_or_default();
        if subject.name.is_empty() {
            errors.push(FieldError::required(&at.child("name"), ""));
        }
        match &*subject.kind {
            "ServiceAccount" => {
                if !subject.name.is_empty() {
                    let wrong = names::dns_subdomain(&subject.name);
                    check::format(errors, &at.child("name"), &subject.name, wrong);
                }
                check::optional_one_of(errors, &at.child("apiGroup"), Some(group), &[""]);
                let namespace = subject.namespace.as_deref().unwrap_or_default();
                if !is_namespaced && namespace.is_empty() {
                    errors.push(FieldError::required(&at.child("namespace"), ""));
                }
            }
            "User" | "Group" => {
                check::optional_one_of(errors, &at.child("apiGroup"), Some(group), &[GROUP]);
            }
            kind => {
                let allowed = ["Group", "ServiceAccount", "User"];
                errors.push(FieldError::not_supported(&at.child("kind"), kind, allowed));
            }
        }
    }
}
