//! The rows of the kinds that something here acts on.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet, ReplicaSetStatus};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Event, Namespace, NamespaceStatus, Node, NodeStatus, Pod, PodStatus, Secret,
};
use orch_core::object::{FieldPath, Scope};

use super::table::{BuiltIn, one, row, spec_warnings, status, template_warnings, two, without_status};
use super::{config_map, deployment, event, fields, lease, namespace, node, pod, raw, replica_set, secret};

pub(super) fn rows() -> Vec<BuiltIn> {
    vec![
        BuiltIn {
            short_names: &["cm"],
            validate: |new| one::<ConfigMap>(new, config_map::validate),
            validate_update: |new, old| two::<ConfigMap>(new, old, config_map::validate_update),
            ..row("", "ConfigMap", "configmaps", "configmap", Scope::Namespaced)
        },
        BuiltIn {
            short_names: &["ev"],
            fields: fields::EVENT,
            validate: |new| one::<Event>(new, event::validate),
            validate_update: |new, _| one::<Event>(new, event::validate),
            ..row("", "Event", "events", "event", Scope::Namespaced)
        },
        BuiltIn {
            short_names: &["ns"],
            has_status: true,
            fields: fields::NAMESPACE,
            subresources: &[("finalize", namespace::finalize)],
            prepare_create: namespace::prepare_create,
            prepare_update: namespace::prepare_update,
            default: namespace::default,
            validate: |new| one::<Namespace>(new, namespace::validate),
            validate_update: |new, _| one::<Namespace>(new, namespace::validate),
            validate_status: |new, old| {
                status(new, |new: &NamespaceStatus| namespace::validate_status(new, old))
            },
            blocks_removal: namespace::blocks_removal,
            ..row("", "Namespace", "namespaces", "namespace", Scope::Cluster)
        },
        BuiltIn {
            short_names: &["no"],
            has_status: true,
            fields: fields::NODE,
            default: node::default,
            validate: |new| one::<Node>(new, node::validate),
            validate_update: |new, old| two::<Node>(new, old, node::validate_update),
            validate_status: |new, _| status(new, |new: &NodeStatus| node::validate_status(new)),
            ..row("", "Node", "nodes", "node", Scope::Cluster)
        },
        BuiltIn {
            short_names: &["po"],
            categories: &["all"],
            has_status: true,
            fields: fields::POD,
            subresources: &[("binding", pod::bind), ("resize", pod::resize)],
            wanted: &["resize"],
            prepare_create: pod::prepare_create,
            default: pod::default,
            validate: pod::validate_new,
            validate_update: |new, old| two::<Pod>(new, old, pod::validate_update),
            validate_status: |new, old| status(new, |new: &PodStatus| pod::validate_status(new, old)),
            grace_period_seconds: pod::deletion_grace,
            create_warnings: pod::create_warnings,
            warnings: |pod| spec_warnings(raw::child(pod, "spec"), &FieldPath::new("spec")),
            ..row("", "Pod", "pods", "pod", Scope::Namespaced)
        },
        BuiltIn {
            fields: fields::SECRET,
            default: secret::default,
            validate: |new| one::<Secret>(new, secret::validate),
            validate_update: |new, old| two::<Secret>(new, old, secret::validate_update),
            ..row("", "Secret", "secrets", "secret", Scope::Namespaced)
        },
        BuiltIn {
            short_names: &["deploy"],
            categories: &["all"],
            has_status: true,
            has_scale: true,
            prepare_create: without_status,
            default: deployment::default,
            warnings: template_warnings,
            validate: |new| one::<Deployment>(new, deployment::validate),
            validate_update: |new, old| two::<Deployment>(new, old, deployment::validate_update),
            validate_status: |new, old| {
                status(new, |new: &DeploymentStatus| {
                    deployment::validate_status(new, old)
                })
            },
            ..row(
                "apps",
                "Deployment",
                "deployments",
                "deployment",
                Scope::Namespaced,
            )
        },
        BuiltIn {
            short_names: &["rs"],
            categories: &["all"],
            has_status: true,
            has_scale: true,
            fields: fields::REPLICA_SET,
            prepare_create: without_status,
            default: replica_set::default,
            warnings: template_warnings,
            validate: |new| one::<ReplicaSet>(new, replica_set::validate),
            validate_update: |new, old| two::<ReplicaSet>(new, old, replica_set::validate_update),
            validate_status: |new, _| status(new, |new: &ReplicaSetStatus| replica_set::validate_status(new)),
            ..row(
                "apps",
                "ReplicaSet",
                "replicasets",
                "replicaset",
                Scope::Namespaced,
            )
        },
        BuiltIn {
            validate: |new| one::<Lease>(new, lease::validate),
            validate_update: |new, _| one::<Lease>(new, lease::validate),
            ..row(
                "coordination.k8s.io",
                "Lease",
                "leases",
                "lease",
                Scope::Namespaced,
            )
        },
    ]
}
