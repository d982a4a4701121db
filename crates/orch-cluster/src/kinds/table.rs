//! The table of built-in kinds, and their rules as the client runs them.

use std::sync::LazyLock;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet, ReplicaSetStatus};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Event, Namespace, NamespaceStatus, Node, NodeStatus, Pod, PodStatus, Secret,
};
use orch_core::client::{Kind, KindRules, SubresourceWrite, Wanted};
use orch_core::object::{ApiResource, Document, Object, ObjectMeta, RawObject, Scope};
use orch_core::object::{FieldErrors, FieldPath};
use serde::de::DeserializeOwned;

use super::fields::{self, Field};
use super::{config_map, decode, deployment, event, lease, namespace, node, pod, raw, replica_set, secret};

/// A built-in kind: what it is called, and its rules over raw objects, which are a [`KindRules`].
#[derive(Debug)]
#[non_exhaustive]
pub struct BuiltIn {
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
    /// Its other subresources that are parts of the object: names, and what writes to them may change.
    pub subresources: &'static [(&'static str, Write)],
    prepare_create: fn(&mut RawObject),
    prepare_update: fn(&mut RawObject, &RawObject),
    default: fn(&mut RawObject),
    validate: fn(&Document) -> FieldErrors,
    validate_update: fn(&Document, &Document) -> FieldErrors,
    validate_status: fn(&[u8], &Document) -> FieldErrors,
    grace_period_seconds: fn(&Document, Option<u64>) -> u64,
    blocks_removal: fn(&Document) -> bool,
    create_warnings: fn(&RawObject) -> Vec<String>,
    warnings: fn(&RawObject) -> Vec<String>,
}

/// A write to a subresource: what changes of the object as it is, or what is wrong.
pub type Write = fn(Wanted<'_>, &Document) -> SubresourceWrite;

/// The kinds of Kubernetes that are known here.
///
/// ```
/// let deployment = orch_cluster::kinds::find("deploy").unwrap();
/// assert_eq!(deployment.resource.api_version(), "apps/v1");
/// ```
pub static KINDS: LazyLock<[BuiltIn; 9]> = LazyLock::new(|| {
    [
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
            subresources: &[("binding", pod::bind)],
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
});

/// A row to start from: no status, and rules that say nothing.
fn row(
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    scope: Scope,
) -> BuiltIn {
    BuiltIn {
        resource: ApiResource::new(group, "v1", kind, plural, scope),
        singular,
        short_names: &[],
        categories: &[],
        has_status: false,
        fields: &[],
        subresources: &[],
        prepare_create: |_| {},
        prepare_update: |_, _| {},
        default: |_| {},
        validate: |_| FieldErrors::default(),
        validate_update: |_, _| FieldErrors::default(),
        validate_status: |_, _| FieldErrors::default(),
        grace_period_seconds: |_, _| 0,
        blocks_removal: |_| false,
        create_warnings: |_| Vec::new(),
        warnings: |_| Vec::new(),
    }
}

fn spec_warnings(spec: Option<&RawObject>, at: &FieldPath) -> Vec<String> {
    spec.map(|spec| pod::warnings(spec, at)).unwrap_or_default()
}

fn template_warnings(workload: &RawObject) -> Vec<String> {
    let template = raw::child(workload, "spec").and_then(|spec| raw::child(spec, "template"));
    let at = FieldPath::new("spec").child("template");
    template
        .map(|template| pod::template_warnings(template, &at))
        .unwrap_or_default()
}

/// Nobody sends a status with a new object.
fn without_status(object: &mut RawObject) {
    object.remove("status");
}

fn one<K: Object>(new: &Document, rule: fn(&K) -> FieldErrors) -> FieldErrors {
    match decode::typed(new) {
        Ok(new) => rule(&new),
        Err(errors) => errors,
    }
}

fn two<K: Object>(new: &Document, old: &Document, rule: fn(&K, &K) -> FieldErrors) -> FieldErrors {
    match (decode::typed(new), decode::typed(old)) {
        (Ok(new), Ok(old)) => rule(&new, &old),
        (Err(errors), _) | (_, Err(errors)) => errors,
    }
}

fn status<S: DeserializeOwned + Default>(json: &[u8], rule: impl FnOnce(&S) -> FieldErrors) -> FieldErrors {
    match decode::decode_json::<Option<S>>(json, &FieldPath::new("status")) {
        Ok(status) => rule(&status.unwrap_or_default()),
        Err(errors) => errors,
    }
}

/// The built-in kinds with their rules, for a client to be made with.
pub fn kinds() -> impl Iterator<Item = Kind> {
    KINDS.iter().map(|row| Kind::new(row.resource.clone(), row))
}

impl KindRules for &'static BuiltIn {
    fn prepare_create(&self, object: &mut RawObject) {
        (self.prepare_create)(object);
    }

    fn prepare_update(&self, object: &mut RawObject, old: &RawObject) {
        (self.prepare_update)(object, old);
    }

    fn default(&self, object: &mut RawObject) {
        (self.default)(object);
    }

    /// Nothing: the other rules judge the metadata with the rest, in the types that they read it in.
    fn validate_metadata(&self, _: &ObjectMeta) -> FieldErrors {
        FieldErrors::default()
    }

    fn validate(&self, object: &Document) -> FieldErrors {
        (self.validate)(object)
    }

    fn validate_update(&self, object: &Document, old: &Document) -> FieldErrors {
        (self.validate_update)(object, old)
    }

    fn validate_status(&self, status: &[u8], old: &Document) -> FieldErrors {
        (self.validate_status)(status, old)
    }

    fn subresource(&self, name: &str, wanted: Wanted<'_>, old: &Document) -> Option<SubresourceWrite> {
        let (_, write) = self.subresources.iter().find(|(own, _)| *own == name)?;
        Some(write(wanted, old))
    }

    fn selectable_field(&self, document: &Document, path: &str) -> Option<String> {
        let field = self.fields.iter().find(|field| field.name == path)?;
        Some(field.value(document))
    }

    fn is_selectable(&self, path: &str) -> bool {
        self.fields.iter().any(|field| field.name == path)
    }

    fn grace_period_seconds(&self, document: &Document, requested: Option<u64>) -> u64 {
        (self.grace_period_seconds)(document, requested)
    }

    fn blocks_removal(&self, document: &Document) -> bool {
        (self.blocks_removal)(document)
    }

    fn create_warnings(&self, object: &RawObject) -> Vec<String> {
        (self.create_warnings)(object)
    }

    fn warnings(&self, object: &RawObject) -> Vec<String> {
        (self.warnings)(object)
    }
}

/// The kind of an object, by its `apiVersion` and `kind`.
pub fn find_kind(api_version: &str, kind: &str) -> Option<&'static BuiltIn> {
    KINDS
        .iter()
        .find(|row| row.resource.kind == kind && row.resource.api_version() == api_version)
}

/// The kind that a person means: its plural, singular, kind or a short name, in any case, and a group after a dot if
/// one is given (`deployments.apps`).
pub fn find(name: &str) -> Option<&'static BuiltIn> {
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
