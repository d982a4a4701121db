//! The kinds that a manifest may hold, and how each is checked.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    admissionregistration, apps, autoscaling, batch, certificates, coordination, core, discovery, networking,
    node, policy, rbac, scheduling, storage,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta;
use orch_core::client::KindRules;
use orch_core::object::{ApiResource, Document, FieldPath, Object, Segment};
use serde_json::{Map, Value};

use super::unimplemented::{self, Unimplemented};
use crate::kinds::{self, BuiltIn};
use crate::strict::{self, Checked, Fault};

/// The kinds that a manifest may hold: for each, the type it must decode as and the fields that have no
/// effect here.
///
/// ```
/// use orch_cluster::manifest::ManifestKinds;
/// use orch_core::object::{Object, ObjectMeta};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Debug, Serialize, Deserialize, Object)]
/// #[object(group = "example.com")]
/// struct Backup {
///     metadata: ObjectMeta,
/// }
///
/// let kinds = ManifestKinds::builtin().with::<Backup>();
/// assert!(kinds.resource("example.com/v1", "Backup").is_some());
/// ```
#[derive(Clone, Debug)]
pub struct ManifestKinds(BTreeMap<(String, String), Kind>);

#[derive(Clone, Debug)]
pub(super) struct Kind {
    pub(super) resource: ApiResource,
    check: Option<fn(&Value) -> Checked>,
    /// Of a built-in kind.
    rules: Option<&'static BuiltIn>,
    pub(super) unimplemented: Vec<Unimplemented>,
}

impl ManifestKinds {
    /// No kinds.
    pub fn empty() -> Self {
        Self(BTreeMap::new())
    }

    /// The kinds of this crate.
    pub fn builtin() -> Self {
        since_1_34(Self::empty())
            .with::<core::v1::Namespace>()
            .with::<core::v1::Node>()
            .with::<core::v1::ConfigMap>()
            .with::<core::v1::Secret>()
            .with::<core::v1::Event>()
            .with::<core::v1::Pod>()
            .with::<apps::v1::ReplicaSet>()
            .with::<apps::v1::Deployment>()
            .with::<coordination::v1::Lease>()
            .with::<CustomResourceDefinition>()
            .with::<admissionregistration::v1::MutatingWebhookConfiguration>()
            .with::<admissionregistration::v1::ValidatingAdmissionPolicy>()
            .with::<admissionregistration::v1::ValidatingAdmissionPolicyBinding>()
            .with::<admissionregistration::v1::ValidatingWebhookConfiguration>()
            .with::<policy::v1::PodDisruptionBudget>()
            // Nothing acts on these yet, which whoever creates one is told.
            .with::<core::v1::Service>()
            .with::<core::v1::ServiceAccount>()
            .with::<core::v1::Endpoints>()
            .with::<core::v1::PersistentVolumeClaim>()
            .with::<core::v1::PersistentVolume>()
            .with::<core::v1::ResourceQuota>()
            .with::<core::v1::LimitRange>()
            .with::<core::v1::ReplicationController>()
            .with::<core::v1::PodTemplate>()
            .with::<storage::v1::StorageClass>()
            .with::<storage::v1::VolumeAttachment>()
            .with::<storage::v1::CSIDriver>()
            .with::<storage::v1::CSINode>()
            .with::<storage::v1::CSIStorageCapacity>()
            .with::<node::v1::RuntimeClass>()
            .with::<certificates::v1::CertificateSigningRequest>()
            .with::<apps::v1::StatefulSet>()
            .with::<apps::v1::DaemonSet>()
            .with::<apps::v1::ControllerRevision>()
            .with::<autoscaling::v2::HorizontalPodAutoscaler>()
            .with::<batch::v1::CronJob>()
            .with::<batch::v1::Job>()
            .with::<discovery::v1::EndpointSlice>()
            .with::<networking::v1::IPAddress>()
            .with::<networking::v1::Ingress>()
            .with::<networking::v1::IngressClass>()
            .with::<networking::v1::NetworkPolicy>()
            .with::<networking::v1::ServiceCIDR>()
            .with::<rbac::v1::Role>()
            .with::<rbac::v1::ClusterRole>()
            .with::<rbac::v1::RoleBinding>()
            .with::<rbac::v1::ClusterRoleBinding>()
            .with::<scheduling::v1::PriorityClass>()
            .with_unimplemented::<core::v1::Node>(unimplemented::node())
            .with_unimplemented::<core::v1::Pod>(unimplemented::pod(""))
            .with_unimplemented::<apps::v1::ReplicaSet>(unimplemented::pod("spec.template."))
            .with_unimplemented::<apps::v1::Deployment>(unimplemented::pod("spec.template."))
    }

