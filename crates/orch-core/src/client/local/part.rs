//! Writes to a part of an object: its status, or a subresource of its kind. The rest is copied, not parsed.

use bytes::Bytes;
use serde_json::Value;

use super::admit::invalid_if_any;
use super::raw::{bad, check_readable, field_to_json, metadata};
use super::update::Expectation;
use super::{Failure, LocalBackend, subject};
use crate::client::{ApiError, Target, Wanted, WriteParams, Written};
use crate::object::{DEEPEST, Document, same_json};

/// Where the record of who wrote what is in an object's metadata.
pub(super) const MANAGED_FIELDS: &str = "managedFields";

impl LocalBackend {
    /// Writes the status that `make` gives, again if another writer comes between.
    pub(super) async fn write_status(
        &self,
        target: &Target,
        read: &Expectation,
        params: &WriteParams,
        make: impl Fn(&Document) -> Result<Bytes, ApiError> + Sync,
    ) -> Result<Written, ApiError> {
        let make = &make;
        self.rewrite(target, read.attempts(), |old| async move {
            read.check(target, &old)?;
            let old = self.current(target, old).await?.document;
            self.replace_status(target, &old, &make(&old)?, None, params)
                .await
        })
        .await
    }

    /// Merges a change into the status, again if another writer comes between.
    pub(super) async fn merge_status(
        &self,
        target: &Target,
        read: &Expectation,
        change: Option<&Value>,
        params: &WriteParams,
    ) -> Result<Written, ApiError> {
        self.write_status(target, read, params, |old| {
            let mut status = match old.field("status") {
                Some(json) => serde_json::from_str(json).map_err(|error| bad(error.into()))?,
                None => Value::Null,
            };
            if let Some(change) = change {
                json_patch::merge(&mut status, change);
            }
            field_to_json("status", &status)
        })
        .await
    }

    /// Replaces the status. What a patch of it says of who wrote what is for the field manager alone.
    pub(super) async fn replace_status(
        &self,
        target: &Target,
        old: &Document,
        status: &Bytes,
        record: Option<&Value>,
        params: &WriteParams,
    ) -> Result<Written, Failure> {
        let kind = self.kind(&target.resource).await?;
        if !kind.rules.has_status() {
            return Err(no_subresource(target, "status").into());
        }
        let fields: [(&str, &[u8]); 1] = [("status", status)];
        let record = recorded(old, &fields, record, params)?;
        let old_status = old.field("status").unwrap_or("null");
        let is_as_it_was = same_json(old_status.as_bytes(), status);
        if is_as_it_was && record.is_none() {
            return Ok(unchanged(old));
        }
        if !is_as_it_was {
            invalid_if_any(target, kind.rules.validate_status(status, old))?;
        }
        let document = old
            .with_record_and_fields(record.as_deref(), &fields)
            .map_err(bad)?;
        self.put(&kind, target, old, document, params, Vec::new()).await
    }

    /// Writes a subresource, again if another writer comes between.
    pub(super) async fn write_subresource(
        &self,
        target: &Target,
        name: &str,
        read: &Expectation,
        wanted: Wanted<'_>,
        params: &WriteParams,
    ) -> Result<Written, ApiError> {
        self.rewrite(target, read.attempts(), |old| async move {
            read.check(target, &old)?;
            let old = self.current(target, old).await?.document;
            self.replace_subresource(target, name, &old, wanted, None, params)
                .await
        })
        .await
    }

    /// Replaces what a subresource writes.
    pub(super) async fn replace_subresource(
        &self,
        target: &Target,
        name: &str,
        old: &Document,
        wanted: Wanted<'_>,
        record: Option<&Value>,
        params: &WriteParams,
    ) -> Result<Written, Failure> {
        let kind = self.kind(&target.resource).await?;
        let fields = kind
            .rules
            .subresource(name, wanted, old)
            .ok_or_else(|| no_subresource(target, name))?;
        let fields = fields.map_err(|errors| ApiError::Invalid {
            subject: subject(target),
            errors,
        })?;
        let is_as_it_was = |(name, json): &(&str, Vec<u8>)| {
            let was = old.field(name).unwrap_or("null");
            was.as_bytes() == json
        };
        let is_as_it_was = fields.iter().all(is_as_it_was);
        let fields: Vec<_> = fields.iter().map(|(name, json)| (*name, &json[..])).collect();
        let record = recorded(old, &fields, record, params)?;
        if is_as_it_was && record.is_none() {
            return Ok(unchanged(old));
        }
        let document = old
            .with_record_and_fields(record.as_deref(), &fields)
            .map_err(bad)?;
        let document = if kind.rules.counts(name) && !is_as_it_was {
            let mut meta = document.meta().clone();
            meta.generation += 1;
            document.with_meta(meta).map_err(bad)?
        } else {
            document
        };
        self.put(&kind, target, old, document, params, Vec::new()).await
    }
}

/// The record of a write of these fields, as JSON; none if it stays as it is.
fn recorded(
    old: &Document,
    fields: &[(&str, &[u8])],
    record: Option<&Value>,
    params: &WriteParams,
) -> Result<Option<Bytes>, ApiError> {
    let Some(manager) = &params.field_manager else {
        return Ok(None);
    };
    let mut old_raw = old.to_raw().map_err(bad)?;
    metadata(&mut old_raw)?.remove("resourceVersion");
    let mut new = old_raw.clone();
    for (name, json) in fields {
        match serde_json::from_slice(json).map_err(|error| bad(error.into()))? {
            Value::Null => new.remove(*name),
            value => new.insert((*name).to_owned(), value),
        };
    }
    if let Some(record) = record {
        metadata(&mut new)?.insert(MANAGED_FIELDS.to_owned(), record.clone());
    }
    manager.record(Some(&old_raw), &mut new)?;
    manager.settle(&old_raw, &mut new);
    let was = metadata(&mut old_raw)?.remove(MANAGED_FIELDS);
    let record = metadata(&mut new)?.remove(MANAGED_FIELDS);
    if record == was {
        return Ok(None);
    }
    let record = record.unwrap_or_default();
    // What is stored must be readable again.
    check_readable("metadata.managedFields", &record, DEEPEST - 2)?;
    Ok(Some(field_to_json("metadata.managedFields", &record)?))
}

fn unchanged(old: &Document) -> Written {
    Written {
        document: old.clone(),
        changed: false,
        warnings: Vec::new(),
    }
}

fn no_subresource(target: &Target, name: &str) -> ApiError {
    ApiError::BadRequest(format!(
        "{} have no subresource {name:?}",
        target.resource.group_resource()
    ))
}
