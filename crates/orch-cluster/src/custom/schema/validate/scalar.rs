//! Types, enumerations and strings.

use orch_core::object::FieldError;
use serde_json::Value;

use super::data::{Data, Outcome, Place};
use super::{Validator, number};
use crate::custom::schema::node::{Node, Type, Values};

impl Validator<'_> {
    pub(super) fn kind(&mut self, node: &Node, data: Data<'_>, place: &Place<'_>, outcome: &mut Outcome) {
        let types = node.types();
        let format = node.values.format.map_or("", |format| format.word());
        if types.is_empty() && format.is_empty() {
            return;
        }
        let (kind, kind_format) = data.kind();
        let has = |kind: Type| types.contains(&kind);
        let is_number = match data {
            Data::Float(float) => has(Type::Integer) && number::is_whole(float),
            Data::Integer(_) => has(Type::Number),
            _ => false,
        };
        let fits = is_number || types.iter().any(|known| known.word() == kind);
        let wanted = match data {
            Data::Null if types.is_empty() || node.nullable => None,
            Data::Null => Some((joined(types), kind)),
            _ if fits => None,
            // A format alone asks for strings, but lists have never been refused by one.
            Data::String(_) | Data::List(_) if types.is_empty() => None,
            Data::String(_) | Data::List(_) => Some((joined(types), kind)),
            _ if format.is_empty() => Some((joined(types), kind)),
            _ => Some((format.to_owned(), kind_format)),
        };
        outcome.passed += usize::from(data != Data::Null);
        match wanted {
            None => outcome.passed += 1,
            Some((wanted, found)) => {
                let path = self.path(place);
                let detail = format!("{} in body must be of type {wanted}: {found:?}", self.name(place));
                self.tell(outcome, FieldError::type_invalid(&path, found, detail));
            }
        }
    }

    pub(super) fn text(&mut self, values: &Values, text: &str, place: &Place<'_>, outcome: &mut Outcome) {
        self.spend(text.len() / 64);
        outcome.passed += 1;
        let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
        let too_long = values.max_length.filter(|most| length > *most);
        let too_short = values.min_length.filter(|least| length < *least);
        if let Some(most) = too_long {
            let limit = usize::try_from(most).unwrap_or_default();
            let error = FieldError::too_long(&self.path(place), limit);
            self.tell(outcome, error);
        } else if let Some(least) = too_short {
            let detail = format!("should be at least {least} chars long");
            self.invalid(outcome, place, text.into(), &detail);
        } else if let Some(pattern) = &values.pattern {
            self.spend(pattern.cost(text));
            if !pattern.is_match(text) {
                let detail = format!("should match '{}'", pattern.source());
                self.invalid(outcome, place, text.into(), &detail);
            }
        }
        if let Some(format) = values.format.filter(|format| format.is_of_strings()) {
            outcome.passed += 1;
            if !format.is_match(text) {
                let path = self.path(place);
                let detail = format!(
                    "{} in body must be of type {}: {text:?}",
                    self.name(place),
                    format.word()
                );
                self.tell(outcome, FieldError::type_invalid(&path, text, detail));
            }
        }
    }

    pub(super) fn allowed(
        &mut self,
        values: &Values,
        data: Data<'_>,
        place: &Place<'_>,
        outcome: &mut Outcome,
    ) {
        if values.allowed.is_empty() {
            return;
        }
        self.spend(values.allowed.len());
        // A null is none of an enumeration's values, even if that has it.
        let is_allowed = |allowed: &Value| data != Data::Null && number::is_same(data, allowed.into());
        if !values.allowed.iter().any(is_allowed) {
            let words: Vec<String> = values.allowed.iter().map(word).collect();
            let words = words.iter().map(String::as_str);
            let error = FieldError::not_supported(&self.path(place), data.to_value(), words);
            self.tell(outcome, error);
        }
    }
}

fn joined(types: &[Type]) -> String {
    let words: Vec<&str> = types.iter().map(|kind| kind.word()).collect();
    words.join(",")
}

/// A value of an enumeration as the message lists it.
fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
