//! One step on the way to a field: what `managedFields` has as keys.

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Map, Value};

/// One step on the way from a map or a list to what is in it: a path element of Kubernetes'
/// structured-merge-diff.
///
/// ```
/// use orch_api::patch::apply::PathElement;
///
/// let port = PathElement::parse(r#"k:{"containerPort":80,"protocol":"TCP"}"#).unwrap().unwrap();
/// assert_eq!(port.to_string(), r#"[containerPort=80,protocol="TCP"]"#);
/// assert_eq!(port.wire(), r#"k:{"containerPort":80,"protocol":"TCP"}"#);
/// assert_eq!(PathElement::field("spec").to_string(), ".spec");
/// ```
#[derive(Clone, Debug)]
pub enum PathElement {
    /// A field of a struct, or an entry of a map.
    Field(Box<str>),
    /// An item of a list of maps, by the fields that tell it apart, sorted by name.
    Key(Box<[(Box<str>, Value)]>),
    /// An item of a set, by itself.
    Value(Value),
    /// An item of another list, by its place.
    Index(i64),
}

/// Why a key of `fieldsV1` cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key:?} is no path element: {problem}")]
pub struct PathElementError {
    /// The key.
    pub key: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl PathElement {
    /// A field of a struct, or an entry of a map.
    pub fn field(name: impl Into<Box<str>>) -> Self {
        Self::Field(name.into())
    }

    /// An item of a list of maps, by the fields that tell it apart.
    pub fn key(fields: impl IntoIterator<Item = (impl Into<Box<str>>, Value)>) -> Self {
        let mut fields: Vec<(Box<str>, Value)> = fields
            .into_iter()
            .map(|(name, value)| (name.into(), value))
            .collect();
        fields.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self::Key(fields.into())
    }

    /// Reads a key of `fieldsV1`; none if it is of a kind that is not known, which a later Kubernetes may have.
    pub fn parse(wire: &str) -> Result<Option<Self>, PathElementError> {
        let wrong = |problem| PathElementError {
            key: wire.to_owned(),
            problem,
        };
        let Some((kind, rest)) = wire.split_once(':').filter(|(kind, _)| kind.len() == 1) else {
            return Err(wrong("it must begin with a letter and a colon"));
        };
        let read = match kind {
            "f" => Self::field(rest),
            "k" => {
                let fields: Map<String, Value> =
                    serde_json::from_str(rest).map_err(|_| wrong("after k: must come a JSON object"))?;
                Self::key(fields)
            }
            "v" => {
                Self::Value(serde_json::from_str(rest).map_err(|_| wrong("after v: must come a JSON value"))?)
            }
            "i" => Self::Index(rest.parse().map_err(|_| wrong("after i: must come a number"))?),
            _ => return Ok(None),
        };
        Ok(Some(read))
    }

    /// The key that `fieldsV1` has for it.
    pub fn wire(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(fields) => {
                let fields: Map<String, Value> = fields
                    .iter()
                    .map(|(name, value)| (name.to_string(), value.clone()))
                    .collect();
                format!("k:{}", Value::Object(fields))
            }
            Self::Value(value) => format!("v:{}", shortest(value)),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Field(_) => 0,
            Self::Key(_) => 1,
            Self::Value(_) => 2,
            Self::Index(_) => 3,
        }
    }
}

/// As messages of Kubernetes have it: `.name`, `[name="web"]`, `[="finalizer"]`, `[3]`.
impl fmt::Display for PathElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(fields) => {
                f.write_str("[")?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{name}={value}")?;
                }
                f.write_str("]")
            }
            Self::Value(value) => write!(f, "[={value}]"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// Fields first, then keys, values and places, as structured-merge-diff has them.
impl Ord for PathElement {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Field(one), Self::Field(other)) => one.cmp(other),
            (Self::Key(one), Self::Key(other)) => {
                let pairs = one
                    .iter()
                    .zip(other.iter())
                    .map(|((one_name, one), (other_name, other))| {
                        one_name.cmp(other_name).then_with(|| compare(one, other))
                    });
                pairs
                    .fold(Ordering::Equal, Ordering::then)
                    .then(one.len().cmp(&other.len()))
            }
            (Self::Value(one), Self::Value(other)) => compare(one, other),
            (Self::Index(one), Self::Index(other)) => one.cmp(other),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for PathElement {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for PathElement {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for PathElement {}

/// A value as Go writes it: 2.0 is 2.
fn shortest(value: &Value) -> Value {
    /// Up to here every whole number has a place among the floating ones.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value.as_f64() {
        Some(number) if value.is_f64() && number.fract() == 0.0 && number.abs() <= EXACT => {
            Value::from(number as i64)
        }
        _ => value.clone(),
    }
}

/// An order of all values: numbers by what they are worth, then texts, booleans, lists, maps and null.
fn compare(one: &Value, other: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    };
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            let whole = |number: &serde_json::Number| {
                number
                    .as_i64()
                    .map(i128::from)
                    .or_else(|| number.as_u64().map(i128::from))
            };
            match (whole(one), whole(other)) {
                (Some(one), Some(other)) => one.cmp(&other),
                _ => one
                    .as_f64()
                    .unwrap_or_default()
                    .total_cmp(&other.as_f64().unwrap_or_default()),
            }
        }
        (Value::String(one), Value::String(other)) => one.cmp(other),
        (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
        (Value::Array(one), Value::Array(other)) => {
            let items = one.iter().zip(other).map(|(one, other)| compare(one, other));
            items
                .fold(Ordering::Equal, Ordering::then)
                .then(one.len().cmp(&other.len()))
        }
        (Value::Object(one), Value::Object(other)) => {
            let entries = one
                .iter()
                .zip(other)
                .map(|((one_name, one), (other_name, other))| {
                    one_name.cmp(other_name).then_with(|| compare(one, other))
                });
            entries
                .fold(Ordering::Equal, Ordering::then)
                .then(one.len().cmp(&other.len()))
        }
        _ => rank(one).cmp(&rank(other)),
    }
}
