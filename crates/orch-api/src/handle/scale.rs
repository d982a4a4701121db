//! The number of a workload's pods, read and written alone (`scale`, of the kind `Scale` of autoscaling/v1).

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use http::StatusCode;
use orch_cluster::custom::Path;
use orch_core::client::{ApiError, CustomPatch, ErrorSubject, Part, Patch, Written};
use orch_core::object::{ApiResource, Document, LabelSelector, RawObject, Scope};
use serde::Deserialize;
use serde_json::{Value, json};

use super::write::{in_version, recorded, subject};
use super::{Asked, Server};
use crate::answer::{self, Answer};
use crate::fields::Mind;
use crate::input;
use crate::resources::Served;
use crate::schema::{Schema, built_in};
use crate::status::Refused;

const VERSION: &str = "autoscaling/v1";
const KIND: &str = "Scale";

/// What it is, as patches of it know it.
static SCALE: LazyLock<ApiResource> =
    LazyLock::new(|| ApiResource::new("autoscaling", "v1", KIND, "scale", Scope::Namespaced));

pub(super) async fn get(server: &Server, asked: &Asked, name: &str) -> Result<Answer, Refused> {
    let document = server.client.backend().get(&asked.target(name)).await?;
    answered(server, asked, document).await
}

pub(super) async fn update(server: &Server, asked: &Asked, name: &str) -> Result<Answer, Refused> {
    let (mut scale, twice) = input::object(&asked.media_type, &asked.body)?;
    let given = scale.get("metadata").and_then(|meta| meta.get("name"));
    let given = given.and_then(Value::as_str).unwrap_or_default();
    if given != name {
        return Err(Refused::bad_request(format!(
            "metadata.name: {given:?}: must be that of the path, {name:?}"
        )));
    }
    for (field, expected) in [("apiVersion", VERSION), ("kind", KIND)] {
        match scale.get(field).unwrap_or(&Value::Null) {
            Value::Null => {}
            given if given == expected => {}
            given => {
                return Err(Refused::bad_request(format!(
                    "{field}: {given}: must be {expected:?}"
                )));
            }
        }
    }
    let mind = mind(asked, twice)?;
    mind.drop_unknown(&mut scale)?;
    write(server, asked, name, mind, Change::To(scale)).await
}

pub(super) async fn patch(server: &Server, asked: &Asked, name: &str) -> Result<Answer, Refused> {
    if asked.media_type == input::APPLY {
        // Who owns the number is known of the whole object.
        let mut taken = input::PATCHES.to_vec();
        taken.retain(|form| *form != input::APPLY);
        return Err(Refused::media_type(&asked.media_type, &taken));
    }
    let (patch, twice) = input::patch(&SCALE, &asked.media_type, &asked.body)?;
    asked.query.no_force()?;
    let mind = mind(asked, twice)?.patching(subject(asked, name));
    write(server, asked, name, mind, Change::By(patch)).await
}

async fn write(
    server: &Server,
    asked: &Asked,
    name: &str,
    mind: Mind,
    change: Change,
) -> Result<Answer, Refused> {
    let (params, _) = recorded(asked, None)?;
    let target = asked.target(name);
    let rescale = Arc::new(Rescale {
        subject: subject(asked, name),
        served: asked.served.clone(),
        change,
        mind,
    });
    let mut patch = Patch::Custom(rescale.clone());
    if asked.served.has_webhook() {
        patch = in_version(server, asked, name, None, patch);
    }
    let backend = server.client.backend();
    let Written {
        document, warnings, ..
    } = backend.patch(&target, Part::Whole, &patch, &params).await?;
    let mut answer = answered(server, asked, document).await?;
    answer::warn(&mut answer, &[rescale.mind.warnings(), warnings].concat());
    Ok(answer)
}

fn mind(asked: &Asked, twice: Vec<String>) -> Result<Mind, Refused> {
    let schema = built_in(VERSION, KIND).cloned();
    let validation = asked.query.field_validation()?;
    Ok(Mind::new(
        schema.unwrap_or_else(Schema::untyped),
        (VERSION, KIND),
        validation,
        twice,
    ))
}

