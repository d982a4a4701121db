//! Reads and fills raw JSON objects, so that nothing a writer sent is lost.
//!
//! As in Kubernetes, a field that is `null` counts as one that was not sent; where the Go field is no pointer,
//! an empty string and a zero do too. A value of the wrong type is left as it is: decoding reports it, with its path.

use orch_core::object::RawObject;
use serde_json::Value;

/// A raw JSON object: an API object or a part of one.
pub(crate) type Raw = RawObject;

/// Says whether a field was not sent.
pub(crate) fn is_unset(object: &Raw, key: &str) -> bool {
    object.get(key).is_none_or(Value::is_null)
}

/// The object under `key`, if one is there.
pub(crate) fn child<'a>(object: &'a Raw, key: &str) -> Option<&'a Raw> {
    object.get(key)?.as_object()
}

/// The object under `key`, to be changed.
pub(crate) fn child_mut<'a>(object: &'a mut Raw, key: &str) -> Option<&'a mut Raw> {
    object.get_mut(key)?.as_object_mut()
}

/// The object under `key`, made when the field was not sent; `None` when something else is there.
pub(crate) fn child_or_new<'a>(object: &'a mut Raw, key: &str) -> Option<&'a mut Raw> {
    if is_unset(object, key) {
        object.insert(key.to_owned(), Value::Object(Raw::new()));
    }
    child_mut(object, key)
}

/// The objects in the list under `key`.
pub(crate) fn items<'a>(object: &'a Raw, key: &str) -> impl Iterator<Item = &'a Raw> + use<'a> {
    let list = object.get(key).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_object)
}

/// The objects in the list under `key`, to be changed.
pub(crate) fn items_mut<'a>(object: &'a mut Raw, key: &str) -> impl Iterator<Item = &'a mut Raw> + use<'a> {
    let list = object.get_mut(key).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}

/// The string under `key`, empty when there is none.
pub(crate) fn text<'a>(object: &'a Raw, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Sets a field that was not sent, where zero and the empty string are values of their own.
pub(crate) fn default_value(object: &mut Raw, key: &str, value: impl Into<Value>) {
    if is_unset(object, key) {
        object.insert(key.to_owned(), value.into());
    }
}

/// Sets a string field that was not sent or is empty.
pub(crate) fn default_text(object: &mut Raw, key: &str, value: &str) {
    let unset = match object.get(key) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(_) => false,
    };
    if unset {
        object.insert(key.to_owned(), Value::String(value.to_owned()));
    }
}

/// Sets a number field that was not sent or is zero.
pub(crate) fn default_number(object: &mut Raw, key: &str, value: i64) {
    let unset = match object.get(key) {
        None | Some(Value::Null) => true,
        Some(Value::Number(number)) => number.as_i64() == Some(0),
        Some(_) => false,
    };
    if unset {
        object.insert(key.to_owned(), Value::from(value));
    }
}

/// Writes a quantity given as a number as the string Kubernetes stores.
pub(crate) fn quantity_as_text(value: &mut Value) {
    if let Value::Number(number) = value {
        *value = Value::String(number.to_string());
    }
}

/// Writes the quantities in the resource list under `key` as strings.
pub(crate) fn quantities_as_text(object: &mut Raw, key: &str) {
    if let Some(list) = child_mut(object, key) {
        list.values_mut().for_each(quantity_as_text);
    }
}

/// Takes `key` from `old`: a part of the object that this writer does not own.
pub(crate) fn keep(new: &mut Raw, old: &Raw, key: &str) {
    match old.get(key) {
        Some(value) => {
            new.insert(key.to_owned(), value.clone());
        }
        None => {
            new.remove(key);
        }
    }
}
