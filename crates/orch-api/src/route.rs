//! What a request is about, by its path.
//!
//! Kubernetes' paths (`apiserver/pkg/endpoints/request/requestinfo.go`): `/api/v1/...` for the core group, `/apis/GROUP/VERSION/...` for
//! the others; then `namespaces/NAMESPACE/` for what lives in one; then the plural, a name and a subresource.

use percent_encoding::percent_decode_str;

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/version`.
    Version,
    /// `/livez`, `/readyz`, `/healthz`, and the checks below them.
    Health,
    /// `/openapi/...`: what comes after it.
    OpenApi(Vec<String>),
    /// `/api`: the versions of the core group.
    CoreVersions,
    /// `/apis`: all groups.
    Groups,
    /// `/apis/GROUP`.
    Group(String),
    /// `/api/v1`, `/apis/GROUP/VERSION`: the kinds of a version.
    Resources(GroupVersion),
    /// An object, or a collection of objects.
    Resource(Place),
}

/// A version of a group; the core group's name is empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct GroupVersion {
    pub(crate) group: String,
    pub(crate) version: String,
}

/// An object, or a collection of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) of: GroupVersion,
    pub(crate) namespace: Option<String>,
    pub(crate) plural: String,
    pub(crate) name: Option<String>,
    /// All that comes after the name.
    pub(crate) subresource: Option<String>,
}

impl Route {
    /// Where a path leads; none if to nothing that an API server has.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let parts: Option<Vec<String>> = path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(decoded)
            .collect();
        let mut parts = parts?;
        let words: Vec<&str> = parts.iter().map(String::as_str).collect();
        Some(match words[..] {
            ["version"] => Self::Version,
            ["livez" | "readyz" | "healthz", ..] => Self::Health,
            ["openapi", ..] => Self::OpenApi(parts.split_off(1)),
            ["api"] => Self::CoreVersions,
            ["apis"] => Self::Groups,
            ["apis", group] => Self::Group(group.to_owned()),
            ["api", version, ref rest @ ..] => Self::within(GroupVersion::new("", version), rest),
            ["apis", group, version, ref rest @ ..] => Self::within(GroupVersion::new(group, version), rest),
            _ => return None,
        })
    }

    fn within(of: GroupVersion, rest: &[&str]) -> Self {
        let (namespace, rest) = match *rest {
            [] => return Self::Resources(of),
            // Of the namespace itself.
            ["namespaces", _, "status" | "finalize"] => (None, rest),
            ["namespaces", namespace, ref inside @ ..] if !inside.is_empty() => (Some(namespace), inside),
            _ => (None, rest),
        };
        let after = rest.get(2..).unwrap_or_default().join("/");
        Self::Resource(Place {
            of,
            namespace: namespace.map(str::to_owned),
            plural: rest[0].to_owned(),
            name: rest.get(1).map(|name| (*name).to_owned()),
            subresource: (!after.is_empty()).then_some(after),
        })
    }
}

impl GroupVersion {
    pub(crate) fn new(group: &str, version: &str) -> Self {
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
        }
    }

    /// `api/v1`, `apis/apps/v1`.
    pub(crate) fn path(&self) -> String {
        match self.group.as_str() {
            "" => format!("api/{}", self.version),
            group => format!("apis/{group}/{}", self.version),
        }
    }

    /// `v1`, `apps/v1`.
    pub(crate) fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }
}

/// A part of a path; none if it is no text, or one that no name can be.
fn decoded(part: &str) -> Option<String> {
    let part = percent_decode_str(part).decode_utf8().ok()?;
    (!part.contains('/')).then(|| part.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(
        of: (&str, &str),
        namespace: Option<&str>,
        plural: &str,
        name: Option<&str>,
        subresource: Option<&str>,
    ) -> Option<Route> {
        Some(Route::Resource(Place {
            of: GroupVersion::new(of.0, of.1),
            namespace: namespace.map(str::to_owned),
            plural: plural.to_owned(),
            name: name.map(str::to_owned),
            subresource: subresource.map(str::to_owned),
        }))
    }

    #[test]
    fn each_path_of_kubernetes_leads_to_one_thing() {
        let core = ("", "v1");
        for (path, expected) in [
            ("/version", Some(Route::Version)),
            ("/readyz/etcd", Some(Route::Health)),
            ("/api", Some(Route::CoreVersions)),
            ("/api/", Some(Route::CoreVersions)),
            ("/apis", Some(Route::Groups)),
            ("/apis/apps", Some(Route::Group("apps".into()))),
            ("/api/v1", Some(Route::Resources(GroupVersion::new("", "v1")))),
            (
                "/apis/apps/v1",
                Some(Route::Resources(GroupVersion::new("apps", "v1"))),
            ),
            ("/api/v1/pods", place(core, None, "pods", None, None)),
            ("/api/v1/nodes/n1", place(core, None, "nodes", Some("n1"), None)),
            ("/api/v1/namespaces", place(core, None, "namespaces", None, None)),
            (
                "/api/v1/namespaces/web",
                place(core, None, "namespaces", Some("web"), None),
            ),
            (
                "/api/v1/namespaces/web/finalize",
                place(core, None, "namespaces", Some("web"), Some("finalize")),
            ),
            (
                "/api/v1/namespaces/web/pods",
                place(core, Some("web"), "pods", None, None),
            ),
            (
                "/api/v1/namespaces/web/pods/a/status",
                place(core, Some("web"), "pods", Some("a"), Some("status")),
            ),
            (
                "/api/v1/namespaces/web/services/http:a:80/proxy/x/y",
                place(
                    core,
                    Some("web"),
                    "services",
                    Some("http:a:80"),
                    Some("proxy/x/y"),
                ),
            ),
            (
                "/apis/apps/v1/namespaces/web/deployments/a/scale",
                place(
                    ("apps", "v1"),
                    Some("web"),
                    "deployments",
                    Some("a"),
                    Some("scale"),
                ),
            ),
            (
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
                place(
                    ("rbac.authorization.k8s.io", "v1"),
                    None,
                    "clusterroles",
                    Some("system:node"),
                    None,
                ),
            ),
            ("/", None),
            ("/metrics", None),
            ("/api/v1/pods/%ff", None),
            ("/api/v1/namespaces/a%2Fb/pods", None),
        ] {
            assert_eq!(Route::of(path), expected, "{path}");
        }
    }
}
