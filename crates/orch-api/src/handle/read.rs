//! One object, and lists of them.

use http::StatusCode;
use orch_core::client::ListParams;

use super::shown::Shown;
use super::{Asked, Server};
use crate::accept::Answered;
use crate::answer::{self, Answer};
use crate::query::Version;
use crate::status::Refused;

pub(super) async fn get(server: &Server, asked: &Asked, name: &str) -> Result<Answer, Refused> {
    let shown = Shown::of(asked, Answered::One)?;
    // Whatever version will do, the newest does.
    asked.query.version()?;
    let mut document = server.client.backend().get(&asked.target(name)).await?;
    asked
        .served
        .bring(&server.client, std::iter::once(&mut document))
        .await?;
    Ok(answer::json(StatusCode::OK, shown.one(&document)))
}

pub(super) async fn list(server: &Server, asked: &Asked) -> Result<Answer, Refused> {
    let shown = Shown::of(asked, Answered::List)?;
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
    let mut found = server.client.backend().list(&asked.collection(), &params).await?;
    if let Version::NotOlder(least) = version
        && found.revision < least
    {
        return Err(Refused::too_new(least.get(), found.revision.get()));
    }
    asked.served.bring(&server.client, found.items.iter_mut()).await?;
    Ok(answer::json(StatusCode::OK, shown.list(&found)))
}
