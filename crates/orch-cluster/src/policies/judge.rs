//! Judges one write by policies, and refuses or warns as their bindings say.

use k8s_openapi::api::core::v1::Namespace;
use orch_core::client::{AdmissionRequest, ApiError, Refusal};
use orch_core::object::{Document, Object, RawObject};

use super::params::{self, Missing};
use super::policy::{Binding, Policy};
use super::rules::{Breach, Rules};
use crate::admission::{Home, Told, internal, subject};
use crate::expression::Val;

pub(super) struct Judge<'j, 'r> {
    request: &'j AdmissionRequest<'r>,
    home: Home,
    told: Told,
}

impl<'j, 'r> Judge<'j, 'r> {
    pub(super) fn new(request: &'j AdmissionRequest<'r>, home: Home) -> Result<Self, Refusal> {
        Ok(Self {
            request,
            home,
            told: Told::new(request)?,
        })
    }

    /// Judges the write by a policy that is about it, as far as the binding is about it too.
    ///
    /// # Errors
    ///
    /// That it is refused, or that it cannot be judged.
    pub(super) async fn judge(&mut self, policy: &Policy, binding: &Binding) -> Result<(), Refusal> {
        if let Some(resources) = &binding.resources
            && !resources.include(self.request, &mut self.home).await?
        {
            return Ok(());
        }
        let rules = match &policy.rules {
            Ok(rules) => rules,
            Err(why) => return self.misconfigured(policy, None, why),
        };
        let params = match (&policy.param_kind, &binding.param_ref) {
            (Some(kind), Some(reference)) => params::collect(kind, reference, self.request)
                .await
                .map(|params| params.into_iter().map(Some).collect()),
            _ => Ok(vec![None]),
        };
        let params: Vec<Option<RawObject>> = match params {
            Ok(params) => params,
            Err(Missing::Policy(why)) => return self.misconfigured(policy, None, &why),
            Err(Missing::Binding(why)) => return self.misconfigured(policy, Some(binding), &why),
            Err(Missing::Failed(error)) => return Err(Refusal::Failed(error)),
        };
        let namespace = self.namespace(rules).await?;
        for params in &params {
            for breach in self.breaches(policy, rules, namespace.as_ref(), params.as_ref()) {
                if binding.denies || breach.is_refused {
                    return Err(self.refused(policy, Some(binding), breach));
                }
                if binding.warns {
                    self.request.warnings.add(format!(
                        "Validation failed for {}: {}",
                        named(policy, Some(binding)),
                        breach.message
                    ));
                }
            }
        }
        Ok(())
    }

    /// The namespace that the object is in, if the rules name it.
    async fn namespace(&mut self, rules: &Rules) -> Result<Option<RawObject>, Refusal> {
        if !rules.use_namespace() || *self.request.resource == Namespace::resource() {
            return Ok(None);
        }
        let namespace = self.home.read(self.request).await?.map(Document::to_raw);
        namespace
            .transpose()
            .map_err(|error| Refusal::Failed(internal(&format!("the namespace cannot be read: {error}"))))
    }

    fn breaches(
        &self,
        policy: &Policy,
        rules: &Rules,
        namespace: Option<&RawObject>,
        params: Option<&RawObject>,
    ) -> Vec<Breach> {
        let params = policy
            .param_kind
            .is_some()
            .then(|| ("params", Val::object(params)));
        let told: Vec<_> = self.told.inputs(self.request).into_iter().chain(params).collect();
        rules.broken_by(&told, Val::object(namespace))
    }

    /// That a policy or its binding cannot be used, if that matters.
    fn misconfigured(&self, policy: &Policy, binding: Option<&Binding>, why: &str) -> Result<(), Refusal> {
        if !policy.fails {
            return Ok(());
        }
        let what = binding.map_or("policy", |_| "binding");
        let breach = Breach::error(format!("failed to configure {what}: {why}"));
        Err(self.refused(policy, binding, breach))
    }

    fn refused(&self, policy: &Policy, binding: Option<&Binding>, breach: Breach) -> Refusal {
        Refusal::Failed(ApiError::RefusedByPolicy {
            subject: subject(self.request),
            code: match &*breach.reason {
                "Forbidden" => 403,
                "RequestEntityTooLarge" => 413,
                _ => 422,
            },
            message: format!("{} denied request: {}", named(policy, binding), breach.message),
            reason: breach.reason,
        })
    }
}

/// A policy, with the binding by which it is in force.
fn named(policy: &Policy, binding: Option<&Binding>) -> String {
    let named = format!("ValidatingAdmissionPolicy '{}'", policy.name);
    match binding {
        Some(binding) => format!("{named} with binding '{}'", binding.name),
        None => named,
    }
}
