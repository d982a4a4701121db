//! Finds the kinds that objects are stored of, though nobody has named them to this client.

use std::borrow::Cow;

use super::{LocalBackend, REGISTRY, read_error};
use crate::client::ApiError;
use crate::object::{ApiResource, Document, Scope};
use crate::store::{Key, ListOptions};

/// More kinds than any store holds: an end to the search, whatever lies in it.
const MOST: usize = 10_000;

impl LocalBackend {
    /// Reads one object of each kind: as many reads as there are kinds, however many objects.
    pub(super) async fn find_kinds(&self) -> Result<(), ApiError> {
        let registry = REGISTRY.into();
        let mut from: Option<Key> = None;
        for _ in 0..MOST {
            let options = ListOptions {
                limit: Some(1),
                from: from.take(),
                ..ListOptions::default()
            };
            let page = self
                .shared
                .store
                .list(&registry, options)
                .await
                .map_err(read_error)?;
            let Some(entry) = page.entries.into_iter().next() else {
                return Ok(());
            };
            let key = entry.key.to_string();
            let inner = key.strip_prefix(REGISTRY).unwrap_or_default();
            let (name, object) = inner.split_once('/').unwrap_or((inner, ""));
            if !self.shared.kinds.knows(name) {
                match Document::from_stored(entry.value, entry.modified) {
                    Ok(document) => {
                        if let Some(resource) = resource(name, object, &document) {
                            self.kind(&resource).await?;
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%key, %error, "not decodable: its kind stays unknown");
                    }
                }
            }
            // The byte after the slash: past all objects of the kind.
            from = Some(format!("{REGISTRY}{name}0").into());
        }
        Ok(())
    }
}

/// The kind of an object whose key is `<name>/<object>`.
fn resource(name: &str, object: &str, document: &Document) -> Option<ApiResource> {
    let (group, version) = match document.api_version().rsplit_once('/') {
        Some((group, version)) => (group, version),
        None => ("", document.api_version()),
    };
    let plural = match group {
        "" => name,
        group => name.strip_suffix(group)?.strip_suffix('.')?,
    };
    let owned = |text: &str| Cow::Owned(text.to_owned());
    Some(ApiResource {
        group: owned(group),
        version: owned(version),
        kind: owned(document.kind()),
        plural: owned(plural),
        scope: if object.contains('/') {
            Scope::Namespaced
        } else {
            Scope::Cluster
        },
    })
}
