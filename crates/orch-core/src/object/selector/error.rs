//! Why a text is no selector.

use super::super::FieldErrors;

/// Why a text is no selector.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectorError {
    /// It does not follow the grammar.
    #[error("unable to parse selector {selector:?}: {reason}")]
    Syntax {
        /// What was given.
        selector: String,
        /// What was found where, and what may stand there.
        reason: String,
    },
    /// A key or value in it is not one that a label can have.
    #[error("unable to parse selector {selector:?}: {errors}")]
    Invalid {
        /// What was given.
        selector: String,
        /// All that is wrong with the requirement.
        errors: FieldErrors,
    },
    /// A field in it cannot be selected on.
    #[error("field {field:?} cannot be selected on; allowed are {}", .allowed.join(", "))]
    UnknownField {
        /// The field named.
        field: String,
        /// The fields that can be.
        allowed: Vec<String>,
    },
    /// It is too long a text to be read.
    #[error("a selector of {length} bytes: allowed are at most {}", super::MAX_LENGTH)]
    TooLong {
        /// The length given.
        length: usize,
    },
}
