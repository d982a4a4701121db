//! Sets of fields: what one manager owns of an object.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::path::{PathElement, PathElementError};

/// A set of fields of an object, each by its path; the `fieldsV1` of `managedFields`.
///
/// A field may be in it without those above it, and without those below.
///
/// ```
/// use orch_api::patch::apply::FieldSet;
/// use serde_json::json;
///
/// let owned = FieldSet::from_json(&json!({ "f:spec": { "f:replicas": {}, "f:paused": {} } })).unwrap();
/// let taken = FieldSet::from_json(&json!({ "f:spec": { "f:paused": {} } })).unwrap();
/// let left = owned.difference(&taken);
/// assert_eq!(left.to_json(), json!({ "f:spec": { "f:replicas": {} } }));
/// assert_eq!(left.paths(), [".spec.replicas"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet(
    /// No entry is empty.
    BTreeMap<PathElement, Entry>,
);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry {
    /// Whether the field itself is in the set.
    is_member: bool,
    /// What is in the set below it.
    below: FieldSet,
}

/// Why a `fieldsV1` cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldSetError {
    /// A key means nothing.
    #[error(transparent)]
    Element(#[from] PathElementError),
    /// There is no object where one must be.
    #[error("fields must be JSON objects, down to the empty ones of leaves, and below {below:?} is none")]
    NoObject {
        /// The key above it.
        below: String,
    },
}

impl FieldSet {
    /// The set of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many fields are in it.
    pub fn len(&self) -> usize {
        self.0
            .values()
            .map(|entry| usize::from(entry.is_member) + entry.below.len())
            .sum()
    }

    /// Puts a field into it. The empty path, which is the whole object, is no field.
    pub fn insert(&mut self, path: &[PathElement]) {
        if let [first, rest @ ..] = path {
            let entry = self.0.entry(first.clone()).or_default();
            if rest.is_empty() {
                entry.is_member = true;
            } else {
                entry.below.insert(rest);
            }
        }
    }

    /// Whether a field is in it.
    pub fn contains(&self, path: &[PathElement]) -> bool {
        match path {
            [] => false,
            [last] => self.0.get(last).is_some_and(|entry| entry.is_member),
            [first, rest @ ..] => self.0.get(first).is_some_and(|entry| entry.below.contains(rest)),
        }
    }

    /// What is in it below a step; none if nothing is.
    pub fn below(&self, step: &PathElement) -> Option<&FieldSet> {
        self.0
            .get(step)
            .map(|entry| &entry.below)
            .filter(|below| !below.is_empty())
    }

    /// Whether what the step leads to is itself in it.
    pub fn has(&self, step: &PathElement) -> bool {
        self.0.get(step).is_some_and(|entry| entry.is_member)
    }

    /// Puts in what a step leads to: itself, or what is below it, or both.
    pub(super) fn put(&mut self, step: PathElement, is_member: bool, below: FieldSet) {
        if is_member || !below.is_empty() {
            self.0.insert(step, Entry { is_member, below });
        }
    }

    /// What is in this or in the other.
    #[must_use]
    pub fn union(&self, other: &FieldSet) -> FieldSet {
        let mut union = self.clone();
        union.extend(other);
        union
    }

    /// Puts in all that another has.
    fn extend(&mut self, other: &FieldSet) {
        for (step, theirs) in &other.0 {
            match self.0.get_mut(step) {
                Some(ours) => {
                    ours.is_member |= theirs.is_member;
                    ours.below.extend(&theirs.below);
                }
                None => {
                    self.0.insert(step.clone(), theirs.clone());
                }
            }
        }
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &FieldSet) -> FieldSet {
        let mut both = FieldSet::new();
        for (step, ours) in &self.0 {
            if let Some(theirs) = other.0.get(step) {
                let is_member = ours.is_member && theirs.is_member;
                both.put(step.clone(), is_member, ours.below.intersection(&theirs.below));
            }
        }
        both
    }

    /// What is in this and not in the other. What is below a field of the other stays.
    #[must_use]
    pub fn difference(&self, other: &FieldSet) -> FieldSet {
        self.without(other, false)
    }

    /// What is in this and neither in the other nor below a field of it.
    #[must_use]
    pub fn recursive_difference(&self, other: &FieldSet) -> FieldSet {
        self.without(other, true)
    }

    fn without(&self, other: &FieldSet, recursive: bool) -> FieldSet {
        let mut rest = FieldSet::new();
        for (step, ours) in &self.0 {
            match other.0.get(step) {
                None => rest.put(step.clone(), ours.is_member, ours.below.clone()),
                Some(theirs) if recursive && theirs.is_member => {}
                Some(theirs) => {
                    let is_member = ours.is_member && !theirs.is_member;
                    rest.put(
                        step.clone(),
                        is_member,
                        ours.below.without(&theirs.below, recursive),
                    );
                }
            }
        }
        rest
    }

    /// The steps at this level, with whether what they lead to is in the set itself, and what is in it below.
    pub(super) fn steps(&self) -> impl Iterator<Item = (&PathElement, bool, &FieldSet)> {
        self.0
            .iter()
            .map(|(step, entry)| (step, entry.is_member, &entry.below))
    }

    /// All paths as messages have them: `.spec.ports[port=80].name`. The fields of a map come before what is
    /// below them.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect("", &mut paths);
        paths
    }

    fn collect(&self, prefix: &str, paths: &mut Vec<String>) {
        paths.extend(
            self.steps()
                .filter(|step| step.1)
                .map(|(step, ..)| format!("{prefix}{step}")),
        );
        for (step, _, below) in self.steps() {
            below.collect(&format!("{prefix}{step}"), paths);
        }
    }

    /// Its wire form, `fieldsV1`.
    pub fn to_json(&self) -> Value {
        Value::Object(self.object())
    }

    fn object(&self) -> Map<String, Value> {
        let steps = self.steps().map(|(step, is_member, below)| {
            let mut inner = below.object();
            if is_member && !inner.is_empty() {
                inner.insert(".".to_owned(), Value::Object(Map::new()));
            }
            (step.wire(), Value::Object(inner))
        });
        steps.collect()
    }

    /// Reads `fieldsV1`. Kinds of steps that are not known are left out, with all below them, as Kubernetes
    /// does.
    pub fn from_json(fields: &Value) -> Result<Self, FieldSetError> {
        Ok(Self::read(fields, "")?.1)
    }

    /// Whether what has these fields is itself in the set, and what is below it.
    fn read(fields: &Value, below: &str) -> Result<(bool, Self), FieldSetError> {
        let map = match fields {
            Value::Object(map) => map,
            Value::Null => return Ok((true, Self::new())),
            _ => {
                return Err(FieldSetError::NoObject {
                    below: below.to_owned(),
                });
            }
        };
        let mut set = Self::new();
        for (key, fields) in map {
            if key == "." {
                continue;
            }
            if let Some(step) = PathElement::parse(key)? {
                let (is_member, below) = Self::read(fields, key)?;
                set.put(step, is_member, below);
            }
        }
        Ok((set.is_empty() || map.contains_key("."), set))
    }
}
