//! Where a field of an object is: the plain kind of JSON path, that names one field after another.

use orch_core::object::RawObject;
use serde_json::Value;

/// The most names of a path: what it leads to is no deeper than objects are.
const NAMES: usize = 32;
/// The longest path, in bytes.
const BYTES: usize = 1024;

/// A path to one field, such as `.spec.replicas`: what a definition names its numbers of replicas and its selectable fields by.
///
/// ```
/// use orch_cluster::custom::Path;
///
/// let path = Path::read(".spec.replicas").unwrap();
/// assert_eq!(path.to_string(), "spec.replicas");
/// assert!(Path::read(".spec.list[0]").is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<String>);

impl Path {
    /// Reads it; none if it is not of that kind, or of more than 32 names or 1 KiB.
    pub fn read(text: &str) -> Option<Self> {
        if Self::is_too_long(text) {
            return None;
        }
        let names = text.strip_prefix('.')?.split('.');
        let names: Vec<_> = names.map(str::to_owned).collect();
        let is_plain = |name: &String| {
            !name.is_empty()
                && name
                    .chars()
                    .all(|letter| letter.is_ascii_alphanumeric() || "_-".contains(letter))
        };
        names.iter().all(is_plain).then_some(Self(names))
    }

    pub(crate) fn is_too_long(text: &str) -> bool {
        text.len() > BYTES || text.matches('.').count() > NAMES
    }

    /// A field of a field of the object.
    pub fn to(above: &str, name: &str) -> Self {
        Self(vec![above.to_owned(), name.to_owned()])
    }

    /// Whether it leads below a field.
    pub fn is_below(&self, field: &str) -> bool {
        self.0.len() > 1 && self.0[0] == field
    }

    /// What an object has there.
    pub fn value<'o>(&self, object: &'o RawObject) -> Option<&'o Value> {
        let (first, rest) = self.0.split_first()?;
        rest.iter().try_fold(object.get(first)?, |at, name| at.get(name))
    }

    /// Writes it there, with the maps that lead to it; false where something that is no map is in the way.
    pub fn set(&self, object: &mut RawObject, value: Value) -> bool {
        let Some((last, above)) = self.0.split_last() else {
            return false;
        };
        let mut at = object;
        for name in above {
            let next = at.entry(name).or_insert(Value::Null);
            if next.is_null() {
                *next = Value::Object(RawObject::new());
            }
            let Value::Object(map) = next else { return false };
            at = map;
        }
        at.insert(last.clone(), value);
        true
    }
}

/// Without the leading dot, as selectors name fields.
impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("."))
    }
}
