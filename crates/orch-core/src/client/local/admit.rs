//! Admission and validation.

use super::raw::bad;
use super::{LocalBackend, subject};
use crate::client::{AdmissionRequest, ApiError, Operation, Refusal, Target, WriteParams};
use crate::object::{Document, FieldErrors, RawObject};

impl LocalBackend {
    /// Runs admission around the kind's validation.
    #[expect(clippy::too_many_arguments, reason = "the parts of one admission request")]
    pub(super) async fn admit(
        &self,
        operation: Operation,
        target: &Target,
        object: &mut RawObject,
        old: Option<&Document>,
        params: &WriteParams,
        warnings: &mut Vec<String>,
        validate: impl FnOnce(&RawObject) -> FieldErrors,
    ) -> Result<(), ApiError> {
        let rules = &self.shared.admission;
        if !rules.iter().any(|rule| rule.handles(&target.resource, operation)) {
            return invalid_if_any(target, validate(object));
        }
        let client = self.client();
        let mut request = AdmissionRequest {
            operation,
            resource: &target.resource,
            key: &target.key,
            object,
            old,
            dry_run: params.dry_run,
            warnings,
            client: &client,
        };
        for rule in rules
            .iter()
            .filter(|rule| rule.handles(&target.resource, operation))
        {
            rule.mutate(&mut request)
                .await
                .map_err(|refusal| refused(target, rule.name(), refusal))?;
        }
        invalid_if_any(target, validate(request.object))?;
        for rule in rules
            .iter()
            .filter(|rule| rule.handles(&target.resource, operation))
        {
            rule.validate(&request)
                .await
                .map_err(|refusal| refused(target, rule.name(), refusal))?;
        }
        Ok(())
    }

    /// Admission for a delete, where there is nothing to validate.
    pub(super) async fn admit_delete(
        &self,
        target: &Target,
        old: &Document,
        dry_run: bool,
    ) -> Result<(), ApiError> {
        if !self
            .shared
            .admission
            .iter()
            .any(|rule| rule.handles(&target.resource, Operation::Delete))
        {
            return Ok(());
        }
        let mut object = old.to_raw().map_err(bad)?;
        let params = WriteParams { dry_run };
        let nothing = |_: &RawObject| FieldErrors::default();
        let mut warnings = Vec::new();
        self.admit(
            Operation::Delete,
            target,
            &mut object,
            Some(old),
            &params,
            &mut warnings,
            nothing,
        )
        .await
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
        Refusal::Invalid(errors) => ApiError::Invalid {
            subject: subject(target),
            errors,
        },
    }
}
