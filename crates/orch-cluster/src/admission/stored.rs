//! What the objects of a kind say now, each of which is taken apart once.

use std::collections::BTreeMap;
use std::sync::Arc;

use orch_core::client::{Client, Collection, ListParams, Refusal};
use orch_core::object::{Document, Object};
use orch_core::store::Revision;
use parking_lot::Mutex;

use super::internal;

/// The objects of a kind, as `T`s.
pub(crate) struct Stored<T> {
    collection: Collection,
    read: fn(&Document) -> Result<T, String>,
    known: Mutex<BTreeMap<String, (Revision, Arc<T>)>>,
}

impl<T> Stored<T> {
    /// Those of the kind `K`, which `read` takes apart.
    pub(crate) fn of<K: Object>(read: fn(&Document) -> Result<T, String>) -> Self {
        Self {
            collection: Collection {
                resource: Arc::new(K::resource()),
                namespace: None,
            },
            read,
            known: Mutex::default(),
        }
    }

    /// All, by name, as they are in the store: one list of it.
    ///
    /// # Errors
    ///
    /// The store's, and that of an object that cannot be read: what it has refused must not pass without it.
    pub(crate) async fn newest(&self, client: &Client) -> Result<Vec<Arc<T>>, Refusal> {
        let list = client
            .backend()
            .list(&self.collection, &ListParams::default())
            .await
            .map_err(Refusal::Failed)?;
        let kind = &self.collection.resource.kind;
        if let Some(key) = list.unreadable.first() {
            let why = format!(
                "{kind} {:?} cannot be read; delete it and make it anew",
                key.name()
            );
            return Err(Refusal::Failed(internal(&why)));
        }
        let mut known = self.known.lock();
        known.retain(|name, _| list.items.iter().any(|document| document.meta().name == *name));
        let mut all = Vec::with_capacity(list.items.len());
        for document in &list.items {
            let name = &document.meta().name;
            let one = match known.get(name) {
                Some((revision, one)) if *revision == document.revision() => one.clone(),
                _ => {
                    let read = (self.read)(document).map_err(|why| {
                        Refusal::Failed(internal(&format!("{kind} {name:?} cannot be read: {why}")))
                    })?;
                    let one = Arc::new(read);
                    known.insert(name.clone(), (document.revision(), one.clone()));
                    one
                }
            };
            all.push(one);
        }
        Ok(all)
    }
}
