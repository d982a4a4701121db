//! Validation: what is wrong with a value, in the words of Kubernetes (kube-openapi's `validate`).

mod data;
mod embedded;
mod junctor;
mod lists;
mod number;
mod old;
mod scalar;
mod walk;

use orch_core::object::{FieldError, FieldErrorKind, FieldErrors, FieldPath, RawObject};
use serde_json::Value;

pub(super) use self::data::Data;
use self::data::{Outcome, Place};
pub(super) use self::old::Old;
use super::node::{Additional, Node};
use super::rules;

/// How many steps looking at one object may take: a schema within bounds and an object within bounds, both made to be
/// slow together, would take billions.
const MOST_STEPS: usize = 10_000_000;

/// What is wrong with an object.
pub(super) fn object(root: &Node, object: &RawObject) -> FieldErrors {
    let data = Data::Map(object);
    let at = FieldPath::root();
    let mut errors = values(root, data, None, &at);
    errors.extend(walk::all(root, data, &at, embedded::check));
    errors.extend(walk::all(root, data, &at, lists::check));
    add_rules(root, data, None, &mut errors);
    errors
}

/// What is wrong with an object that replaces another, and was not wrong with that (KEP-4008).
pub(super) fn update(root: &Node, object: &RawObject, old: &RawObject) -> FieldErrors {
    let (data, old) = (Data::Map(object), Data::Map(old));
    let at = FieldPath::root();
    let mut errors = values(root, data, Some(Old::new(root, old)), &at);
    errors.extend(walk::all(root, data, &at, embedded::check));
    let duplicates = walk::all(root, data, &at, lists::check);
    if !duplicates.is_empty() && walk::all(root, old, &at, lists::check).is_empty() {
        errors.extend(duplicates);
    }
    add_rules(root, data, Some(Old::new(root, old)), &mut errors);
    errors
}

/// Adds what does not satisfy the schema's rules; unless what is wrong already could lead them astray.
fn add_rules<'a>(root: &'a Node, data: Data<'a>, old: Option<Old<'a>>, errors: &mut FieldErrors) {
    if !root.has_rules {
        return;
    }
    let blocks = |error: &FieldError| {
        matches!(
            error.kind,
            FieldErrorKind::NotSupported
                | FieldErrorKind::Required
                | FieldErrorKind::TooLong
                | FieldErrorKind::TooMany
                | FieldErrorKind::TypeInvalid
        )
    };
    if errors.iter().any(blocks) {
        let detail = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
        errors.push(FieldError::invalid(&FieldPath::new("<nil>"), Value::Null, detail));
    } else {
        errors.extend(rules::check(root, data, old));
    }
}

/// What is wrong with a value that stands at `at`.
pub(super) fn value(node: &Node, value: &Value, at: &FieldPath) -> FieldErrors {
    let data = value.into();
    let mut errors = values(node, data, None, at);
    errors.extend(walk::all(node, data, at, embedded::check));
    errors.extend(walk::all(node, data, at, lists::check));
    errors
}

fn values(node: &Node, data: Data<'_>, old: Option<Old<'_>>, base: &FieldPath) -> FieldErrors {
    let mut validator = Validator {
        base,
        steps: MOST_STEPS,
    };
    let mut outcome = validator.ratcheted(node, data, old, &Place::Root);
    if validator.steps == 0 {
        let detail = format!(
            "looking at it takes more than {MOST_STEPS} steps: make its lists and strings shorter, or its schema simpler"
        );
        outcome.push(FieldError::forbidden(&validator.path(&Place::Root), detail));
    }
    outcome.errors.into_iter().collect()
}

/// One walk over a value.
struct Validator<'a> {
    base: &'a FieldPath,
    steps: usize,
}

