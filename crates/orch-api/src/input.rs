//! What a request brings along.

use std::sync::Arc;

use async_trait::async_trait;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use orch_cluster::manifest::{self, Limits};
use orch_core::client::{ApiError, CustomPatch, Patch};
use orch_core::object::{ApiResource, RawObject};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::fields;
use crate::patch::strategic;
use crate::protobuf::{self, ProtobufError};
use crate::schema::{Schema, built_in};
use crate::status::Refused;

/// What is sent as a whole object.
const OBJECTS: [&str; 3] = ["application/json", YAML, protobuf::MEDIA_TYPE];
const YAML: &str = "application/yaml";

/// How what is applied is sent: YAML, and so JSON too.
pub(crate) const APPLY: &str = "application/apply-patch+yaml";

/// How an object can be changed; of one that is not built in, not by the last.
pub(crate) const PATCHES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    APPLY,
    "application/strategic-merge-patch+json",
];

/// How an object of a kind can be changed.
pub(crate) fn patches(is_built_in: bool) -> &'static [&'static str] {
    if is_built_in { &PATCHES } else { &PATCHES[..3] }
}

/// A body of this service's callers.
pub(crate) trait Sent:
    Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static
{
}

impl<B> Sent for B
where
    B: Body<Data: Send> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
}

/// The body as it came, of so many bytes at most.
pub(crate) async fn read<B: Sent>(request: Request<B>, most: usize) -> Result<Vec<u8>, Refused> {
    match Limited::new(request.into_body(), most).collect().await {
        Ok(collected) => Ok(collected.to_bytes().to_vec()),
        Err(error) if error.is::<LengthLimitError>() => Err(Refused::too_long(most)),
        Err(error) => Err(Refused::bad_request(format!(
            "the body could not be read: {error}"
        ))),
    }
}

/// What is said of the body's form; JSON where nothing is, as Kubernetes takes it.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let given = given.unwrap_or(OBJECTS[0]);
    // Without parameters such as `charset`.
    given
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

/// An object as it is to be, and what is given twice in it.
pub(crate) fn object(media_type: &str, body: &[u8]) -> Result<(RawObject, Vec<String>), Refused> {
    if !OBJECTS.contains(&media_type) {
        return Err(Refused::media_type(media_type, &OBJECTS));
    }
    if body.is_empty() {
        return Err(Refused::bad_request("the body is empty; an object is expected"));
    }
    let (value, twice) = match media_type {
        // It refuses what is given twice.
        YAML => (yaml(body)?, Vec::new()),
        protobuf::MEDIA_TYPE => {
            let object = protobuf::read(body).map_err(|error| not_protobuf(&error))?;
            (Value::Object(object), Vec::new())
        }
        _ => fields::read(body).map_err(|error| not_json(&error))?,
    };
    match value {
        Value::Object(object) => Ok((object, twice)),
        other => Err(Refused::bad_request(format!(
            "the body is {}; an object is expected",
            what(&other)
        ))),
    }
}

/// A change to an object of a kind, and what is given twice in it.
pub(crate) fn patch(
    resource: &ApiResource,
    media_type: &str,
    body: &[u8],
) -> Result<(Patch, Vec<String>), Refused> {
    const JSON: &str = "application/json-patch+json";
    const MERGE: &str = "application/merge-patch+json";
    const STRATEGIC: &str = "application/strategic-merge-patch+json";
    if !matches!(media_type, JSON | MERGE | STRATEGIC) {
        return Err(Refused::media_type(media_type, &PATCHES));
    }
    let schema = built_in(&resource.api_version(), &resource.kind);
    if media_type == STRATEGIC && schema.is_none() {
        // As Kubernetes has it of custom resources.
        return Err(Refused::media_type(media_type, patches(false)));
    }
    let (value, mut twice) = fields::read(body).map_err(|error| not_json(&error))?;
    let patch = match (media_type, schema) {
        (STRATEGIC, Some(schema)) => Patch::Custom(Arc::new(Strategic {
            schema,
            patch: typed(value)?,
        })),
        (JSON, _) => {
            for words in &mut twice {
                words.insert_str(0, "json patch ");
            }
            Patch::Json(typed(value)?)
        }
        _ => Patch::Merge(value),
    };
    Ok((patch, twice))
}

/// What is to be applied: a map, in YAML or JSON; and what is given twice in it.
pub(crate) fn configuration(body: &[u8]) -> Result<(RawObject, Vec<String>), Refused> {
    // Most send JSON, which is read faster as that.
    let (value, twice) = match fields::read(body) {
        Ok(read) => read,
        Err(_) => (yaml(body)?, Vec::new()),
    };
    match value {
        Value::Object(config) => Ok((config, twice)),
        other => Err(Refused::bad_request(format!(
            "the body is {}; an object is expected",
            what(&other)
        ))),
    }
}

fn yaml(body: &[u8]) -> Result<Value, Refused> {
    let wrong = |error: String| Refused::bad_request(format!("error decoding YAML: {error}"));
    let text = std::str::from_utf8(body).map_err(|error| wrong(error.to_string()))?;
    manifest::value("the body", text, &Limits::default()).map_err(|errors| wrong(errors.to_string()))
}

/// A strategic merge patch of a kind whose lists are known.
#[derive(Debug)]
struct Strategic {
    schema: &'static Schema,
    patch: RawObject,
}

#[async_trait]
impl CustomPatch for Strategic {
    async fn apply(&self, object: RawObject) -> Result<RawObject, ApiError> {
        strategic::apply(self.schema, object, &self.patch)
            .map_err(|error| ApiError::BadRequest(format!("strategic merge patch: {error}")))
    }
}

/// What is sent beside a request that has no object, such as `DeleteOptions`: JSON, or protobuf where that is said.
pub(crate) fn options<T: DeserializeOwned>(kind: &str, media_type: &str, body: &[u8]) -> Result<T, Refused> {
    if media_type != protobuf::MEDIA_TYPE {
        return json(body);
    }
    let sent = protobuf::read(body).map_err(|error| not_protobuf(&error))?;
    let found = sent.get("kind").and_then(Value::as_str).unwrap_or_default();
    if found != kind {
        return Err(Refused::bad_request(format!("kind: {found:?}: must be {kind}")));
    }
    serde_json::from_value(Value::Object(sent))
        .map_err(|error| Refused::bad_request(format!("the body is no {kind}: {error}")))
}

fn typed<T: DeserializeOwned>(value: Value) -> Result<T, Refused> {
    serde_json::from_value(value).map_err(|error| not_json(&error))
}

/// JSON as a type. serde refuses what is nested deeper than 128 levels.
pub(crate) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|error| not_json(&error))
}

fn not_json(error: &serde_json::Error) -> Refused {
    Refused::bad_request(format!("the body cannot be read as JSON: {error}"))
}

fn not_protobuf(error: &ProtobufError) -> Refused {
    Refused::bad_request(format!("the body cannot be read as protobuf: {error}"))
}

fn what(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}
