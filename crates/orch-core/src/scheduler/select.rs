//! Conditions on a node's labels and name.

use super::NodeState;

/// What a [`Condition`] looks at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The value of the label with this key.
    Label(String),
    /// The node's name (Kubernetes: `matchFields` on `metadata.name`).
    Name,
}

/// How a [`Condition`] compares. The words and their meaning are those of Kubernetes' node selectors.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// Present, with one of these values.
    In(Vec<String>),
    /// Absent, or with none of these values.
    NotIn(Vec<String>),
    /// Present.
    Exists,
    /// Absent.
    DoesNotExist,
    /// Present, a whole number, and greater.
    Gt(i64),
    /// Present, a whole number, and less.
    Lt(i64),
}

/// One condition on a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Condition {
    /// What is looked at.
    pub subject: Subject,
    /// How it is compared.
    pub operator: Operator,
}

impl Condition {
    /// A condition on the label `key`.
    pub fn label(key: impl Into<String>, operator: Operator) -> Self {
        Self {
            subject: Subject::Label(key.into()),
            operator,
        }
    }

    /// A condition on the node's name.
    pub fn name(operator: Operator) -> Self {
        Self {
            subject: Subject::Name,
            operator,
        }
    }

    fn holds(&self, node: &NodeState) -> bool {
        let value = match &self.subject {
            Subject::Label(key) => node.label(key),
            Subject::Name => Some(node.name()),
        };
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.operator {
            Operator::In(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
            Operator::NotIn(values) => !value.is_some_and(|value| values.iter().any(|one| one == value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Gt(bound) => number().is_some_and(|number| number > *bound),
            Operator::Lt(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

/// Conditions that must all hold. A term without conditions matches no node, as in Kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Term {
    /// The conditions.
    pub conditions: Vec<Condition>,
}

impl Term {
    /// A term of these conditions.
    pub fn new(conditions: impl IntoIterator<Item = Condition>) -> Self {
        Self {
            conditions: conditions.into_iter().collect(),
        }
    }

    /// Whether `node` meets every condition.
    pub fn matches(&self, node: &NodeState) -> bool {
        !self.conditions.is_empty() && self.conditions.iter().all(|condition| condition.holds(node))
    }

    /// The only names a matching node can have, if a condition says so.
    pub(super) fn names(&self) -> Option<&[String]> {
        self.conditions.iter().find_map(|condition| match condition {
            Condition {
                subject: Subject::Name,
                operator: Operator::In(names),
            } => Some(names.as_slice()),
            _ => None,
        })
    }
}

/// A term whose match is wished for, not required.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Preference {
    /// How much it counts against the other preferences of the request (Kubernetes: 1 to 100).
    pub weight: u32,
    /// What is wished for.
    pub term: Term,
}
