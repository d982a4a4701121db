//! The objects of a view and their indexes.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};

use crate::object::{ObjectKey, ObjectMeta, OwnerReference};

/// An object in the view.
pub(super) struct Item<V> {
    pub(super) value: Arc<V>,
    pub(super) controller: Option<Arc<OwnerReference>>,
    /// Of its uid, in a number: to tell it from another object under its name.
    identity: u64,
    /// What each index filed it under.
    filed: Option<Arc<[Vec<String>]>>,
}

/// What became of an object.
pub(super) enum Seen<V> {
    Item(Item<V>),
    /// It is there, with this [identity](identity), but what reads it cannot.
    Unreadable(u64),
    Gone,
}

/// A uid, in a number.
pub(super) fn identity(uid: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    uid.hash(&mut hasher);
    hasher.finish()
}

// Not derived: a derive would ask the same of `V`.
impl<V> Clone for Item<V> {
    fn clone(&self) -> Self {
        Self {
            value: self.value.clone(),
            controller: self.controller.clone(),
            identity: self.identity,
            filed: self.filed.clone(),
        }
    }
}

impl<V> Item<V> {
    pub(super) fn new(value: Arc<V>, meta: &ObjectMeta, filed: Vec<Vec<String>>) -> Self {
        Self {
            value,
            controller: meta.controller().cloned().map(Arc::new),
            identity: identity(&meta.uid),
            filed: (!filed.is_empty()).then(|| filed.into()),
        }
    }
}

/// What is iterated over has an order that only the changes decide: the same history must come of the same seed.
pub(super) struct State<V> {
    items: IndexMap<ObjectKey, Item<V>>,
    indexes: Vec<HashMap<String, IndexSet<ObjectKey>>>,
}

impl<V> State<V> {
    pub(super) fn new(indexes: usize) -> Self {
        Self {
            items: IndexMap::new(),
            indexes: (0..indexes).map(|_| HashMap::new()).collect(),
        }
    }

    pub(super) fn get(&self, key: &ObjectKey) -> Option<&Arc<V>> {
        self.items.get(key).map(|item| &item.value)
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Arc<V>> {
        self.items.values().map(|item| &item.value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ObjectKey, &Arc<V>)> {
        self.items.iter().map(|(key, item)| (key, &item.value))
    }

    pub(super) fn items(&self) -> impl Iterator<Item = (&ObjectKey, &Item<V>)> {
        self.items.iter()
    }

    pub(super) fn by_index<'s>(&'s self, index: usize, value: &str) -> impl Iterator<Item = &'s ObjectKey> {
        self.indexes[index].get(value).into_iter().flatten()
    }

    /// Takes in what became of the object under `key`: what was there, and what is there now, if that is a change.
    ///
    /// That an object cannot be read does not say that it is gone: what it was when it last could is kept.
    pub(super) fn see(
        &mut self,
        key: &ObjectKey,
        seen: Seen<V>,
    ) -> Option<(Option<Item<V>>, Option<Item<V>>)> {
        let item = match seen {
            Seen::Item(item) => Some(item),
            Seen::Unreadable(identity)
                if self.items.get(key).is_some_and(|kept| kept.identity == identity) =>
            {
                return None;
            }
            Seen::Unreadable(_) | Seen::Gone => None,
        };
        let old = self.set(key, item.clone());
        (old.is_some() || item.is_some()).then_some((old, item))
    }

    /// Puts `item` under `key`, or takes the key out; returns what was there.
    fn set(&mut self, key: &ObjectKey, item: Option<Item<V>>) -> Option<Item<V>> {
        let filed = item.as_ref().and_then(|item| item.filed.clone());
        let old = match item {
            Some(item) => self.items.insert(key.clone(), item),
            None => self.items.swap_remove(key),
        };
        let had = old.as_ref().and_then(|old| old.filed.clone());
        if filed != had {
            self.file(key, had.as_deref(), filed.as_deref());
        }
        old
    }

    fn file(&mut self, key: &ObjectKey, had: Option<&[Vec<String>]>, now: Option<&[Vec<String>]>) {
        for (number, index) in self.indexes.iter_mut().enumerate() {
            for value in had.into_iter().flat_map(|had| &had[number]) {
                if let Some(keys) = index.get_mut(value) {
                    keys.swap_remove(key);
                    if keys.is_empty() {
                        index.remove(value);
                    }
                }
            }
            for value in now.into_iter().flat_map(|now| &now[number]) {
                index.entry(value.clone()).or_default().insert(key.clone());
            }
        }
    }
}
