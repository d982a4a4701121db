//! Who owns whom: a graph by uid over the metadata of every object of every kind.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexSet;
use orch_core::object::{ApiResource, ObjectKey, ObjectMeta, OwnerReference};
use orch_core::store::Revision;

/// An object's uid, shared.
pub(crate) type Uid = Arc<str>;

/// The finalizer of a deletion that waits for its dependents.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of a deletion that lets its dependents go first.
pub(crate) const ORPHAN: &str = "orphan";

/// What the graph knows of an object it has seen.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) resource: Arc<ApiResource>,
    pub(crate) key: ObjectKey,
    pub(crate) uid: Uid,
    pub(crate) revision: Revision,
    pub(crate) owners: Vec<OwnerReference>,
    pub(crate) is_deleting: bool,
    /// Waits for its dependents to be gone.
    pub(crate) foreground: bool,
    /// Its dependents are to be let go.
    pub(crate) orphan: bool,
}

impl Item {
    /// What the graph keeps of an object's metadata.
    pub(crate) fn new(resource: &Arc<ApiResource>, meta: &ObjectMeta) -> Self {
        let has = |finalizer: &str| meta.finalizers.iter().any(|own| own == finalizer);
        Self {
            resource: Arc::clone(resource),
            key: ObjectKey::new(meta.namespace.as_deref(), &meta.name),
            uid: meta.uid.as_str().into(),
            revision: meta.resource_version.unwrap_or_default(),
            owners: meta.owner_references.clone(),
            is_deleting: meta.is_deleting(),
            foreground: meta.is_deleting() && has(FOREGROUND),
            orphan: meta.is_deleting() && has(ORPHAN),
        }
    }
}

/// What a direct look at the store says of an owner that the graph has not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It exists; the graph will see it soon.
    Present,
    /// No such object, or another one under its name.
    Absent,
    /// It cannot be looked up (its kind is not known, or a cluster-scoped object names a namespaced owner):
    /// then it counts as existing, for nothing may be deleted on a guess.
    Unresolvable,
}

/// How an owner counts for one of its dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It exists, so the dependent stays.
    Solid,
    /// It exists, but waits for the dependent to go.
    Waiting,
    /// It is gone.
    Absent,
    /// Not seen yet: look.
    Unknown,
}

#[derive(Debug, Default)]
struct Node {
    /// None while it is known from references alone.
    item: Option<Arc<Item>>,
    /// What a direct look found of owners of it that the graph has not seen, by uid.
    found: HashMap<Uid, Found>,
    /// It was seen, and seen to go. A uid does not come back.
    is_gone: bool,
    /// In an order that depends only on what has happened: it is that of the decisions about them.
    dependents: IndexSet<Uid>,
}

/// The graph. Every change returns the uids that now need a [decision](super::decide).
#[derive(Debug, Default)]
pub(crate) struct Graph {
    nodes: HashMap<Uid, Node>,
}

impl Graph {
    /// Takes in an object as it is now.
    pub(crate) fn observe(&mut self, item: Arc<Item>) -> Vec<Uid> {
        let uid = Arc::clone(&item.uid);
        let before = self.nodes.get_mut(&uid).and_then(|node| node.item.take());
        if before
            .as_ref()
            .is_some_and(|before| before.revision > item.revision)
        {
            // A late repetition of what is past already.
            self.nodes.entry(uid).or_default().item = before;
            return Vec::new();
        }
        let old_owners = before.as_ref().map_or(&[][..], |before| &before.owners[..]);
        let mut attend = Vec::new();
        if old_owners != item.owners {
            for owner in old_owners {
                if !item.owners.iter().any(|now| now.uid == owner.uid) {
                    self.unlink(&owner.uid, &uid);
                }
            }
            for owner in &item.owners {
                let owner_uid = Uid::from(owner.uid.as_str());
                self.nodes
                    .entry(owner_uid)
                    .or_default()
                    .dependents
                    .insert(Arc::clone(&uid));
            }
            // An owner that waits, or lets go, may have been waiting for this.
            let owners = old_owners.iter().chain(&item.owners);
            attend.extend(owners.filter_map(|owner| self.finalizing(&owner.uid)));
        }
        let node = self.nodes.entry(Arc::clone(&uid)).or_default();
        let is_new = before.is_none();
        let began_waiting = item.foreground && before.as_ref().is_none_or(|before| !before.foreground);
        node.item = Some(item);
        if is_new || began_waiting {
            attend.extend(node.dependents.iter().cloned());
        }
        if self.is_unsettled(&uid) {
            attend.push(uid);
        }
        attend
    }

