//! Policies and their bindings as they are stored, read for use.

use k8s_openapi::api::admissionregistration::v1::{
    ParamKind, ParamRef, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use orch_core::object::Document;

use super::Rules;
use crate::admission::Resources;

pub(super) struct Policy {
    pub(super) name: String,
    /// What it judges.
    pub(super) resources: Resources,
    pub(super) param_kind: Option<ParamKind>,
    /// Whether what cannot be judged is refused.
    pub(super) fails: bool,
    /// What must be true; why that cannot be read, of one that was stored when more could be.
    pub(super) rules: Result<Rules, String>,
}

impl Policy {
    pub(super) fn read(document: &Document) -> Result<Self, String> {
        let policy: ValidatingAdmissionPolicy = document.decode().map_err(|error| error.to_string())?;
        let spec = policy.spec.unwrap_or_default();
        Ok(Self {
            name: document.meta().name.clone(),
            resources: Resources::new(&spec.match_constraints.clone().unwrap_or_default()),
            fails: spec.failure_policy.as_deref() != Some("Ignore"),
            rules: Rules::read(&spec).map_err(|errors| errors.to_string()),
            param_kind: spec.param_kind,
        })
    }
}

pub(super) struct Binding {
    pub(super) name: String,
    /// The name of the policy that it turns on.
    pub(super) policy: String,
    /// What it turns it on for; none: all that it judges.
    pub(super) resources: Option<Resources>,
    pub(super) param_ref: Option<ParamRef>,
    /// What becomes of writes that are not as they must be.
    pub(super) denies: bool,
    pub(super) warns: bool,
}

impl Binding {
    pub(super) fn read(document: &Document) -> Result<Self, String> {
        let binding: ValidatingAdmissionPolicyBinding =
            document.decode().map_err(|error| error.to_string())?;
        let spec = binding.spec;
        let has = |wanted: &str| spec.validation_actions.iter().any(|action| action == wanted);
        Ok(Self {
            name: document.meta().name.clone(),
            denies: has("Deny"),
            warns: has("Warn"),
            policy: spec.policy_name,
            resources: spec.match_resources.as_ref().map(Resources::new),
            param_ref: spec.param_ref,
        })
    }
}
