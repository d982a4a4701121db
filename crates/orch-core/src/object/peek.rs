//! Looks into JSON and parses no more of it than is asked for.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::DocumentError;

/// Whether two JSON texts say the same; parses only where their bytes differ. A number written in another way may
/// count as another.
pub(crate) fn same_json(one: &[u8], other: &[u8]) -> bool {
    same_json_below(one, other, DEEPEST)
}

/// Levels that are compared one by one; what is below is compared as a whole.
const DEEPEST: usize = 64;

fn same_json_below(one: &[u8], other: &[u8], levels: usize) -> bool {
    if one == other {
        return true;
    }
    let (one, other) = (one.trim_ascii(), other.trim_ascii());
    match (one.first(), other.first()) {
        (Some(b'{'), Some(b'{')) if levels > 0 => {
            both(one, other, |one, other| same_members(one, other, levels - 1))
        }
        (Some(b'['), Some(b'[')) if levels > 0 => {
            both(one, other, |one, other| same_items(one, other, levels - 1))
        }
        (one_begins, other_begins) if one_begins != other_begins => false,
        _ => both(one, other, |one: &Value, other| one == other),
    }
}

fn both<'j, T: Deserialize<'j>>(one: &'j [u8], other: &'j [u8], same: impl FnOnce(&T, &T) -> bool) -> bool {
    from_json(one).is_ok_and(|one| from_json(other).is_ok_and(|other| same(&one, &other)))
}

/// Parses JSON, looking at once for what is no UTF-8, where serde_json looks string by string.
pub(super) fn from_json<'j, T: Deserialize<'j>>(json: &'j [u8]) -> serde_json::Result<T> {
    match std::str::from_utf8(json) {
        Ok(text) => serde_json::from_str(text),
        // It says where.
        Err(_) => serde_json::from_slice(json),
    }
}

fn same_items(one: &Vec<&RawValue>, other: &Vec<&RawValue>, levels: usize) -> bool {
    let mut pairs = one.iter().zip(other);
    let same = |(one, other): (&&RawValue, &&RawValue)| {
        same_json_below(one.get().as_bytes(), other.get().as_bytes(), levels)
    };
    one.len() == other.len() && pairs.all(same)
}

fn same_members(Members(one): &Members<'_>, Members(other): &Members<'_>, levels: usize) -> bool {
    // Mostly written by the same code and so in the same order.
    let find = |name: &str, at: usize| {
        let there = other.get(at).filter(|(other, _)| other.0 == name);
        there.or_else(|| other.iter().find(|(other, _)| other.0 == name))
    };
    let mut members = one.iter().enumerate();
    one.len() == other.len()
        && members.all(|(at, (name, value))| {
            let value = value.get().as_bytes();
            find(&name.0, at).is_some_and(|(_, other)| same_json_below(value, other.get().as_bytes(), levels))
        })
}

/// The members of a JSON map, their values not parsed.
///
/// ```
/// use orch_core::object::Members;
///
/// let spec = Members::parse(r#"{"restartPolicy":"Always"}"#)?;
/// assert_eq!(spec.get("restartPolicy"), Some(r#""Always""#));
/// assert_eq!(spec.with("nodeName", &"n1".into())?, br#"{"restartPolicy":"Always","nodeName":"n1"}"#);
/// # Ok::<(), orch_core::object::DocumentError>(())
/// ```
pub struct Members<'a>(Vec<(Name<'a>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Reads a map.
    pub fn parse(map: &'a str) -> Result<Self, DocumentError> {
        Ok(serde_json::from_str(map)?)
    }

    /// A member's value, as JSON.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        let member = self.0.iter().find(|(other, _)| other.0 == name);
        member.map(|(_, value)| value.get())
    }

    /// The map with one member set, or taken out for null.
    pub fn with(&self, name: &str, value: &Value) -> Result<Vec<u8>, DocumentError> {
        let value = serde_json::to_string(value)?;
        let others = self.0.iter().filter(|(other, _)| other.0 != name);
        let others = others.map(|(name, value)| (&*name.0, value.get()));
        let own = (value != "null").then_some((name, value.as_str()));
        let mut out = Vec::new();
        for (name, value) in others.chain(own) {
            out.push(if out.is_empty() { b'{' } else { b',' });
            serde_json::to_writer(&mut out, name)?;
            out.push(b':');
            out.extend_from_slice(value.as_bytes());
        }
        if out.is_empty() {
            out.push(b'{');
        }
        out.push(b'}');
        Ok(out)
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

/// A member's name, which serde's own `Cow` would copy even where it can be borrowed.
pub(super) struct Name<'a>(pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }

        deserializer.deserialize_str(NameVisitor)
    }
}

