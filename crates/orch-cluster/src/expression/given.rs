//! What an expression is given: inputs, and variables that are made of other expressions once they are needed.

use std::cell::OnceCell;

use super::eval::{Evaluator, Scope};
use super::{Expression, Fault, Outcome, Val};

/// Inputs by name, and the fields of `variables`, each of which is evaluated when it is first named and then kept.
pub(crate) struct Given<'a> {
    inputs: Vec<(&'static str, Outcome<'a>)>,
    variables: Vec<Lazy<'a>>,
}

struct Lazy<'a> {
    name: &'a str,
    expression: &'a Expression,
    made: OnceCell<Outcome<'a>>,
}

impl<'a> Given<'a> {
    /// Inputs, and variables, each of which may name those before it.
    pub(crate) fn new(
        inputs: impl IntoIterator<Item = (&'static str, Val<'a>)>,
        variables: &'a [(String, Expression)],
    ) -> Self {
        let inputs = inputs.into_iter().map(|(name, value)| (name, Ok(value)));
        let variables = variables.iter().map(|(name, expression)| Lazy {
            name,
            expression,
            made: OnceCell::new(),
        });
        Self {
            inputs: inputs.collect(),
            variables: variables.collect(),
        }
    }

    pub(super) fn input(&self, name: &str) -> Option<Outcome<'a>> {
        let (_, value) = self.inputs.iter().find(|(input, _)| *input == name)?;
        Some(value.clone())
    }

    pub(super) fn has_variable(&self, name: &str) -> bool {
        self.variables.iter().any(|variable| variable.name == name)
    }

    pub(super) fn variable(&self, name: &str, evaluator: &mut Evaluator<'_>) -> Option<Outcome<'a>> {
        let variable = self.variables.iter().find(|variable| variable.name == name)?;
        if let Some(made) = variable.made.get() {
            return Some(made.clone());
        }
        let made = evaluator.eval_other(variable.expression, &Scope::Given(self));
        let made = made.map_err(|fault| match fault {
            Fault::Wrong(why) => {
                Fault::Wrong(format!("composited variable {name:?} fails to evaluate: {why}"))
            }
            Fault::TooDear => Fault::TooDear,
        });
        Some(variable.made.get_or_init(|| made).clone())
    }
}
