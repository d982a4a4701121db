//! The kinds that are served: Kubernetes' own, those that are defined by objects, and those that the client was given or has used.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use orch_cluster::custom::Path;
use orch_cluster::kinds::{BuiltIn, KINDS, OTHER_VERSIONS, OtherVersion};
use orch_core::client::{ApiError, Client};
use orch_core::object::ApiResource;
use serde_json::json;

use crate::custom::{Custom, CustomKinds};
use crate::route::GroupVersion;
use crate::schema::{Schema, built_in};
use crate::table::Layout;
use crate::unstored::{UNSTORED, Unstored};

/// The part of a service account that is a token for it, of a kind of its own.
pub(crate) const TOKEN: &str = "token";

/// The part of a pod that is what its containers wrote.
pub(crate) const LOG: &str = "log";

/// The part of a pod that makes it go when its budget allows it, of a kind of its own.
pub(crate) const EVICTION: &str = "eviction";

/// The part of a workload that is its number of pods, of a kind of its own.
pub(crate) const SCALE: &str = "scale";

/// The part of a pod that says where it runs, of a kind of its own.
pub(crate) const BINDING: &str = "binding";

/// The part of a request for a certificate that says whether it is granted: conditions of its status.
pub(crate) const APPROVAL: &str = "approval";

/// The part of a pod that is what its containers may use.
pub(crate) const RESIZE: &str = "resize";

/// What can be done with objects of a kind.
const VERBS: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

const STATUS_VERBS: [&str; 3] = ["get", "patch", "update"];

/// A kind as it is served, in one of its versions.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    /// The kind in the version that is asked for.
    pub(crate) resource: Arc<ApiResource>,
    /// The kind in the version that its objects are stored in.
    pub(crate) stored: Arc<ApiResource>,
    pub(crate) is: Is,
}

/// What is known of a kind beside.
#[derive(Clone, Debug)]
pub(crate) enum Is {
    /// One of Kubernetes' own.
    BuiltIn(&'static BuiltIn),
    /// One of them, in another version than it is stored in.
    OtherVersion(&'static OtherVersion),
    /// Defined by an object.
    Custom(Arc<Custom>),
    /// One that is not stored.
    Unstored(Unstored),
    /// Of the embedding program's own.
    Embedded,
}

impl Served {
    fn built_in(row: &'static BuiltIn) -> Self {
        let resource = Arc::new(row.resource.clone());
        Self {
            stored: resource.clone(),
            resource,
            is: Is::BuiltIn(row),
        }
    }

    fn other_version(of: &'static OtherVersion) -> Self {
        Self {
            resource: Arc::new(of.resource.clone()),
            stored: Arc::new(of.stored.resource.clone()),
            is: Is::OtherVersion(of),
        }
    }

    fn custom(custom: Arc<Custom>) -> Self {
        Self {
            resource: custom.version.resource.clone(),
            stored: custom.definition.stored().resource.clone(),
            is: Is::Custom(custom),
        }
    }

    pub(crate) fn embedded(resource: ApiResource) -> Self {
        let resource = Arc::new(resource);
        Self {
            stored: resource.clone(),
            resource,
            is: Is::Embedded,
        }
    }

    fn unstored((resource, why): &(ApiResource, Unstored)) -> Self {
        Self {
            is: Is::Unstored(*why),
            ..Self::embedded(resource.clone())
        }
    }

    fn row(&self) -> Option<&'static BuiltIn> {
        match &self.is {
            Is::BuiltIn(row) => Some(row),
            Is::OtherVersion(of) => Some(of.stored),
            _ => None,
        }
    }

    pub(crate) fn as_custom(&self) -> Option<&Custom> {
        match &self.is {
            Is::Custom(custom) => Some(custom),
            _ => None,
        }
    }

    pub(crate) fn singular(&self) -> Cow<'_, str> {
        match (&self.is, self.row()) {
            (_, Some(row)) => row.singular.into(),
            (Is::Custom(custom), _) => (&custom.definition.singular).into(),
            _ => self.resource.kind.to_lowercase().into(),
        }
    }

