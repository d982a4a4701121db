//! What one write does about such fields.

use std::sync::{Mutex, PoisonError};

use orch_core::client::{ApiError, ErrorSubject};
use orch_core::object::{FieldError, FieldErrors, FieldPath, RawObject};

use super::{Validation, drop_unknown};
use crate::schema::Schema;

/// A write that minds what it is sent: it drops what the kind does not have, and refuses or warns as it was asked to.
#[derive(Debug)]
pub(crate) struct Mind {
    schema: Schema,
    api_version: String,
    kind: String,
    validation: Validation,
    /// What was given twice.
    twice: Vec<String>,
    /// The object, where a patch of it is sent.
    patched: Option<ErrorSubject>,
    /// What the kind does not have, of the object as it was written last.
    unknown: Mutex<Vec<String>>,
}

impl Mind {
    pub(crate) fn new(
        schema: Schema,
        (api_version, kind): (&str, &str),
        validation: Validation,
        twice: Vec<String>,
    ) -> Self {
        Self {
            schema,
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            validation,
            twice,
            patched: None,
            unknown: Mutex::default(),
        }
    }

    /// Where not an object is sent but a patch of this one, a refusal is one of what it makes.
    pub(crate) fn patching(self, patched: ErrorSubject) -> Self {
        Self {
            patched: Some(patched),
            ..self
        }
    }

    /// Drops what the kind does not have.
    pub(crate) fn drop_unknown(&self, object: &mut RawObject) -> Result<(), ApiError> {
        let unknown = drop_unknown(&self.schema, object);
        if self.validation == Validation::Strict && !(unknown.is_empty() && self.twice.is_empty()) {
            let all: Vec<&str> = self.twice.iter().chain(&unknown).map(String::as_str).collect();
            return Err(self.refusal(&format!("strict decoding error: {}", all.join(", "))));
        }
        *self.unknown.lock().unwrap_or_else(PoisonError::into_inner) = unknown;
        Ok(())
    }

    /// As Kubernetes refuses it (`rest.go` and `patch.go` of its handlers).
    fn refusal(&self, why: &str) -> ApiError {
        match &self.patched {
            Some(subject) => {
                let error = FieldError::invalid_whole(&FieldPath::new("patch"), why);
                ApiError::Invalid {
                    subject: subject.clone(),
                    errors: FieldErrors::from(error),
                }
            }
            None => {
                let version = self.api_version.rsplit('/').next().unwrap_or_default();
                ApiError::BadRequest(format!(
                    "{kind} in version {version:?} cannot be handled as a {kind}: {why}",
                    kind = self.kind,
                ))
            }
        }
    }

    /// What there was of those, for who is to be warned.
    pub(crate) fn warnings(&self) -> Vec<String> {
        if self.validation != Validation::Warn {
            return Vec::new();
        }
        let unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        self.twice.iter().chain(&*unknown).cloned().collect()
    }
}
