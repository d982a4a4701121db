//! The kinds that are served: Kubernetes' own, and those that the client was given or has used.

use std::sync::Arc;

use orch_cluster::kinds::{BuiltIn, KINDS};
use orch_core::client::Client;
use orch_core::object::ApiResource;

use crate::route::GroupVersion;

/// The part of a pod that is what its containers wrote.
pub(crate) const LOG: &str = "log";

/// The part of a pod that makes it go when its budget allows it, of a kind of its own.
pub(crate) const EVICTION: &str = "eviction";

/// The part of a workload that is its number of pods, of a kind of its own.
pub(crate) const SCALE: &str = "scale";

const STATUS_VERBS: [&str; 3] = ["get", "patch", "update"];

/// A kind as it is served.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) resource: Arc<ApiResource>,
    /// What is known of it beside; none of a kind of the embedding program's own.
    built_in: Option<&'static BuiltIn>,
}

impl Served {
    pub(crate) fn singular(&self) -> String {
        match self.built_in {
            Some(row) => row.singular.to_owned(),
            None => self.resource.kind.to_lowercase(),
        }
    }

    /// Whether it is one of Kubernetes' own.
    pub(crate) fn is_built_in(&self) -> bool {
        self.built_in.is_some()
    }

    pub(crate) fn short_names(&self) -> &'static [&'static str] {
        self.built_in.map_or(&[], |row| row.short_names)
    }

    pub(crate) fn categories(&self) -> &'static [&'static str] {
        self.built_in.map_or(&[], |row| row.categories)
    }

    /// A kind of one's own has one, as a custom resource may have.
    pub(crate) fn has_status(&self) -> bool {
        self.built_in.is_none_or(|row| row.has_status)
    }

    /// Whether its number of replicas is a part of its own.
    pub(crate) fn has_scale(&self) -> bool {
        self.built_in.is_some_and(|row| row.has_scale)
    }

    /// Whether it has containers that write, and may be evicted.
    pub(crate) fn is_pod(&self) -> bool {
        self.built_in
            .is_some_and(|row| row.resource.group.is_empty() && row.resource.kind == "Pod")
    }

    /// The name of a part that is written by itself, its status apart.
    pub(crate) fn part(&self, name: &str) -> Option<&'static str> {
        let parts = self.built_in.map_or(&[][..], |row| row.subresources);
        parts.iter().map(|(own, _)| *own).find(|own| *own == name)
    }

    /// All its parts: their names, kinds and verbs.
    pub(crate) fn all_parts(
        &self,
    ) -> impl Iterator<Item = (&'static str, String, &'static [&'static str])> + '_ {
        let kind = || self.resource.kind.clone().into_owned();
        let status = self.has_status().then(|| ("status", kind(), &STATUS_VERBS[..]));
        let others = self.parts().map(move |part| match part {
            "binding" => (part, "Binding".to_owned(), &["create"][..]),
            _ => (part, kind(), &["update"][..]),
        });
        let of_pods = [
            (LOG, kind(), &["get"][..]),
            (EVICTION, "Eviction".to_owned(), &["create"]),
        ];
        let of_pods = of_pods.into_iter().filter(|_| self.is_pod());
        let scale = self
            .has_scale()
            .then(|| (SCALE, "Scale".to_owned(), &STATUS_VERBS[..]));
        status.into_iter().chain(scale).chain(others).chain(of_pods)
    }

    fn parts(&self) -> impl Iterator<Item = &'static str> {
        self.built_in
            .map_or(&[][..], |row| row.subresources)
            .iter()
            .map(|(name, _)| *name)
    }
}

/// The version that the kind of a part is of, where that is another than the whole's.
pub(crate) fn version_of_part(part: &str) -> Option<GroupVersion> {
    match part {
        SCALE => Some(GroupVersion::new("autoscaling", "v1")),
        EVICTION => Some(GroupVersion::new("policy", "v1")),
        _ => None,
    }
}

/// All of them, Kubernetes' first, then the others by name.
pub(crate) fn all(client: &Client) -> Vec<Served> {
    let built_in = KINDS.iter().map(|row| Served {
        resource: Arc::new(row.resource.clone()),
        built_in: Some(row),
    });
    let own = client.resources().into_iter().filter(|resource| {
        let is_same = |row: &BuiltIn| row.resource.group_resource() == resource.group_resource();
        !KINDS.iter().any(is_same)
    });
    let own = own.map(|resource| Served {
        resource: Arc::new(resource),
        built_in: None,
    });
    built_in.chain(own).collect()
}

/// Those of a version.
pub(crate) fn within<'a>(of: &GroupVersion, all: &'a [Served]) -> Vec<&'a Served> {
    let is_of = |served: &&Served| served.resource.group == of.group && served.resource.version == of.version;
    all.iter().filter(is_of).collect()
}

/// The kind that a path names by its plural.
pub(crate) fn find(client: &Client, of: &GroupVersion, plural: &str) -> Option<Served> {
    let is_it = |resource: &ApiResource| {
        resource.plural == plural && resource.group == of.group && resource.version == of.version
    };
    if let Some(row) = KINDS.iter().find(|row| is_it(&row.resource)) {
        return Some(Served {
            resource: Arc::new(row.resource.clone()),
            built_in: Some(row),
        });
    }
    let resource = client.resources().into_iter().find(is_it)?;
    Some(Served {
        resource: Arc::new(resource),
        built_in: None,
    })
}