impl Validator<'_> {
    /// A field or item, whose errors do not count if it is what it was.
    fn ratcheted(&mut self, node: &Node, data: Data<'_>, old: Option<Old<'_>>, place: &Place<'_>) -> Outcome {
        let mut outcome = self.schema(node, data, old, place);
        if !outcome.is_valid() && old.is_some_and(|old| old.data == data) {
            outcome.errors.clear();
        }
        outcome
    }

    fn schema(&mut self, node: &Node, data: Data<'_>, old: Option<Old<'_>>, place: &Place<'_>) -> Outcome {
        self.spend(1);
        let mut outcome = Outcome::default();
        if self.steps == 0 {
            return outcome;
        }
        if data != Data::Null {
            // What passes is counted as Kubernetes counts it; see `Outcome::passed`.
            outcome.passed = 3;
        }
        self.kind(node, data, place, &mut outcome);
        if data != Data::Null {
            self.junctors(&node.values, data, old, place, &mut outcome);
        }
        match data {
            Data::String(text) => self.text(&node.values, text, place, &mut outcome),
            Data::Integer(_) | Data::Float(_) => self.number(node, data, place, &mut outcome),
            Data::List(items) => self.list(node, items, old, place, &mut outcome),
            Data::Null | Data::Bool(_) | Data::Map(_) => {}
        }
        self.allowed(&node.values, data, place, &mut outcome);
        if let Data::Map(map) = data {
            self.map(node, map, old, place, &mut outcome);
        }
        outcome
    }

    fn list(
        &mut self,
        node: &Node,
        items: &[Value],
        old: Option<Old<'_>>,
        place: &Place<'_>,
        outcome: &mut Outcome,
    ) {
        if let Some(schema) = &node.items {
            let old = old.map(Old::items);
            for (index, item) in items.iter().enumerate() {
                let old = old.as_ref().and_then(|old| old.of(index, item));
                let place = Place::Index(place, index);
                outcome.merge(self.ratcheted(schema, item.into(), old, &place));
            }
        }
        let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
        if let Some(least) = node.values.min_items.filter(|least| count < *least) {
            let detail = format!("should have at least {least} items");
            self.invalid(outcome, place, count.into(), &detail);
        }
        self.most(outcome, place, items.len(), node.values.max_items);
        outcome.passed += 2;
    }

    fn map(
        &mut self,
        node: &Node,
        map: &RawObject,
        old: Option<Old<'_>>,
        place: &Place<'_>,
        outcome: &mut Outcome,
    ) {
        let count = i64::try_from(map.len()).unwrap_or(i64::MAX);
        if let Some(least) = node.values.min_properties.filter(|least| count < *least) {
            let detail = format!("should have at least {least} properties");
            self.invalid(outcome, place, count.into(), &detail);
        }
        self.most(outcome, place, map.len(), node.values.max_properties);
        for (name, value) in map {
            self.spend(1);
            match (node.field(name), &node.additional) {
                (Some(field), _) => {
                    let old = old.and_then(|old| old.field(name));
                    let place = Place::Field(place, name);
                    outcome.merge(self.ratcheted(field, value.into(), old, &place));
                }
                (None, Some(Additional::Any(false))) => {
                    let path = self.path(place);
                    let detail = format!("{}.{name} in body is a forbidden property", self.name(place));
                    self.tell(outcome, FieldError::invalid(&path, name, detail));
                }
                _ => {}
            }
        }
        for name in &node.values.required {
            self.spend(1);
            if !map.contains_key(name) {
                let path = self.path(&Place::Field(place, name));
                self.tell(outcome, FieldError::required(&path, ""));
            }
        }
        outcome.passed += 1;
    }

    fn most(&mut self, outcome: &mut Outcome, place: &Place<'_>, count: usize, most: Option<i64>) {
        let most = most.map(|most| usize::try_from(most).unwrap_or_default());
        if let Some(most) = most.filter(|most| count > *most) {
            let error = FieldError::too_many(&self.path(place), count, most);
            self.tell(outcome, error);
        }
    }

    /// An error whose detail begins with the field's name.
    fn invalid(&mut self, outcome: &mut Outcome, place: &Place<'_>, value: Value, detail: &str) {
        let detail = format!("{} in body {detail}", self.name(place));
        let error = FieldError::invalid(&self.path(place), value, detail);
        self.tell(outcome, error);
    }

    fn tell(&mut self, outcome: &mut Outcome, error: FieldError) {
        let shown = error.value.as_ref().and_then(Value::as_str).map_or(0, str::len);
        self.spend(1 + error.detail.len() + shown);
        outcome.push(error);
    }

    fn spend(&mut self, steps: usize) {
        self.steps = self.steps.saturating_sub(steps);
    }

    /// The path of a place; that of the object itself has Kubernetes' name for none.
    fn path(&self, place: &Place<'_>) -> FieldPath {
        let path = place.path(self.base);
        if path.is_root() {
            FieldPath::new("<nil>")
        } else {
            path
        }
    }

    /// The name of a place, as details have it.
    fn name(&self, place: &Place<'_>) -> String {
        place.path(&FieldPath::root()).to_string()
    }
}
