//! A Deployment's ReplicaSets while a plan is made: what they are, and the sizes they are to get.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;

use super::new_set::HASH_LABEL;
use crate::controllers::Labels;
use crate::controllers::claim::{Claimable, controller_uid};

static NO_LABELS: Labels = Labels::new();

impl Claimable for ReplicaSet {
    fn labels(&self) -> &Labels {
        self.metadata.labels.as_ref().unwrap_or(&NO_LABELS)
    }

    fn controller_uid(&self) -> Option<&str> {
        controller_uid(self.metadata.owner_references.as_deref())
    }

    fn is_deleting(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }
}

/// One set, with its planned size.
#[derive(Clone, Debug)]
pub(super) struct Set {
    pub(super) object: Arc<ReplicaSet>,
    /// The size planned for it: at first what it asks for now.
    pub(super) size: i32,
}

impl Set {
    fn new(object: &Arc<ReplicaSet>) -> Self {
        Self {
            size: spec_replicas(object),
            object: Arc::clone(object),
        }
    }

    /// The pods it has or may come to have: more than its size while a scale-down is still to be carried out.
    pub(super) fn occupied(&self) -> i32 {
        self.size.max(self.status(|status| Some(status.replicas)))
    }

    /// The pods that will be available if it is scaled to the planned size: its status may still count
    /// pods that are about to go.
    pub(super) fn available(&self) -> i32 {
        self.status(|status| status.available_replicas).min(self.size)
    }

    /// Whether its status speaks of the size it asks for now. Until it does, neither how many pods there are
    /// nor how many of them serve is known.
    pub(super) fn is_observed(&self) -> bool {
        let observed = self
            .object
            .status
            .as_ref()
            .and_then(|status| status.observed_generation);
        observed.unwrap_or(0) >= self.object.metadata.generation.unwrap_or(0)
    }

    pub(super) fn status(
        &self,
        field: impl FnOnce(&k8s_openapi::api::apps::v1::ReplicaSetStatus) -> Option<i32>,
    ) -> i32 {
        self.object.status.as_ref().and_then(field).unwrap_or(0)
    }

    pub(super) fn annotation(&self, key: &str) -> Option<&str> {
        let annotations = self.object.metadata.annotations.as_ref()?;
        annotations.get(key).map(String::as_str)
    }

    pub(super) fn name(&self) -> &str {
        self.object.metadata.name.as_deref().unwrap_or_default()
    }

    pub(super) fn created(&self) -> Option<Timestamp> {
        self.object
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0)
    }
}

/// All sets of one Deployment, oldest first.
#[derive(Debug)]
pub(super) struct Sets {
    all: Vec<Set>,
    /// Where the set of the present template is, if it exists.
    new: Option<usize>,
}

impl Sets {
    pub(super) fn new(deployment: &Deployment, owned: &[Arc<ReplicaSet>]) -> Self {
        let mut all: Vec<Set> = owned.iter().map(Set::new).collect();
        all.sort_by(|a, b| (a.created(), a.name()).cmp(&(b.created(), b.name())));
        let template = &deployment.spec.template;
        // Should two sets have the template, the older is the one, always.
        let new = all.iter().position(|set| {
            let own = set.object.spec.template.as_ref();
            own.is_some_and(|own| same_template(own, template))
        });
        Self { all, new }
    }

    /// The set of the present template.
    pub(super) fn new_set(&self) -> Option<&Set> {
        self.new.map(|at| &self.all[at])
    }

    pub(super) fn new_index(&self) -> Option<usize> {
        self.new
    }

    pub(super) fn new_set_mut(&mut self) -> Option<&mut Set> {
        self.new.map(|at| &mut self.all[at])
    }

    /// The sets of other templates, oldest first.
    pub(super) fn old(&self) -> impl Iterator<Item = &Set> {
        let new = self.new;
        let all = self.all.iter().enumerate();
        all.filter(move |(at, _)| Some(*at) != new).map(|(_, set)| set)
    }

    pub(super) fn old_mut(&mut self) -> impl Iterator<Item = &mut Set> {
        let new = self.new;
        let all = self.all.iter_mut().enumerate();
        all.filter(move |(at, _)| Some(*at) != new).map(|(_, set)| set)
    }

    pub(super) fn all(&self) -> &[Set] {
        &self.all
    }

    pub(super) fn all_mut(&mut self) -> &mut [Set] {
        &mut self.all
    }

    /// Sum over all sets.
    pub(super) fn sum(&self, of: impl Fn(&Set) -> i32) -> i32 {
        self.all.iter().map(of).sum()
    }
}

/// `spec.replicas`, which defaults to 1.
pub(super) fn spec_replicas(set: &ReplicaSet) -> i32 {
    let replicas = set.spec.replicas;
    replicas.unwrap_or(1).max(0)
}

/// Whether two templates are the same but for the label that holds their hash.
pub(super) fn same_template(one: &PodTemplateSpec, other: &PodTemplateSpec) -> bool {
    let meta = |template: &PodTemplateSpec| template.metadata.clone().unwrap_or_default();
    if one.spec != other.spec {
        return false;
    }
    let (mut one, mut other) = (meta(one), meta(other));
    for meta in [&mut one, &mut other] {
        let mut labels = meta.labels.take().unwrap_or_default();
        labels.remove(HASH_LABEL);
        meta.labels = (!labels.is_empty()).then_some(labels);
    }
    one == other
}
