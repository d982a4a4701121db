//! Updates and patches of whole objects.

use serde_json::{Map, Value};

use super::admit::invalid_if_any;
use super::convert::Current;
use super::part::MANAGED_FIELDS;
use super::raw::{KEPT, bad, check_names, field_to_json, identify, metadata, object_to_json, text};
use super::{ATTEMPTS, Failure, LocalBackend, store_key, subject};
use crate::client::error::MODIFIED;
use crate::client::{ApiError, Kind, Operation, Part, Patch, Target, Wanted, WriteParams, Written};
use crate::object::{Document, FieldError, FieldPath, RawObject};
use crate::store::{Revision, Txn};

impl LocalBackend {
    pub(super) async fn write_update(
        &self,
        target: &Target,
        part: Part<'_>,
        mut object: RawObject,
        params: &WriteParams,
    ) -> Result<Written, ApiError> {
        let meta = object.get("metadata").and_then(Value::as_object);
        let read = Expectation::of(meta)?;
        match part {
            Part::Whole => {}
            Part::Status => {
                check_names(target, meta)?;
                params.receive(&mut object)?;
                let status = field_to_json("status", object.get("status").unwrap_or(&Value::Null))?;
                return self
                    .write_status(target, &read, params, |_| Ok(status.clone()))
                    .await;
            }
            Part::Subresource(name) => {
                check_names(target, meta)?;
                let wanted = Wanted::Whole(&object);
                return self.write_subresource(target, name, &read, wanted, params).await;
            }
        }
        identify(target, &mut object)?;
        params.receive(&mut object)?;
        let (kind, read) = (&*self.kind_to_write(&target.resource).await?, &read);
        self.rewrite(target, read.attempts(), |old| {
            // An unconditional write may have to be tried again.
            let new = match read.attempts() {
                1 => std::mem::take(&mut object),
                _ => object.clone(),
            };
            async move {
                read.check(target, &old)?;
                let old = self.current(target, old).await?;
                let old_raw = old.document.to_raw().map_err(bad)?;
                self.replace(kind, target, &old, old_raw, new, params).await
            }
        })
        .await
    }

    pub(super) async fn write_patch(
        &self,
        target: &Target,
        part: Part<'_>,
        patch: &Patch,
        params: &WriteParams,
    ) -> Result<Written, ApiError> {
        // A field manager sees the whole object.
        if let Patch::Merge(merge) = patch
            && params.field_manager.is_none()
        {
            let meta = merge.get("metadata").and_then(Value::as_object);
            match part {
                Part::Whole => {}
                Part::Status => {
                    check_names(target, meta)?;
                    let read = Expectation::of(meta)?;
                    return self
                        .merge_status(target, &read, merge.get("status"), params)
                        .await;
                }
                Part::Subresource(name) => {
                    let read = Expectation::of(meta)?;
                    check_names(target, meta)?;
                    let wanted = Wanted::Merge(merge);
                    return self.write_subresource(target, name, &read, wanted, params).await;
                }
            }
        }
        let kind = &*self.kind_to_write(&target.resource).await?;
        self.rewrite(target, ATTEMPTS, |old| async move {
            let current = self.current(target, old).await?;
            let old = &current.document;
            let old_raw = old.to_raw().map_err(bad)?;
            let mut new = old_raw.clone();
            // It may have been stored when that was done in another version.
            new.insert("apiVersion".to_owned(), target.resource.api_version().into());
            let mut new = patch.apply(new, || subject(target)).await?;
            // The patched object carries the version that was read unless the patch names one.
            Expectation::of(new.get("metadata").and_then(Value::as_object))?.check(target, old)?;
            identify(target, &mut new)?;
            params.receive(&mut new)?;
            match part {
                Part::Whole => self.replace(kind, target, &current, old_raw, new, params).await,
                Part::Status => {
                    let status = field_to_json("status", new.get("status").unwrap_or(&Value::Null))?;
                    self.replace_status(target, old, &status, record_in(&new), params)
                        .await
                }
                Part::Subresource(name) => {
                    self.replace_subresource(target, name, old, Wanted::Whole(&new), record_in(&new), params)
                        .await
                }
            }
        })
        .await
    }

