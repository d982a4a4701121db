//! Which writes a webhook or a policy is about, by the rules that name operations and kinds.

use k8s_openapi::api::admissionregistration::v1::{
    MatchResources, NamedRuleWithOperations, RuleWithOperations,
};
use orch_core::client::{AdmissionRequest, Operation, Refusal};
use orch_core::object::ApiResource;

use super::labels::{Home, Labels};
use crate::kinds::{self, OTHER_VERSIONS};

/// What `matchConstraints` of a policy or `matchResources` of a binding say.
#[derive(Debug)]
pub(crate) struct Resources {
    /// Empty: all.
    included: Vec<NamedRule>,
    excluded: Vec<NamedRule>,
    takes_equivalents: bool,
    labels: Labels,
}

#[derive(Debug)]
struct NamedRule {
    rule: RuleWithOperations,
    /// Empty: all.
    names: Vec<String>,
}

impl Resources {
    pub(crate) fn new(spec: &MatchResources) -> Self {
        let read = |rules: &Option<Vec<NamedRuleWithOperations>>| {
            let rules = rules.iter().flatten();
            let named = rules.map(|rule| NamedRule {
                rule: unnamed(rule),
                names: rule.resource_names.clone().unwrap_or_default(),
            });
            named.collect()
        };
        Self {
            included: read(&spec.resource_rules),
            excluded: read(&spec.exclude_resource_rules),
            takes_equivalents: takes_equivalents(spec.match_policy.as_deref()),
            labels: Labels::new(spec.namespace_selector.as_ref(), spec.object_selector.as_ref()),
        }
    }

    /// Whether a write is among them.
    ///
    /// # Errors
    ///
    /// Those of [`Labels::select`].
    pub(crate) async fn include(
        &self,
        request: &AdmissionRequest<'_>,
        home: &mut Home,
    ) -> Result<bool, Refusal> {
        let is_one = |rules: &[NamedRule]| {
            let mut rules = rules.iter();
            rules.any(|rule| rule.is_for(self.takes_equivalents, request))
        };
        if !self.included.is_empty() && !is_one(&self.included) || is_one(&self.excluded) {
            return Ok(false);
        }
        self.labels.select(request, home).await
    }
}

impl NamedRule {
    fn is_for(&self, takes_equivalents: bool, request: &AdmissionRequest<'_>) -> bool {
        (self.names.is_empty() || self.names.iter().any(|name| name == request.key.name()))
            && is_for(&self.rule, takes_equivalents, request.resource, request.operation)
    }
}

/// A rule without the names that it may have.
pub(crate) fn unnamed(rule: &NamedRuleWithOperations) -> RuleWithOperations {
    RuleWithOperations {
        api_groups: rule.api_groups.clone(),
        api_versions: rule.api_versions.clone(),
        operations: rule.operations.clone(),
        resources: rule.resources.clone(),
        scope: rule.scope.clone(),
    }
}

/// What Kubernetes calls an operation.
pub(crate) fn word(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "CREATE",
        Operation::Update => "UPDATE",
        Operation::Delete => "DELETE",
    }
}

/// Whether a `matchPolicy` takes rules that name another version of what is written.
pub(crate) fn takes_equivalents(policy: Option<&str>) -> bool {
    policy != Some("Exact")
}

fn has(list: &Option<Vec<String>>, wanted: &str) -> bool {
    let mut items = list.iter().flatten();
    items.any(|item| item == "*" || item == wanted)
}

/// Whether a rule is of such writes; where `matchPolicy` takes equivalents, also if it names them in another version.
pub(crate) fn is_for(
    rule: &RuleWithOperations,
    takes_equivalents: bool,
    resource: &ApiResource,
    operation: Operation,
) -> bool {
    // An object as a whole is the empty subresource of itself, which the `*` of `pods/*` takes in.
    let is_resource = |entry: &String| {
        let (plural, subresource) = entry.split_once('/').unwrap_or((entry, ""));
        (plural == "*" || plural == resource.plural) && matches!(subresource, "" | "*")
    };
    let is_in_scope = match rule.scope.as_deref() {
        Some("Cluster") => !resource.is_namespaced(),
        Some("Namespaced") => resource.is_namespaced(),
        _ => true,
    };
    is_in_scope
        && has(&rule.operations, word(operation))
        && rule.resources.iter().flatten().any(is_resource)
        && (names(rule, &resource.group, &resource.version)
            || takes_equivalents && names_equivalent(rule, resource))
}

fn names(rule: &RuleWithOperations, group: &str, version: &str) -> bool {
    has(&rule.api_groups, group) && has(&rule.api_versions, version)
}

/// Whether a rule is of another version than the one in which objects are stored, and shown to who judges them. Which other versions
/// a kind of a user's own has is not looked up: rather one question too many than one too few.
fn names_equivalent(rule: &RuleWithOperations, resource: &ApiResource) -> bool {
    if kinds::find_kind(&resource.api_version(), &resource.kind).is_none() {
        return has(&rule.api_groups, &resource.group);
    }
    let mut others = OTHER_VERSIONS
        .iter()
        .filter(|other| other.stored.resource == *resource);
    others.any(|other| names(rule, &other.resource.group, &other.resource.version))
}
