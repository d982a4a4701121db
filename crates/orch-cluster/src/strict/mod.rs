//! Decodes a value as a type and tells everything about it that does not fit.
//!
//! serde stops at the first error. So the value is decoded again and again, each time without the fields
//! found wrong before, until it fits; the fields themselves are seen by a deserializer that remembers where it
//! is. Fields that the type does not have are told too, with the name that was perhaps meant.

mod expected;
#[cfg(test)]
mod tests;
mod tracked;

use std::cell::RefCell;
use std::collections::HashSet;

use orch_core::object::{FieldPath, Segment};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) use expected::{meant, no_string};
use tracked::Tracked;

/// One thing about a value that does not fit its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) path: FieldPath,
    pub(crate) message: String,
}

impl Fault {
    /// Whether the type wants a string where something else stands.
    pub(crate) fn wants_string(&self) -> bool {
        self.message.starts_with(expected::NO_STRING)
    }
}

/// What a check found.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// What does not fit, fields of the wrong type first.
    pub(crate) faults: Vec<Fault>,
    /// Values that fit but are stored in another form: quantities given as numbers become strings.
    pub(crate) rewrites: Vec<(FieldPath, Value)>,
}

/// The most faults told of one object.
const MAX_FAULTS: usize = 100;

/// Checks a value against a type; does not change it.
pub(crate) fn check<T: DeserializeOwned>(value: &Value) -> Checked {
    let (wrong, notes) = decode::<T>(value, &FieldPath::root());
    let mut faults = wrong;
    faults.extend(notes.unfit);
    faults.extend(notes.unknown);
    faults.truncate(MAX_FAULTS);
    Checked {
        faults,
        rewrites: notes.rewrites,
    }
}

/// What keeps a value that stands at `at` of an object from being decoded; fields that the type does not have do not.
pub(crate) fn misfits<T: DeserializeOwned>(value: &Value, at: &FieldPath) -> Vec<Fault> {
    decode::<T>(value, at).0
}

fn decode<T: DeserializeOwned>(value: &Value, at: &FieldPath) -> (Vec<Fault>, Notes) {
    let mut wrong = Vec::new();
    let notes = RefCell::new(Notes {
        is_secret: value.get("kind").and_then(Value::as_str) == Some("Secret"),
        ..Notes::default()
    });
    while wrong.len() < MAX_FAULTS {
        notes.borrow_mut().start_over();
        let Err(error) = T::deserialize(Tracked::new(value, at.clone(), &notes)) else {
            break;
        };
        let mut notes = notes.borrow_mut();
        let fault = notes.failed.take().unwrap_or_else(|| Fault {
            path: at.clone(),
            message: error.to_string(),
        });
        let (skip, fault) = missing_field(fault, &notes.skipped);
        wrong.extend(fault);
        // Without the root, or without progress, there is nothing left to look at.
        if skip == *at || !notes.skipped.insert(skip) {
            break;
        }
    }
    (wrong, notes.into_inner())
}

/// A fault's path is what is left out next time. A missing field is told at the field, and what should hold
/// it is left out; if the field is missing because it was left out before, there is nothing new to tell.
fn missing_field(fault: Fault, skipped: &HashSet<FieldPath>) -> (FieldPath, Option<Fault>) {
    let missing = fault
        .message
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split('`').next())
        .map(|name| fault.path.child(name.to_owned()));
    match missing {
        None => (fault.path.clone(), Some(fault)),
        Some(path) if skipped.contains(&path) => (fault.path, None),
        Some(path) => {
            let message = "required, but not given".to_owned();
            (fault.path, Some(Fault { path, message }))
        }
    }
}

/// What the deserializer remembers.
#[derive(Default)]
struct Notes {
    /// What is left out, because it is known to be wrong.
    skipped: HashSet<FieldPath>,
    /// The innermost value that did not fit in this round.
    failed: Option<Fault>,
    /// Fields that the type does not have.
    unknown: Vec<Fault>,
    /// Values that decode but mean nothing, such as malformed quantities.
    unfit: Vec<Fault>,
    rewrites: Vec<(FieldPath, Value)>,
    is_secret: bool,
}

impl Notes {
    fn start_over(&mut self) {
        self.failed = None;
        self.unknown.clear();
        self.unfit.clear();
        self.rewrites.clear();
    }

    /// Whether messages must not show the value.
    fn hides(&self, path: &FieldPath) -> bool {
        self.is_secret
            && matches!(path.segments().first(), Some(Segment::Field(name)) if name == "data" || name == "stringData")
    }
}
