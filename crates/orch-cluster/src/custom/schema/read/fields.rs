//! A schema's keywords as the JSON types that they must have.

use orch_core::object::{FieldError, FieldErrors, FieldPath};
use serde_json::{Map, Value};

/// The keywords of one schema. One that is null is as if it were not there, as for Kubernetes' decoder.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
    pub(super) at: &'a FieldPath,
}

impl<'a> Fields<'a> {
    pub(super) fn new(map: &'a Map<String, Value>, at: &'a FieldPath) -> Self {
        Self { map, at }
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// A keyword that is there, but is no empty string, list or map, nor false.
    pub(super) fn is_given(&self, name: &str) -> bool {
        match self.get(name) {
            None | Some(Value::Bool(false)) => false,
            Some(Value::String(text)) => !text.is_empty(),
            Some(Value::Array(items)) => !items.is_empty(),
            Some(Value::Object(map)) => !map.is_empty(),
            Some(_) => true,
        }
    }

    /// A keyword's value as `read` takes it; if it does not, an error that says which type it must have.
    fn take<T>(
        &self,
        errors: &mut FieldErrors,
        name: &'static str,
        must_be: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.get(name)?;
        let taken = read(value);
        if taken.is_none() {
            let shown = match value {
                Value::Array(_) => "a list".into(),
                Value::Object(_) => "an object".into(),
                scalar => scalar.clone(),
            };
            errors.push(FieldError::type_invalid(&self.at.child(name), shown, must_be));
        }
        taken
    }

    pub(super) fn string(&self, errors: &mut FieldErrors, name: &'static str) -> Option<&'a str> {
        let text = self.take(errors, name, "must be a string", Value::as_str);
        text.filter(|text| !text.is_empty())
    }

    pub(super) fn boolean(&self, errors: &mut FieldErrors, name: &'static str) -> bool {
        self.take(errors, name, "must be true or false", Value::as_bool)
            .unwrap_or_default()
    }

    pub(super) fn number(&self, errors: &mut FieldErrors, name: &'static str) -> Option<f64> {
        self.take(errors, name, "must be a number", Value::as_f64)
    }

    pub(super) fn integer(&self, errors: &mut FieldErrors, name: &'static str) -> Option<i64> {
        self.take(errors, name, "must be an integer", Value::as_i64)
    }

    pub(super) fn list(&self, errors: &mut FieldErrors, name: &'static str) -> &'a [Value] {
        let list = self.take(errors, name, "must be a list", Value::as_array);
        list.map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn strings(&self, errors: &mut FieldErrors, name: &'static str) -> Vec<String> {
        let strings = |value: &Value| {
            let items = value.as_array()?;
            items
                .iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect()
        };
        self.take(errors, name, "must be a list of strings", strings)
            .unwrap_or_default()
    }

    pub(super) fn map(&self, errors: &mut FieldErrors, name: &'static str) -> Option<&'a Map<String, Value>> {
        self.take(errors, name, "must be an object", Value::as_object)
    }
}
