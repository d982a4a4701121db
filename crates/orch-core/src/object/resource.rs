//! Which kind an object is, and where its objects live.

use std::borrow::Cow;
use std::fmt;

/// Whether objects of a kind live in namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Each object lives in a namespace.
    Namespaced,
    /// Objects are known to the whole cluster by name alone.
    Cluster,
}

/// A kind: its group, version and name, its plural as in API paths, and its scope.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ApiResource {
    /// The API group; empty for Kubernetes' core group.
    pub group: Cow<'static, str>,
    /// The version within the group.
    pub version: Cow<'static, str>,
    /// The kind, in CamelCase and singular.
    pub kind: Cow<'static, str>,
    /// The plural, in lower case.
    pub plural: Cow<'static, str>,
    /// Where its objects live.
    pub scope: Scope,
}

impl ApiResource {
    /// A kind known when the program was written.
    pub const fn new(
        group: &'static str,
        version: &'static str,
        kind: &'static str,
        plural: &'static str,
        scope: Scope,
    ) -> Self {
        Self {
            group: Cow::Borrowed(group),
            version: Cow::Borrowed(version),
            kind: Cow::Borrowed(kind),
            plural: Cow::Borrowed(plural),
            scope,
        }
    }

    /// The `apiVersion` of its objects: `v1`, `apps/v1`.
    pub fn api_version(&self) -> Cow<'_, str> {
        if self.group.is_empty() {
            Cow::Borrowed(&self.version)
        } else {
            Cow::Owned(format!("{}/{}", self.group, self.version))
        }
    }

    /// Whether its objects live in namespaces.
    pub fn is_namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    /// Plural and group, as Kubernetes names a resource across versions: `pods`, `deployments.apps`.
    pub fn group_resource(&self) -> Cow<'_, str> {
        if self.group.is_empty() {
            Cow::Borrowed(&self.plural)
        } else {
            Cow::Owned([&self.plural, ".", &self.group].concat())
        }
    }
}

impl fmt::Display for ApiResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, kind {}", self.api_version(), self.kind)
    }
}