    /// The kind of a list of them.
    pub(crate) fn list_kind(&self) -> Cow<'_, str> {
        match &self.is {
            Is::Custom(custom) => (&custom.definition.list_kind).into(),
            _ => format!("{}List", self.resource.kind).into(),
        }
    }

    /// Whether it is one of Kubernetes' own.
    pub(crate) fn is_built_in(&self) -> bool {
        self.row().is_some() || self.why_unstored().is_some()
    }

    /// Why its objects are not stored, if they are not.
    pub(crate) fn why_unstored(&self) -> Option<Unstored> {
        match self.is {
            Is::Unstored(why) => Some(why),
            _ => None,
        }
    }

    /// What can be done with its objects.
    pub(crate) fn verbs(&self) -> &'static [&'static str] {
        self.why_unstored().map_or(&VERBS, Unstored::verbs)
    }

    pub(crate) fn short_names(&self) -> Vec<&str> {
        match (&self.is, self.row()) {
            (_, Some(row)) => row.short_names.to_vec(),
            (Is::Custom(custom), _) => texts(&custom.definition.short_names),
            _ => Vec::new(),
        }
    }

    pub(crate) fn categories(&self) -> Vec<&str> {
        match (&self.is, self.row()) {
            (_, Some(row)) => row.categories.to_vec(),
            (Is::Custom(custom), _) => texts(&custom.definition.categories),
            _ => Vec::new(),
        }
    }

    /// A kind of the embedding program's own has one, as a custom resource may have.
    pub(crate) fn has_status(&self) -> bool {
        match (&self.is, self.row()) {
            (_, Some(row)) => row.has_status,
            (Is::Custom(custom), _) => custom.version.has_status,
            (Is::Unstored(_), _) => false,
            _ => true,
        }
    }

    /// Where its number of replicas is, if that is a part of its own.
    pub(crate) fn scale(&self) -> Option<Scaled<'_>> {
        match (&self.is, self.row()) {
            (_, Some(row)) => row.has_scale.then(|| Scaled {
                replicas: &WORKLOAD.0,
                present: &WORKLOAD.1,
                selector: None,
            }),
            (Is::Custom(custom), _) => custom.version.scale.as_ref().map(|scale| Scaled {
                replicas: &scale.replicas,
                present: &scale.present,
                selector: scale.selector.as_ref(),
            }),
            _ => None,
        }
    }

    /// Whether it has containers that write, and may be evicted.
    pub(crate) fn is_pod(&self) -> bool {
        self.row()
            .is_some_and(|row| row.resource.group.is_empty() && row.resource.kind == "Pod")
    }

    /// Whether Kubernetes issues tokens for it.
    pub(crate) fn is_service_account(&self) -> bool {
        self.row()
            .is_some_and(|row| row.resource.group.is_empty() && row.resource.kind == "ServiceAccount")
    }

    /// The name of a part that is written by itself, its status apart.
    pub(crate) fn part(&self, name: &str) -> Option<&'static str> {
        self.parts().find(|own| *own == name)
    }

    /// All its parts: their names, kinds and verbs.
    pub(crate) fn all_parts(
        &self,
    ) -> impl Iterator<Item = (&'static str, String, &'static [&'static str])> + '_ {
        let kind = || self.resource.kind.clone().into_owned();
        let status = self.has_status().then(|| ("status", kind(), &STATUS_VERBS[..]));
        let others = self.parts().map(move |part| match part {
            BINDING => (part, "Binding".to_owned(), &["create"][..]),
            APPROVAL | RESIZE => (part, kind(), &STATUS_VERBS[..]),
            _ => (part, kind(), &["update"][..]),
        });
        let of_pods = [
            (LOG, kind(), &["get"][..]),
            (EVICTION, "Eviction".to_owned(), &["create"]),
        ];
        let of_pods = of_pods.into_iter().filter(|_| self.is_pod());
        let token = self
            .is_service_account()
            .then(|| (TOKEN, "TokenRequest".to_owned(), &["create"][..]));
        let scale = self
            .scale()
            .map(|_| (SCALE, "Scale".to_owned(), &STATUS_VERBS[..]));
        let own = status.into_iter().chain(scale).chain(others);
        own.chain(of_pods).chain(token)
    }

    fn parts(&self) -> impl Iterator<Item = &'static str> + use<> {
        let parts = self.row().map_or(&[][..], |row| row.subresources);
        parts.iter().map(|(name, _)| *name)
    }

    /// Differs where what is published of the kind differs.
    pub(crate) fn identity(&self) -> String {
        match &self.is {
            Is::Custom(custom) => format!("{} {}", self.resource.kind, custom.revision),
            _ => self.resource.kind.to_string(),
        }
    }

    /// How its objects merge, in the version that is stored.
    pub(crate) fn schema(&self) -> Schema {
        match &self.is {
            Is::Custom(custom) => custom.stored_schema.clone(),
            _ => built_in(&self.stored.api_version(), &self.stored.kind)
                .unwrap_or(&ANYTHING)
                .clone(),
        }
    }

    /// How its objects are in the version that is asked for, where it may have other fields than the stored one.
    pub(crate) fn own_schema(&self) -> Option<Schema> {
        match &self.is {
            Is::OtherVersion(of) => built_in(&of.resource.api_version(), &of.resource.kind).cloned(),
            Is::Custom(custom) if self.has_webhook() => custom.own_schema.clone(),
            _ => None,
        }
    }

    /// How tables show its objects.
    pub(crate) fn layout(&self) -> Layout {
        match &self.is {
            Is::Custom(custom) => Layout::Custom(custom.columns.clone()),
            _ => Layout::of(&self.stored, self.is_built_in()),
        }
    }

    /// What who uses this version is to be told of it.
    pub(crate) fn deprecation(&self) -> Option<&str> {
        self.as_custom()?.version.deprecation.as_deref()
    }
}

