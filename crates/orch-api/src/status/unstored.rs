//! Refusals of what is not stored.

use http::StatusCode;
use orch_core::object::ApiResource;

use super::Refused;

impl Refused {
    /// There is one token, and it is whoever's has the kubeconfig: one that says it is an account's would be a lie.
    pub(crate) fn no_tokens() -> Self {
        let message = "tokens of service accounts are not issued: who may call this API has the one token in the kubeconfig";
        Self::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message)
    }

    /// In metrics-server's words (its `pkg/api/pod.go` and `node.go`).
    pub(crate) fn not_measured(resource: &ApiResource, namespace: Option<&str>, name: &str) -> Self {
        let name = namespace.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"));
        let kind = resource.kind.to_lowercase();
        let message = format!("{kind}.{} {name:?} not found", resource.group);
        Self::new(StatusCode::NOT_FOUND, "NotFound", message)
    }
}
