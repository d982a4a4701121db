//! Server-side apply: `PATCH` with a configuration, of an object that need not be there yet.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use http::StatusCode;
use orch_core::client::{ApiError, CustomPatch, Patch};
use orch_core::object::RawObject;
use serde_json::{Value, json};

use super::write::{answer, part, writer};
use super::{Asked, Server};
use crate::answer::Answer;
use crate::fields::Validation;
use crate::input;
use crate::patch::apply::{ApplyError, FieldSet, PathElement};
use crate::status::Refused;
use crate::writer::{Applied, Writer};

/// How often an object that comes and goes meanwhile is tried.
const ATTEMPTS: usize = 8;

pub(super) async fn apply(server: &Server, asked: &Asked, name: &str) -> Result<Answer, Refused> {
    let (config, twice) = config(asked, name)?;
    let warnings = match asked.query.field_validation()? {
        Validation::Ignore => Vec::new(),
        Validation::Warn => twice,
        Validation::Strict if twice.is_empty() => twice,
        Validation::Strict => {
            return Err(Refused::bad_request(format!(
                "error strict decoding YAML: {}",
                twice.join(", ")
            )));
        }
    };
    let uid = config["metadata"].get("uid").and_then(Value::as_str);
    let uid = uid.unwrap_or_default().to_owned();
    let application = Arc::new(Application {
        writer: writer(asked, asked.query.field_manager(true)?),
        ignored: ignored(asked, &config),
        config,
        force: asked.query.is_set("force"),
        refused: Mutex::new(None),
    });
    let params = super::write::params(asked)?.field_manager(Arc::new(Applied));
    let backend = server.client.backend();
    let target = asked.target(name);
    let patch = Patch::Custom(application.clone());
    for _ in 0..ATTEMPTS {
        let missing = match backend.patch(&target, part(asked), &patch, &params).await {
            Ok(written) => return answer(server, asked, StatusCode::OK, written, warnings).await,
            // Through a subresource nothing is made.
            Err(error) if error.is_not_found() && asked.place.subresource.is_none() => error,
            Err(error) => return Err(application.refusal(error)),
        };
        if !uid.is_empty() {
            return Err(Refused::no_such_uid(&missing, &uid));
        }
        asked.takes_new()?;
        let mut object = application.made().map_err(Refused::from)?;
        if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
            // Of what is not there yet none is older, in Kubernetes.
            metadata.remove("resourceVersion");
        }
        match backend.create(&asked.collection(), object, &params).await {
            Ok(written) => return answer(server, asked, StatusCode::CREATED, written, warnings).await,
            Err(error) if error.is_already_exists() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Refused::comes_and_goes(name, ATTEMPTS))
}

/// The configuration in the body: of this version, and of the object in the path; and what is given twice in it.
fn config(asked: &Asked, name: &str) -> Result<(RawObject, Vec<String>), Refused> {
    let (mut config, twice) = input::configuration(&asked.body)?;
    let expected = asked.served.resource.api_version();
    let given = config
        .get("apiVersion")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if given != expected {
        return Err(Refused::bad_request(format!(
            "Incorrect version specified in apply patch. Specified patch version: {given}, expected: {expected}"
        )));
    }
    // Who owns what is known of the fields that are stored.
    asked.served.part_to_stored(&mut config)?;
    let metadata = config.entry("metadata").or_insert(Value::Null);
    if metadata.is_null() {
        *metadata = json!({});
    }
    let Value::Object(metadata) = metadata else {
        return Err(Refused::bad_request(format!(
            "metadata: expected a map, got {metadata}"
        )));
    };
    let namespace = asked.place.namespace.as_deref();
    for (field, expected) in [("name", Some(name)), ("namespace", namespace)] {
        let given = metadata.get(field).and_then(Value::as_str).unwrap_or_default();
        match expected {
            Some(expected) if !given.is_empty() && given != expected => {
                return Err(Refused::bad_request(format!(
                    "metadata.{field}: {given:?} does not match the {field} of the request, {expected:?}"
                )));
            }
            Some(expected) => metadata.insert(field.to_owned(), expected.into()),
            None => metadata.remove(field),
        };
    }
    Ok((config, twice))
}

/// What such a request does not write, and so does not own: of an object its status, of the status all else.
fn ignored(asked: &Asked, config: &RawObject) -> FieldSet {
    let mut ignored = FieldSet::new();
    let is_status = asked.place.subresource.is_some();
    for field in config.keys() {
        if (field == "status") != is_status && (is_status || asked.served.has_status()) {
            ignored.insert(&[PathElement::field(field.as_str())]);
        }
    }
    ignored
}

/// A configuration on its way into an object.
#[derive(Debug)]
struct Application {
    writer: Writer,
    config: RawObject,
    ignored: FieldSet,
    force: bool,
    /// Why it was refused, in more words than the client's error has.
    refused: Mutex<Option<ApplyError>>,
}

impl Application {
    /// The object that it makes where there is none.
    fn made(&self) -> Result<RawObject, ApplyError> {
        self.writer
            .apply(&RawObject::new(), &self.config, &self.ignored, self.force)
    }

    fn refusal(&self, error: ApiError) -> Refused {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.take().map_or_else(|| error.into(), Refused::from)
    }
}

#[async_trait]
impl CustomPatch for Application {
    async fn apply(&self, object: RawObject) -> Result<RawObject, ApiError> {
        let applied = self
            .writer
            .apply(&object, &self.config, &self.ignored, self.force);
        applied.map_err(|error| {
            let said = ApiError::BadRequest(error.to_string());
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            said
        })
    }
}