/// The schema of a kind of which only the metadata is known.
static ANYTHING: LazyLock<Schema> = LazyLock::new(|| {
    let anything = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    Schema::custom_resource(&anything).unwrap_or_else(|_| Schema::untyped())
});

/// Where the numbers of the part `scale` are in an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scaled<'a> {
    pub(crate) replicas: &'a Path,
    pub(crate) present: &'a Path,
    /// The selector as text; none: as workloads have it.
    pub(crate) selector: Option<&'a Path>,
}

/// Where workloads have them.
static WORKLOAD: LazyLock<(Path, Path)> =
    LazyLock::new(|| (Path::to("spec", "replicas"), Path::to("status", "replicas")));

fn texts(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// The version that the kind of a part is of, where that is another than the whole's.
pub(crate) fn version_of_part(part: &str) -> Option<GroupVersion> {
    match part {
        SCALE => Some(GroupVersion::new("autoscaling", "v1")),
        EVICTION => Some(GroupVersion::new("policy", "v1")),
        TOKEN => Some(GroupVersion::new("authentication.k8s.io", "v1")),
        _ => None,
    }
}

/// All of them: Kubernetes' first, then those that are defined, then the others by name.
pub(crate) async fn all(client: &Client, custom: &CustomKinds) -> Result<Vec<Served>, ApiError> {
    let defined = custom.all(client).await?;
    let is_of =
        |resource: &ApiResource, other: &ApiResource| resource.group_resource() == other.group_resource();
    let embedded = client.resources().into_iter().filter(|resource| {
        let is_defined = || {
            defined
                .iter()
                .any(|custom| is_of(&custom.version.resource, resource))
        };
        !KINDS.iter().any(|row| is_of(&row.resource, resource)) && !is_defined()
    });
    let built_in = KINDS.iter().map(Served::built_in);
    let built_in = built_in.chain(OTHER_VERSIONS.iter().map(Served::other_version));
    let built_in = built_in.chain(UNSTORED.iter().map(Served::unstored));
    let others = embedded.map(Served::embedded).collect::<Vec<_>>();
    Ok(built_in
        .chain(defined.into_iter().map(Served::custom))
        .chain(others)
        .collect())
}

/// Those of a version.
pub(crate) fn within<'a>(of: &GroupVersion, all: &'a [Served]) -> Vec<&'a Served> {
    let is_of = |served: &&Served| served.resource.group == of.group && served.resource.version == of.version;
    all.iter().filter(is_of).collect()
}

/// The kind that a path names by its plural.
pub(crate) async fn find(
    client: &Client,
    custom: &CustomKinds,
    of: &GroupVersion,
    plural: &str,
) -> Result<Option<Served>, ApiError> {
    let is_it = |resource: &ApiResource| {
        resource.plural == plural && resource.group == of.group && resource.version == of.version
    };
    if let Some(row) = KINDS.iter().find(|row| is_it(&row.resource)) {
        return Ok(Some(Served::built_in(row)));
    }
    if let Some(version) = OTHER_VERSIONS.iter().find(|version| is_it(&version.resource)) {
        return Ok(Some(Served::other_version(version)));
    }
    if let Some(unstored) = UNSTORED.iter().find(|(resource, _)| is_it(resource)) {
        return Ok(Some(Served::unstored(unstored)));
    }
    if let Some(versions) = custom.find(client, &of.group, plural).await? {
        let mut served = versions.iter().filter(|one| one.version.is_served);
        let found = served.find(|one| one.version.resource.version == of.version);
        return Ok(found.cloned().map(Served::custom));
    }
    let resource = client.resources().into_iter().find(is_it);
    Ok(resource.map(Served::embedded))
}
