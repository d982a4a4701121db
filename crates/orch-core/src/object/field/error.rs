//! What is wrong with a field, and all that is wrong with an object.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::FieldPath;

/// What is wrong with one field: Kubernetes' `field.Error`, worded alike.
///
/// ```
/// use orch_core::object::{FieldError, FieldPath};
///
/// let replicas = FieldPath::new("spec").child("replicas");
/// let error = FieldError::invalid(&replicas, -1, "must be greater than or equal to 0");
/// assert_eq!(error.to_string(), "spec.replicas: Invalid value: -1: must be greater than or equal to 0");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// Which field.
    pub path: FieldPath,
    /// In which way it is wrong.
    pub kind: FieldErrorKind,
    /// The value found, where the message shows it.
    pub value: Option<Value>,
    /// What is allowed, or more on the matter; may be empty.
    pub detail: String,
}

/// In which way a field is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FieldErrorKind {
    /// A value refers to something that does not exist.
    NotFound,
    /// A value must be given.
    Required,
    /// A value that must be unique occurs again.
    Duplicate,
    /// A value is malformed or out of bounds.
    Invalid,
    /// A value is none of the few allowed.
    NotSupported,
    /// A value may not be given here or now.
    Forbidden,
    /// A value is too long; the message leaves it out.
    TooLong,
    /// A list has too many items.
    TooMany,
    /// A value has the wrong type.
    TypeInvalid,
    /// The validation itself failed.
    Internal,
}

impl FieldErrorKind {
    /// The word for programs: the `reason` of a cause in Kubernetes' `Status`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotFound => "FieldValueNotFound",
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::Internal => "InternalError",
        }
    }

    /// The words for people, which begin an error's message.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "Not found",
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::Internal => "Internal error",
        }
    }
}

impl FieldError {
    /// A malformed value; `detail` says what is allowed.
    pub fn invalid(path: &FieldPath, value: impl Serialize, detail: impl Into<String>) -> Self {
        Self::with(path, FieldErrorKind::Invalid, Some(shown(value)), detail)
    }

    /// A value that is malformed as a whole and is not shown; `detail` says what is allowed.
    pub fn invalid_whole(path: &FieldPath, detail: impl Into<String>) -> Self {
        Self::with(path, FieldErrorKind::Invalid, None, detail)
    }

    /// A value of the wrong type; `detail` says which type it must have.
    pub fn type_invalid(path: &FieldPath, value: impl Serialize, detail: impl Into<String>) -> Self {
        Self::with(path, FieldErrorKind::TypeInvalid, Some(shown(value)), detail)
    }

    /// A value of the wrong type, which `detail` itself shows as far as it may be seen.
    pub fn malformed(path: &FieldPath, detail: impl Into<String>) -> Self {
        Self::with(path, FieldErrorKind::TypeInvalid, None, detail)
    }

    /// A missing value; `detail` may say when it is needed, or be empty.
    pub fn required(path: &FieldPath, detail: impl Into<String>) -> Self {
        Self::with(path, FieldErrorKind::Required, None, detail)
    }

    /// A value that may not be given; `detail` says why.
    pub fn forbidden(path: &FieldPath, detail: impl Into<String>) -> Self {
        Self::with(path, FieldErrorKind::Forbidden, None, detail)
    }

    /// A value given before.
    pub fn duplicate(path: &FieldPath, value: impl Serialize) -> Self {
        Self::with(path, FieldErrorKind::Duplicate, Some(shown(value)), "")
    }

    /// A value that refers to nothing.
    pub fn not_found(path: &FieldPath, value: impl Serialize) -> Self {
        Self::with(path, FieldErrorKind::NotFound, Some(shown(value)), "")
    }