    /// And this kind, whose objects must decode as it.
    #[must_use]
    pub fn with<K: Object>(self) -> Self {
        self.insert(K::resource(), Some(strict::check::<K>))
    }

    /// And this kind, of which only the metadata is checked.
    #[must_use]
    pub fn with_resource(self, resource: ApiResource) -> Self {
        self.insert(resource, None)
    }

    /// And these fields of a kind added before, which are stored but have no effect.
    #[must_use]
    pub fn with_unimplemented<K: Object>(mut self, fields: impl IntoIterator<Item = Unimplemented>) -> Self {
        if let Some(kind) = self.0.get_mut(&id(&K::resource())) {
            kind.unimplemented.extend(fields);
        }
        self
    }

    /// The kind with this `apiVersion` and `kind`.
    pub fn resource(&self, api_version: &str, kind: &str) -> Option<&ApiResource> {
        self.kind(api_version, kind).map(|kind| &kind.resource)
    }

    /// All kinds.
    pub fn resources(&self) -> impl Iterator<Item = &ApiResource> {
        self.0.values().map(|kind| &kind.resource)
    }

    pub(super) fn kind(&self, api_version: &str, kind: &str) -> Option<&Kind> {
        self.0.get(&(api_version.to_owned(), kind.to_owned()))
    }

    /// Why there is no such kind.
    pub(super) fn unknown(&self, api_version: &str, kind: &str) -> Fault {
        let versions: Vec<&str> = self
            .0
            .keys()
            .filter(|(_, known)| known == kind)
            .map(|(version, _)| version.as_str())
            .collect();
        if !versions.is_empty() {
            return Fault {
                path: "apiVersion".into(),
                message: format!(
                    "kind {kind:?} is not known in {api_version:?}; allowed is {}",
                    versions.join(", ")
                ),
            };
        }
        let message = match strict::meant(kind, self.0.keys().map(|(_, known)| known.as_str())) {
            Some(meant) => format!("unknown kind {kind:?}; did you mean {meant:?}?"),
            None => {
                let known: Vec<String> = self
                    .0
                    .keys()
                    .map(|(version, kind)| format!("{kind} ({version})"))
                    .collect();
                format!(
                    "unknown kind {kind:?} in {api_version:?}; known are {}",
                    known.join(", ")
                )
            }
        };
        Fault {
            path: "kind".into(),
            message,
        }
    }

    fn insert(mut self, resource: ApiResource, check: Option<fn(&Value) -> Checked>) -> Self {
        let kind = Kind {
            check,
            rules: kinds::find_kind(&resource.api_version(), &resource.kind),
            unimplemented: Vec::new(),
            resource,
        };
        self.0.insert(id(&kind.resource), kind);
        self
    }
}

impl Default for ManifestKinds {
    fn default() -> Self {
        Self::builtin()
    }
}

impl Kind {
    /// Everything about an object of this kind that does not fit.
    pub(super) fn check(&self, object: &Value) -> Checked {
        let mut checked = self.check.map(|check| check(object)).unwrap_or_default();
        // Types of one's own keep unknown metadata; Kubernetes' own type knows them all.
        let metadata = object.get("metadata").unwrap_or(&Value::Null);
        let own = strict::check::<Option<meta::v1::ObjectMeta>>(metadata).faults;
        for fault in own {
            let path = fault
                .path
                .segments()
                .into_iter()
                .fold(FieldPath::new("metadata"), |path, segment| {
                    path.step(segment.clone())
                });
            if !checked.faults.iter().any(|known| known.path == path) {
                checked.faults.push(Fault {
                    path,
                    message: fault.message,
                });
            }
        }
        // A type need not have fields for what names it.
        let names = [FieldPath::new("apiVersion"), FieldPath::new("kind")];
        checked.faults.retain(|fault| !names.contains(&fault.path));
        checked
    }
}

