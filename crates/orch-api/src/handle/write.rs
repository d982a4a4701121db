//! Objects that are made and changed.

use std::sync::Arc;

use http::StatusCode;
use orch_core::client::{ApiError, CustomPatch, ErrorSubject, Part, Patch, WriteParams, Written};
use orch_core::object::{ApiResource, RawObject};
use serde_json::{Value, json};

use super::{Asked, Server, apply};
use crate::answer::{self, Answer};
use crate::fields::{Mind, Validation};
use crate::input;
use crate::resources::Served;
use crate::status::{self, Refused};
use crate::writer::{self, Writer};

pub(super) async fn create(server: &Server, asked: &Asked) -> Result<Answer, Refused> {
    asked.takes_new()?;
    let (object, twice) = input::object(&asked.media_type, &asked.body)?;
    let (own, mind) = minds(asked, twice)?;
    let (params, writer) = recorded(asked, Some(mind))?;
    let backend = server.client.backend();
    let object = to_stored(asked, object, own.as_ref())?;
    let written = backend.create(&asked.collection(), object, &params).await?;
    let own = own.as_ref();
    Ok(warned(asked, StatusCode::CREATED, &written, &writer, own))
}

pub(super) async fn update(server: &Server, asked: &Asked, name: &str) -> Result<Answer, Refused> {
    let (object, twice) = input::object(&asked.media_type, &asked.body)?;
    let (own, mind) = minds(asked, twice)?;
    let (params, writer) = recorded(asked, Some(mind))?;
    let backend = server.client.backend();
    let (target, object) = (asked.target(name), to_stored(asked, object, own.as_ref())?);
    let written = backend.update(&target, part(asked), object, &params).await?;
    Ok(warned(asked, StatusCode::OK, &written, &writer, own.as_ref()))
}

pub(super) async fn patch(server: &Server, asked: &Asked, name: &str) -> Result<Answer, Refused> {
    if asked.media_type == input::APPLY {
        return apply::apply(server, asked, name).await;
    }
    let (mut patch, twice) = input::patch(&asked.served.resource, &asked.media_type, &asked.body)?;
    asked.query.no_force()?;
    let (own, mind) = minds(asked, twice)?;
    let own = own.map(|own| Arc::new(own.patching(subject(asked, name))));
    if asked.served.is_converted() {
        patch = Patch::Custom(Arc::new(InVersion {
            served: asked.served.clone(),
            subject: subject(asked, name),
            own: own.clone(),
            patch,
        }));
    }
    let mind = mind.patching(subject(asked, name));
    let (params, writer) = recorded(asked, Some(mind))?;
    let backend = server.client.backend();
    let target = asked.target(name);
    let written = backend.patch(&target, part(asked), &patch, &params).await?;
    Ok(warned(asked, StatusCode::OK, &written, &writer, own.as_deref()))
}

/// What was sent in the version that was asked for, in the one that is stored.
fn to_stored(asked: &Asked, mut object: RawObject, own: Option<&Mind>) -> Result<RawObject, Refused> {
    if asked.served.is_converted() {
        let expected = asked.served.resource.api_version();
        match object.get("apiVersion") {
            None | Some(Value::Null) => {}
            Some(Value::String(given)) if *given == expected => {}
            Some(given) => {
                return Err(Refused::bad_request(format!(
                    "apiVersion: expected {expected:?}, got {given}"
                )));
            }
        }
        if let Some(own) = own {
            own.drop_unknown(&mut object)?;
        }
        asked.served.to_stored(&mut object);
    }
    Ok(object)
}

/// A patch of an object in another version than it is stored in.
#[derive(Debug)]
struct InVersion {
    served: Served,
    subject: ErrorSubject,
    /// What minds the fields of that version.
    own: Option<Arc<Mind>>,
    patch: Patch,
}

impl CustomPatch for InVersion {
    fn apply(&self, mut object: RawObject) -> Result<RawObject, ApiError> {
        self.served.to_version(&mut object);
        let mut object = self.patch.apply(object, || self.subject.clone())?;
        if let Some(own) = &self.own {
            own.drop_unknown(&mut object)?;
        }
        self.served.to_stored(&mut object);
        Ok(object)
    }
}

