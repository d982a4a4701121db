//! Gets and lists.

use super::{
    LocalBackend, collection_prefix, object_key, prefix_of, read_error, store_key, subject, undecoded,
};
use crate::client::{ApiError, Collection, DocumentList, Kind, ListParams, Target};
use crate::object::{Document, FieldSelector, ObjectKey};
use crate::store::{Key, ListOptions, Revision};

/// Most entries that are read from the store at once.
const STORE_PAGE: usize = 1_000;

impl LocalBackend {
    pub(super) async fn read(&self, target: &Target) -> Result<Document, ApiError> {
        let key = store_key(&target.resource, &target.key);
        match self.shared.store.get(&key).await.map_err(read_error)?.value {
            Some(entry) => self.document(&target.resource, &entry),
            None => Err(ApiError::NotFound(subject(target))),
        }
    }

    pub(super) async fn read_list(
        &self,
        collection: &Collection,
        params: &ListParams,
    ) -> Result<DocumentList, ApiError> {
        let kind = self.kind(&collection.resource).await?;
        check_selectable(&kind, &params.fields)?;
        let prefix = collection_prefix(&collection.resource, collection.namespace.as_deref());
        let (mut at, mut from) = match params.continue_token.as_deref() {
            Some(token) => read_token(token).map(|(at, from)| (Some(at), Some(from)))?,
            None => (params.at, None),
        };
        let limit = params.limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let mut items = Vec::new();
        let mut unreadable = Vec::new();
        let mut page_size = limit.min(STORE_PAGE);
        loop {
            let options = ListOptions {
                limit: Some(page_size),
                from: from.take(),
                at,
                may_be_stale: params.may_be_stale,
            };
            let page = self
                .shared
                .store
                .list(&prefix, options)
                .await
                .map_err(read_error)?;
            at = Some(page.revision);
            for entry in page.entries {
                let key = entry.key.clone();
                if items.len() == limit {
                    // Selection made this page longer than the caller's: go on from here next time.
                    return Ok(list(items, unreadable, page.revision, Some(&key)));
                }
                let decoded = Document::from_stored(entry.value, entry.modified);
                let document = match undecoded(&collection.resource, &key, decoded) {
                    Ok(document) => document,
                    Err(error) => {
                        // One object must not keep all others of its kind from being listed.
                        tracing::error!(%error, "a stored object cannot be read, left out of a list");
                        unreadable.push(object_key(&prefix_of(&collection.resource), &key));
                        continue;
                    }
                };
                if params.labels.matches(&document.meta().labels)
                    && matches_fields(&kind, &params.fields, &document)
                {
                    items.push(document);
                }
            }
            match page.next {
                Some(next) if items.len() < limit => {
                    from = Some(next);
                    // Little was selected: go on in larger steps.
                    page_size = (page_size * 2).min(STORE_PAGE);
                }
                next => return Ok(list(items, unreadable, page.revision, next.as_ref())),
            }
        }
    }
}

fn list(
    items: Vec<Document>,
    unreadable: Vec<ObjectKey>,
    revision: Revision,
    next: Option<&Key>,
) -> DocumentList {
    DocumentList {
        items,
        unreadable,
        revision,
        continue_token: next.map(|key| write_token(revision, key)),
    }
}

/// Opaque to callers: the snapshot's revision, and the next key.
fn write_token(revision: Revision, next: &Key) -> String {
    format!("{revision}:{}", String::from_utf8_lossy(next.as_ref()))
}

fn read_token(token: &str) -> Result<(Revision, Key), ApiError> {
    let parsed = token
        .split_once(':')
        .and_then(|(revision, key)| Some((revision.parse().ok()?, key)));
    match parsed {
        Some((revision, key)) => Ok((Revision::new(revision), key.into())),
        None => Err(ApiError::BadRequest(format!(
            "continue: {token:?} is no token of an earlier list"
        ))),
    }
}

/// Refuses a selector over a field that the kind cannot be selected by, rather than finding nothing.
pub(super) fn check_selectable(kind: &Kind, fields: &FieldSelector) -> Result<(), ApiError> {
    let known =
        |path: &str| matches!(path, "metadata.name" | "metadata.namespace") || kind.rules.is_selectable(path);
    match fields
        .requirements()
        .iter()
        .map(|requirement| requirement.path.as_str())
        .find(|path| !known(path))
    {
        None => Ok(()),
        Some(path) => Err(ApiError::BadRequest(format!(
            "field label not supported: {path}: {} can be selected by metadata.name, metadata.namespace and the fields of its kind",
            kind.resource.group_resource()
        ))),
    }
}

/// The value of a selectable field; unset is empty.
pub(super) fn selectable(kind: &Kind, document: &Document, path: &str) -> String {
    match path {
        "metadata.name" => document.meta().name.clone(),
        "metadata.namespace" => document.meta().namespace.clone().unwrap_or_default(),
        path => kind.rules.selectable_field(document, path).unwrap_or_default(),
    }
}

pub(super) fn matches_fields(kind: &Kind, fields: &FieldSelector, document: &Document) -> bool {
    fields.is_everything() || fields.matches(|path| Some(selectable(kind, document, path).into()))
}
