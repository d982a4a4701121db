//! The names that expressions of admission may use (`k8s.io/apiserver/pkg/admission/plugin/cel`).

use orch_core::object::{FieldError, FieldPath};

use crate::expression::{Expression, Fault, Given, Known, Outcome, Patterns, Scope, Seen};

/// What is said of `authorizer`.
const ONE_USER: &str =
    "'authorizer' cannot be used: all who may write here are one user, who may do everything";

/// The names beside `object`, `oldObject`, `request` and `namespaceObject`.
#[derive(Clone, Copy, Default)]
pub(crate) struct Names<'v> {
    /// Whether there is `params`.
    pub(crate) has_params: bool,
    /// The fields of `variables`.
    pub(crate) variables: &'v [(String, Expression)],
}

impl Names<'_> {
    /// Reads an expression, which stands at `at`; the patterns in it count among those given.
    ///
    /// # Errors
    ///
    /// What is wrong with it, as Kubernetes says it.
    pub(crate) fn read(
        self,
        source: &str,
        at: &FieldPath,
        patterns: &mut Patterns,
    ) -> Result<Expression, FieldError> {
        let params = match self.has_params {
            true => Some(("params", Seen::Untyped)),
            false => None,
        };
        let inputs: Vec<_> = ["object", "oldObject", "request", "namespaceObject"]
            .map(|name| (name, Seen::Untyped))
            .into_iter()
            .chain([("authorizer", Seen::Refused(ONE_USER))])
            .chain(params)
            .collect();
        let known = Known {
            inputs: &inputs,
            variables: self.variables,
        };
        Expression::read(source, known, patterns)
            .map_err(|why| FieldError::invalid(at, source, format!("compilation failed: {why}")))
    }

    /// Reads an expression that is true or false.
    ///
    /// # Errors
    ///
    /// Also that it is something else, as far as its form tells.
    pub(crate) fn read_condition(
        self,
        source: &str,
        at: &FieldPath,
        patterns: &mut Patterns,
    ) -> Result<Expression, FieldError> {
        let expression = self.read(source, at, patterns)?;
        if expression.is_not_bool() {
            return Err(FieldError::invalid(at, source, "must evaluate to bool"));
        }
        Ok(expression)
    }
}

/// What an expression is of a write, in no more steps than are left; what is wrong is said as Kubernetes does.
pub(crate) fn value<'a>(expression: &'a Expression, given: &Given<'a>, left: &mut usize) -> Outcome<'a> {
    let value = expression.eval(&Scope::Given(given), left);
    value.map_err(|fault| match fault {
        Fault::Wrong(why) => Fault::Wrong(format!(
            "expression '{}' resulted in error: {why}",
            expression.source()
        )),
        Fault::TooDear => Fault::TooDear,
    })
}