    /// Replaces an object, its status apart.
    async fn replace(
        &self,
        kind: &Kind,
        target: &Target,
        current: &Current,
        mut old_raw: RawObject,
        mut new: RawObject,
        params: &WriteParams,
    ) -> Result<Written, Failure> {
        let old = &current.document;
        let old_meta = metadata(&mut old_raw)?;
        old_meta.remove("resourceVersion");
        let meta = metadata(&mut new)?;
        meta.remove("resourceVersion");
        for field in KEPT {
            match old_meta.get(field) {
                Some(value) => meta.insert(field.to_owned(), value.clone()),
                None => meta.remove(field),
            };
        }
        meta.insert("name".to_owned(), target.key.name().into());
        if let Some(namespace) = target.key.namespace() {
            meta.insert("namespace".to_owned(), namespace.into());
        }
        let has_status = kind.rules.has_status();
        if has_status {
            match old_raw.get("status") {
                Some(status) => new.insert("status".to_owned(), status.clone()),
                None => new.remove("status"),
            };
        }
        kind.rules.prepare_update(&mut new, &old_raw);
        kind.rules.default(&mut new);
        if let Some(manager) = &params.field_manager {
            manager.record(Some(&old_raw), &mut new)?;
        }
        let mut admission = self.admission(Operation::Update, kind, target, Some(old), params);
        if admission.mutate(&mut new).await? {
            kind.rules.default(&mut new);
        }
        if desired_differs(&new, &old_raw, has_status) {
            let generation = old.meta().generation + 1;
            metadata(&mut new)?.insert("generation".to_owned(), generation.into());
        }
        if let Some(manager) = &params.field_manager {
            manager.settle(&old_raw, &mut new);
        }
        let is_as_it_was = new == old_raw && !current.is_of_old;
        let document = if is_as_it_was {
            old.clone()
        } else {
            Document::from_stored(object_to_json(&new)?, old.revision()).map_err(bad)?
        };
        let mut errors = kind.rules.validate_metadata(document.meta());
        errors.extend(kind.rules.validate_update(&document, old));
        errors.extend(check_finalizers(&document, old));
        invalid_if_any(target, errors)?;
        admission.validate(&mut new).await?;
        let mut warnings = admission.into_warnings();
        warnings.extend(kind.rules.warnings(&new));
        if is_as_it_was {
            return Ok(Written {
                document,
                changed: false,
                warnings,
            });
        }
        self.put(kind, target, old, document, params, warnings).await
    }

    /// Writes `document` in place of `old`, or removes the object if nothing holds it any longer.
    pub(super) async fn put(
        &self,
        kind: &Kind,
        target: &Target,
        old: &Document,
        document: Document,
        params: &WriteParams,
        warnings: Vec<String>,
    ) -> Result<Written, Failure> {
        let written = |document, changed| Written {
            document,
            changed,
            warnings,
        };
        if params.dry_run {
            return Ok(written(document, false));
        }
        if self.is_finished(kind, &document) {
            let gone = self.erase(target, old, &document).await?;
            return Ok(written(gone, true));
        }
        let key = store_key(&target.resource, &target.key);
        let txn = Txn::new().update(key.clone(), old.revision(), document.stored().clone());
        let document = self.commit_document(target, &key, document, txn).await?;
        Ok(written(document, true))
    }
}

/// Who wrote what, as a patched object has it.
fn record_in(object: &RawObject) -> Option<&Value> {
    object.get("metadata")?.get(MANAGED_FIELDS)
}

/// What a writer assumes of the object it changes.
pub(super) struct Expectation {
    pub(super) revision: Option<Revision>,
    uid: Option<String>,
}

impl Expectation {
    /// How often a write on this assumption may be tried: what was read is what the writer saw, or it was not.
    pub(super) fn attempts(&self) -> usize {
        if self.revision.is_some() { 1 } else { ATTEMPTS }
    }

    pub(super) fn of(meta: Option<&Map<String, Value>>) -> Result<Self, ApiError> {
        let field = |name| {
            meta.and_then(|meta| text(meta, name))
                .filter(|value| !value.is_empty())
        };
        let revision = match field("resourceVersion") {
            None | Some("0") => None,
            Some(version) => Some(version.parse().map(Revision::new).map_err(|_| {
                ApiError::BadRequest(format!(
                    "metadata.resourceVersion: {version:?} is not a decimal number"
                ))
            })?),
        };
        Ok(Self {
            revision,
            uid: field("uid").map(str::to_owned),
        })
    }

    pub(super) fn check(&self, target: &Target, old: &Document) -> Result<(), ApiError> {
        let uid = &old.meta().uid;
        if let Some(expected) = self.uid.as_ref().filter(|expected| *expected != uid) {
            let reason =
                format!("Precondition failed: UID in precondition: {expected}, UID in object meta: {uid}");
            return Err(ApiError::conflict(subject(target), reason));
        }
        match self.revision {
            Some(revision) if revision != old.revision() => {
                Err(ApiError::conflict(subject(target), MODIFIED))
            }
            _ => Ok(()),
        }
    }
}

/// An object being deleted takes no new finalizers.
fn check_finalizers(object: &Document, old: &Document) -> Option<FieldError> {
    if !old.meta().is_deleting() {
        return None;
    }
    let now = object.meta().finalizers.iter();
    let added: Vec<_> = now.filter(|name| !old.meta().finalizers.contains(name)).collect();
    let path = FieldPath::new("metadata").child("finalizers");
    let detail = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers {added:?}"
    );
    (!added.is_empty()).then(|| FieldError::forbidden(&path, detail))
}

/// Whether desired state differs: anything but metadata, and the status if that is written apart.
fn desired_differs(new: &RawObject, old: &RawObject, has_status: bool) -> bool {
    let is_desired = |key: &str| key != "metadata" && !(has_status && key == "status");
    let desired = |object: &RawObject| object.keys().filter(|key| is_desired(key)).count();
    desired(new) != desired(old)
        || new
            .iter()
            .any(|(key, value)| is_desired(key) && old.get(key) != Some(value))
}
