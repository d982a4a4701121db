//! A text of one document as a value.

use orch_core::object::FieldPath;
use serde_json::Value;

use super::node::Position;
use super::{Limits, ManifestError, ManifestErrors, Place, yaml};

/// The one document of a text.
pub(super) fn value(file: &str, text: &str, limits: &Limits) -> Result<Value, ManifestErrors> {
    let error = |document, position, path, message| ManifestError {
        place: Place {
            file: file.into(),
            document,
            object: String::new(),
            position,
            path,
        },
        message,
    };
    let (documents, faults) = yaml::load(text, limits);
    if !faults.is_empty() {
        let faults = faults
            .into_iter()
            .map(|fault| error(fault.document, fault.position, fault.path, fault.message));
        return Err(ManifestErrors(faults.collect()));
    }
    let start = Position { line: 1, column: 1 };
    let (number, at, message) = match &documents[..] {
        [document] => return Ok(document.root.to_value()),
        [] => (1, start, "it is empty; one document is expected"),
        [_, second, ..] => (
            second.number,
            second.root.position,
            "a second document; one alone is expected",
        ),
    };
    let errors = vec![error(number, at, FieldPath::root(), message.to_owned())];
    Err(ManifestErrors(errors))
}
