//! Words for what was expected and what was found.

use serde_json::Value;

/// What the type wants at a place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Want {
    /// A string.
    Text,
    /// Whole numbers in this range.
    Integer(i128, i128),
    /// Any number.
    Number,
    /// True or false.
    Boolean,
    /// A list.
    List,
    /// An object.
    Object,
    /// Whatever the type itself says.
    Any,
}

/// How messages begin about what should be a string.
pub(super) const NO_STRING: &str = "expected a string, got";

/// Strings longer than this are shown cut.
const SHOWN: usize = 60;

/// How messages begin about a string that is not base64.
const NOT_BASE64: [&str; 4] = [
    "Invalid symbol ",
    "Invalid last symbol ",
    "Invalid input length",
    "Invalid padding",
];

/// Why a value does not fit, in one sentence; `error` is what serde says about it.
pub(super) fn mismatch(want: Want, value: &Value, error: &str, hidden: bool) -> String {
    let got = if hidden {
        format!("{} (its value is not shown)", kind_of(value))
    } else {
        shown(value)
    };
    match (want, value) {
        (Want::Text, Value::Number(_) | Value::Bool(_)) => {
            format!("{NO_STRING} {got}; put it in quotes to make it one")
        }
        (Want::Text, Value::Null) => format!("{NO_STRING} {got}; \"\" is the empty one"),
        (Want::Text, Value::Array(_) | Value::Object(_)) => format!("{NO_STRING} {got}"),
        (Want::Integer(..), Value::String(text)) if text.parse::<i128>().is_ok() => {
            format!("expected an integer, got the string {got}; leave the quotes out to make it one")
        }
        (Want::Integer(min, max), Value::Number(number)) if !number.is_f64() => {
            format!("expected an integer from {min} to {max}, got {got}")
        }
        (Want::Integer(..), _) => format!("expected an integer, got {got}"),
        (Want::Number, _) => format!("expected a number, got {got}"),
        (Want::Boolean, _) => format!("expected true or false, got {got}"),
        (Want::List, _) if !value.is_array() => format!("expected a list, got {got}"),
        (Want::Object, _) if !value.is_object() => format!("expected an object, got {got}"),
        _ => own_words(value, &got, error),
    }
}

/// Why a value is no string.
pub(crate) fn no_string(value: &Value) -> String {
    mismatch(Want::Text, value, "", false)
}

/// What remains is what only the type knows: a word of few, a date, a number or string.
fn own_words(value: &Value, got: &str, error: &str) -> String {
    if let Some((_, allowed)) = error.split_once(", expected one of ") {
        return format!("expected one of {}, got {got}", allowed.replace('`', ""));
    }
    if error.starts_with("unknown variant")
        && let Some((_, allowed)) = error.split_once(", expected ")
    {
        return format!("expected {}, got {got}", allowed.replace('`', ""));
    }
    match error.split_once(", expected ") {
        Some((_, "IntOrString")) => format!("expected an integer or a string, got {got}"),
        Some((_, expected)) if error.starts_with("invalid ") => format!("expected {expected}, got {got}"),
        _ if value.is_object() || value.is_array() => error.to_owned(),
        // Bytes; the words are the decoder's that k8s-openapi uses, and show a letter of what may be a secret.
        _ if NOT_BASE64.iter().any(|words| error.starts_with(words)) => {
            format!("expected base64, got {got}")
        }
        _ => format!("invalid value {got}: {error}"),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) | Value::Object(_) | Value::Null => kind_of(value).to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => {
            let mut start: String = text.chars().take(SHOWN).collect();
            if start.len() < text.len() {
                start.push('…');
            }
            format!("{start:?}")
        }
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// What to say of a field that is not in `known`.
pub(super) fn unknown_field(name: &str, known: Option<&[&str]>) -> String {
    let mut message = "unknown field".to_owned();
    if let Some(known) = known {
        if let Some(meant) = meant(name, known.iter().copied()) {
            message.push_str(&format!("; did you mean {meant:?}?"));
        } else if (1..=8).contains(&known.len()) {
            message.push_str(&format!("; allowed are {}", known.join(", ")));
        }
    }
    message
}

/// The one of `known` that `name` may be a slip of.
pub(crate) fn meant<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
            (distance, candidate)
        })
        .filter(|(distance, candidate)| *distance <= candidate.len().max(name.len()) / 3)
        .min()
        .map(|(_, candidate)| candidate)
}
