//! How a rule tells that it is not satisfied.

use orch_core::object::{FieldError, FieldErrorKind, FieldPath};

use super::{Rule, named};
use crate::expression::{self, Outcome};

impl Rule {
    /// The error of a value that does not satisfy it.
    pub(super) fn error(
        &self,
        path: FieldPath,
        value: Option<serde_json::Value>,
        message: Option<Outcome<'_>>,
    ) -> FieldError {
        let detail = message.and_then(expression::message).unwrap_or_else(|| {
            if self.message.is_empty() {
                format!("failed rule: {}", self.rule.source())
            } else {
                self.message.clone()
            }
        });
        let (value, detail) = match self.reason {
            FieldErrorKind::Required | FieldErrorKind::Forbidden => (None, detail),
            FieldErrorKind::Duplicate => (value, String::new()),
            _ => (value, detail),
        };
        FieldError {
            path: named(&path),
            kind: self.reason,
            value,
            detail,
        }
    }

    /// The message, or else the rule.
    pub(super) fn shown(&self) -> &str {
        if self.message.is_empty() {
            self.rule.source()
        } else {
            &self.message
        }
    }
}
