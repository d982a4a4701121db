//! What a scheduler is told of a node.

use std::collections::BTreeMap;

use super::Resources;

/// What a [`Taint`] does to requests that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Effect {
    /// None is placed there.
    NoSchedule,
    /// Others are preferred.
    PreferNoSchedule,
    /// None is placed there, and what runs is evicted (by others than the scheduler).
    NoExecute,
}

impl Effect {
    /// The word as Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }
}

/// Keeps requests off a node unless they [tolerate](super::Toleration) it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value; may be empty.
    pub value: String,
    /// What it does.
    pub effect: Effect,
}

impl Taint {
    /// A taint.
    pub fn new(key: impl Into<String>, value: impl Into<String>, effect: Effect) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
            effect,
        }
    }
}

impl std::fmt::Display for Taint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.key)?;
        if !self.value.is_empty() {
            write!(f, "={}", self.value)?;
        }
        write!(f, ":{}", self.effect.as_str())
    }
}

/// A place where requests can go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name, unique among nodes.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What it has to give to placements, before any is subtracted.
    pub allocatable: Resources,
    /// What keeps requests off it.
    pub taints: Vec<Taint>,
    /// Closed to new placements (cordoned).
    pub unschedulable: bool,
}

impl Node {
    /// A node without labels or taints.
    pub fn new(name: impl Into<String>, allocatable: Resources) -> Self {
        Self {
            name: name.into(),
            allocatable,
            ..Self::default()
        }
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// Adds a taint.
    #[must_use]
    pub fn taint(mut self, taint: Taint) -> Self {
        self.taints.push(taint);
        self
    }

    /// Closes it to new placements.
    #[must_use]
    pub fn cordoned(mut self) -> Self {
        self.unschedulable = true;
        self
    }
}
