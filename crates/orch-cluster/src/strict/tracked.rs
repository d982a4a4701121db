//! A deserializer over a JSON value that remembers where it is.

use std::cell::RefCell;

use orch_core::object::{FieldPath, Quantity, QuantityError};
use serde::de::value::{BorrowedStrDeserializer, StringDeserializer};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Error, Value};

use super::expected::{Want, mismatch, unknown_field};
use super::{Fault, MAX_FAULTS, Notes};

/// A value at its place.
#[derive(Clone)]
pub(super) struct Tracked<'de, 'n> {
    value: &'de Value,
    path: FieldPath,
    notes: &'n RefCell<Notes>,
    /// If it is a field of a struct: its name, and the fields the struct has.
    among: Option<(&'de str, Option<&'static [&'static str]>)>,
}

impl<'de, 'n> Tracked<'de, 'n> {
    pub(super) fn new(value: &'de Value, path: FieldPath, notes: &'n RefCell<Notes>) -> Self {
        Self {
            value,
            path,
            notes,
            among: None,
        }
    }

    /// Decodes; if that fails and nothing further in failed, remembers that it failed here.
    fn here<T>(self, want: Want, decode: impl FnOnce(Self) -> Result<T, Error>) -> Result<T, Error> {
        let place = self.clone();
        let result = decode(self);
        if let Err(error) = &result {
            place.failed(want, error);
        }
        result
    }

    // This and `step` below are apart from what is compiled for each type, which is much.
    #[cold]
    #[inline(never)]
    fn failed(self, want: Want, error: &Error) {
        let mut notes = self.notes.borrow_mut();
        if notes.failed.is_some() {
            return;
        }
        let error = error.to_string();
        let message = if error.starts_with("missing field `") {
            error
        } else {
            mismatch(want, self.value, &error, notes.hides(&self.path))
        };
        notes.failed = Some(Fault {
            path: self.path,
            message,
        });
    }

    fn leaf<T>(self, want: Want, decode: impl FnOnce(&'de Value) -> Result<T, Error>) -> Result<T, Error> {
        self.here(want, |this| decode(this.value))
    }

    fn any<V: Visitor<'de>>(
        self,
        want: Want,
        fields: Option<&'static [&'static str]>,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.here(want, |this| match this.value {
            Value::Array(items) => visitor.visit_seq(Items {
                items: items.iter().enumerate(),
                list: this,
            }),
            Value::Object(entries) => visitor.visit_map(Entries {
                entries: entries.iter(),
                object: this,
                fields,
                next: None,
            }),
            scalar => scalar.deserialize_any(visitor),
        })
    }

    /// Kubernetes takes a quantity as a string or a number; the types take strings alone.
    fn quantity<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let text = match self.value {
            Value::String(text) => text.clone(),
            Value::Number(number) => {
                let text = number.to_string();
                let rewrite = (self.path.clone(), Value::String(text.clone()));
                self.notes.borrow_mut().rewrites.push(rewrite);
                text
            }
            _ => return visitor.visit_newtype_struct(self),
        };
        if let Err(error) = text.trim().parse::<Quantity>() {
            self.notes.borrow_mut().unfit.push(Fault {
                path: self.path.clone(),
                message: no_quantity(&error),
            });
        }
        visitor.visit_newtype_struct(StringDeserializer::new(text))
    }
}

/// In the words of all other values that are invalid: `Invalid value: "1GB": unknown suffix ...`.
fn no_quantity(error: &QuantityError) -> String {
    let said = error.to_string();
    match said.strip_prefix("quantity ") {
        Some(rest) => format!("Invalid value: {rest}"),
        None => format!("Invalid value: \"\": {said}"),
    }
}

macro_rules! leaves {
    ($($method:ident: $want:expr,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.leaf($want, |value| value.$method(visitor))
        }
    )*};
}

