//! Writes to a part of an object: its status, or a subresource of its kind. The rest is copied, not parsed.

use bytes::Bytes;
use serde_json::Value;

use super::admit::invalid_if_any;
use super::raw::{bad, field_to_json};
use super::update::Expectation;
use super::{Failure, LocalBackend, subject};
use crate::client::{ApiError, Target, Wanted, WriteParams, Written};
use crate::object::{Document, same_json};

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
            self.replace_status(target, &old, &make(&old)?, params).await
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

    /// Replaces the status.
    pub(super) async fn replace_status(
        &self,
        target: &Target,
        old: &Document,
        status: &Bytes,
        params: &WriteParams,
    ) -> Result<Written, Failure> {
        let old_status = old.field("status").unwrap_or("null");
        if same_json(old_status.as_bytes(), status) {
            return Ok(unchanged(old));
        }
        let kind = self.kind(&target.resource);
        invalid_if_any(target, kind.rules.validate_status(status, old))?;
        let document = old.with_fields(&[("status", status)]).map_err(bad)?;
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
            self.replace_subresource(target, name, &old, wanted, params).await
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
        params: &WriteParams,
    ) -> Result<Written, Failure> {
        let kind = self.kind(&target.resource);
        let fields = kind.rules.subresource(name, wanted, old).ok_or_else(|| {
            ApiError::BadRequest(format!(
                "{} have no subresource {name:?}",
                target.resource.group_resource()
            ))
        })?;
        let fields = fields.map_err(|errors| ApiError::Invalid {
            subject: subject(target),
            errors,
        })?;
        let is_as_it_was = |(name, json): &(&str, Vec<u8>)| {
            let was = old.field(name).unwrap_or("null");
            was.as_bytes() == json
        };
        if fields.iter().all(is_as_it_was) {
            return Ok(unchanged(old));
        }
        let fields: Vec<_> = fields.iter().map(|(name, json)| (*name, &json[..])).collect();
        let document = old.with_fields(&fields).map_err(bad)?;
        self.put(&kind, target, old, document, params, Vec::new()).await
    }
}

fn unchanged(old: &Document) -> Written {
    Written {
        document: old.clone(),
        changed: false,
        warnings: Vec::new(),
    }
}
