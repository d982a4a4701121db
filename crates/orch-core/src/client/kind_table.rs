//! All kinds that a client knows: registered, used without having been, or defined by an object.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::RwLock;

use super::kinds::{Kind, NoRules};
use crate::object::{ApiResource, Document};

/// Kinds, by plural and group (`deployments.apps`).
#[derive(Debug, Default)]
pub(crate) struct KindTable {
    /// Those that the client was given.
    registered: RwLock<BTreeMap<String, Arc<Kind>>>,
    /// Those that were used, or found in the store, without.
    others: RwLock<BTreeMap<String, Other>>,
    /// The names of those whose definitions are gone: whoever still uses one by name does not make it a kind again.
    gone: RwLock<BTreeSet<String>>,
}

/// A kind that was not registered.
#[derive(Debug)]
struct Other {
    kind: Arc<Kind>,
    /// The uid and generation of the object that defines it.
    definition: Option<(String, i64)>,
}

impl KindTable {
    pub(crate) fn register(&self, kind: Kind) {
        self.registered
            .write()
            .insert(kind.resource.group_resource().into_owned(), Arc::new(kind));
    }

    /// The one of a name that was registered, which is in use from now on.
    pub(crate) fn registered(&self, name: &str) -> Option<Arc<Kind>> {
        let kind = self.registered.read().get(name).cloned()?;
        kind.uses();
        Some(kind)
    }

    /// One that nobody defines: without rules.
    pub(crate) fn undefined(&self, resource: &ApiResource) -> Arc<Kind> {
        let name = resource.group_resource();
        if let Some(other) = self.others.read().get(&*name)
            && other.definition.is_none()
        {
            return other.kind.clone();
        }
        let kind = Arc::new(Kind::new(resource.clone(), NoRules));
        let other = Other {
            kind: kind.clone(),
            definition: None,
        };
        self.others.write().insert(name.into_owned(), other);
        kind
    }

    /// The one that an object defines, made of it where that has not been done.
    pub(crate) fn defined(
        &self,
        definition: &Document,
        make: impl FnOnce(&Document) -> Option<Kind>,
    ) -> Option<Arc<Kind>> {
        let meta = definition.meta();
        let is_of = |other: &Other| {
            let made_of = other.definition.as_ref();
            made_of.is_some_and(|(uid, generation)| *uid == meta.uid && *generation == meta.generation)
        };
        if let Some(other) = self.others.read().get(&meta.name).filter(|other| is_of(other)) {
            return Some(other.kind.clone());
        }
        let kind = Arc::new(make(definition)?);
        let other = Other {
            kind: kind.clone(),
            definition: Some((meta.uid.clone(), meta.generation)),
        };
        self.others.write().insert(meta.name.clone(), other);
        self.gone.write().remove(&meta.name);
        Some(kind)
    }

    /// Forgets the kind of a name, if it was defined: what defined it is not there any more.
    pub(crate) fn forget(&self, name: &str) {
        let mut others = self.others.write();
        if others.get(name).is_some_and(|other| other.definition.is_some()) {
            others.remove(name);
            self.gone.write().insert(name.to_owned());
        }
    }

    /// Whether a kind of this name was defined, and is not any more.
    pub(crate) fn is_gone(&self, name: &str) -> bool {
        self.gone.read().contains(name)
    }

    /// Whether one of this name is among the [resources](Self::resources).
    pub(crate) fn knows(&self, name: &str) -> bool {
        let registered = self.registered.read();
        registered.get(name).is_some_and(|kind| kind.is_in_use()) || self.others.read().contains_key(name)
    }

    /// Those that are in use, or are watched whether they are or not, by name.
    pub(crate) fn resources(&self) -> Vec<ApiResource> {
        let (registered, others, gone) = (self.registered.read(), self.others.read(), self.gone.read());
        let used = registered.iter().filter(|(_, kind)| kind.is_in_use());
        let others = others.iter().filter(|(name, _)| !gone.contains(*name));
        let others = others.map(|(name, other)| (name, &other.kind));
        let all: BTreeMap<_, _> = used.chain(others).collect();
        all.into_values().map(|kind| kind.resource.clone()).collect()
    }
}
