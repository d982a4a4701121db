//! The expressions of a policy: read, and evaluated about a write, pure.

use k8s_openapi::api::admissionregistration::v1::{self as api, ValidatingAdmissionPolicySpec};
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use crate::admission::{Conditions, Names, value};
use crate::expression::{self, Expression, Fault, Given, MOST_STEPS, Patterns, Val};

/// The reason of a refusal that gives none.
const INVALID: &str = "Invalid";

/// What must be true of what a policy judges.
#[derive(Debug)]
pub(crate) struct Rules {
    conditions: Conditions,
    variables: Vec<(String, Expression)>,
    validations: Vec<Validation>,
    /// What would be in a log of audits.
    annotations: Vec<Expression>,
    /// Whether what cannot be evaluated breaks them.
    fails: bool,
}

#[derive(Debug)]
struct Validation {
    expression: Expression,
    message: String,
    message_expression: Option<Expression>,
    reason: String,
}

/// In what a write breaks the rules.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Breach {
    /// The word for programs.
    pub(super) reason: String,
    pub(super) message: String,
    /// Whether it is refused whatever the binding does.
    pub(super) is_refused: bool,
}

impl Breach {
    /// That something could not be evaluated.
    pub(super) fn error(why: impl ToString) -> Self {
        Self {
            reason: INVALID.to_owned(),
            message: why.to_string(),
            is_refused: false,
        }
    }
}

impl Rules {
    /// Reads those of a policy; an empty expression is none.
    ///
    /// # Errors
    ///
    /// What is wrong with each expression that cannot be read, by its field.
    pub(crate) fn read(spec: &ValidatingAdmissionPolicySpec) -> Result<Self, FieldErrors> {
        let at = FieldPath::new("spec");
        let mut errors = FieldErrors::default();
        let has_params = spec.param_kind.is_some();
        let written = spec.match_conditions.as_deref().unwrap_or_default();
        let conditions = Conditions::read(written, has_params, &at.child("matchConditions"));
        let conditions = conditions.unwrap_or_else(|found| {
            errors.extend(found);
            Conditions::default()
        });
        let mut patterns = Patterns::default();
        let mut variables = Vec::new();
        for (index, variable) in spec.variables.iter().flatten().enumerate() {
            let names = Names {
                has_params,
                variables: &variables,
            };
            let at = at.child("variables").index(index);
            let read = expression(&mut errors, &at.child("expression"), &variable.expression, |at| {
                names.read(&variable.expression, at, &mut patterns)
            });
            variables.extend(read.map(|read| (variable.name.clone(), read)));
        }
        let names = Names {
            has_params,
            variables: &variables,
        };
        let written = spec.validations.iter().flatten().enumerate();
        let validations = written.filter_map(|(index, validation)| {
            let at = at.child("validations").index(index);
            Validation::read(&mut errors, &at, validation, names, &mut patterns)
        });
        let validations = validations.collect();
        let written = spec.audit_annotations.iter().flatten().enumerate();
        let annotations = written.filter_map(|(index, annotation)| {
            let at = at.child("auditAnnotations").index(index);
            let source = &annotation.value_expression;
            expression(&mut errors, &at.child("valueExpression"), source, |at| {
                names.read(source, at, &mut patterns)
            })
        });
        let annotations = annotations.collect();
        errors.into_result().map(|()| Self {
            conditions,
            validations,
            annotations,
            fails: spec.failure_policy.as_deref() != Some("Ignore"),
            variables,
        })
    }

    /// Whether an expression names the namespace of the object, so that it has to be read.
    pub(super) fn use_namespace(&self) -> bool {
        let of_validations = self.validations.iter().flat_map(|validation| {
            std::iter::once(&validation.expression).chain(&validation.message_expression)
        });
        let of_variables = self.variables.iter().map(|(_, expression)| expression);
        of_validations
            .chain(of_variables)
            .chain(&self.annotations)
            .any(|expression| expression.uses("namespaceObject"))
    }

