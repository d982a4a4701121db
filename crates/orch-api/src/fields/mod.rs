//! What of an object its kind does not have, or has twice, and what becomes of it (`fieldValidation`, KEP-2885).
//!
//! As in Kubernetes it is not stored in any case: the question is who is told. Of a field given twice the last counts.

mod mind;
mod place;
mod read;

use std::str::FromStr;

use orch_core::object::RawObject;
use serde_json::{Map, Value};

pub(crate) use self::mind::Mind;
use self::place::{Place, Step, Told};
pub(crate) use self::read::read;
use crate::schema::{Node, Schema};

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

/// Takes out of an object what its kind does not have; tells of each in Kubernetes' words.
pub(crate) fn drop_unknown(schema: &Schema, object: &mut RawObject) -> Vec<String> {
    let mut found = Told::default();
    drop_from_map(schema, object, None, &mut found);
    found.into_words()
}

fn drop_from_map(schema: &Schema, map: &mut Map<String, Value>, above: Option<&Place<'_>>, found: &mut Told) {
    let mut is_unknown = false;
    for (name, value) in map.iter_mut() {
        let step = Step::Field(name);
        let place = Place { above, step };
        match schema.child(name) {
            Some(child) => drop_from(&child, value, &place, found),
            None => {
                is_unknown = true;
                found.tell("unknown", &place);
            }
        }
    }
    if is_unknown {
        map.retain(|name, _| schema.child(name).is_some());
    }
}

fn drop_from(schema: &Schema, value: &mut Value, place: &Place<'_>, found: &mut Told) {
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
}
