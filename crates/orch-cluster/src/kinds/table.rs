//! The table of built-in kinds.

use std::sync::LazyLock;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Node, Pod, Secret};
use orch_core::object::field::FieldErrors;
use orch_core::object::{ApiResource, RawObject, Scope};
use serde::de::DeserializeOwned;

use super::fields::{self, Field};
use super::{config_map, decode, deployment, event, lease, namespace, node, pod, raw, replica_set, secret};

/// A built-in kind: what it is called, and its rules over raw objects.
#[derive(Debug)]
#[non_exhaustive]
pub struct Kind {
    /// Group, version, kind, plural and scope.
    pub resource: ApiResource,
    /// What one object is called, in lower case.
    pub singular: &'static str,
    /// Short names that kubectl takes, such as `po`.
    pub short_names: &'static [&'static str],
    /// Groups of kinds that kubectl takes, such as `all`.
    pub categories: &'static [&'static str],
    /// Whether its status is written through a subresource of its own.
    pub has_status: bool,
    /// The fields that a field selector may name.
    pub fields: &'static [Field],
    /// Fills what the writer left out. Doing it again changes nothing.
    pub default: fn(&mut RawObject),
    /// Resets what nobody may write into a new object; its name is known by now.
    pub prepare_create: fn(&mut RawObject),
    /// Takes from the stored object (the second) what an update may not write.
    pub prepare_update: fn(&mut RawObject, &RawObject),
    /// Takes from the stored object (the second) what a write of the status may not write.
    pub prepare_status_update: fn(&mut RawObject, &RawObject),
    /// Says what is wrong with a new object, its defaults filled.
    pub validate: fn(&RawObject) -> FieldErrors,
    /// Says what is wrong with an object that is to replace the second.
    pub validate_update: fn(&RawObject, &RawObject) -> FieldErrors,
    /// Says what is wrong with a status that is to replace the second's.
    pub validate_status_update: fn(&RawObject, &RawObject) -> FieldErrors,
}

/// The kinds of Kubernetes that are known here.
pub static KINDS: LazyLock<[Kind; 9]> = LazyLock::new(|| {
    [
        Kind {
            short_names: &["cm"],
            fields: fields::NAMESPACED,
            default: config_map::default,
            validate: |new| one::<ConfigMap>(new, config_map::validate),
            validate_update: |new, old| two::<ConfigMap>(new, old, config_map::validate_update),
            ..kind("", "ConfigMap", "configmaps", "configmap", Scope::Namespaced)
        },
        Kind {
            short_names: &["ev"],
            fields: fields::EVENT,
            default: event::default,
            validate: |new| one::<Event>(new, event::validate),
            validate_update: |new, old| two::<Event>(new, old, event::validate_update),
            ..kind("", "Event", "events", "event", Scope::Namespaced)
        },
        Kind {
            short_names: &["ns"],
            has_status: true,
            fields: fields::NAMESPACE,
            default: namespace::default,
            prepare_create: namespace::prepare_create,
            prepare_update: namespace::prepare_update,
            prepare_status_update: namespace::prepare_status_update,
            validate: |new| one::<Namespace>(new, namespace::validate),
            validate_update: |new, old| two::<Namespace>(new, old, namespace::validate_update),
            validate_status_update: |new, old| two::<Namespace>(new, old, namespace::validate_status_update),
            ..kind("", "Namespace", "namespaces", "namespace", Scope::Cluster)
        },
        Kind {
            short_names: &["no"],
            has_status: true,
            fields: fields::NODE,
            default: node::default,
            prepare_create: node::prepare_create,
            prepare_update: node::prepare_update,
            prepare_status_update: node::prepare_status_update,
            validate: |new| one::<Node>(new, node::validate),
            validate_update: |new, old| two::<Node>(new, old, node::validate_update),
            validate_status_update: |new, old| two::<Node>(new, old, node::validate_status_update),
            ..kind("", "Node", "nodes", "node", Scope::Cluster)
        },
        Kind {
            short_names: &["po"],
            categories: &["all"],
            has_status: true,
            fields: fields::POD,
            default: pod::default,
            prepare_create: pod::prepare_create,
            prepare_update: pod::prepare_update,
            prepare_status_update: pod::prepare_status_update,
            validate: |new| one::<Pod>(new, pod::validate),
            validate_update: |new, old| two::<Pod>(new, old, pod::validate_update),
            validate_status_update: |new, old| two::<Pod>(new, old, pod::validate_status_update),
            ..kind("", "Pod", "pods", "pod", Scope::Namespaced)
        },
        Kind {
            fields: fields::SECRET,
            default: secret::default,
            validate: |new| one::<Secret>(new, secret::validate),
            validate_update: |new, old| two::<Secret>(new, old, secret::validate_update),
            ..kind("", "Secret", "secrets", "secret", Scope::Namespaced)
        },
        Kind {
            short_names: &["deploy"],
            categories: &["all"],
            has_status: true,
            fields: fields::NAMESPACED,
            default: deployment::default,
            prepare_create: deployment::prepare_create,
            prepare_update: deployment::prepare_update,
            prepare_status_update: deployment::prepare_status_update,
            validate: |new| one::<Deployment>(new, deployment::validate),
            validate_update: |new, old| two::<Deployment>(new, old, deployment::validate_update),
            validate_status_update: |new, old| {
                two::<Deployment>(new, old, deployment::validate_status_update)
            },
            ..kind(
                "apps",
                "Deployment",
                "deployments",
                "deployment",
                Scope::Namespaced,
            )
        },
        Kind {
            short_names: &["rs"],
            categories: &["all"],
            has_status: true,
            fields: fields::REPLICA_SET,
            default: replica_set::default,
            prepare_create: replica_set::prepare_create,
            prepare_update: replica_set::prepare_update,
            prepare_status_update: replica_set::prepare_status_update,
            validate: |new| one::<ReplicaSet>(new, replica_set::validate),
            validate_update: |new, old| two::<ReplicaSet>(new, old, replica_set::validate_update),
            validate_status_update: |new, old| {
                two::<ReplicaSet>(new, old, replica_set::validate_status_update)
            },
            ..kind(
                "apps",
                "ReplicaSet",
                "replicasets",
                "replicaset",
                Scope::Namespaced,
            )
        },
        Kind {
            fields: fields::NAMESPACED,
            default: lease::default,
            validate: |new| one::<Lease>(new, lease::validate),
            validate_update: |new, old| two::<Lease>(new, old, lease::validate_update),
            ..kind(
                "coordination.k8s.io",
                "Lease",
                "leases",
                "lease",
                Scope::Namespaced,
            )
        },
    ]
});

