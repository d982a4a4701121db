//! The schemas of the built-in kinds, each made when first asked for.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

use k8s_openapi::api::{
    admissionregistration::v1 as admissionregistration, apps::v1 as apps,
    authentication::v1 as authentication, authorization::v1 as authorization,
    autoscaling::v1 as autoscaling_v1, autoscaling::v2 as autoscaling, batch::v1 as batch,
    certificates::v1 as certificates, coordination::v1 as coordination, core::v1 as core,
    discovery::v1 as discovery, events::v1 as events, networking::v1 as networking, node::v1 as node,
    policy::v1 as policy, rbac::v1 as rbac, scheduling::v1 as scheduling, storage::v1 as storage,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, ObjectMeta};
use k8s_openapi::schemars::generate::SchemaSettings;
use k8s_openapi::schemars::{JsonSchema, SchemaGenerator};
use orch_core::object::FieldPath;
use serde_json::{Value, json};

use super::open_api::Reader;
use super::{Schema, facts};

/// The schema of a built-in kind by `apiVersion` and `kind`; those of a version are made once and kept.
///
/// ```
/// use orch_api::schema::built_in;
///
/// assert!(built_in("batch/v1", "CronJob").is_some());
/// assert!(built_in("batch/v1", "Cronjob").is_none());
/// ```
pub fn built_in(api_version: &str, kind: &str) -> Option<&'static Schema> {
    let row = kinds().find(|row| row.kind == kind && row.api_version == api_version)?;
    Some(row.made.get_or_init(|| make(row.refer)))
}

/// The schema of the metadata that every object has.
pub(super) fn object_meta() -> Schema {
    make(refer::<ObjectMeta>)
}

/// A built-in kind.
struct Row {
    api_version: &'static str,
    kind: &'static str,
    /// Has the generator define the type and all that it is made of; the type's name.
    refer: fn(&mut SchemaGenerator) -> String,
    made: OnceLock<Schema>,
}

const fn row<T: k8s_openapi::Resource + JsonSchema>() -> Row {
    Row {
        api_version: T::API_VERSION,
        kind: T::KIND,
        refer: refer::<T>,
        made: OnceLock::new(),
    }
}

fn refer<T: JsonSchema>(generator: &mut SchemaGenerator) -> String {
    generator.subschema_for::<T>();
    T::schema_name().into_owned()
}

/// All kinds of the groups served, those of subresources that are patched, and the questions that are answered.
static KINDS: [Row; 60] = [
    row::<admissionregistration::MutatingWebhookConfiguration>(),
    row::<admissionregistration::ValidatingAdmissionPolicy>(),
    row::<admissionregistration::ValidatingAdmissionPolicyBinding>(),
    row::<admissionregistration::ValidatingWebhookConfiguration>(),
    row::<apiextensions::CustomResourceDefinition>(),
    row::<apps::ControllerRevision>(),
    row::<apps::DaemonSet>(),
    row::<apps::Deployment>(),
    row::<apps::ReplicaSet>(),
    row::<apps::StatefulSet>(),
    row::<authentication::SelfSubjectReview>(),
    row::<authentication::TokenRequest>(),
    row::<authorization::LocalSubjectAccessReview>(),
    row::<authorization::SelfSubjectAccessReview>(),
    row::<authorization::SelfSubjectRulesReview>(),
    row::<authorization::SubjectAccessReview>(),
    row::<autoscaling::HorizontalPodAutoscaler>(),
    row::<autoscaling_v1::HorizontalPodAutoscaler>(),
    row::<autoscaling_v1::Scale>(),
    row::<batch::CronJob>(),
    row::<batch::Job>(),
    row::<certificates::CertificateSigningRequest>(),
    row::<coordination::Lease>(),
    row::<core::Binding>(),
    row::<core::ComponentStatus>(),
    row::<core::ConfigMap>(),
    row::<core::Endpoints>(),
    row::<core::Event>(),
    row::<core::LimitRange>(),
    row::<core::Namespace>(),
    row::<core::Node>(),
    row::<core::PersistentVolume>(),
    row::<core::PersistentVolumeClaim>(),
    row::<core::Pod>(),
    row::<core::PodTemplate>(),
    row::<core::ReplicationController>(),
    row::<core::ResourceQuota>(),
    row::<core::Secret>(),
    row::<core::Service>(),
    row::<core::ServiceAccount>(),
    row::<discovery::EndpointSlice>(),
    row::<events::Event>(),
    row::<networking::IPAddress>(),
    row::<networking::Ingress>(),
    row::<networking::IngressClass>(),
    row::<networking::NetworkPolicy>(),
    row::<networking::ServiceCIDR>(),
    row::<node::RuntimeClass>(),
    row::<policy::Eviction>(),
    row::<policy::PodDisruptionBudget>(),
    row::<rbac::ClusterRole>(),
    row::<rbac::ClusterRoleBinding>(),
    row::<rbac::Role>(),
    row::<rbac::RoleBinding>(),
    row::<scheduling::PriorityClass>(),
    row::<storage::CSIDriver>(),
    row::<storage::CSINode>(),
    row::<storage::CSIStorageCapacity>(),
    row::<storage::StorageClass>(),
    row::<storage::VolumeAttachment>(),
];

k8s_openapi::k8s_if_ge_1_34! {
    static SINCE_1_34: [Row; 1] = [row::<storage::VolumeAttributesClass>()];
}
k8s_openapi::k8s_if_le_1_33! {
    static SINCE_1_34: [Row; 0] = [];
}
k8s_openapi::k8s_if_ge_1_37! {
    static SINCE_1_37: [Row; 2] =
        [row::<certificates::ClusterTrustBundle>(), row::<certificates::PodCertificateRequest>()];
}
k8s_openapi::k8s_if_le_1_36! {
    static SINCE_1_37: [Row; 0] = [];
}

