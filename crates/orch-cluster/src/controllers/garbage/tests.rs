//! Garbage collection, rule by rule, and at random against what must come out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use orch_core::object::{ApiResource, ObjectMeta, OwnerReference, Scope};
use orch_core::store::Revision;
use proptest::prelude::*;

use super::graph::{FOREGROUND, ORPHAN};
use super::*;

/// A store with an API's rules for deletion, and a collector that sees its changes late and in order.
struct World {
    objects: BTreeMap<String, ObjectMeta>,
    resource: Arc<ApiResource>,
    cluster_resource: Arc<ApiResource>,
    revision: u64,
    unseen: VecDeque<Event>,
    graph: Graph,
    queue: VecDeque<Uid>,
}

enum Event {
    Written(Box<ObjectMeta>),
    Gone(String),
}

fn owner(uid: &str, block: bool) -> OwnerReference {
    OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Thing".to_owned(),
        name: uid.to_owned(),
        uid: uid.to_owned(),
        block_owner_deletion: block,
        ..OwnerReference::default()
    }
}

impl World {
    fn new() -> Self {
        let resource = |scope| Arc::new(ApiResource::new("", "v1", "Thing", "things", scope));
        Self {
            objects: BTreeMap::new(),
            resource: resource(Scope::Namespaced),
            cluster_resource: resource(Scope::Cluster),
            revision: 0,
            unseen: VecDeque::new(),
            graph: Graph::default(),
            queue: VecDeque::new(),
        }
    }

    fn write(&mut self, mut meta: ObjectMeta) {
        self.revision += 1;
        meta.resource_version = Some(Revision::new(self.revision));
        if meta.is_deleting() && meta.finalizers.is_empty() {
            self.objects.remove(&meta.uid);
            self.unseen.push_back(Event::Gone(meta.uid));
        } else {
            self.objects.insert(meta.uid.clone(), meta.clone());
            self.unseen.push_back(Event::Written(Box::new(meta)));
        }
    }

    fn create(&mut self, uid: &str, namespace: Option<&str>, owners: Vec<OwnerReference>) {
        let mut meta = ObjectMeta::named(uid);
        meta.uid = uid.to_owned();
        meta.namespace = namespace.map(str::to_owned);
        meta.owner_references = owners;
        self.write(meta);
    }

    fn delete(&mut self, uid: &str, finalizer: Option<&str>) {
        let Some(mut meta) = self.objects.get(uid).cloned() else {
            return;
        };
        meta.deletion_timestamp
            .get_or_insert("2026-01-01T00:00:00Z".parse().unwrap());
        if let Some(finalizer) = finalizer
            && meta.finalizers.is_empty()
        {
            meta.finalizers.push(finalizer.to_owned());
        }
        self.write(meta);
    }

    fn see(&mut self) -> bool {
        let attend = match self.unseen.pop_front() {
            None => return false,
            Some(Event::Gone(uid)) => self.graph.forget(&uid),
            Some(Event::Written(meta)) => {
                let resource = if meta.namespace.is_some() {
                    &self.resource
                } else {
                    &self.cluster_resource
                };
                self.graph.observe(Arc::new(Item::new(resource, &meta)))
            }
        };
        self.queue.extend(attend);
        true
    }

    fn act(&mut self) -> bool {
        let Some(uid) = self.queue.pop_front() else {
            return false;
        };
        for action in decide(&self.graph, &uid) {
            self.apply(action);
        }
        true
    }

    /// A write is refused unless the object is as it was when it was decided on.
    fn current(&self, uid: &str) -> Option<ObjectMeta> {
        let seen = self.graph.item(uid)?.revision;
        self.objects
            .get(uid)
            .filter(|meta| meta.resource_version == Some(seen))
            .cloned()
    }