/// A row to start from: no status, and rules that say nothing.
fn kind(
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    scope: Scope,
) -> Kind {
    Kind {
        resource: ApiResource::new(group, "v1", kind, plural, scope),
        singular,
        short_names: &[],
        categories: &[],
        has_status: false,
        fields: &[],
        default: |_| {},
        prepare_create: |_| {},
        prepare_update: |_, _| {},
        prepare_status_update: |new, old| raw::keep(new, old, "spec"),
        validate: |_| FieldErrors::default(),
        validate_update: |_, _| FieldErrors::default(),
        validate_status_update: |_, _| FieldErrors::default(),
    }
}

fn one<K: DeserializeOwned>(new: &RawObject, rule: fn(&K) -> FieldErrors) -> FieldErrors {
    match decode::decode(new) {
        Ok(new) => rule(&new),
        Err(error) => error.into(),
    }
}

fn two<K: DeserializeOwned>(
    new: &RawObject,
    old: &RawObject,
    rule: fn(&K, &K) -> FieldErrors,
) -> FieldErrors {
    match (decode::decode(new), decode::decode(old)) {
        (Ok(new), Ok(old)) => rule(&new, &old),
        (Err(error), _) | (_, Err(error)) => error.into(),
    }
}

/// The kind of an object, by its `apiVersion` and `kind`.
pub fn find_kind(api_version: &str, kind: &str) -> Option<&'static Kind> {
    KINDS
        .iter()
        .find(|row| row.resource.kind == kind && row.resource.api_version() == api_version)
}

/// The kind that a person means: its plural, singular, kind or a short name, in any case, and a group after a dot if
/// one is given (`deployments.apps`).
pub fn find(name: &str) -> Option<&'static Kind> {
    let name = name.to_lowercase();
    let (name, group) = match name.split_once('.') {
        Some((name, group)) => (name, Some(group)),
        None => (name.as_str(), None),
    };
    KINDS.iter().find(|row| {
        let is_called =
            row.resource.plural == name || row.singular == name || row.short_names.contains(&name);
        is_called && group.is_none_or(|group| row.resource.group == group)
    })
}
