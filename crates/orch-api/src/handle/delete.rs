//! Objects that are deleted, one or all of a selection.

use http::StatusCode;
use orch_core::client::{ApiError, DeleteParams, Deleted, ListParams, Target};
use orch_core::store::Revision;
use serde::Deserialize;

use super::{Asked, Server, shown};
use crate::answer::{self, Answer};
use crate::input;
use crate::query::Query;
use crate::status::{self, Refused};

/// `metav1.DeleteOptions`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct DeleteOptions {
    grace_period_seconds: Option<i64>,
    propagation_policy: Option<String>,
    orphan_dependents: Option<bool>,
    preconditions: Option<Preconditions>,
    dry_run: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Preconditions {
    uid: Option<String>,
    resource_version: Option<String>,
}

pub(super) async fn one(server: &Server, asked: &Asked, name: &str) -> Result<Answer, Refused> {
    let params = params(asked)?;
    let deleted = server
        .client
        .backend()
        .delete(&asked.target(name), &params)
        .await?;
    Ok(match deleted {
        Deleted::Gone(document) => {
            let status = status::deleted(&asked.served.resource, name, &document.meta().uid);
            answer::value(StatusCode::OK, &status)
        }
        // It is there for a while.
        Deleted::Pending(mut document) => {
            asked
                .served
                .bring(&server.client, std::iter::once(&mut document))
                .await?;
            answer::json(StatusCode::OK, asked.served.shown(&document).to_json())
        }
    })
}

/// Deletes what is selected, and answers with what it was.
pub(super) async fn collection(server: &Server, asked: &Asked) -> Result<Answer, Refused> {
    let (query, collection) = (&asked.query, asked.collection());
    let params = params(asked)?;
    let backend = server.client.backend();
    let list = ListParams::default()
        .labels(query.labels()?)
        .fields(query.fields()?);
    let mut all = backend.list(&collection, &list).await?;
    let mut gone = Vec::with_capacity(all.items.len());
    for document in std::mem::take(&mut all.items) {
        let target = Target {
            resource: collection.resource.clone(),
            key: document.key(),
        };
        match backend.delete(&target, &params).await {
            Ok(deleted) => gone.push(deleted.document().clone()),
            // Somebody else was faster.
            Err(ApiError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    asked.served.bring(&server.client, gone.iter_mut()).await?;
    all.items = gone;
    let written = shown::whole(&asked.served, &all);
    Ok(answer::json(StatusCode::OK, written))
}

fn params(asked: &Asked) -> Result<DeleteParams, Refused> {
    let body = &asked.body;
    let options = if body.is_empty() {
        DeleteOptions::default()
    } else {
        input::options("DeleteOptions", &asked.media_type, body)?
    };
    params_of(options, &asked.query)
}

/// What is asked for in the options, and behind the question mark where they do not say.
pub(super) fn params_of(options: DeleteOptions, query: &Query) -> Result<DeleteParams, Refused> {
    let mut params = DeleteParams::default();
    params.grace_period_seconds = match options.grace_period_seconds {
        None => query.grace_period_seconds()?,
        Some(seconds) => Some(u64::try_from(seconds).map_err(|_| {
            Refused::bad_request(format!("gracePeriodSeconds: {seconds}: must be 0 or more"))
        })?),
    };
    params.propagation = match (options.propagation_policy.as_deref(), options.orphan_dependents) {
        (Some(_), Some(_)) => {
            return Err(Refused::bad_request(
                "orphanDependents: must be left out where propagationPolicy is given, which says the same",
            ));
        }
        (Some(word), None) => Some(query.propagation_of(word)?),
        (None, Some(true)) => Some(orch_core::client::Propagation::Orphan),
        (None, Some(false)) => Some(orch_core::client::Propagation::Background),
        (None, None) => query.propagation()?,
    };
    let preconditions = options.preconditions.unwrap_or_default();
    params.uid = preconditions.uid;
    params.resource_version = match preconditions.resource_version {
        None => None,
        Some(text) => Some(text.parse().map(Revision::new).map_err(|_| {
            Refused::bad_request(format!(
                "preconditions.resourceVersion: {text:?}: must be one that an object has"
            ))
        })?),
    };
    let words = options.dry_run.unwrap_or_default();
    params.dry_run = query.is_dry(words.iter().map(String::as_str))? || query.dry_run()?;
    Ok(params)
}