/// The top level of an object, nothing below it parsed.
#[derive(Default)]
pub(super) struct TopLevel<'a> {
    pub(super) api_version: Option<&'a RawValue>,
    pub(super) kind: Option<&'a RawValue>,
    pub(super) metadata: Option<&'a RawValue>,
    pub(super) rest: Vec<(&'a str, &'a RawValue)>,
}

/// Most fields an object may have at its top level.
const TOP_LEVEL_FIELDS: usize = 256;

impl<'de> Deserialize<'de> for TopLevel<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TopLevelVisitor;

        impl<'de> Visitor<'de> for TopLevelVisitor {
            type Value = TopLevel<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with apiVersion, kind and metadata")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                use serde::de::Error as _;
                let mut top = TopLevel::default();
                // Borrowed names only: one with an escape is no field name that any kind has.
                while let Some(name) = map.next_key::<&'de str>()? {
                    let value: &'de RawValue = map.next_value()?;
                    let slot = match name {
                        "apiVersion" => &mut top.api_version,
                        "kind" => &mut top.kind,
                        "metadata" => &mut top.metadata,
                        _ if top.rest.iter().any(|(seen, _)| *seen == name) => {
                            return Err(A::Error::custom(format_args!("duplicate field {name:?}")));
                        }
                        _ if top.rest.len() >= TOP_LEVEL_FIELDS => {
                            return Err(A::Error::custom(format_args!(
                                "more than {TOP_LEVEL_FIELDS} top-level fields"
                            )));
                        }
                        _ => {
                            top.rest.push((name, value));
                            continue;
                        }
                    };
                    if slot.replace(value).is_some() {
                        return Err(A::Error::custom(format_args!("duplicate field {name:?}")));
                    }
                }
                Ok(top)
            }
        }

        deserializer.deserialize_map(TopLevelVisitor)
    }
}

/// Finds the value at a dotted path, skipping all else.
pub(super) struct Lookup<'p>(pub(super) &'p str);

impl<'de> DeserializeSeed<'de> for Lookup<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.0.is_empty() {
            return Value::deserialize(deserializer).map(Some);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Lookup<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (first, rest) = self.0.split_once('.').unwrap_or((self.0, ""));
        let mut found = None;
        while let Some(name) = map.next_key::<Name<'de>>()? {
            if found.is_none() && name.0 == first {
                found = map.next_value_seed(Lookup(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_say_the_same_are_the_same_however_written() {
        let deep = |end: &str| "[".repeat(100) + end + &"]".repeat(100);
        for (one, other, same) in [
            (
                r#"{"a":1,"b":[{"c":null}]}"#,
                r#" {"b": [ {"c" :null}],"a":1}"#,
                true,
            ),
            (r#"{"a":1}"#, r#"{"a":1,"b":2}"#, false),
            (r#"{"a":1,"b":null}"#, r#"{"a":1,"c":null}"#, false),
            (r#"{"a":{"b":1}}"#, r#"{"a":{"b":2}}"#, false),
            (r#"{"a":"\u0041"}"#, r#"{"\u0061":"A"}"#, true),
            ("[1,2]", "[2,1]", false),
            ("[1,2]", "[1]", false),
            ("null", "{}", false),
            ("null", " null", true),
            ("1.0", "1", false),
            ("1.0", "1.00", true),
            ("7", "null", false),
            ("not JSON", "neither", false),
            (&deep("1"), &deep(" 1"), true),
            (&deep("1"), &deep("2"), false),
        ] {
            assert_eq!(same_json(one.as_bytes(), other.as_bytes()), same, "{one} {other}");
            assert_eq!(same_json(other.as_bytes(), one.as_bytes()), same, "{other} {one}");
        }
    }
}
