//! Admission: the rules that an application adds for all writers.

use std::sync::Arc;

use super::raw::bad;
use super::{LocalBackend, subject};
use crate::client::{
    Admission, AdmissionRequest, ApiError, Client, Kind, Operation, Refusal, Target, Warnings, WriteParams,
};
use crate::object::{Document, FieldErrors, RawObject};

/// The rules that want to see one write, and what they tell the writer.
pub(super) struct Admitting<'a> {
    operation: Operation,
    kind: &'a Kind,
    target: &'a Target,
    old: Option<&'a Document>,
    dry_run: bool,
    rules: Vec<Arc<dyn Admission>>,
    client: Client,
    warnings: Warnings,
}

impl LocalBackend {
    pub(super) fn admission<'a>(
        &self,
        operation: Operation,
        kind: &'a Kind,
        target: &'a Target,
        old: Option<&'a Document>,
        params: &WriteParams,
    ) -> Admitting<'a> {
        let rules = self.shared.admission.iter();
        Admitting {
            operation,
            kind,
            target,
            old,
            dry_run: params.dry_run,
            rules: rules
                .filter(|rule| rule.handles(&target.resource, operation))
                .cloned()
                .collect(),
            client: self.client(),
            warnings: Warnings::default(),
        }
    }

    /// Admission for a delete, where nothing is stored that could be changed.
    pub(super) async fn admit_delete(
        &self,
        kind: &Kind,
        target: &Target,
        old: &Document,
        dry_run: bool,
    ) -> Result<(), ApiError> {
        let params = WriteParams::default().dry_run(dry_run);
        let mut admission = self.admission(Operation::Delete, kind, target, Some(old), &params);
        if admission.rules.is_empty() {
            return Ok(());
        }
        let mut object = old.to_raw().map_err(bad)?;
        admission.mutate(&mut object).await?;
        admission.validate(&mut object).await
    }
}

impl Admitting<'_> {
    /// Lets the rules change the object; says whether any had the chance.
    pub(super) async fn mutate(&mut self, object: &mut RawObject) -> Result<bool, ApiError> {
        for rule in self.rules.clone() {
            rule.mutate(&mut self.request(object))
                .await
                .map_err(|refusal| refused(self.target, rule.name(), refusal))?;
        }
        Ok(!self.rules.is_empty())
    }

    /// Lets the rules refuse the object as it will be stored.
    pub(super) async fn validate(&mut self, object: &mut RawObject) -> Result<(), ApiError> {
        for rule in self.rules.clone() {
            rule.validate(&self.request(object))
                .await
                .map_err(|refusal| refused(self.target, rule.name(), refusal))?;
        }
        Ok(())
    }

    /// What they tell the writer.
    pub(super) fn into_warnings(self) -> Vec<String> {
        self.warnings.into_vec()
    }

    fn request<'r>(&'r mut self, object: &'r mut RawObject) -> AdmissionRequest<'r> {
        AdmissionRequest {
            operation: self.operation,
            resource: &self.target.resource,
            rules: &*self.kind.rules,
            key: &self.target.key,
            object,
            old: self.old,
            dry_run: self.dry_run,
            warnings: &self.warnings,
            client: &self.client,
        }
    }
}

pub(super) fn invalid_if_any(target: &Target, errors: FieldErrors) -> Result<(), ApiError> {
    if errors.is_empty() {
        Ok(())
    } else {
        Err(ApiError::Invalid {
            subject: subject(target),
            errors,
        })
    }
}

fn refused(target: &Target, rule: &str, refusal: Refusal) -> ApiError {
    match refusal {
        Refusal::Forbidden(reason) => ApiError::Forbidden {
            subject: subject(target),
            reason: format!("{rule}: {reason}"),
        },
        Refusal::Failed(error) => error,
        Refusal::Invalid(errors) => ApiError::Invalid {
            subject: subject(target),
            errors,
        },
    }
}
