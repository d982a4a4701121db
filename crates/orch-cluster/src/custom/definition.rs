//! What a CustomResourceDefinition says, read for use.

use std::borrow::Cow;
use std::sync::Arc;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, CustomResourceDefinitionVersion,
};
use orch_core::object::{ApiResource, Document, FieldPath, RawObject, Scope};
use serde_json::Value;

use super::conversion::Webhook;
use super::path::Path;
use super::schema::Structural;

/// A kind of a user's own, in all its versions.
///
/// ```
/// use orch_cluster::custom::Definition;
/// use orch_core::object::Document;
///
/// let definition = r#"{
///     "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
///     "metadata": {"name": "crontabs.example.com"},
///     "spec": {
///         "group": "example.com", "scope": "Namespaced",
///         "names": {"plural": "crontabs", "singular": "crontab", "kind": "CronTab"},
///         "versions": [{
///             "name": "v1", "served": true, "storage": true,
///             "schema": {"openAPIV3Schema": {"type": "object"}}
///         }]
///     }
/// }"#;
/// let definition = Definition::read(&Document::parse(definition.into())?).unwrap();
/// assert_eq!(definition.stored().resource.api_version(), "example.com/v1");
/// # Ok::<(), orch_core::object::DocumentError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Definition {
    /// What one object is called, in lower case.
    pub singular: String,
    /// The kind of lists of them.
    pub list_kind: String,
    /// Short names that kubectl takes.
    pub short_names: Vec<String>,
    /// Groups of kinds that kubectl takes, such as `all`.
    pub categories: Vec<String>,
    /// The versions, in the order of Kubernetes' preference: the most stable and newest first.
    pub versions: Vec<Version>,
    /// Whether it is being deleted: then no new objects are taken.
    pub is_terminating: bool,
    /// Whether the schemas are as they were when the first object was stored.
    pub is_first_generation: bool,
    /// What makes objects of one version ones of another; none: they differ in what they are called.
    pub(super) webhook: Option<Webhook>,
    stored: usize,
}

/// A version of a kind of a user's own.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Version {
    /// Group, version, kind, plural and scope.
    pub resource: Arc<ApiResource>,
    /// Whether the API serves it.
    pub is_served: bool,
    /// What its users are to be told, of one that they should not use any more.
    pub deprecation: Option<String>,
    /// What its objects have.
    pub schema: Structural,
    /// The same as it was written, for those who publish it.
    pub open_api: Value,
    /// Whether its status is written through a subresource of its own.
    pub has_status: bool,
    /// Where its number of replicas is, if that is read and written alone.
    pub scale: Option<ScalePaths>,
    /// What tables show beside the name; none: its age.
    pub columns: Vec<Column>,
    /// The fields that a field selector may name.
    pub fields: Vec<Path>,
}

/// Where the numbers of the subresource `scale` are.
#[derive(Clone, Debug)]
pub struct ScalePaths {
    /// How many there are to be.
    pub replicas: Path,
    /// How many there are.
    pub present: Path,
    /// The selector of them, as text.
    pub selector: Option<Path>,
}

/// A column of the tables of a kind (`additionalPrinterColumns`).
#[derive(Clone, Debug)]
pub struct Column {
    /// Its heading.
    pub name: String,
    /// What it holds: `integer`, `number`, `string`, `boolean` or `date`.
    pub type_: String,
    /// How that is written, in OpenAPI's words.
    pub format: String,
    /// What it means.
    pub description: String,
    /// 0 is always shown, more in wide output only.
    pub priority: i32,
    /// Where it is found: a JSON path; none if that asks for too much.
    pub path: Option<String>,
}

impl Definition {
    /// Reads a definition; none if it is none, or says what Kubernetes refuses.
    pub fn read(document: &Document) -> Option<Self> {
        let definition = document.typed::<CustomResourceDefinition>().ok()?;
        let raw = document.to_raw().ok()?;
        let spec = &definition.spec;
        let scope = match spec.scope.as_str() {
            "Namespaced" => Scope::Namespaced,
            "Cluster" => Scope::Cluster,
            _ => return None,
        };
        let names = &spec.names;
        let resource = |version: &str| ApiResource {
            group: Cow::Owned(spec.group.clone()),
            version: Cow::Owned(version.to_owned()),
            kind: Cow::Owned(names.kind.clone()),
            plural: Cow::Owned(names.plural.clone()),
            scope,
        };
        let schemas = raw.get("spec")?.get("versions")?.as_array()?;
        let mut versions = Vec::new();
        for (version, raw) in spec.versions.iter().zip(schemas) {
            let open_api = raw.get("schema")?.get("openAPIV3Schema")?.clone();
            versions.push((
                version.storage,
                Version::read(version, resource(&version.name), open_api)?,
            ));
        }
        versions.sort_by(|(_, one), (_, other)| preference(&one.resource.version, &other.resource.version));
        let stored = versions.iter().position(|(is_stored, _)| *is_stored)?;
        let or = |given: &Option<String>, usual: String| match given {
            Some(given) if !given.is_empty() => given.clone(),
            _ => usual,
        };
        Some(Self {
            singular: or(&names.singular, names.kind.to_lowercase()),
            list_kind: or(&names.list_kind, format!("{}List", names.kind)),
            short_names: names.short_names.clone().unwrap_or_default(),
            categories: names.categories.clone().unwrap_or_default(),
            versions: versions.into_iter().map(|(_, version)| version).collect(),
            is_terminating: document.meta().is_deleting(),
            is_first_generation: document.meta().generation <= 1,
            webhook: spec.conversion.as_ref().and_then(Webhook::read),
            stored,
        })
    }

