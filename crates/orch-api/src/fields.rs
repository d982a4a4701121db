//! What of an object its kind does not have, or has twice, and what becomes of it (`fieldValidation`, KEP-2885).
//!
//! As in Kubernetes it is not stored in any case: the question is who is told. Of a field given twice the last counts.

use std::cell::RefCell;
use std::fmt;
use std::str::FromStr;

use orch_core::object::RawObject;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::schema::{Node, Schema};

/// How many are told of one object.
const MOST: usize = 50;

/// What becomes of a write with such fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Validation {
    /// Nobody is told.
    Ignore,
    /// The writer is warned; so it is where nothing is said.
    #[default]
    Warn,
    /// It is refused.
    Strict,
}

impl FromStr for Validation {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "Ignore" => Ok(Self::Ignore),
            "Warn" => Ok(Self::Warn),
            "Strict" => Ok(Self::Strict),
            _ => Err(()),
        }
    }
}

/// A step into a value, and those before it.
struct Place<'a> {
    above: Option<&'a Place<'a>>,
    step: Step<'a>,
}

enum Step<'a> {
    Field(&'a str),
    Item(usize),
}

/// `spec.containers[0].image`.
impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(above) = self.above {
            above.fmt(f)?;
        }
        match self.step {
            Step::Field(name) if self.above.is_some() => write!(f, ".{name}"),
            Step::Field(name) => f.write_str(name),
            Step::Item(index) => write!(f, "[{index}]"),
        }
    }
}

/// Takes out of an object what its kind does not have; tells of each in Kubernetes' words.
pub(crate) fn drop_unknown(schema: &Schema, object: &mut RawObject) -> Vec<String> {
    let mut found = Vec::new();
    drop_from_map(schema, object, None, &mut found);
    found
}

fn drop_from_map(
    schema: &Schema,
    map: &mut Map<String, Value>,
    above: Option<&Place<'_>>,
    found: &mut Vec<String>,
) {
    let mut is_unknown = false;
    for (name, value) in map.iter_mut() {
        let step = Step::Field(name);
        let place = Place { above, step };
        match schema.child(name) {
            Some(child) => drop_from(&child, value, &place, found),
            None => {
                is_unknown = true;
                tell(found, || format!("unknown field \"{place}\""));
            }
        }
    }
    if is_unknown {
        map.retain(|name, _| schema.child(name).is_some());
    }
}

fn drop_from(schema: &Schema, value: &mut Value, place: &Place<'_>, found: &mut Vec<String>) {
    match (schema.node(), value) {
        (Node::Struct(_) | Node::Map(_), Value::Object(map)) => {
            drop_from_map(schema, map, Some(place), found);
        }
        (Node::List(list), Value::Array(items)) => {
            for (index, item) in items.iter_mut().enumerate() {
                let step = Step::Item(index);
                let place = Place {
                    above: Some(place),
                    step,
                };
                drop_from(&list.items, item, &place, found);
            }
        }
        // Anything, or of another type, which others refuse.
        _ => {}
    }
}

fn tell(found: &mut Vec<String>, words: impl FnOnce() -> String) {
    if found.len() < MOST {
        found.push(words());
    }
}

/// Reads JSON, and tells of the fields that are given twice. serde refuses what is nested deeper than 128 levels.
pub(crate) fn read(json: &[u8]) -> Result<(Value, Vec<String>), serde_json::Error> {
    let found = RefCell::new(Vec::new());
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let reading = Reading {
        place: None,
        found: &found,
    };
    let value = reading.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok((value, found.into_inner()))
}

/// A value that is being read.
struct Reading<'a> {
    place: Option<&'a Place<'a>>,
    found: &'a RefCell<Vec<String>>,
}

impl<'de> DeserializeSeed<'de> for Reading<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reading<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number that is none"))?;
        Ok(number.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut read = Vec::new();
        loop {
            let step = Step::Item(read.len());
            let place = Place {
                above: self.place,
                step,
            };
            let next = Reading {
                place: Some(&place),
                found: self.found,
            };
            match items.next_element_seed(next)? {
                Some(item) => read.push(item),
                None => return Ok(read.into()),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut read = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            let step = Step::Field(&name);
            let place = Place {
                above: self.place,
                step,
            };
            let next = Reading {
                place: Some(&place),
                found: self.found,
            };
            let value = fields.next_value_seed(next)?;
            if read.contains_key(&name) {
                tell(&mut self.found.borrow_mut(), || {
                    format!("duplicate field \"{place}\"")
                });
            }
            read.insert(name, value);
        }
        Ok(read.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::built_in;

    fn object(value: Value) -> RawObject {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn what_a_kind_does_not_have_is_dropped_and_told_with_its_place() {
        let pod = built_in("v1", "Pod").unwrap();
        let mut given = object(json!({
            "apiVersion": "v1", "kind": "Pod", "colour": "red",
            "metadata": {"name": "a", "labels": {"any": "key"}, "nam": "b"},
            "spec": {
                "containers": [{"name": "a"}, {"name": "b", "imag": "i", "resources": {"limits": {"any/key": "1"}}}],
                "volumes": [{"name": "v", "emptyDir": {"medum": ""}}],
                "nodeSelector": {"any": "key"},
            },
        }));
        let found = drop_unknown(pod, &mut given);
        let wanted = [
            "colour",
            "metadata.nam",
            "spec.containers[1].imag",
            "spec.volumes[0].emptyDir.medum",
        ];
        assert_eq!(found, wanted.map(|place| format!("unknown field \"{place}\"")));
        let kept = object(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "a", "labels": {"any": "key"}},
            "spec": {
                "containers": [{"name": "a"}, {"name": "b", "resources": {"limits": {"any/key": "1"}}}],
                "volumes": [{"name": "v", "emptyDir": {}}],
                "nodeSelector": {"any": "key"},
            },
        }));
        assert_eq!(given, kept);
        assert_eq!(drop_unknown(pod, &mut given), Vec::<String>::new());
    }

    #[test]
    fn of_what_holds_anything_nothing_is_dropped() {
        let mut given = object(json!({"spec": {"any": [{"thing": 1}]}}));
        let before = given.clone();
        assert_eq!(drop_unknown(&Schema::untyped(), &mut given), Vec::<String>::new());
        assert_eq!(given, before);
    }

    #[test]
    fn what_is_told_is_bounded() {
        let pod = built_in("v1", "Pod").unwrap();
        let mut given: RawObject = (0..1000)
            .map(|index| (format!("f{index}"), Value::Null))
            .collect();
        assert_eq!(drop_unknown(pod, &mut given).len(), MOST);
        assert!(given.is_empty());
    }

    #[test]
    fn json_is_read_as_it_is_and_what_is_twice_in_it_is_told() {
        let text = r#"{"a": [1, -2, 0.5, "t", null, true, {"b": 1, "b": {"c": 1, "c": 2}}], "a": 18446744073709551615, "d": {}}"#;
        let (value, found) = read(text.as_bytes()).unwrap();
        assert_eq!(value, serde_json::from_str::<Value>(text).unwrap());
        let wanted = ["a[6].b.c", "a[6].b", "a"];
        assert_eq!(found, wanted.map(|place| format!("duplicate field \"{place}\"")));
        for wrong in ["", "{", "{} {}", r#"{"a": 1e999}"#, &"[".repeat(100_000)] {
            assert!(
                read(wrong.as_bytes()).is_err(),
                "{}",
                &wrong[..wrong.len().min(20)]
            );
        }
    }
}
