//! The table of built-in kinds, and their rules as the client runs them.

use std::sync::LazyLock;

use orch_core::client::{ClientBuilder, Kind, KindRules, SubresourceWrite, Wanted};
use orch_core::object::{ApiResource, Document, Object, ObjectMeta, RawObject, Scope};
use orch_core::object::{FieldErrors, FieldPath};
use serde::de::DeserializeOwned;

use super::fields::Field;
use super::{
    admission, apps, autoscaling, batch, certificates, core, decode, definition, discovery, networking, pod,
    policy, raw, rbac, rows, runtime_class, scheduling, storage, webhooks,
};
use crate::custom::Definitions;

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
    /// Those of them that write what is wanted of the object, so that each write is a new generation.
    pub(super) wanted: &'static [&'static str],
    /// Whether it has a number of replicas, `spec.replicas`, that is read and written alone (the subresource `scale`).
    pub has_scale: bool,
    /// Whether something here does what its objects ask for. Where nothing does, creating one is answered with a warning.
    pub is_acted_on: bool,
    pub(super) prepare_create: fn(&mut RawObject),
    pub(super) prepare_update: fn(&mut RawObject, &RawObject),
    pub(super) default: fn(&mut RawObject),
    pub(super) validate: fn(&Document) -> FieldErrors,
    pub(super) validate_update: fn(&Document, &Document) -> FieldErrors,
    pub(super) validate_status: fn(&[u8], &Document) -> FieldErrors,
    pub(super) grace_period_seconds: fn(&Document, Option<u64>) -> u64,
    pub(super) blocks_removal: fn(&Document) -> bool,
    pub(super) create_warnings: fn(&RawObject) -> Vec<String>,
    pub(super) warnings: fn(&RawObject) -> Vec<String>,
}

/// A write to a subresource: what changes of the object as it is, or what is wrong.
pub type Write = fn(Wanted<'_>, &Document) -> SubresourceWrite;

/// The kinds of Kubernetes that are known here.
///
/// ```
/// let deployment = orch_cluster::kinds::find("deploy").unwrap();
/// assert_eq!(deployment.resource.api_version(), "apps/v1");
/// ```
pub static KINDS: LazyLock<Vec<BuiltIn>> = LazyLock::new(|| {
    let groups = [
        rows::rows(),
        core::rows(),
        apps::rows(),
        autoscaling::rows(),
        batch::rows(),
        discovery::rows(),
        networking::rows(),
        policy::rows(),
        rbac::rows(),
        scheduling::rows(),
        definition::rows(),
        storage::rows(),
        runtime_class::rows(),
        certificates::rows(),
        webhooks::rows(),
        admission::rows(),
    ];
    groups.into_iter().flatten().collect()
});

/// A row to start from, of a kind that is stored but not acted on yet.
pub(super) fn stored<K: Object>(
    singular: &'static str,
    validate: fn(&Document) -> FieldErrors,
    validate_update: fn(&Document, &Document) -> FieldErrors,
) -> BuiltIn {
    BuiltIn {
        resource: K::resource(),
        singular,
        is_acted_on: false,
        validate,
        validate_update,
        ..row("", "", "", "", Scope::Namespaced)
    }
}

/// A row to start from: no status, and rules that say nothing.
pub(super) fn row(
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
        wanted: &[],
        has_scale: false,
        is_acted_on: true,
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

pub(super) fn spec_warnings(spec: Option<&RawObject>, at: &FieldPath) -> Vec<String> {
    spec.map(|spec| pod::warnings(spec, at)).unwrap_or_default()
}

pub(super) fn template_warnings(workload: &RawObject) -> Vec<String> {
    let template = raw::child(workload, "spec").and_then(|spec| raw::child(spec, "template"));
    let at = FieldPath::new("spec").child("template");
    template
        .map(|template| pod::template_warnings(template, &at))
        .unwrap_or_default()
}

/// Nobody sends a status with a new object.
pub(super) fn without_status(object: &mut RawObject) {
    object.remove("status");
}

pub(super) fn one<K: Object>(new: &Document, rule: fn(&K) -> FieldErrors) -> FieldErrors {
    match decode::typed(new) {
        Ok(new) => rule(&new),
        Err(errors) => errors,
    }
}

pub(super) fn two<K: Object>(new: &Document, old: &Document, rule: fn(&K, &K) -> FieldErrors) -> FieldErrors {
    match (decode::typed(new), decode::typed(old)) {
        (Ok(new), Ok(old)) => rule(&new, &old),
        (Err(errors), _) | (_, Err(errors)) => errors,
    }
}

pub(super) fn status<S: DeserializeOwned + Default>(
    json: &[u8],
    rule: impl FnOnce(&S) -> FieldErrors,
) -> FieldErrors {
    match decode::decode_json::<Option<S>>(json, &FieldPath::new("status")) {
        Ok(status) => rule(&status.unwrap_or_default()),
        Err(errors) => errors,
    }
}

/// The built-in kinds with their rules, for a client to be made with.
pub fn kinds() -> impl Iterator<Item = Kind> {
    KINDS.iter().map(|row| {
        let kind = Kind::new(row.resource.clone(), row);
        // No controller waits for them, so nobody need watch them before there is one.
        if row.is_acted_on { kind } else { kind.when_used() }
    })
}

/// Teaches a client the built-in kinds, and to look for others where CustomResourceDefinitions define them.
///
/// ```
/// use std::sync::Arc;
///
/// use orch_core::client::Client;
/// use orch_core::store::MemoryStore;
///
/// let client = orch_cluster::kinds::teach(Client::builder(Arc::new(MemoryStore::new()))).build();
/// assert!(client.resources().iter().any(|resource| resource.kind == "Pod"));
/// ```
#[must_use]
pub fn teach(builder: ClientBuilder) -> ClientBuilder {
    kinds()
        .fold(builder, ClientBuilder::kind)
        .definitions(Definitions::new())
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

    fn counts(&self, subresource: &str) -> bool {
        self.wanted.contains(&subresource)
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
        let mut warnings = (self.create_warnings)(object);
        if !self.is_acted_on {
            let kind = &self.resource.kind;
            warnings.push(format!("{kind} is stored, but nothing acts on it yet"));
        }
        warnings
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
