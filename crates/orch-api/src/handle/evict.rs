//! Pods that are evicted: deleted when their budgets allow it (`eviction`, of the kind `Eviction` of policy/v1).

use http::StatusCode;
use orch_cluster::disruption;
use serde::Deserialize;
use serde_json::Value;

use super::delete::{DeleteOptions, params_of};
use super::{Asked, Server};
use crate::answer::{self, Answer};
use crate::input;
use crate::status::{self, Refused};

pub(super) async fn evict(server: &Server, asked: &Asked, name: &str) -> Result<Answer, Refused> {
    let (eviction, _) = input::object(&asked.media_type, &asked.body)?;
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    for (field, allowed) in [
        ("kind", &["", "Eviction"][..]),
        ("apiVersion", &["", "policy/v1", "policy/v1beta1"]),
    ] {
        let given = text(eviction.get(field));
        if !allowed.contains(&given.as_str()) {
            return Err(Refused::bad_request(format!(
                "{field}: {given:?}: must be {}",
                allowed[1]
            )));
        }
    }
    if text(eviction.get("metadata").and_then(|meta| meta.get("name"))) != name {
        let wrong = "name in URL does not match name in Eviction object";
        return Err(Refused::bad_request(wrong));
    }
    let options = eviction.get("deleteOptions").unwrap_or(&Value::Null);
    let options = Option::<DeleteOptions>::deserialize(options)
        .map_err(|error| Refused::bad_request(format!("deleteOptions: {error}")))?;
    let params = params_of(options.unwrap_or_default(), &asked.query)?;
    disruption::evict(&server.client, &asked.target(name).key, &params).await?;
    Ok(answer::value(
        StatusCode::CREATED,
        &status::done(StatusCode::CREATED),
    ))
}
