//! Why a schema cannot be read.

use orch_core::object::FieldPath;

/// Why a schema cannot be read, and where in it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}{problem}", at(.path))]
pub struct SchemaError {
    /// Where, from the schema down: `properties[spec].items`.
    pub path: FieldPath,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a schema.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It nests too deeply.
    #[error("nests more than {limit} levels of maps and lists: flatten it")]
    TooDeep {
        /// What is allowed.
        limit: usize,
    },
    /// A keyword has a value of the wrong type.
    #[error("{keyword} must be {expected}")]
    Malformed {
        /// The keyword.
        keyword: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A keyword has a value that means nothing.
    #[error("{keyword} is {value:?}, which is none of {allowed}")]
    NotSupported {
        /// The keyword.
        keyword: &'static str,
        /// The value found.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A list of maps does not say by which fields its items are told apart.
    #[error(
        "x-kubernetes-list-type is \"map\", but x-kubernetes-list-map-keys names no field: name at least one"
    )]
    NoKeys,
    /// A key of a list names no field of its items.
    #[error(
        "x-kubernetes-list-map-keys names {key:?}, which is no scalar field of the items: name one, or add it there"
    )]
    UnknownKey {
        /// The key.
        key: String,
    },
    /// It refers to a schema that is not there.
    #[error("$ref is {to:?}, which is not known here: write the schema in its place")]
    Unresolved {
        /// What it refers to.
        to: String,
    },
}

/// The path before a message; nothing for the schema itself.
fn at(path: &FieldPath) -> String {
    if path.is_root() {
        String::new()
    } else {
        format!("{path}: ")
    }
}
