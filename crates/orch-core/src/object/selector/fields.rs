//! Selectors over fields, such as `spec.nodeName=n1,status.phase!=Running`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::{MAX_LENGTH, SelectorError};

/// Requirements on an object's fields, all of which must hold.
///
/// The text form separates with commas and knows `=`, `==` and `!=`; in a value, `\` precedes a comma, an
/// equals sign or another `\` that is meant as it is. Which fields can be selected on is each kind's
/// affair: see [`require_known`](Self::require_known).
///
/// ```
/// use orch_core::object::FieldSelector;
///
/// let selector: FieldSelector = "spec.nodeName=n1,status.phase!=Running".parse()?;
/// assert!(selector.matches(|path| match path {
///     "spec.nodeName" => Some("n1".into()),
///     _ => None,
/// }));
/// assert_eq!(selector.exact("spec.nodeName"), Some("n1"));
/// # Ok::<(), orch_core::object::SelectorError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector(Vec<FieldRequirement>);

/// One condition on a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRequirement {
    /// The field's path: `spec.nodeName`.
    pub path: String,
    /// Whether the field must differ from the value instead of being equal to it.
    pub differs: bool,
    /// The value; an absent field is equal to the empty value.
    pub value: String,
}

impl FieldSelector {
    /// The field at `path` must have this value.
    pub fn equal(path: impl Into<String>, value: impl Into<String>) -> Self {
        Self::default().and_equal(path, value)
    }

    /// And the field at `path` must have this value.
    #[must_use]
    pub fn and_equal(mut self, path: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.push(FieldRequirement {
            path: path.into(),
            differs: false,
            value: value.into(),
        });
        self
    }

    /// And the field at `path` must not have this value.
    #[must_use]
    pub fn and_not_equal(mut self, path: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.push(FieldRequirement {
            path: path.into(),
            differs: true,
            value: value.into(),
        });
        self
    }

    /// Whether an object is meant whose fields `value_of` looks up; an absent field counts as empty.
    pub fn matches<'a>(&self, value_of: impl Fn(&str) -> Option<Cow<'a, str>>) -> bool {
        self.0.iter().all(|one| {
            let value = value_of(&one.path).unwrap_or_default();
            (value == one.value.as_str()) != one.differs
        })
    }

    /// Whether it matches every object.
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// The one value that the field at `path` must have, if there is such a requirement: what an index needs.
    pub fn exact(&self, path: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|one| one.path == path && !one.differs)
            .map(|one| one.value.as_str())
    }

    /// The requirements, in the order given.
    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.0
    }

    /// Checks that only these fields are named.
    ///
    /// # Errors
    ///
    /// The first field that is none of them.
    pub fn require_known(&self, known: &[&str]) -> Result<(), SelectorError> {
        match self.0.iter().find(|one| !known.contains(&one.path.as_str())) {
            None => Ok(()),
            Some(unknown) => Err(SelectorError::UnknownField {
                field: unknown.path.clone(),
                allowed: known.iter().map(|&path| path.to_owned()).collect(),
            }),
        }
    }
}

impl FromStr for FieldSelector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        if text.len() > MAX_LENGTH {
            return Err(SelectorError::TooLong { length: text.len() });
        }
        let mut requirements = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let end = find_unescaped(rest, |c| c == ',').unwrap_or(rest.len());
            let term = &rest[..end];
            rest = rest.get(end + 1..).unwrap_or_default();
            if !term.is_empty() {
                requirements.push(requirement(term).map_err(|reason| SelectorError::Syntax {
                    selector: text.to_owned(),
                    reason,
                })?);
            }
        }
        Ok(Self(requirements))
    }
}

fn requirement(term: &str) -> Result<FieldRequirement, String> {
    let Some(at) = find_unescaped(term, |c| c == '=' || c == '!') else {
        return Err(format!(
            "found '{term}', expected: path=value, path==value or path!=value"
        ));
    };
    let (path, operator) = term.split_at(at);
    let (differs, value) = if let Some(value) = operator.strip_prefix("!=") {
        (true, value)
    } else if let Some(value) = operator.strip_prefix("==").or_else(|| operator.strip_prefix('=')) {
        (false, value)
    } else {
        return Err(format!("found '!' in '{term}', expected: '!=' or '='"));
    };
    Ok(FieldRequirement {
        path: path.to_owned(),
        differs,
        value: unescape(value)?,
    })
}

/// Where the first character stands that is wanted and not preceded by a backslash.
fn find_unescaped(text: &str, wanted: impl Fn(char) -> bool) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if wanted(c) {
            return Some(at);
        }
    }
    None
}

fn unescape(value: &str) -> Result<String, String> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(escaped @ ('\\' | ',' | '=')) => out.push(escaped),
                _ => {
                    return Err(format!(
                        "found '{value}', expected: '\\\\', '\\,' or '\\=' after a '\\'"
                    ));
                }
            },
            '=' => {
                return Err(format!(
                    "found '{value}', expected: '\\=' for an equals sign in a value"
                ));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, one) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { "," };
            let operator = if one.differs { "!=" } else { "=" };
            write!(f, "{separator}{}{operator}", one.path)?;
            for c in one.value.chars() {
                if matches!(c, '\\' | ',' | '=') {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}
