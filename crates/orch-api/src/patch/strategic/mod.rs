//! Strategic merge patch: a patch that looks like the object, and says of lists how they merge.
//!
//! The semantics are those of Kubernetes' `apimachinery/pkg/util/strategicpatch`, as its server applies
//! patches:
//!
//! - Maps merge field by field, and `null` removes a field.
//! - Lists are replaced, unless the schema says that they merge: scalars as a set, maps by their merge key.
//! - `$patch: replace` takes a map of the patch as it is, and `$patch: delete` leaves an empty one. In a
//!   merged list the first replaces the list by the other items of the patch, the second removes the items
//!   with the same merge key.
//! - `$retainKeys` removes all fields that it does not name.
//! - `$deleteFromPrimitiveList/FIELD` removes scalars from a list.
//! - `$setElementOrder/FIELD` says in which order items stand; those that it does not name stay between them
//!   where they were, as far as that can be.
//!
//! Where Kubernetes leaves directives and nulls in what it takes from a patch as it is, and forgets them when
//! the value is decoded next, they are left out here. Fields that the schema does not have merge as JSON merge
//! patch merges them; in Kubernetes no object has such a field. Several lists of one patch are merged in the
//! order of their names, then things are removed from them, where Kubernetes leaves the order to chance.

mod error;
mod list;
mod map;
mod order;
mod taken;
#[cfg(test)]
mod tests;

use orch_core::object::{DEEPEST, FieldPath, depth};
use serde_json::{Map, Value};

pub use error::{Error, Fault};

use crate::schema::Schema;

/// A JSON object.
type Json = Map<String, Value>;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ORDER: &str = "$setElementOrder";
const DELETE_FROM: &str = "$deleteFromPrimitiveList";

/// Applies a patch to an object, of which the schema says how its lists merge.
///
/// ```
/// use orch_api::patch::strategic;
/// use orch_api::schema::built_in;
/// use serde_json::json;
///
/// let pod = json!({ "spec": { "containers": [
///     { "name": "web", "image": "nginx:1", "env": [{ "name": "A", "value": "1" }] },
///     { "name": "log", "image": "vector:1" },
/// ] } });
/// let patch = json!({ "spec": { "containers": [
///     { "name": "web", "image": "nginx:2" },
///     { "name": "log", "$patch": "delete" },
/// ] } });
///
/// let schema = built_in("v1", "Pod").unwrap();
/// let patched = strategic::apply(schema, pod.as_object().unwrap().clone(), patch.as_object().unwrap()).unwrap();
/// assert_eq!(json!(patched), json!({ "spec": { "containers": [
///     { "name": "web", "image": "nginx:2", "env": [{ "name": "A", "value": "1" }] },
/// ] } }));
/// ```
///
/// What cannot be merged is refused, and the error says where it is and what to do:
///
/// ```
/// # use orch_api::{patch::strategic, schema::built_in};
/// # use serde_json::json;
/// # let schema = built_in("v1", "Pod").unwrap();
/// let pod = json!({ "spec": { "containers": [{ "name": "web" }] } });
/// let patch = json!({ "spec": { "containers": [{ "image": "nginx:2" }] } });
/// let error = strategic::apply(schema, pod.as_object().unwrap().clone(), patch.as_object().unwrap());
/// assert_eq!(
///     error.unwrap_err().to_string(),
///     "spec.containers[0]: has no \"name\", by which items of this list are told apart: add it to this item of the patch"
/// );
/// ```
pub fn apply(
    schema: &Schema,
    original: Map<String, Value>,
    patch: &Map<String, Value>,
) -> Result<Map<String, Value>, Error> {
    for (of, what) in [(patch, "patch"), (&original, "object")] {
        // Counted without the map itself.
        if of.values().any(|value| depth(value, DEEPEST) >= DEEPEST) {
            return Err(Error::new(
                &FieldPath::root(),
                Fault::TooDeep { what, limit: DEEPEST },
            ));
        }
    }
    map::merge(original, patch, schema, &FieldPath::root())
}
