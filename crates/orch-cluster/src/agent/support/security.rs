//! Whom a pod's processes are to run as and what they may do, on a runtime that cannot give it.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Pod, PodSecurityContext, PodSpec, SeccompProfile, SecurityContext};
use orch_core::object::FieldPath;

use super::{Judge, containers, of_spec};
use crate::kinds::pod::app_armor_of;

impl Judge<'_> {
    pub(super) fn pod_security(&mut self, security: &PodSecurityContext, spec: &PodSpec) {
        if self.can.security {
            return;
        }
        let at = &of_spec("securityContext");
        // A container's own word counts before its pod's.
        let counts = |is_own: fn(&SecurityContext) -> bool| {
            let mut all = containers(spec).map(|(_, container)| container.security_context.as_ref());
            all.any(|own| !own.is_some_and(is_own))
        };
        let user = security
            .run_as_user
            .filter(|_| counts(|own| own.run_as_user.is_some()));
        let non_root = security
            .run_as_non_root
            .filter(|_| counts(|own| own.run_as_non_root.is_some()));
        self.user(at, user, non_root);
        let not_confined = [
            ("runAsGroup", security.run_as_group.is_some()),
            (
                "supplementalGroups",
                is_some_list(security.supplemental_groups.as_ref()),
            ),
            ("fsGroup", security.fs_group.is_some()),
            ("sysctls", is_some_list(security.sysctls.as_ref())),
            ("seccompProfile", confines(security.seccomp_profile.as_ref())),
        ];
        self.not_confined(at, &not_confined);
    }

    pub(super) fn container_security(&mut self, at: &FieldPath, security: &SecurityContext) {
        if self.can.security {
            return;
        }
        self.user(at, security.run_as_user, security.run_as_non_root);
        let capabilities = security.capabilities.as_ref();
        let not_confined = [
            ("runAsGroup", security.run_as_group.is_some()),
            (
                "allowPrivilegeEscalation",
                security.allow_privilege_escalation == Some(false),
            ),
            (
                "capabilities",
                capabilities
                    .is_some_and(|own| is_some_list(own.add.as_ref()) || is_some_list(own.drop.as_ref())),
            ),
            ("privileged", security.privileged == Some(true)),
            (
                "readOnlyRootFilesystem",
                security.read_only_root_filesystem == Some(true),
            ),
            ("seccompProfile", confines(security.seccomp_profile.as_ref())),
        ];
        self.not_confined(at, &not_confined);
    }

    /// Who asks for a profile, the default's by name too, wants it enforced; who says nothing takes what there is (the
    /// kubelet's admission, `pkg/security/apparmor`).
    pub(super) fn app_armor(&mut self, pod: &Pod) {
        let Some(spec) = pod.spec.as_ref().filter(|_| !self.can.app_armor) else {
            return;
        };
        let mut told = BTreeSet::new();
        for (at, container) in containers(spec) {
            let Some((profile, at)) = app_armor_of(pod, container, &at) else {
                continue;
            };
            if profile.type_ != "Unconfined" && told.insert(at.to_string()) {
                self.refuse(
                    at,
                    "cannot enforce AppArmor on this machine; leave it out, or run the pod where the kernel has AppArmor",
                );
            }
        }
    }

    fn user(&mut self, at: &FieldPath, wanted: Option<i64>, non_root: Option<bool>) {
        let user = self.host.user;
        if let Some(wanted) = wanted.filter(|wanted| *wanted != i64::from(user)) {
            self.refuse(
                at.child("runAsUser"),
                format_args!(
                    "runs containers as user {user}, and not as {wanted}; leave it out, or run the pod on a runtime \
                     with images"
                ),
            );
        }
        if non_root == Some(true) && user == 0 {
            let lacks = "runs containers as root here; leave it out, or run the pod on a runtime with images";
            self.refuse(at.child("runAsNonRoot"), lacks);
        }
    }

    fn not_confined(&mut self, at: &FieldPath, fields: &[(&'static str, bool)]) {
        for (field, _) in fields.iter().filter(|(_, is_asked)| *is_asked) {
            self.warn(at.child(*field), "does not confine containers");
        }
    }
}

fn confines(profile: Option<&SeccompProfile>) -> bool {
    profile.is_some_and(|profile| profile.type_ != "Unconfined")
}

fn is_some_list<T>(list: Option<&Vec<T>>) -> bool {
    list.is_some_and(|list| !list.is_empty())
}

#[cfg(test)]
mod tests;
