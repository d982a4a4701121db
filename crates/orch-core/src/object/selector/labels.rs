//! Selectors over labels, in the form that is fast to evaluate.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::super::{FieldError, FieldErrors, FieldPath, names};

/// Requirements on an object's labels, all of which must hold.
///
/// Read from the text of a list request (`app=web,tier in (a,b),!canary`), or made from an object's
/// [`LabelSelector`](super::LabelSelector). Clones share one list.
///
/// ```
/// use std::collections::BTreeMap;
/// use orch_core::object::Selector;
///
/// let selector: Selector = "app=web,tier notin (test),!canary".parse()?;
/// let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
/// assert!(selector.matches(&labels));
/// assert_eq!(selector.exact("app"), Some("web"));
/// # Ok::<(), orch_core::object::SelectorError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Selector {
    /// Ordered by key; none if nothing can match.
    requirements: Option<Arc<[Requirement]>>,
}

/// One condition on a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    key: String,
    operator: Operator,
}

/// How a label must relate to the values of a [`Requirement`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operator {
    /// The label is there and has one of these values: `=`, `==`, `in`.
    In(Vec<String>),
    /// The label is not there, or has none of these values: `!=`, `notin`.
    NotIn(Vec<String>),
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
    /// The label is there and is a larger whole number: `>`.
    GreaterThan(i64),
    /// The label is there and is a smaller whole number: `<`.
    LessThan(i64),
}

impl Selector {
    /// Matches every object.
    pub fn everything() -> Self {
        Self::new([])
    }

    /// Matches no object: what an absent selector means in most of Kubernetes' kinds.
    pub const fn nothing() -> Self {
        Self { requirements: None }
    }

    /// All of these requirements.
    pub fn new(requirements: impl IntoIterator<Item = Requirement>) -> Self {
        let mut requirements: Vec<Requirement> = requirements.into_iter().collect();
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self {
            requirements: Some(requirements.into()),
        }
    }

    /// Every one of these labels with its value, taken as they are: labels that no object can have match none.
    pub fn from_labels<'a>(labels: impl IntoIterator<Item = (&'a String, &'a String)>) -> Self {
        Self::new(labels.into_iter().map(|(key, value)| Requirement {
            key: key.clone(),
            operator: Operator::In(vec![value.clone()]),
        }))
    }

    /// Whether an object with these labels is meant.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.matches_by(|key| labels.get(key).map(String::as_str))
    }

    /// Whether an object is meant whose labels `value_of` looks up, for labels held in another form.
    pub fn matches_by<'a>(&self, value_of: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements
            .as_deref()
            .is_some_and(|all| all.iter().all(|one| one.holds_for(value_of(&one.key))))
    }

    /// Whether it matches every object.
    pub fn is_everything(&self) -> bool {
        self.requirements.as_deref().is_some_and(<[_]>::is_empty)
    }

    /// Whether it matches no object whatever its labels.
    pub fn is_nothing(&self) -> bool {
        self.requirements.is_none()
    }

    /// The one value that the label `key` must have, if there is such a requirement: what an index needs.
    pub fn exact(&self, key: &str) -> Option<&str> {
        self.requirements().iter().find_map(|one| match &one.operator {
            Operator::In(values) if one.key == key && values.len() == 1 => values.first().map(String::as_str),
            _ => None,
        })
    }

    /// The requirements by key; empty both for everything and for nothing.
    pub fn requirements(&self) -> &[Requirement] {
        self.requirements.as_deref().unwrap_or_default()
    }
}

impl Requirement {
    /// A condition on the label `key`.
    ///
    /// # Errors
    ///
    /// All that is wrong: a key or value that no label can have, an empty list of values.
    pub fn new(key: impl Into<String>, operator: Operator) -> Result<Self, FieldErrors> {
        let (key, mut operator) = (key.into(), operator);
        let mut errors = FieldErrors::default();
        let faults = names::qualified_name(&key);
        if !faults.is_empty() {
            errors.push(FieldError::invalid(&"key".into(), &key, faults.join("; ")));
        }
        if let Operator::In(values) | Operator::NotIn(values) = &mut operator {
            let path = FieldPath::new("values");
            if values.is_empty() {
                let detail = "for 'in', 'notin' operators, values set can't be empty";
                errors.push(FieldError::invalid(&path, &*values, detail));
            }
            for (index, value) in values.iter().enumerate() {
                let faults = names::label_value(value);
                if !faults.is_empty() {
                    let path = path.index(index).key(key.clone());
                    errors.push(FieldError::invalid(&path, value, faults.join("; ")));
                }
            }
            values.sort();
            values.dedup();
        }
        errors.into_result()?;
        Ok(Self { key, operator })
    }

    /// The label's key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is required of it.
    pub fn operator(&self) -> &Operator {
        &self.operator
    }

    /// Whether it holds for a label's value, or for the label's absence.
    pub fn holds_for(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        let among = |values: &[String], value: &str| match values {
            [one] => one == value,
            sorted => sorted.binary_search_by(|one| one.as_str().cmp(value)).is_ok(),
        };
        match &self.operator {
            Operator::In(values) => value.is_some_and(|value| among(values, value)),
            Operator::NotIn(values) => value.is_none_or(|value| !among(values, value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan(bound) => number().is_some_and(|number| number > *bound),
            Operator::LessThan(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

impl Default for Selector {
    fn default() -> Self {
        Self::everything()
    }
}

/// As a list request takes it; nothing for both everything and nothing, as in Kubernetes.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, requirement) in self.requirements().iter().enumerate() {
            let separator = if position == 0 { "" } else { "," };
            write!(f, "{separator}{requirement}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.operator {
            Operator::In(values) => match values.as_slice() {
                [one] => write!(f, "{key}={one}"),
                several => write!(f, "{key} in ({})", several.join(",")),
            },
            Operator::NotIn(values) => match values.as_slice() {
                [one] => write!(f, "{key}!={one}"),
                several => write!(f, "{key} notin ({})", several.join(",")),
            },
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan(bound) => write!(f, "{key}>{bound}"),
            Operator::LessThan(bound) => write!(f, "{key}<{bound}"),
        }
    }
}

impl fmt::Debug for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.requirements {
            Some(_) => write!(f, "Selector({self})"),
            None => f.write_str("Selector(<nothing>)"),
        }
    }
}