    fn apply(&mut self, action: Action) {
        match action {
            Action::Attend(uid) => self.queue.push_back(uid),
            Action::Look { dependent, owner } => {
                let namespace = self
                    .objects
                    .get(&*dependent)
                    .and_then(|meta| meta.namespace.clone());
                let found = match self.objects.get(&owner.uid) {
                    Some(meta) if meta.namespace.is_none() || meta.namespace == namespace => Found::Present,
                    Some(_) if namespace.is_none() => Found::Unresolvable,
                    _ => Found::Absent,
                };
                self.graph.found(&dependent, &owner.uid, found);
                self.queue.push_back(dependent);
            }
            Action::Delete { object, propagation } => {
                if self.current(&object).is_some() {
                    self.delete(
                        &object,
                        (propagation == Propagation::Foreground).then_some(FOREGROUND),
                    );
                }
            }
            Action::DropOwners { object, owners } => {
                if let Some(mut meta) = self.current(&object) {
                    meta.owner_references.retain(|own| !owners.contains(&own.uid));
                    self.write(meta);
                }
            }
            Action::Unblock { object } => {
                if let Some(mut meta) = self.current(&object) {
                    meta.owner_references
                        .iter_mut()
                        .for_each(|own| own.block_owner_deletion = false);
                    self.write(meta);
                }
            }
            Action::RemoveFinalizer { object, finalizer } => {
                if let Some(mut meta) = self.current(&object) {
                    meta.finalizers.retain(|own| own != finalizer);
                    self.write(meta);
                }
            }
        }
    }

    fn settle(&mut self) {
        for _ in 0..100_000 {
            let (seen, acted) = (self.see(), self.act());
            if !seen && !acted {
                return;
            }
        }
        panic!("garbage collection does not come to rest");
    }

    fn left(&self) -> Vec<&str> {
        self.objects.keys().map(String::as_str).collect()
    }
}

/// `deployment` owns `set`, which owns `pod1` and `pod2`, all blocking.
fn chain() -> World {
    let mut world = World::new();
    world.create("deployment", Some("a"), vec![]);
    world.create("set", Some("a"), vec![owner("deployment", true)]);
    for pod in ["pod1", "pod2"] {
        world.create(pod, Some("a"), vec![owner("set", true)]);
    }
    world.settle();
    assert_eq!(world.left().len(), 4);
    world
}

#[test]
fn in_the_background_all_that_was_owned_goes_afterwards() {
    let mut world = chain();
    world.delete("deployment", None);
    assert_eq!(world.left(), ["pod1", "pod2", "set"], "the owner goes at once");
    world.settle();
    assert_eq!(world.left(), [""; 0]);
}

#[test]
fn in_the_foreground_the_owner_goes_last() {
    let mut world = chain();
    world.delete("deployment", Some(FOREGROUND));
    let mut order = Vec::new();
    while world.see() | world.act() {
        for uid in ["deployment", "set", "pod1", "pod2"] {
            if !world.objects.contains_key(uid) && !order.contains(&uid) {
                order.push(uid);
            }
        }
    }
    assert_eq!(order[2..], ["set", "deployment"], "{order:?}");
}

#[test]
fn a_dependent_that_does_not_block_is_not_waited_for() {
    let mut world = World::new();
    world.create("owner", Some("a"), vec![]);
    world.create("dependent", Some("a"), vec![owner("owner", false)]);
    // Something else holds the dependent.
    let mut held = world.objects["dependent"].clone();
    held.finalizers.push("example.com/hold".to_owned());
    world.write(held);
    world.settle();
    world.delete("owner", Some(FOREGROUND));
    world.settle();
    assert_eq!(world.left(), ["dependent"]);
    assert!(world.objects["dependent"].is_deleting());
}

#[test]
fn orphans_stay_and_lose_the_reference() {
    let mut world = chain();
    world.delete("deployment", Some(ORPHAN));
    world.settle();
    assert_eq!(world.left(), ["pod1", "pod2", "set"]);
    assert!(world.objects["set"].owner_references.is_empty());
    assert_eq!(world.objects["pod1"].owner_references, [owner("set", true)]);
}

#[test]
fn one_owner_left_is_enough() {
    let mut world = World::new();
    world.create("one", Some("a"), vec![]);
    world.create("two", Some("a"), vec![]);
    world.create("shared", Some("a"), vec![owner("one", true), owner("two", true)]);
    world.settle();
    world.delete("one", Some(FOREGROUND));
    world.settle();
    assert_eq!(world.left(), ["shared", "two"]);
    assert_eq!(world.objects["shared"].owner_references, [owner("two", true)]);
    world.delete("two", None);
    world.settle();
    assert_eq!(world.left(), [""; 0]);
}

