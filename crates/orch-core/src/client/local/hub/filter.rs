//! What a watcher wants to see, and a change as it looks to it.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::client::local::documents::{Documents, weight};
use crate::client::local::read::selectable;
use crate::client::{Kind, WatchEvent};
use crate::object::{Document, FieldSelector, Selector};
use crate::store::{Change, Entry, Key, Prefix, Revision};

/// What a watcher wants to see.
#[derive(Clone)]
pub(super) struct Filter {
    pub(super) prefix: Option<Prefix>,
    pub(super) labels: Selector,
    pub(super) fields: FieldSelector,
    pub(super) kind: Arc<Kind>,
}

impl Filter {
    fn matches(&self, change: &HubChange, side: Side) -> bool {
        change
            .side(side)
            .is_some_and(|document| self.labels.matches(&document.meta().labels))
            && self
                .fields
                .matches(|path| change.field(&self.kind, path, side).map(Into::into))
    }

    fn selects_all(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    /// The event that the change is to this watcher.
    pub(super) fn event(&self, change: &HubChange) -> Option<WatchEvent<Document>> {
        if self
            .prefix
            .as_ref()
            .is_some_and(|prefix| !prefix.contains(&change.change.key))
        {
            return None;
        }
        let current = change.current();
        let had = match (&change.change.previous, self.selects_all()) {
            (None, _) => false,
            (Some(_), true) => true,
            (Some(_), false) => self.matches(change, Side::Previous),
        };
        // What cannot be read is not gone, and may match as well as not.
        if change.change.current.is_some() && current.is_none() {
            return None;
        }
        match current.filter(|_| self.selects_all() || self.matches(change, Side::Current)) {
            Some(current) if had => Some(WatchEvent::Modified(current.clone())),
            Some(current) => Some(WatchEvent::Added(current.clone())),
            // As it was, at the revision at which it went.
            None if had => change
                .previous()
                .map(|previous| WatchEvent::Deleted(previous.clone().at(change.revision))),
            None => None,
        }
    }

    /// The field by whose value its events can be found.
    pub(super) fn route(&self) -> Option<(String, String)> {
        self.fields.requirements().iter().find_map(|requirement| {
            let value = self.fields.exact(&requirement.path)?;
            Some((requirement.path.clone(), value.to_owned()))
        })
    }
}

/// A change, decoded at most once however many look at it.
pub(super) struct HubChange {
    pub(super) revision: Revision,
    change: Change,
    documents: Arc<Documents>,
    current: OnceLock<Option<Document>>,
    previous: OnceLock<Option<Document>>,
    /// What of it watchers select by: few paths, and each is asked for by many.
    fields: Mutex<Vec<SelectedField>>,
}

/// The object before a change, or after it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Previous,
    Current,
}

struct SelectedField {
    path: String,
    side: Side,
    value: String,
}

impl HubChange {
    pub(super) fn new(revision: Revision, change: Change, documents: Arc<Documents>) -> Self {
        Self {
            revision,
            change,
            documents,
            current: OnceLock::new(),
            previous: OnceLock::new(),
            fields: Mutex::default(),
        }
    }

    pub(super) fn key(&self) -> &Key {
        &self.change.key
    }

    /// Whether it deletes what cannot be read.
    pub(super) fn ends_unreadable(&self) -> bool {
        self.change.current.is_none() && self.previous().is_none()
    }

    pub(super) fn current(&self) -> Option<&Document> {
        let decode = || self.decode(self.change.current.as_ref()?);
        self.current.get_or_init(decode).as_ref()
    }

    pub(super) fn previous(&self) -> Option<&Document> {
        let decode = || self.decode(self.change.previous.as_ref()?);
        self.previous.get_or_init(decode).as_ref()
    }

    fn side(&self, side: Side) -> Option<&Document> {
        match side {
            Side::Previous => self.previous(),
            Side::Current => self.current(),
        }
    }

    /// The value of a selectable field, looked up at most once; none where there is no object.
    pub(super) fn field(&self, kind: &Kind, path: &str, side: Side) -> Option<String> {
        let document = self.side(side)?;
        let mut fields = self.fields.lock();
        let known = fields
            .iter()
            .find(|field| field.side == side && field.path == path);
        if let Some(known) = known {
            return Some(known.value.clone());
        }
        let value = selectable(kind, document, path);
        fields.push(SelectedField {
            path: path.to_owned(),
            side,
            value: value.clone(),
        });
        Some(value)
    }

    fn decode(&self, entry: &Entry) -> Option<Document> {
        match self.documents.decode(entry) {
            Ok(document) => Some(document),
            Err(error) => {
                // Not ours to repair; reads of the object itself report it.
                tracing::error!(key = %entry.key, %error, "stored object cannot be read, watchers do not see it");
                None
            }
        }
    }
}

impl HubChange {
    /// What it may come to in memory: the values it holds, and what was decoded of them.
    pub(super) fn weight(&self) -> usize {
        let value = |entry: &Option<Entry>| entry.as_ref().map_or(0, |entry| entry.value.len());
        weight(value(&self.change.current) + value(&self.change.previous))
    }
}
