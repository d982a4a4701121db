//! The kinds of rbac.authorization.k8s.io/v1: what Kubernetes fills in and refuses. Nothing acts on them yet: access is
//! whole or none.

mod binding;
mod role;

#[cfg(test)]
mod tests;

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};

use super::table::{BuiltIn, one, stored, two};

pub(super) fn rows() -> Vec<BuiltIn> {
    vec![
        stored::<Role>(
            "role",
            |new| one::<Role>(new, role::validate),
            |new, _| one::<Role>(new, role::validate),
        ),
        stored::<ClusterRole>(
            "clusterrole",
            |new| one::<ClusterRole>(new, role::validate_cluster),
            |new, _| one::<ClusterRole>(new, role::validate_cluster),
        ),
        BuiltIn {
            default: binding::default,
            ..stored::<RoleBinding>(
                "rolebinding",
                |new| one::<RoleBinding>(new, binding::validate),
                |new, old| two::<RoleBinding>(new, old, binding::validate_update),
            )
        },
        BuiltIn {
            default: binding::default,
            ..stored::<ClusterRoleBinding>(
                "clusterrolebinding",
                |new| one::<ClusterRoleBinding>(new, binding::validate_cluster),
                |new, old| two::<ClusterRoleBinding>(new, old, binding::validate_cluster_update),
            )
        },
    ]
}