async fn answered(server: &Server, asked: &Asked, mut document: Document) -> Result<Answer, Refused> {
    let brought = asked.served.bring(&server.client, std::iter::once(&mut document));
    brought.await?;
    let object: Value = serde_json::from_slice(&document.to_json())
        .map_err(|error| Refused::internal(format!("it cannot be read: {error}")))?;
    let scale = object
        .as_object()
        .and_then(|object| scale_of(&asked.served, object));
    Ok(answer::value(StatusCode::OK, &scale))
}

/// The number, as the object has it.
fn scale_of(served: &Served, object: &RawObject) -> Option<Value> {
    let scaled = served.scale()?;
    let mut meta = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object.get("metadata").and_then(|meta| meta.get(field)) {
            meta[field] = value.clone();
        }
    }
    let selector = match (scaled.selector, served.is_built_in()) {
        (Some(path), _) => path.value(object).and_then(Value::as_str).map(str::to_owned),
        (None, true) => selector(object),
        (None, false) => None,
    };
    // What a workload leaves out is filled in; a custom resource has what it has.
    let usual = if served.is_built_in() { 1 } else { 0 };
    let number = |path: &Path, usual: i32| path.value(object).cloned().unwrap_or_else(|| json!(usual));
    let mut status = json!({"replicas": number(scaled.present, 0)});
    if let Some(selector) = selector {
        status["selector"] = json!(selector);
    }
    Some(json!({
        "kind": KIND,
        "apiVersion": VERSION,
        "metadata": meta,
        "spec": {"replicas": number(scaled.replicas, usual)},
        "status": status,
    }))
}

/// A workload's selector, as text.
fn selector(object: &RawObject) -> Option<String> {
    let selector = object.get("spec")?.get("selector")?;
    let selector = match object.get("kind")?.as_str()? {
        // Nothing but labels.
        "ReplicationController" => json!({"matchLabels": selector}),
        _ => selector.clone(),
    };
    let selector = LabelSelector::deserialize(selector).ok()?.to_selector().ok()?;
    Some(selector.to_string())
}

/// A write of the number on its way into an object.
#[derive(Debug)]
struct Rescale {
    subject: ErrorSubject,
    served: Served,
    change: Change,
    mind: Mind,
}

#[derive(Debug)]
enum Change {
    To(RawObject),
    By(Patch),
}

#[async_trait]
impl CustomPatch for Rescale {
    async fn apply(&self, mut object: RawObject) -> Result<RawObject, ApiError> {
        let scale = match &self.change {
            Change::To(scale) => scale.clone(),
            Change::By(patch) => match scale_of(&self.served, &object) {
                Some(Value::Object(scale)) => {
                    let mut scale = patch.apply(scale, || self.subject.clone()).await?;
                    self.mind.drop_unknown(&mut scale)?;
                    scale
                }
                _ => RawObject::new(),
            },
        };
        let spec = scale.get("spec").unwrap_or(&Value::Null);
        let replicas = match spec.get("replicas") {
            // As Go reads what is left out.
            None | Some(Value::Null) => 0,
            Some(number) => number
                .as_i64()
                .and_then(|number| i32::try_from(number).ok())
                .ok_or_else(|| {
                    ApiError::BadRequest(format!("spec.replicas: {number}: must be a whole number"))
                })?,
        };
        // They say which version, and whose, is meant: another is a conflict.
        for field in ["resourceVersion", "uid"] {
            let given = scale.get("metadata").and_then(|meta| meta.get(field));
            if let Some(given) = given.filter(|given| given.as_str() != Some(""))
                && let Some(Value::Object(metadata)) = object.get_mut("metadata")
            {
                metadata.insert(field.to_owned(), given.clone());
            }
        }
        if let Some(scaled) = self.served.scale() {
            scaled.replicas.set(&mut object, replicas.into());
        }
        Ok(object)
    }
}
