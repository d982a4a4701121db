//! `matchConditions`: expressions that must all be true of a write before a webhook is asked or a policy judges, pure.

use k8s_openapi::api::admissionregistration::v1::MatchCondition;
use orch_core::object::{FieldErrors, FieldPath};

use super::{Names, value};
use crate::expression::{Expression, Fault, Given, MOST_STEPS, Patterns, Val, wrong};

/// How many steps those of one webhook or policy may take: as much less than its rules as in Kubernetes.
const MOST: usize = MOST_STEPS / 4;

/// Conditions that were read.
#[derive(Debug, Default)]
pub(crate) struct Conditions(Vec<Expression>);

impl Conditions {
    /// Reads those that stand at `at`; an empty one is none.
    ///
    /// # Errors
    ///
    /// What is wrong with each that cannot be read.
    pub(crate) fn read(
        written: &[MatchCondition],
        has_params: bool,
        at: &FieldPath,
    ) -> Result<Self, FieldErrors> {
        let names = Names {
            has_params,
            variables: &[],
        };
        let mut patterns = Patterns::default();
        let (mut read, mut errors) = (Vec::new(), FieldErrors::default());
        for (index, condition) in written.iter().enumerate() {
            let source = condition.expression.trim();
            if source.is_empty() {
                continue;
            }
            let at = at.index(index).child("expression");
            match names.read_condition(source, &at, &mut patterns) {
                Ok(expression) => read.push(expression),
                Err(error) => errors.push(error),
            }
        }
        errors.into_result().map(|()| Self(read))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all are true. One that is false decides, whatever is wrong with others.
    ///
    /// # Errors
    ///
    /// What is wrong with those that have no value.
    pub(crate) fn are_met<'a>(&'a self, given: &Given<'a>) -> Result<bool, String> {
        let mut left = MOST;
        let mut faults = Vec::new();
        for condition in &self.0 {
            match value(condition, given, &mut left) {
                Ok(Val::Bool(true)) => {}
                Ok(Val::Bool(false)) => return Ok(false),
                Ok(other) => faults.push(wrong(format!(
                    "expression '{}' must evaluate to bool, got {}",
                    condition.source(),
                    other.kind()
                ))),
                Err(Fault::TooDear) => return Err(Fault::TooDear.to_string()),
                Err(fault) => faults.push(fault),
            }
        }
        let said: Vec<_> = faults.iter().map(ToString::to_string).collect();
        match said.as_slice() {
            [] => Ok(true),
            [one] => Err(one.clone()),
            several => Err(format!("[{}]", several.join(", "))),
        }
    }
}
