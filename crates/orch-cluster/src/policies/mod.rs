//! Admission policies: expressions in CEL that are stored in the cluster, and judge objects before they are written.
//!
//! ValidatingAdmissionPolicies say what must be true of what; their ValidatingAdmissionPolicyBindings turn them on, and say with
//! which parameters. Sources: KEP-3488, and Kubernetes' `k8s.io/apiserver/pkg/admission/plugin/policy`.

mod judge;
mod params;
mod policy;
mod rules;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use orch_core::client::{Admission, AdmissionRequest, Operation, Refusal};
use orch_core::object::ApiResource;

use crate::admission::{GROUP, Home, Stored};
use judge::Judge;
use policy::{Binding, Policy};

pub(crate) use rules::Rules;

/// Judges writes by the policies that are stored, as kube-apiserver's plugin ValidatingAdmissionPolicy does. Every
/// [`Cluster`](crate::cluster::Cluster) does; a client of its own has to be given it.
///
/// A policy counts from the write that stores it and its binding on, in every process over the same store: each write reads those
/// that there are. Of several that refuse, the first by name is told of. What a policy cannot be evaluated about is refused,
/// unless its `failurePolicy` is `Ignore`. Expressions may take so many steps for each policy, binding and parameter, and no more.
///
/// Admission sees whole objects in the version that they are stored in, which is what expressions are told of also where rules name
/// another version (but for `matchPolicy: Exact`, where these never match); rules for subresources (`pods/status`) and for `CONNECT`
/// never match. There is no log of audits: what `validationActions: Audit`
/// and `auditAnnotations` would have in it is recorded nowhere, though annotations that cannot be evaluated refuse, as in
/// Kubernetes. `authorizer` is refused when a policy is written, for all who may write are one user here. Types are checked when an
/// expression is evaluated, not when it is written, so that no policy has `status.typeChecking`.
///
/// ```
/// use std::sync::Arc;
///
/// use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use orch_cluster::policies::Policies;
/// use orch_core::client::Client;
/// use orch_core::store::MemoryStore;
/// use serde_json::json;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let builder = Client::builder(Arc::new(MemoryStore::new())).admission(Policies::new());
/// let client = orch_cluster::kinds::teach(builder).build();
/// let policy: ValidatingAdmissionPolicy = serde_json::from_value(json!({"metadata": {"name": "small"}, "spec": {
///     "matchConstraints": {"resourceRules": [
///         {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]},
///     "validations": [{"expression": "!has(object.data) || object.data.size() <= 1", "message": "one key will do"}],
/// }}))?;
/// let binding: ValidatingAdmissionPolicyBinding = serde_json::from_value(json!({"metadata": {"name": "all"}, "spec": {
///     "policyName": "small", "validationActions": ["Deny"],
/// }}))?;
/// client.all().create(&policy).await?;
/// client.all().create(&binding).await?;
///
/// let mut map = ConfigMap::default();
/// map.metadata.name = Some("settings".into());
/// map.data = Some([("a", "1"), ("b", "2")].map(|(key, value)| (key.into(), value.into())).into());
/// let refused = client.api("default").create(&map).await.unwrap_err();
/// assert!(refused.to_string().ends_with(
///     "ValidatingAdmissionPolicy 'small' with binding 'all' denied request: one key will do"
/// ));
/// # Ok(())
/// # }
/// ```
pub struct Policies {
    policies: Stored<Policy>,
    bindings: Stored<Binding>,
}

impl Policies {
    /// Those of whatever store the client that asks is over.
    pub fn new() -> Self {
        Self {
            policies: Stored::of::<ValidatingAdmissionPolicy>(Policy::read),
            bindings: Stored::of::<ValidatingAdmissionPolicyBinding>(Binding::read),
        }
    }
}

impl Default for Policies {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Admission for Policies {
    fn name(&self) -> &str {
        "ValidatingAdmissionPolicy"
    }

    fn handles(&self, resource: &ApiResource, _: Operation) -> bool {
        resource.group != GROUP
    }

    async fn validate(&self, request: &AdmissionRequest<'_>) -> Result<(), Refusal> {
        let mut home = Home::default();
        let mut concerned = Vec::new();
        for policy in self.policies.newest(request.client).await? {
            if policy.resources.include(request, &mut home).await? {
                concerned.push(policy);
            }
        }
        if concerned.is_empty() {
            return Ok(());
        }
        let bindings = self.bindings.newest(request.client).await?;
        let mut judge = Judge::new(request, home)?;
        for policy in &concerned {
            for binding in bindings.iter().filter(|binding| binding.policy == policy.name) {
                judge.judge(policy, binding).await?;
            }
        }
        Ok(())
    }
}
