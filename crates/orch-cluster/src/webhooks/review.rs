//! `AdmissionReview`, the question to a webhook and its answer, pure (`k8s.io/api/admission`).

use k8s_openapi::ByteString;
use orch_core::client::{ApiError, Patch};
use orch_core::object::RawObject;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::question::Question;
use crate::admission;

const KIND: &str = "AdmissionReview";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Asked<'a> {
    api_version: String,
    kind: &'a str,
    request: Request<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    uid: &'a str,
    #[serde(flatten)]
    facts: RawObject,
    object: Option<&'a RawValue>,
    old_object: Option<&'a RawValue>,
}

/// The question, in a version of `AdmissionReview`.
pub(super) fn write(version: &str, question: &Question<'_>, uid: &str) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Asked {
        api_version: api(version),
        kind: KIND,
        request: Request {
            uid,
            facts: admission::facts(
                question.resource,
                question.key,
                question.operation,
                question.dry_run,
            ),
            object: question.object.as_deref(),
            old_object: question.old.as_deref(),
        },
    })
}

fn api(version: &str) -> String {
    format!("admission.k8s.io/{version}")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answered {
    api_version: Option<String>,
    kind: Option<String>,
    response: Option<Response>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    uid: Option<String>,
    // Whoever does not say so has not allowed it.
    allowed: Option<bool>,
    status: Option<Status>,
    patch: Option<ByteString>,
    patch_type: Option<String>,
    warnings: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    code: Option<i64>,
    reason: Option<String>,
    message: Option<String>,
}

/// What a webhook has said.
pub(super) enum Verdict {
    /// It may be written, with these changes.
    Allowed(Answer),
    /// It may not.
    Denied(ApiError),
}

/// What a webhook that allows a write says beside.
pub(super) struct Answer {
    pub(super) patch: Option<Patch>,
    pub(super) warnings: Vec<String>,
}

/// Reads an answer (Kubernetes' `VerifyAdmissionResponse` and `ToStatusErr`); `webhook` is its name.
///
/// # Errors
///
/// Why it is none to this question, as Kubernetes says it.
pub(super) fn read(
    json: &[u8],
    version: &str,
    uid: &str,
    is_mutating: bool,
    webhook: &str,
) -> Result<Verdict, String> {
    let invalid = |why: String| format!("received invalid webhook response: {why}");
    let answered: Answered =
        serde_json::from_slice(json).map_err(|error| format!("failed to call webhook: {error}"))?;
    let response = answered
        .response
        .ok_or_else(|| invalid("webhook response was absent".to_owned()))?;
    // The older version asked neither for these nor for the type of a patch.
    if version == "v1" {
        let got = (given(&answered.api_version), given(&answered.kind));
        let of = given(&response.uid);
        if of != uid {
            return Err(invalid(format!("expected response.uid={uid:?}, got {of:?}")));
        }
        if got != (&*api(version), KIND) {
            return Err(invalid(format!(
                "expected webhook response of {}, Kind={KIND}, got {}, Kind={}",
                api(version),
                got.0,
                got.1
            )));
        }
        check_patch(&response, is_mutating).map_err(invalid)?;
    }
    if response.allowed != Some(true) {
        return Ok(Verdict::Denied(denied(
            webhook,
            response.status.unwrap_or_default(),
        )));
    }
    let patch = response.patch.filter(|patch| is_mutating && !patch.0.is_empty());
    let patch = patch.map(|patch| serde_json::from_slice(&patch.0).map(Patch::Json));
    let patch = patch
        .transpose()
        .map_err(|error| format!("received undecodable patch in webhook response: {error}"))?;
    Ok(Verdict::Allowed(Answer {
        patch: patch.filter(|patch| !matches!(patch, Patch::Json(operations) if operations.0.is_empty())),
        warnings: response.warnings.unwrap_or_default(),
    }))
}

fn given(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or_default()
}

fn check_patch(response: &Response, is_mutating: bool) -> Result<(), String> {
    let has_patch = response.patch.as_ref().is_some_and(|patch| !patch.0.is_empty());
    let wrong = match (is_mutating, has_patch, response.patch_type.as_deref()) {
        (true, true, None) => "webhook returned response.patch but not response.patchType",
        (true, false, Some(_)) => "webhook returned response.patchType but not response.patch",
        (true, true, Some(type_)) if type_ != "JSONPatch" => {
            return Err(format!(
                "webhook returned invalid response.patchType of {type_:?}"
            ));
        }
        (false, true, _) => "validating webhook may not return response.patch",
        (false, false, Some(_)) => "validating webhook may not return response.patchType",
        _ => return Ok(()),
    };
    Err(wrong.to_owned())
}

fn denied(webhook: &str, status: Status) -> ApiError {
    let by = format!("admission webhook {webhook:?} denied the request");
    let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let message = match said(&status.message).or_else(|| said(&status.reason)) {
        Some(why) => format!("{by}: {why}"),
        None => format!("{by} without explanation"),
    };
    ApiError::Denied {
        // No refusal goes out as a success.
        code: status
            .code
            .and_then(|code| u16::try_from(code).ok())
            .filter(|code| (400..600).contains(code))
            .unwrap_or(400),
        reason: status.reason.unwrap_or_default(),
        message,
    }
}
