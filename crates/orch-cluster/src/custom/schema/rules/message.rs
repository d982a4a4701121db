//! How a rule tells that it is not satisfied.

use orch_core::object::{FieldError, FieldErrorKind, FieldPath};

use super::{Rule, named};
use crate::expression::{Outcome, Val};

/// The longest message that an expression may make, as in Kubernetes.
const LONGEST_MESSAGE: usize = 5 * 1024;

impl Rule {
    /// The error of a value that does not satisfy it.
    pub(super) fn error(
        &self,
        path: FieldPath,
        value: Option<serde_json::Value>,
        message: Option<Outcome<'_>>,
    ) -> FieldError {
        let made = match message {
            Some(Ok(Val::Text(text))) => Some(text.trim().to_owned()),
            _ => None,
        };
        let is_fit =
            |text: &String| !text.is_empty() && text.len() <= LONGEST_MESSAGE && !text.contains('\n');
        let detail = made.filter(is_fit).unwrap_or_else(|| {
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