    /// Takes in that an object is gone.
    pub(crate) fn forget(&mut self, uid: &str) -> Vec<Uid> {
        let Some(node) = self.nodes.get_mut(uid) else {
            return Vec::new();
        };
        let Some(item) = node.item.take() else {
            return Vec::new();
        };
        node.is_gone = true;
        node.found.clear();
        let mut attend: Vec<Uid> = node.dependents.iter().cloned().collect();
        if attend.is_empty() {
            self.nodes.remove(uid);
        }
        for owner in &item.owners {
            self.unlink(&owner.uid, uid);
            attend.extend(self.finalizing(&owner.uid));
        }
        attend
    }

    /// Takes in what a direct look found of `owner` on behalf of `dependent`.
    pub(crate) fn found(&mut self, dependent: &str, owner: &str, found: Found) {
        if let Some(node) = self.nodes.get_mut(dependent).filter(|node| node.item.is_some()) {
            node.found.insert(owner.into(), found);
        }
    }

    /// Has the owners of `dependent` that were found to exist looked up again: the graph should have seen them
    /// by now. Says whether there were any.
    pub(crate) fn doubt(&mut self, dependent: &str) -> bool {
        let Some(node) = self.nodes.get_mut(dependent) else {
            return false;
        };
        let before = node.found.len();
        node.found.retain(|_, found| *found != Found::Present);
        node.found.len() < before
    }

    /// The object of a uid, if it has been seen and is not gone.
    pub(crate) fn item(&self, uid: &str) -> Option<&Item> {
        self.nodes.get(uid)?.item.as_deref()
    }

    /// The objects that name `uid` as an owner.
    pub(crate) fn dependents(&self, uid: &str) -> impl Iterator<Item = &Item> {
        let dependents = self.nodes.get(uid).into_iter().flat_map(|node| &node.dependents);
        dependents.filter_map(|uid| self.item(uid))
    }

    /// All objects seen.
    #[cfg(test)]
    pub(crate) fn uids(&self) -> impl Iterator<Item = &Uid> {
        self.nodes
            .iter()
            .filter(|(_, node)| node.item.is_some())
            .map(|(uid, _)| uid)
    }

    /// How `owner` counts for `item`.
    pub(crate) fn standing(&self, item: &Item, owner: &OwnerReference) -> Standing {
        let node = self.nodes.get(owner.uid.as_str());
        if let Some(seen) = node.and_then(|node| node.item.as_deref()) {
            return match (seen.key.namespace(), item.key.namespace()) {
                // An owner in another namespace is none; one in a namespace is none that a cluster-scoped
                // object could name, but then Kubernetes leaves the object alone.
                (Some(theirs), Some(ours)) if theirs != ours => Standing::Absent,
                (Some(_), None) => Standing::Solid,
                _ if seen.foreground => Standing::Waiting,
                _ => Standing::Solid,
            };
        }
        if node.is_some_and(|node| node.is_gone) {
            return Standing::Absent;
        }
        let own = self.nodes.get(&*item.uid);
        match own.and_then(|own| own.found.get(owner.uid.as_str())) {
            None => Standing::Unknown,
            Some(Found::Absent) => Standing::Absent,
            Some(Found::Present | Found::Unresolvable) => Standing::Solid,
        }
    }

    /// Whether there is anything to decide about it.
    fn is_unsettled(&self, uid: &str) -> bool {
        self.item(uid).is_some_and(|item| {
            let mut owners = item.owners.iter();
            item.foreground
                || item.orphan
                || owners.any(|owner| self.standing(item, owner) != Standing::Solid)
        })
    }

    /// The uid, if its deletion waits for dependents to go or to be let go.
    fn finalizing(&self, uid: &str) -> Option<Uid> {
        let item = self.item(uid)?;
        (item.foreground || item.orphan).then(|| Arc::clone(&item.uid))
    }

    fn unlink(&mut self, owner: &str, dependent: &str) {
        let Some(node) = self.nodes.get_mut(owner) else {
            return;
        };
        node.dependents.swap_remove(dependent);
        if node.dependents.is_empty() && node.item.is_none() {
            self.nodes.remove(owner);
        }
    }
}
