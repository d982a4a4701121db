//! Conflicts: fields that others own and that would change.

use std::fmt;

use super::fieldset::FieldSet;
use super::managed::Manager;

/// The fields that would change and belong to others; not empty. Shown in Kubernetes' words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflicts(pub(super) Vec<(Manager, FieldSet)>);

impl Conflicts {
    /// Each conflict: with whom, and about which field, as in `.spec.replicas`.
    pub fn iter(&self) -> impl Iterator<Item = (&Manager, String)> {
        self.0
            .iter()
            .flat_map(|(manager, fields)| fields.paths().into_iter().map(move |path| (manager, path)))
    }

    /// The cause that Kubernetes' `Status` has for each: its message and its field. The reason is
    /// `FieldManagerConflict`.
    pub fn causes(&self) -> impl Iterator<Item = (String, String)> {
        self.iter()
            .map(|(manager, path)| (format!("conflict with {manager}"), path))
    }

    /// These without what may be taken.
    pub(super) fn without(&self, allowed: &FieldSet) -> Option<Self> {
        let rest = self
            .0
            .iter()
            .map(|(manager, fields)| (manager.clone(), fields.difference(allowed)));
        let rest: Vec<_> = rest.filter(|(_, fields)| !fields.is_empty()).collect();
        (!rest.is_empty()).then_some(Self(rest))
    }
}

impl fmt::Display for Conflicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<(&Manager, String)> = self.iter().collect();
        if let [(manager, path)] = &all[..] {
            return write!(f, "Apply failed with 1 conflict: conflict with {manager}: {path}");
        }
        write!(f, "Apply failed with {} conflicts: ", all.len())?;
        for (index, (manager, fields)) in self.0.iter().enumerate() {
            let line = if index == 0 { "" } else { "\n" };
            write!(f, "{line}conflicts with {manager}:")?;
            for path in fields.paths() {
                write!(f, "\n- {path}")?;
            }
        }
        Ok(())
    }
}
