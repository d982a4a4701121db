//! Numbers: their bounds, and which fit into what.

use orch_core::object::FieldError;

use super::Validator;
use super::data::{Data, Outcome, Place, shown_float};
use crate::custom::schema::format::Format;
use crate::custom::schema::node::{Bound, Node, Type};

impl Validator<'_> {
    pub(super) fn number(&mut self, node: &Node, data: Data<'_>, place: &Place<'_>, outcome: &mut Outcome) {
        outcome.passed += 2;
        let float = match data {
            Data::Integer(integer) => integer as f64,
            Data::Float(float) => float,
            _ => return,
        };
        self.range(node, float, "Checked", place, outcome);
        let values = &node.values;
        if let Some(factor) = values.multiple_of {
            self.range(node, factor, "MultipleOf", place, outcome);
            if factor <= 0.0 {
                let name = self.name(place);
                let detail = format!(
                    "factor MultipleOf declared for {name} must be positive: {}",
                    shown_float(factor)
                );
                let error = FieldError::invalid(&self.path(place), shown_float(factor), detail);
                self.tell(outcome, error);
            } else if !is_multiple(data, factor) {
                let detail = format!("should be a multiple of {}", shown_float(factor));
                self.invalid(outcome, place, data.to_value(), &detail);
            }
        }
        let bounds = [
            (
                values.minimum,
                "Minimum boundary",
                "greater",
                float_below as fn(f64, Bound) -> bool,
            ),
            (values.maximum, "Maximum boundary", "less", float_above),
        ];
        for (bound, prefix, word, is_beyond) in bounds {
            let Some(bound) = bound else {
                continue;
            };
            self.range(node, bound.value, prefix, place, outcome);
            if is_beyond(float, bound) {
                let or_equal = if bound.is_exclusive { "" } else { " or equal to" };
                let detail = format!("should be {word} than{or_equal} {}", shown_float(bound.value));
                self.invalid(outcome, place, data.to_value(), &detail);
            }
        }
    }

    /// Whether the numbers of a schema's type and format go so far.
    fn range(&mut self, node: &Node, float: f64, prefix: &str, place: &Place<'_>, outcome: &mut Outcome) {
        let whole_within = |least: f64, most: f64| float.fract() == 0.0 && float >= least && float < most;
        let (kind, format, fits) = match (node.types(), node.values.format) {
            ([Type::Integer], Some(Format::Int32)) => (
                "integer",
                "with format int32",
                whole_within(-2_147_483_648.0, 2_147_483_648.0),
            ),
            ([Type::Integer], format) => {
                let words = if format.is_some() {
                    "with format int64"
                } else {
                    "(default format)"
                };
                ("integer", words, whole_within(-(2f64.powi(63)), 2f64.powi(63)))
            }
            ([Type::Number], Some(Format::Float)) => {
                ("number", "with format float", float.abs() <= f64::from(f32::MAX))
            }
            _ => return,
        };
        if !fits {
            let name = self.name(place);
            let detail = format!("{prefix} value must be of type {kind} {format} in {name}");
            let error = FieldError::invalid(&self.path(&Place::Root), "", detail);
            self.tell(outcome, error);
        }
    }
}

fn float_below(float: f64, bound: Bound) -> bool {
    float < bound.value || (bound.is_exclusive && float == bound.value)
}

fn float_above(float: f64, bound: Bound) -> bool {
    float > bound.value || (bound.is_exclusive && float == bound.value)
}

#[allow(clippy::cast_possible_truncation)] // A whole factor below 2^53 is itself.
fn is_multiple(data: Data<'_>, factor: f64) -> bool {
    match data {
        Data::Integer(integer) if factor.fract() == 0.0 && factor < 2f64.powi(53) => {
            integer % (factor as i64) == 0
        }
        Data::Integer(integer) => is_whole(integer as f64 / factor),
        Data::Float(float) => is_whole(float / factor),
        _ => true,
    }
}

/// Whether a float is an integer of JSON, but for what rounding leaves (swag's `IsFloat64AJSONInteger`).
pub(super) fn is_whole(float: f64) -> bool {
    let whole = float.round();
    float.abs() < 2f64.powi(53) && (float - whole).abs() <= 1e-9 * whole.abs()
}

/// Whether two values are the same, numbers by their amount.
pub(super) fn is_same(one: Data<'_>, other: Data<'_>) -> bool {
    match (one, other) {
        (Data::Integer(integer), Data::Float(float)) | (Data::Float(float), Data::Integer(integer)) => {
            integer as f64 == float
        }
        (one, other) => one == other,
    }
}