impl Kind {
    /// What the kind's own rules find wrong with the object, apart from what does not fit its type.
    ///
    /// What depends on the objects there are is found when it is applied.
    pub(super) fn validate(&self, object: &Value, checked: &Checked) -> Vec<Fault> {
        let (Some(rules), true) = (self.rules, object.is_object()) else {
            return Vec::new();
        };
        let mut value = object.clone();
        for (path, rewritten) in &checked.rewrites {
            if let Some(slot) = slot(&mut value, path) {
                *slot = rewritten.clone();
            }
        }
        let mut replaced = Vec::new();
        for fault in &checked.faults {
            if fault.wants_string() && put_in_quotes(&mut value, &fault.path) {
                replaced.push(&fault.path);
            } else {
                take_out(&mut value, &fault.path);
            }
        }
        let Value::Object(mut object) = value else {
            return Vec::new();
        };
        if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
            // As the client does before it validates.
            if self.resource.is_namespaced() {
                metadata.entry("namespace").or_insert_with(|| "default".into());
            }
            if let Some(base) = metadata.get("generateName").and_then(Value::as_str) {
                let name = format!("{base}x");
                metadata.entry("name").or_insert_with(|| name.into());
            }
        }
        rules.prepare_create(&mut object);
        rules.default(&mut object);
        let is_told = |path: &FieldPath| {
            checked.faults.iter().any(|Fault { path: known, .. }| {
                // What holds a value that is there, though in another form, is whole.
                is_within(path, known) || (is_within(known, path) && !replaced.contains(&known))
            })
        };
        object
            .entry("metadata")
            .or_insert_with(|| Value::Object(Map::new()));
        let Ok(document) = Document::from_raw(&object) else {
            return Vec::new();
        };
        let mut errors = rules.validate_metadata(document.meta());
        errors.extend(rules.validate(&document));
        let errors = errors.iter().filter(|error| !is_told(&error.path));
        errors
            .map(|error| Fault {
                path: error.path.clone(),
                message: error.body(),
            })
            .collect()
    }
}

fn is_within(path: &FieldPath, outer: &FieldPath) -> bool {
    path.segments().starts_with(&outer.segments())
}

/// Makes a string of a number or boolean: what the writer meant, and is told to write.
fn put_in_quotes(value: &mut Value, path: &FieldPath) -> bool {
    let Some(slot) = slot(value, path).filter(|slot| slot.is_number() || slot.is_boolean()) else {
        return false;
    };
    *slot = Value::String(slot.to_string());
    true
}

/// Removes a field; an element of a list leaves a null, so that the others keep their places.
fn take_out(value: &mut Value, path: &FieldPath) {
    let segments = path.segments();
    let Some((last, above)) = segments.split_last() else {
        return;
    };
    match (walk(value, above), last) {
        (Some(Value::Object(map)), Segment::Field(name) | Segment::Key(name)) => {
            map.remove(name.as_ref());
        }
        (Some(Value::Array(items)), Segment::Index(index)) => {
            if let Some(item) = items.get_mut(*index) {
                *item = Value::Null;
            }
        }
        _ => {}
    }
}

/// The value at a path.
pub(super) fn slot<'a>(value: &'a mut Value, path: &FieldPath) -> Option<&'a mut Value> {
    walk(value, &path.segments())
}

fn walk<'a>(value: &'a mut Value, segments: &[&Segment]) -> Option<&'a mut Value> {
    segments.iter().try_fold(value, |value, segment| match segment {
        Segment::Field(name) | Segment::Key(name) => value.get_mut(name.as_ref()),
        Segment::Index(index) => value.get_mut(*index),
    })
}

fn id(resource: &ApiResource) -> (String, String) {
    (resource.api_version().into_owned(), resource.kind.to_string())
}

k8s_openapi::k8s_if_ge_1_34! {
    fn since_1_34(kinds: ManifestKinds) -> ManifestKinds {
        kinds.with::<storage::v1::VolumeAttributesClass>()
    }
}
k8s_openapi::k8s_if_le_1_33! {
    fn since_1_34(kinds: ManifestKinds) -> ManifestKinds {
        kinds
    }
}