/// All built-in kinds.
fn kinds() -> impl Iterator<Item = &'static Row> {
    KINDS.iter().chain(&SINCE_1_34).chain(&SINCE_1_37)
}

/// The types made so far, by name.
struct Types {
    generator: SchemaGenerator,
    made: HashMap<String, Schema>,
}

static TYPES: LazyLock<Mutex<Types>> = LazyLock::new(|| {
    Mutex::new(Types {
        generator: SchemaSettings::openapi3().into_generator(),
        made: HashMap::new(),
    })
});

fn make(refer: fn(&mut SchemaGenerator) -> String) -> Schema {
    let mut types = TYPES.lock().unwrap_or_else(PoisonError::into_inner);
    let Types { generator, made } = &mut *types;
    let name = refer(generator);
    for (name, definition) in generator.definitions_mut() {
        // The name stays, so that it is not defined again; the text goes, for it is long.
        let mut definition = definition.take();
        if definition.is_null() {
            continue;
        }
        annotate(name, &mut definition);
        let mut resolve = |name: &str| {
            Some(
                made.entry(name.to_owned())
                    .or_insert_with(Schema::pending)
                    .clone(),
            )
        };
        let json = definition.as_object().cloned().unwrap_or_default();
        // A test reads them all: none is wrong.
        let read = Reader {
            resolve: &mut resolve,
        }
        .node(&json, &FieldPath::root());
        if let Ok(node) = read {
            let schema = made.entry(name.clone()).or_insert_with(Schema::pending);
            schema.0.get_or_init(|| node);
        }
    }
    made.get(&name).cloned().unwrap_or_else(Schema::untyped)
}

/// What the kinds of a version are made of, as OpenAPI v3 writes it under `components.schemas`.
#[derive(Debug)]
pub(crate) struct Definitions {
    /// The types by name.
    pub(crate) types: serde_json::Map<String, Value>,
    /// The name of the type that a list's metadata are of.
    pub(crate) list_meta: String,
    /// What the metadata of objects are called.
    pub(crate) object_meta: String,
    kinds: HashMap<&'static str, String>,
}

impl Definitions {
    /// Those of a version, made anew: it is long, and seldom asked for.
    pub(crate) fn of(api_version: &str) -> Self {
        let mut generator = SchemaSettings::openapi3().into_generator();
        let list_meta = refer::<ListMeta>(&mut generator);
        let object_meta = refer::<ObjectMeta>(&mut generator);
        let own = kinds().filter(|row| row.api_version == api_version);
        let kinds = own.map(|row| (row.kind, (row.refer)(&mut generator))).collect();
        let mut types = generator.take_definitions(false);
        for (name, definition) in &mut types {
            annotate(name, definition);
        }
        Self {
            types,
            list_meta,
            object_meta,
            kinds,
        }
    }

    /// The name of the type that a kind is of.
    pub(crate) fn name(&self, kind: &str) -> Option<&str> {
        self.kinds.get(kind).map(String::as_str)
    }
}

/// Writes into a definition what Kubernetes' OpenAPI says beside k8s-openapi.
fn annotate(name: &str, definition: &mut Value) {
    let Some(name) = facts_name(name) else { return };
    if facts::ATOMIC.binary_search(&name).is_ok() {
        definition["x-kubernetes-map-type"] = json!("atomic");
    }
    let Some(properties) = definition.get_mut("properties") else {
        return;
    };
    let mut say = |field: &str, keyword: &str, value: Value| {
        if let Some(property) = properties.get_mut(field) {
            property[keyword] = value;
        }
    };
    for (_, field, list, strategy, key) in rows(facts::FIELDS, name, |row| row.0) {
        let mut words = list.split(' ').filter(|word| !word.is_empty());
        if let Some(kind) = words.next() {
            say(field, "x-kubernetes-list-type", json!(kind));
            say(field, "x-kubernetes-list-map-keys", words.collect());
        }
        if !strategy.is_empty() {
            say(field, "x-kubernetes-patch-strategy", json!(strategy));
        }
        if !key.is_empty() {
            say(field, "x-kubernetes-patch-merge-key", json!(key));
        }
    }
    for (_, field, kind) in rows(facts::MAPS, name, |row| row.0) {
        say(field, "x-kubernetes-map-type", json!(kind));
    }
    for (_, field, default) in rows(facts::DEFAULTS, name, |row| row.0) {
        say(field, "default", json!(default));
    }
}

/// A type's name as the table has it: `core.v1.PodSpec`.
fn facts_name(name: &str) -> Option<&str> {
    name.strip_prefix("io.k8s.apimachinery.pkg.apis.")
        .or_else(|| name.strip_prefix("io.k8s.api."))
}

/// The rows of a sorted table that are of one type.
fn rows<R>(table: &'static [R], of: &str, name: impl Fn(&R) -> &'static str) -> &'static [R] {
    let start = table.partition_point(|row| name(row) < of);
    let rest = &table[start..];
    &rest[..rest.partition_point(|row| name(row) == of)]
}

/// Every type made so far, for tests.
#[cfg(test)]
pub(super) fn made() -> HashMap<String, Schema> {
    for row in kinds() {
        built_in(row.api_version, row.kind);
    }
    TYPES.lock().unwrap_or_else(PoisonError::into_inner).made.clone()
}

/// Every built-in kind and its version, for tests.
#[cfg(test)]
pub(crate) fn every_kind() -> impl Iterator<Item = (&'static str, &'static str)> {
    kinds().map(|row| (row.api_version, row.kind))
}
