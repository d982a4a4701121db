//! A value as Kubernetes' validation sees it, its place, and what was found of it.

use orch_core::object::{FieldError, FieldPath};
use serde_json::{Map, Number, Value};

use crate::custom::schema::node::Type;

/// How many things of one sort that are wrong are told of one object.
pub(super) const MOST_TOLD: usize = 100;

/// A value. A number is a float where it is written as one, or beyond 64 bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::custom::schema) enum Data<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    String(&'a str),
    List(&'a [Value]),
    Map(&'a Map<String, Value>),
}

impl<'a> From<&'a Value> for Data<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => match number.as_i64() {
                Some(integer) => Self::Integer(integer),
                None => Self::Float(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => Self::String(text),
            Value::Array(items) => Self::List(items),
            Value::Object(map) => Self::Map(map),
        }
    }
}

impl Data<'_> {
    /// The word for its type, and for its format where it is a number's.
    pub(super) fn kind(&self) -> (&'static str, &'static str) {
        match self {
            Self::Null => ("null", ""),
            Self::Bool(_) => (Type::Boolean.word(), ""),
            Self::Integer(_) => (Type::Integer.word(), "int64"),
            Self::Float(_) => (Type::Number.word(), "float64"),
            Self::String(_) => (Type::String.word(), ""),
            Self::List(_) => (Type::Array.word(), ""),
            Self::Map(_) => (Type::Object.word(), ""),
        }
    }

    pub(in crate::custom::schema) fn to_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => value.into(),
            Self::Integer(integer) => integer.into(),
            Self::Float(float) => shown_float(float),
            Self::String(text) => text.into(),
            Self::List(items) => items.into(),
            Self::Map(map) => map.clone().into(),
        }
    }
}

/// A float as Go shows it: without a point if it is whole.
#[allow(clippy::cast_possible_truncation)] // Looked at before.
pub(super) fn shown_float(float: f64) -> Value {
    if float.fract() == 0.0 && float.abs() < 1e15 {
        return Value::from(float as i64);
    }
    Number::from_f64(float).map_or(Value::Null, Value::Number)
}

/// Where a value is, written down only when something is wrong with it.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    Root,
    Field(&'a Place<'a>, &'a str),
    Index(&'a Place<'a>, usize),
}

impl Place<'_> {
    /// Its path, as that of `base` continued.
    pub(super) fn path(&self, base: &FieldPath) -> FieldPath {
        match self {
            Self::Root => base.clone(),
            Self::Field(parent, name) => parent.path(base).child((*name).to_owned()),
            Self::Index(parent, index) => parent.path(base).index(*index),
        }
    }
}

/// What was found of a value.
#[derive(Default)]
pub(super) struct Outcome {
    /// What is wrong, each thing once.
    pub(super) errors: Vec<FieldError>,
    /// How many checks it passed, by which the case is chosen whose errors are told where none fits.
    pub(super) passed: usize,
}

impl Outcome {
    pub(super) fn is_valid(&self) -> bool {
        self.errors.is_empty()
    }

    pub(super) fn push(&mut self, error: FieldError) {
        if self.errors.len() < MOST_TOLD && !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.passed += other.passed;
        other.errors.into_iter().for_each(|error| self.push(error));
    }
}