/// Puts a pod on a node: `Binding` has its own form, and an answer that says no more than that it is done.
pub(super) async fn bind(server: &Server, asked: &Asked, name: &str) -> Result<Answer, Refused> {
    let (mut binding, _) = input::object(&asked.media_type, &asked.body)?;
    let target = binding.remove("target").unwrap_or_default();
    let kind = target.get("kind").and_then(Value::as_str).unwrap_or_default();
    if !matches!(kind, "" | "Node") {
        return Err(Refused::bad_request(format!(
            "target.kind: {kind:?}: must be Node, or left out"
        )));
    }
    let node = target.get("name").cloned().unwrap_or_default();
    let meta = binding.remove("metadata").unwrap_or_default();
    let Value::Object(bound) = json!({"metadata": meta, "spec": {"nodeName": node}}) else {
        unreachable!("it is a map");
    };
    let target = asked.target(name);
    let backend = server.client.backend();
    backend
        .update(&target, part(asked), bound, &params(asked)?)
        .await?;
    Ok(answer::value(
        StatusCode::CREATED,
        &status::done(StatusCode::CREATED),
    ))
}

pub(super) fn part(asked: &Asked) -> Part<'_> {
    match asked.place.subresource.as_deref() {
        None => Part::Whole,
        Some("status") => Part::Status,
        Some(name) => Part::Subresource(name),
    }
}

pub(super) fn params(asked: &Asked) -> Result<WriteParams, Refused> {
    Ok(WriteParams::default().dry_run(asked.query.dry_run()?))
}

/// What minds that fields are none of the kind's, or given twice: as they are sent, where that is in another version of a built-in
/// kind than is stored, and as they are stored.
fn minds(asked: &Asked, twice: Vec<String>) -> Result<(Option<Mind>, Mind), Refused> {
    let validation = asked.query.field_validation()?;
    let of = |resource: &ApiResource, schema, validation, twice| {
        let kind = (&*resource.api_version(), &*resource.kind);
        Mind::new(schema, kind, validation, twice)
    };
    let (served, stored) = (&asked.served, asked.served.schema());
    Ok(match served.own_schema() {
        // What is too much was told of as it was sent.
        Some(own) => (
            Some(of(&served.resource, own, validation, twice)),
            of(&served.stored, stored, Validation::Ignore, Vec::new()),
        ),
        None => (None, of(&served.stored, stored, validation, twice)),
    })
}

/// The object that is written.
pub(super) fn subject(asked: &Asked, name: &str) -> ErrorSubject {
    ErrorSubject {
        resource: Box::new(ApiResource::clone(&asked.served.resource)),
        key: asked.target(name).key,
    }
}

/// How to write, with a record of who does.
pub(super) fn recorded(asked: &Asked, mind: Option<Mind>) -> Result<(WriteParams, Arc<Writer>), Refused> {
    let writer = writer(asked, asked.query.field_manager(false)?);
    let writer = Arc::new(writer.minding(mind));
    Ok((params(asked)?.field_manager(writer.clone()), writer))
}

/// Who writes: whom the request names, or else the program that sent it.
pub(super) fn writer(asked: &Asked, named: Option<&str>) -> Writer {
    let manager = named.map_or_else(|| writer::of_agent(&asked.agent), str::to_owned);
    Writer::new(&asked.served, manager, asked.place.subresource.as_deref())
}

fn warned(asked: &Asked, code: StatusCode, written: &Written, writer: &Writer, own: Option<&Mind>) -> Answer {
    let mut warnings = own.map(Mind::warnings).unwrap_or_default();
    warnings.extend(writer.warnings());
    answer(asked, code, written, warnings)
}

/// The object as written, and what its writer should know.
pub(super) fn answer(
    asked: &Asked,
    code: StatusCode,
    written: &Written,
    mut warnings: Vec<String>,
) -> Answer {
    let mut answer = answer::json(code, asked.served.shown(&written.document).to_json());
    warnings.extend(written.warnings.iter().cloned());
    answer::warn(&mut answer, &warnings);
    answer
}
