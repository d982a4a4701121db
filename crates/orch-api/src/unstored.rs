//! Kinds that are answered and not stored: questions, and what is measured.

use std::sync::LazyLock;

use orch_core::object::{ApiResource, Scope};

/// Why a kind is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unstored {
    /// A question, which is answered as it is made.
    Review,
    /// What others use, which is measured as it is read.
    Metrics,
}

impl Unstored {
    /// What can be done with objects of such a kind.
    pub(crate) fn verbs(self) -> &'static [&'static str] {
        match self {
            Self::Review => &["create"],
            Self::Metrics => &["get", "list"],
        }
    }
}

/// All of them.
pub(crate) static UNSTORED: LazyLock<[(ApiResource, Unstored); 8]> = LazyLock::new(|| {
    let review = |group, version, kind, plural, scope| {
        (
            ApiResource::new(group, version, kind, plural, scope),
            Unstored::Review,
        )
    };
    let who = |version| {
        let (kind, plural) = ("SelfSubjectReview", "selfsubjectreviews");
        review("authentication.k8s.io", version, kind, plural, Scope::Cluster)
    };
    let access = |kind, plural, scope| review("authorization.k8s.io", "v1", kind, plural, scope);
    let (own, own_rules) = ("selfsubjectaccessreviews", "selfsubjectrulesreviews");
    let (all, local) = ("subjectaccessreviews", "localsubjectaccessreviews");
    let metrics = |kind, plural, scope| {
        (
            ApiResource::new("metrics.k8s.io", "v1beta1", kind, plural, scope),
            Unstored::Metrics,
        )
    };
    [
        who("v1"),
        // Which kubectl 1.27 asks for.
        who("v1beta1"),
        access("LocalSubjectAccessReview", local, Scope::Namespaced),
        access("SelfSubjectAccessReview", own, Scope::Cluster),
        access("SelfSubjectRulesReview", own_rules, Scope::Cluster),
        access("SubjectAccessReview", all, Scope::Cluster),
        metrics("NodeMetrics", "nodes", Scope::Cluster),
        metrics("PodMetrics", "pods", Scope::Namespaced),
    ]
});