    /// A value that is none of `supported`, which the message lists in the order given.
    pub fn not_supported<'a>(
        path: &FieldPath,
        value: impl Serialize,
        supported: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let supported: Vec<String> = supported.into_iter().map(quoted).collect();
        let detail = if supported.is_empty() {
            String::new()
        } else {
            format!("supported values: {}", supported.join(", "))
        };
        Self::with(path, FieldErrorKind::NotSupported, Some(shown(value)), detail)
    }

    /// A value longer than `limit` bytes.
    pub fn too_long(path: &FieldPath, limit: usize) -> Self {
        let unit = if limit == 1 { "byte" } else { "bytes" };
        let detail = format!("may not be more than {limit} {unit}");
        Self::with(path, FieldErrorKind::TooLong, None, detail)
    }

    /// A list of `count` items where `limit` are allowed.
    pub fn too_many(path: &FieldPath, count: usize, limit: usize) -> Self {
        let unit = if limit == 1 { "item" } else { "items" };
        let detail = format!("must have at most {limit} {unit}");
        Self::with(path, FieldErrorKind::TooMany, Some(shown(count)), detail)
    }

    /// A check that could not be made.
    pub fn internal(path: &FieldPath, error: impl fmt::Display) -> Self {
        Self::with(path, FieldErrorKind::Internal, None, error.to_string())
    }

    fn with(path: &FieldPath, kind: FieldErrorKind, value: Option<Value>, detail: impl Into<String>) -> Self {
        Self {
            path: path.clone(),
            kind,
            value,
            detail: detail.into(),
        }
    }

    /// The message without the path: the `message` of a cause in Kubernetes' `Status`.
    pub fn body(&self) -> String {
        let mut body = self.kind.as_str().to_owned();
        if let Some(value) = &self.value {
            body.push_str(": ");
            match value {
                Value::String(text) => body.push_str(&quoted(text)),
                other => body.push_str(&other.to_string()),
            }
        }
        if !self.detail.is_empty() {
            body.push_str(": ");
            body.push_str(&self.detail);
        }
        body
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_root() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.body())
    }
}

impl std::error::Error for FieldError {}

/// All that is wrong with an object. Shown as Kubernetes shows an aggregate: one error as it is, several
/// in brackets, none twice.
///
/// ```
/// use orch_core::object::{FieldError, FieldErrors, FieldPath};
///
/// let spec = FieldPath::new("spec");
/// let mut errors = FieldErrors::default();
/// errors.push(FieldError::required(&spec.child("selector"), ""));
/// errors.push(FieldError::not_supported(&spec.child("type"), "X", ["A", "B"]));
/// assert_eq!(
///     errors.into_result().unwrap_err().to_string(),
///     r#"[spec.selector: Required value, spec.type: Unsupported value: "X": supported values: "A", "B"]"#,
/// );
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// The most that are told of one object. What is found beyond is left out: some lists have as many faults as entries.
    pub const MOST: usize = 1000;

    /// Adds one.
    pub fn push(&mut self, error: FieldError) {
        if self.0.len() < Self::MOST {
            self.0.push(error);
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Looks at each, in the order found.
    pub fn iter(&self) -> std::slice::Iter<'_, FieldError> {
        self.0.iter()
    }

    /// Fails if anything is wrong.
    ///
    /// # Errors
    ///
    /// Itself, unless it is empty.
    pub fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut messages: Vec<String> = Vec::with_capacity(self.len());
        let mut seen = std::collections::HashSet::with_capacity(self.len());
        for message in self.iter().map(ToString::to_string) {
            if seen.insert(message.clone()) {
                messages.push(message);
            }
        }
        match messages.as_slice() {
            [one] => f.write_str(one),
            several => write!(f, "[{}]", several.join(", ")),
        }
    }
}

impl std::error::Error for FieldErrors {}

impl From<FieldError> for FieldErrors {
    fn from(error: FieldError) -> Self {
        Self(vec![error])
    }
}

impl FromIterator<FieldError> for FieldErrors {
    fn from_iter<I: IntoIterator<Item = FieldError>>(errors: I) -> Self {
        Self(errors.into_iter().take(Self::MOST).collect())
    }
}

impl Extend<FieldError> for FieldErrors {
    fn extend<I: IntoIterator<Item = FieldError>>(&mut self, errors: I) {
        let room = Self::MOST - self.0.len();
        self.0.extend(errors.into_iter().take(room));
    }
}

impl IntoIterator for FieldErrors {
    type Item = FieldError;
    type IntoIter = std::vec::IntoIter<FieldError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a FieldErrors {
    type Item = &'a FieldError;
    type IntoIter = std::slice::Iter<'a, FieldError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

fn shown(value: impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_else(|error| Value::String(format!("<value: {error}>")))
}

/// A string in double quotes, escaped as Go's `%q` does, for messages equal to Kubernetes'.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