macro_rules! integers {
    ($($method:ident: $type:ty,)*) => {
        leaves! { $($method: Want::Integer(<$type>::MIN as i128, <$type>::MAX as i128),)* }
    };
}

impl<'de> Deserializer<'de> for Tracked<'de, '_> {
    type Error = Error;

    integers! {
        deserialize_i8: i8,
        deserialize_i16: i16,
        deserialize_i32: i32,
        deserialize_i64: i64,
        deserialize_u8: u8,
        deserialize_u16: u16,
        deserialize_u32: u32,
        deserialize_u64: u64,
    }

    leaves! {
        deserialize_bool: Want::Boolean,
        deserialize_f32: Want::Number,
        deserialize_f64: Want::Number,
        deserialize_char: Want::Text,
        deserialize_str: Want::Text,
        deserialize_string: Want::Text,
        deserialize_bytes: Want::Any,
        deserialize_byte_buf: Want::Any,
        deserialize_unit: Want::Any,
        deserialize_identifier: Want::Text,
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.any(Want::Any, None, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.value.is_null() {
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.leaf(Want::Any, |value| value.deserialize_unit_struct(name, visitor))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match name {
            "Quantity" => self.quantity(visitor),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.any(Want::List, None, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.any(Want::List, None, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.any(Want::List, None, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.any(Want::Object, None, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if self.value.is_array() {
            // serde would take a list for the fields in order; Kubernetes does not.
            return self.here(Want::Object, |_| Err(serde::de::Error::custom("a list")));
        }
        self.any(Want::Object, Some(fields), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.leaf(Want::Any, |value| value.deserialize_enum(name, variants, visitor))
    }

    /// Only fields that the type does not have are ignored.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if let Some((name, known)) = self.among {
            let mut notes = self.notes.borrow_mut();
            if notes.unknown.len() < MAX_FAULTS {
                let message = unknown_field(name, known);
                let path = self.path;
                notes.unknown.push(Fault { path, message });
            }
        }
        visitor.visit_unit()
    }
}

struct Items<'de, 'n> {
    items: std::iter::Enumerate<std::slice::Iter<'de, Value>>,
    list: Tracked<'de, 'n>,
}

impl<'de, 'n> Items<'de, 'n> {
    /// The next element that is not to be left out.
    #[inline(never)]
    fn step(&mut self) -> Option<Tracked<'de, 'n>> {
        self.items.by_ref().find_map(|(index, value)| {
            let path = self.list.path.index(index);
            let is_skipped = self.list.notes.borrow().skipped.contains(&path);
            (!is_skipped).then_some(Tracked {
                value,
                path,
                notes: self.list.notes,
                among: None,
            })
        })
    }
}

impl<'de> SeqAccess<'de> for Items<'de, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.step().map(|item| seed.deserialize(item)).transpose()
    }
}

struct Entries<'de, 'n> {
    entries: serde_json::map::Iter<'de>,
    object: Tracked<'de, 'n>,
    fields: Option<&'static [&'static str]>,
    next: Option<Tracked<'de, 'n>>,
}

impl<'de> Entries<'de, '_> {
    /// Goes to the next entry that is not to be left out; gives its key.
    #[inline(never)]
    fn step(&mut self) -> Option<&'de str> {
        self.entries.by_ref().find_map(|(key, value)| {
            let path = self.object.path.child(key.clone());
            if self.object.notes.borrow().skipped.contains(&path) {
                return None;
            }
            self.next = Some(Tracked {
                value,
                path,
                notes: self.object.notes,
                among: Some((key, self.fields)),
            });
            Some(key.as_str())
        })
    }
}

impl<'de> MapAccess<'de> for Entries<'de, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let key = self.step();
        key.map(|key| seed.deserialize(BorrowedStrDeserializer::new(key)))
            .transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        match self.next.take() {
            Some(value) => seed.deserialize(value),
            None => Err(serde::de::Error::custom("value before key")),
        }
    }
}
