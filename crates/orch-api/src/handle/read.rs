//! One object, and lists of them.

use http::StatusCode;
use orch_core::client::{DocumentList, ListParams};
use orch_core::object::ApiResource;
use serde_json::json;

use super::{Asked, Server};
use crate::answer::{self, Answer};
use crate::query::Version;
use crate::status::Refused;

pub(super) async fn get(server: &Server, asked: &Asked, name: &str) -> Result<Answer, Refused> {
    // Whatever version will do, the newest does.
    asked.query.version()?;
    let document = server.client.backend().get(&asked.target(name)).await?;
    Ok(answer::json(StatusCode::OK, document.to_json()))
}

pub(super) async fn list(server: &Server, asked: &Asked) -> Result<Answer, Refused> {
    let query = &asked.query;
    let version = query.version()?;
    let mut params = ListParams::default()
        .labels(query.labels()?)
        .fields(query.fields()?);
    params.limit = query.limit()?;
    params.continue_token = query.get("continue").map(str::to_owned);
    params.may_be_stale = version == Version::Any;
    if let Version::Exact(revision) = version {
        params.at = Some(revision);
    }
    let found = server.client.backend().list(&asked.collection(), &params).await?;
    if let Version::NotOlder(least) = version
        && found.revision < least
    {
        return Err(Refused::too_new(least.get(), found.revision.get()));
    }
    Ok(answer::json(
        StatusCode::OK,
        written(&asked.served.resource, &found).into(),
    ))
}

/// A list as JSON: the objects are copied as they are stored, not parsed.
pub(super) fn written(resource: &ApiResource, list: &DocumentList) -> Vec<u8> {
    let mut meta = json!({"resourceVersion": list.revision.to_string()});
    if let Some(token) = &list.continue_token {
        meta["continue"] = json!(token);
    }
    let kind = json!(format!("{}List", resource.kind));
    let head = format!(
        "{{\"kind\":{kind},\"apiVersion\":{},\"metadata\":{meta},\"items\":[",
        json!(resource.api_version())
    );
    let items = list
        .items
        .iter()
        .map(|document| document.stored().len() + 48)
        .sum::<usize>();
    let mut out = Vec::with_capacity(head.len() + items + 2);
    out.extend_from_slice(head.as_bytes());
    for (at, document) in list.items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        document.write_json(&mut out);
    }
    out.extend_from_slice(b"]}");
    out
}
