//! Looks into JSON and parses no more of it than is asked for.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::DocumentError;

/// A JSON map with one member set, or taken out for null; all else is copied, not parsed.
///
/// ```
/// use orch_core::object::with_member;
///
/// let spec = with_member(r#"{"restartPolicy":"Always"}"#, "nodeName", &"n1".into())?;
/// assert_eq!(spec, br#"{"restartPolicy":"Always","nodeName":"n1"}"#);
/// # Ok::<(), orch_core::object::DocumentError>(())
/// ```
pub fn with_member(map: &str, name: &str, value: &Value) -> Result<Vec<u8>, DocumentError> {
    let Members(members) = serde_json::from_str(map)?;
    let value = serde_json::to_string(value)?;
    let mut out = Vec::with_capacity(map.len() + name.len() + value.len() + 4);
    let others = members.iter().filter(|(other, _)| other != name);
    let others = others.map(|(name, value)| (name.as_ref(), value.get()));
    let own = (value != "null").then_some((name, value.as_str()));
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

/// The members of a JSON map, their values not parsed.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

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
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if found.is_none() && name == first {
                found = map.next_value_seed(Lookup(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}
