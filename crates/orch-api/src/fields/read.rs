//! JSON as it is, and what is given twice in it.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::place::{Place, Step, Told};

/// Reads JSON, and tells of the fields that are given twice. serde refuses what is nested deeper than 128 levels.
pub(crate) fn read(json: &[u8]) -> Result<(Value, Vec<String>), serde_json::Error> {
    let found = RefCell::new(Told::default());
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let reading = Reading {
        place: None,
        found: &found,
    };
    let value = reading.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok((value, found.into_inner().into_words()))
}

/// A value that is being read.
struct Reading<'a> {
    place: Option<&'a Place<'a>>,
    found: &'a RefCell<Told>,
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
                self.found.borrow_mut().tell("duplicate", &place);
            }
            read.insert(name, value);
        }
        Ok(read.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