    /// The version that objects are stored in.
    pub fn stored(&self) -> &Version {
        &self.versions[self.stored]
    }

    /// Whether a webhook makes objects of one version ones of another (`spec.conversion.strategy`).
    pub fn has_conversion_webhook(&self) -> bool {
        self.webhook.is_some()
    }

    /// A version that is served, by its name.
    pub fn served(&self, version: &str) -> Option<&Version> {
        self.versions
            .iter()
            .find(|known| known.is_served && known.resource.version == version)
    }
}

impl Version {
    fn read(
        version: &CustomResourceDefinitionVersion,
        resource: ApiResource,
        open_api: Value,
    ) -> Option<Self> {
        let subresources = version.subresources.as_ref();
        let scale = match subresources.and_then(|parts| parts.scale.as_ref()) {
            Some(scale) => Some(ScalePaths {
                replicas: Path::read(&scale.spec_replicas_path)?,
                present: Path::read(&scale.status_replicas_path)?,
                selector: scale.label_selector_path.as_deref().and_then(Path::read),
            }),
            None => None,
        };
        let fields = version.selectable_fields.iter().flatten();
        let columns = version.additional_printer_columns.iter().flatten();
        let deprecation = version.deprecated.unwrap_or_default().then(|| {
            let usual = || format!("{} {} is deprecated", resource.api_version(), resource.kind);
            version.deprecation_warning.clone().unwrap_or_else(usual)
        });
        Some(Self {
            is_served: version.served,
            deprecation,
            schema: Structural::read(&open_api, &FieldPath::root()).ok()?,
            open_api,
            has_status: subresources.is_some_and(|parts| parts.status.is_some()),
            scale,
            columns: columns.map(Column::read).collect(),
            fields: fields.filter_map(|field| Path::read(&field.json_path)).collect(),
            resource: Arc::new(resource),
        })
    }

    /// Makes of an object of another version one of this, as the strategy `None` does: its fields are the same, but for those that this
    /// version does not have, or fills in.
    pub fn convert(&self, object: &mut RawObject) {
        object.insert("apiVersion".to_owned(), self.resource.api_version().into());
        self.schema.prune(object);
        self.schema.default(object);
    }
}

/// The longest JSON path of a column, in bytes, and how much it may ask for: each row is searched for it.
const PATH_BYTES: usize = 1024;
const MOST: [(&str, usize); 5] = [("..", 1), ("?", 1), ("(", 8), ("[", 32), (",", 4)];

impl Column {
    /// Says what a JSON path of a column has more of than is looked for in each row, if it has.
    pub(crate) fn asks_too_much(path: &str) -> Option<String> {
        if path.len() > PATH_BYTES {
            return Some(format!("must be no longer than {PATH_BYTES} bytes"));
        }
        let mut too_many = MOST
            .into_iter()
            .filter(|(what, most)| path.matches(what).count() > *most);
        too_many
            .next()
            .map(|(what, most)| format!("must have {what:?} {most} times at most"))
    }

    /// A column that is always shown.
    pub fn new(name: &str, type_: &str, path: &str) -> Self {
        Self {
            name: name.to_owned(),
            type_: type_.to_owned(),
            format: String::new(),
            description: String::new(),
            priority: 0,
            path: Some(path.to_owned()),
        }
    }

    fn read(column: &CustomResourceColumnDefinition) -> Self {
        Self {
            name: column.name.clone(),
            type_: column.type_.clone(),
            format: column.format.clone().unwrap_or_default(),
            description: column.description.clone().unwrap_or_default(),
            priority: column.priority.unwrap_or_default(),
            path: Self::asks_too_much(&column.json_path)
                .is_none()
                .then(|| column.json_path.clone()),
        }
    }
}

/// The order of versions: `v2` before `v1`, then `v1beta2` and `v1beta1`, then `v1alpha1`, then all others by name
/// (apimachinery's `CompareKubeAwareVersionStrings`).
fn preference(one: &str, other: &str) -> std::cmp::Ordering {
    match (stability(one), stability(other)) {
        (Some(one), Some(other)) => other.cmp(&one),
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (None, None) => one.cmp(other),
    }
}

/// How stable a version is, its number, and how far it has come: of `v1beta2` 1, 1 and 2.
fn stability(version: &str) -> Option<(u8, u32, u32)> {
    let number = |text: &str| -> Option<u32> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
        text.parse().ok().filter(|_| is_plain)
    };
    let version = version.strip_prefix('v')?;
    for (word, level) in [("beta", 1), ("alpha", 0)] {
        if let Some((major, minor)) = version.split_once(word) {
            return Some((level, number(major)?, number(minor)?));
        }
    }
    Some((2, number(version)?, 0))
}
