//! Objects that are made and changed.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use http::StatusCode;
use orch_core::client::{ApiError, Client, CustomPatch, ErrorSubject, Part, Patch, WriteParams, Written};
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
    let object = to_stored(server, asked, object, own.as_ref()).await?;
    let written = backend.create(&asked.collection(), object, &params).await?;
    let own = own.as_ref();
    warned(server, asked, StatusCode::CREATED, written, &writer, own).await
}

pub(super) async fn update(server: &Server, asked: &Asked, name: &str) -> Result<Answer, Refused> {
    let (object, twice) = input::object(&asked.media_type, &asked.body)?;
    let (own, mind) = minds(asked, twice)?;
    let (params, writer) = recorded(asked, Some(mind))?;
    let backend = server.client.backend();
    let object = to_stored(server, asked, object, own.as_ref()).await?;
    let target = asked.target(name);
    let written = backend.update(&target, part(asked), object, &params).await?;
    warned(server, asked, StatusCode::OK, written, &writer, own.as_ref()).await
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
        patch = in_version(server, asked, name, own.clone(), patch);
    }
    let mind = mind.patching(subject(asked, name));
    let (params, writer) = recorded(asked, Some(mind))?;
    let backend = server.client.backend();
    let target = asked.target(name);
    let written = backend.patch(&target, part(asked), &patch, &params).await?;
    warned(server, asked, StatusCode::OK, written, &writer, own.as_deref()).await
}

/// What was sent in the version that was asked for, in the one that is stored.
async fn to_stored(
    server: &Server,
    asked: &Asked,
    mut object: RawObject,
    own: Option<&Mind>,
) -> Result<RawObject, Refused> {
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
        object = asked.served.to_stored(&server.client, object).await?;
    }
    Ok(object)
}

/// The patch, of objects in the version that is asked for.
pub(super) fn in_version(
    server: &Server,
    asked: &Asked,
    name: &str,
    own: Option<Arc<Mind>>,
    patch: Patch,
) -> Patch {
    Patch::Custom(Arc::new(InVersion {
        client: server.client.clone(),
        served: asked.served.clone(),
        subject: subject(asked, name),
        own,
        patch,
    }))
}

/// A patch of an object in another version than it is stored in.
struct InVersion {
    client: Client,
    served: Served,
    subject: ErrorSubject,
    /// What minds the fields of that version.
    own: Option<Arc<Mind>>,
    patch: Patch,
}

impl fmt::Debug for InVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InVersion").field(&self.patch).finish()
    }
}

#[async_trait]
impl CustomPatch for InVersion {
    async fn apply(&self, object: RawObject) -> Result<RawObject, ApiError> {
        let object = self.served.to_version(&self.client, object).await?;
        let mut object = self.patch.apply(object, || self.subject.clone()).await?;
        if let Some(own) = &self.own {
            own.drop_unknown(&mut object)?;
        }
        self.served.to_stored(&self.client, object).await
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

async fn warned(
    server: &Server,
    asked: &Asked,
    code: StatusCode,
    written: Written,
    writer: &Writer,
    own: Option<&Mind>,
) -> Result<Answer, Refused> {
    let mut warnings = own.map(Mind::warnings).unwrap_or_default();
    warnings.extend(writer.warnings());
    answer(server, asked, code, written, warnings).await
}

/// The object as written, and what its writer should know.
pub(super) async fn answer(
    server: &Server,
    asked: &Asked,
    code: StatusCode,
    mut written: Written,
    mut warnings: Vec<String>,
) -> Result<Answer, Refused> {
    let document = std::iter::once(&mut written.document);
    asked.served.bring(&server.client, document).await?;
    let mut answer = answer::json(code, asked.served.shown(&written.document).to_json());
    warnings.append(&mut written.warnings);
    answer::warn(&mut answer, &warnings);
    Ok(answer)
}