    /// In what a write breaks them; `namespace` is what it is in. Conditions are not told of that, as in Kubernetes.
    pub(super) fn broken_by<'a>(
        &'a self,
        told: &[(&'static str, Val<'a>)],
        namespace: Val<'a>,
    ) -> Vec<Breach> {
        let given = |namespace, variables| {
            let told = told.iter().cloned();
            Given::new(told.chain([("namespaceObject", namespace)]), variables)
        };
        match self.conditions.are_met(&given(Val::Null, &[])) {
            Ok(true) => {}
            Ok(false) => return Vec::new(),
            Err(why) => return self.error(why),
        }
        let given = given(namespace, &self.variables);
        let mut breaches = Vec::new();
        let mut left = MOST_STEPS;
        for validation in &self.validations {
            match value(&validation.expression, &given, &mut left) {
                Ok(Val::Bool(true)) => {}
                Ok(_) => match validation.message(&given, &mut left) {
                    Ok(message) => breaches.push(Breach {
                        reason: validation.reason.clone(),
                        message,
                        is_refused: false,
                    }),
                    Err(fault) => breaches.extend(self.error(format!("failed messageExpression: {fault}"))),
                },
                Err(fault @ Fault::TooDear) => return self.error(fault),
                Err(fault) => breaches.extend(self.error(fault)),
            }
        }
        let mut left = MOST_STEPS;
        for annotation in &self.annotations {
            let why = match value(annotation, &given, &mut left) {
                Ok(Val::Text(_) | Val::Null) => continue,
                Ok(other) => format!(
                    "valueExpression '{}' resulted in unsupported return type: {}. Return type must be either string or null.",
                    annotation.source(),
                    other.kind()
                ),
                Err(fault @ Fault::TooDear) => return self.error(fault),
                Err(_) if !self.fails => continue,
                Err(fault) => fault.to_string(),
            };
            breaches.push(Breach {
                is_refused: true,
                ..Breach::error(why)
            });
        }
        breaches
    }

    /// That something could not be evaluated, if that matters.
    fn error(&self, why: impl ToString) -> Vec<Breach> {
        self.fails.then(|| Breach::error(why)).into_iter().collect()
    }
}

impl Validation {
    fn read(
        errors: &mut FieldErrors,
        at: &FieldPath,
        written: &api::Validation,
        names: Names<'_>,
        patterns: &mut Patterns,
    ) -> Option<Self> {
        let source = &written.expression;
        let condition = expression(errors, &at.child("expression"), source, |at| {
            names.read_condition(source, at, patterns)
        });
        let source = written.message_expression.as_deref().unwrap_or_default();
        let message_expression = expression(errors, &at.child("messageExpression"), source, |at| {
            names.read(source, at, patterns)
        });
        Some(Self {
            expression: condition?,
            message: written.message.as_deref().unwrap_or_default().trim().to_owned(),
            message_expression,
            reason: written.reason.clone().unwrap_or_else(|| INVALID.to_owned()),
        })
    }

    /// What is said of a write that it is false of.
    fn message<'a>(&'a self, given: &Given<'a>, left: &mut usize) -> Result<String, Fault> {
        let made = self
            .message_expression
            .as_ref()
            .map(|expression| value(expression, given, left));
        if let Some(Err(fault @ Fault::TooDear)) = made {
            return Err(fault);
        }
        Ok(match made.and_then(expression::message) {
            Some(made) => made,
            None if self.message.is_empty() => format!("failed expression: {}", self.expression.source()),
            None => self.message.clone(),
        })
    }
}

/// Reads an expression unless it is empty, and keeps what is wrong with it.
fn expression(
    errors: &mut FieldErrors,
    at: &FieldPath,
    source: &str,
    read: impl FnOnce(&FieldPath) -> Result<Expression, FieldError>,
) -> Option<Expression> {
    if source.trim().is_empty() {
        return None;
    }
    read(at).map_err(|error| errors.push(error)).ok()
}