#[test]
fn owners_count_by_uid_and_namespace() {
    // (the owner's namespace if it exists, the dependent's, whether the dependent stays)
    let table = [
        (Some(Some("a")), Some("a"), true),
        (Some(None), Some("a"), true),
        (Some(None), None, true),
        (Some(Some("a")), Some("b"), false),
        (Some(Some("a")), None, true),
        (None, Some("a"), false),
        (None, None, false),
    ];
    for (owner_namespace, namespace, stays) in table {
        for owner_first in [true, false] {
            let mut world = World::new();
            if owner_first && let Some(owner_namespace) = owner_namespace {
                world.create("owner", owner_namespace, vec![]);
            }
            world.create("dependent", namespace, vec![owner("owner", true)]);
            if !owner_first && let Some(owner_namespace) = owner_namespace {
                // It exists, but the collector hears of it later.
                world.create("owner", owner_namespace, vec![]);
            }
            world.settle();
            let left = world.objects.contains_key("dependent");
            assert_eq!(
                left, stays,
                "owner {owner_namespace:?}, dependent {namespace:?}, {owner_first}"
            );
        }
    }
}

#[test]
fn a_circle_can_be_deleted_in_the_foreground() {
    let mut world = World::new();
    for (uid, owned_by) in [("a", "c"), ("b", "a"), ("c", "b")] {
        world.create(uid, Some("n"), vec![owner(owned_by, true)]);
    }
    world.settle();
    assert_eq!(world.left().len(), 3);
    world.delete("a", Some(FOREGROUND));
    world.settle();
    assert_eq!(world.left(), [""; 0]);
}

#[test]
fn what_is_gone_leaves_no_node_behind() {
    let mut world = chain();
    world.delete("deployment", None);
    world.settle();
    assert_eq!(world.graph.uids().count(), 0);
    assert_eq!(format!("{:?}", world.graph), format!("{:?}", Graph::default()));
}

#[derive(Clone, Debug)]
enum Step {
    Delete(usize, Option<bool>),
    See,
    Act,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        1 => (0..12usize, prop::option::of(any::<bool>())).prop_map(|(n, how)| Step::Delete(n, how)),
        3 => Just(Step::See),
        3 => Just(Step::Act),
    ];
    prop::collection::vec(step, 0..80)
}

proptest! {
    /// Each object may be owned by earlier ones. Whatever is deleted, and however, in the end every object that
    /// is left has an owner or never lost its last one, and nothing is left half deleted.
    #[test]
    fn nothing_is_left_without_a_reason(
        edges in prop::collection::vec(prop::collection::btree_set((0..12usize, any::<bool>()), 0..3), 12),
        steps in steps(),
    ) {
        let mut world = World::new();
        for (n, edges) in edges.iter().enumerate() {
            let mut seen = BTreeSet::new();
            let earlier = edges.iter().filter(|(of, _)| *of < n && seen.insert(*of));
            let owners = earlier.map(|(of, block)| owner(&format!("o{of}"), *block)).collect();
            world.create(&format!("o{n}"), Some("a"), owners);
        }
        let mut deleted = BTreeSet::new();
        for step in &steps {
            match step {
                Step::Delete(n, how) => {
                    let uid = format!("o{n}");
                    let finalizer = how.map(|foreground| if foreground { FOREGROUND } else { ORPHAN });
                    deleted.insert(uid.clone());
                    world.delete(&uid, finalizer);
                }
                Step::See => drop(world.see()),
                Step::Act => drop(world.act()),
            }
        }
        world.settle();
        for uid in &deleted {
            prop_assert!(!world.objects.contains_key(uid), "{uid} was deleted and is still there");
        }
        for meta in world.objects.values() {
            prop_assert!(!meta.is_deleting(), "{} hangs", meta.uid);
            for own in &meta.owner_references {
                prop_assert!(world.objects.contains_key(&own.uid), "{} names {}", meta.uid, own.uid);
            }
        }
        for (n, edges) in edges.iter().enumerate() {
            let uid = format!("o{n}");
            if !edges.iter().any(|(of, _)| *of < n) && !deleted.contains(&uid) {
                prop_assert!(world.objects.contains_key(&uid), "{uid} had no owner and was deleted");
            }
        }
    }
}
