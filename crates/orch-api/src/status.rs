//! Refusals, as Kubernetes words them: `metav1.Status`, whose reasons and messages tools parse.

mod evict;
mod unstored;

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, Status, StatusCause, StatusDetails};
use orch_core::client::{ApiError, ErrorSubject};
use orch_core::object::{ApiResource, FieldError, FieldErrors};
use serde_json::{Value, json};

use crate::answer::{self, Answer};
use crate::patch::apply::ApplyError;

/// Why a request is not done.
#[derive(Debug)]
pub(crate) struct Refused {
    code: StatusCode,
    /// Empty where there is none.
    reason: Cow<'static, str>,
    message: String,
    details: Option<Box<StatusDetails>>,
}

impl Refused {
    fn new(code: StatusCode, reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
            message: message.into(),
            details: None,
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// There is nothing at a path.
    pub(crate) fn no_such_path() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "NotFound",
            "the server could not find the requested resource",
        )
    }

    pub(crate) fn method(method: &http::Method) -> Self {
        let message = format!("the server does not allow this method on the requested resource: {method}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
    }

    /// Of a kind that goes nothing new is made.
    pub(crate) fn terminating() -> Self {
        let message = "create not allowed while custom resource definition is terminating";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
    }

    /// Who asks wants to be taken for another.
    pub(crate) fn impersonation(user: &str) -> Self {
        let message = format!(
            "users {user:?} is forbidden: cannot impersonate: all who may call this API are one user"
        );
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message)
    }

    /// Who asks did not say that it may.
    #[cfg(feature = "listen")]
    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    /// The body is of a kind that is not read here.
    pub(crate) fn media_type(given: &str, supported: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {} (got {given:?})",
            supported.join(", ")
        );
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            message,
        )
    }

    /// It may be had later, or of somebody else.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
    }

    /// It is not the caller's fault.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }

    /// Of what can be answered the caller takes nothing.
    pub(crate) fn not_acceptable(served: &[&str]) -> Self {
        let message = format!(
            "only the following media types are accepted: {}",
            served.join(", ")
        );
        Self::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message)
    }

    pub(crate) fn too_long(most: usize) -> Self {
        let message = format!("the body of the request is longer than {most} bytes, the most that is read");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message)
    }

    pub(crate) fn too_slow(most: Duration) -> Self {
        let message = format!(
            "the body of the request has not come within {} s; send it at once",
            most.as_secs()
        );
        Self::new(StatusCode::REQUEST_TIMEOUT, "Timeout", message)
    }

    /// What is asked for is newer than anything there is.
    pub(crate) fn too_new(asked: u64, current: u64) -> Self {
        let mut refused = Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "Timeout",
            format!("Too large resource version: {asked}, current: {current}"),
        );
        refused.details = Some(Box::new(StatusDetails {
            causes: Some(vec![StatusCause {
                message: Some("Too large resource version".into()),
                reason: Some("ResourceVersionTooLarge".into()),
                field: None,
            }]),
            retry_after_seconds: Some(1),
            ..StatusDetails::default()
        }));
        refused
    }

    /// A parameter that cannot be: Kubernetes takes them for fields of an object, such as `PatchOptions`.
    pub(crate) fn option(options: &'static str, error: FieldError) -> Self {
        let message = format!("{options}.meta.k8s.io \"\" is invalid: {error}");
        let mut refused = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message);
        refused.details = Some(Box::new(StatusDetails {
            group: Some("meta.k8s.io".to_owned()),
            kind: Some(options.to_owned()),
            causes: Some(vec![cause(&error)]),
            ..StatusDetails::default()
        }));
        refused
    }

    /// There is no object, and so none of the uid that is asked for.
    pub(crate) fn no_such_uid(missing: &ApiError, uid: &str) -> Self {
        let reason = format!(
            "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        );
        match missing {
            ApiError::NotFound(subject) => Self::conflict(subject, &reason),
            _ => Self::new(StatusCode::CONFLICT, "Conflict", reason),
        }
    }

    /// An object that is made and deleted by others over and over.
    pub(crate) fn comes_and_goes(name: &str, tries: usize) -> Self {
        let message =
            format!("{name:?} was made and deleted by others {tries} times meanwhile; apply it again");
        Self::new(StatusCode::CONFLICT, "Conflict", message)
    }

    fn conflict(subject: &ErrorSubject, reason: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {}: {reason}", named(subject));
        Self::new(StatusCode::CONFLICT, "Conflict", message).about(subject, &subject.resource.plural, None)
    }

    fn about(mut self, subject: &ErrorSubject, kind: &str, errors: Option<&FieldErrors>) -> Self {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        self.details = Some(Box::new(StatusDetails {
            name: some(subject.key.name()),
            group: some(&subject.resource.group),
            kind: some(kind),
            causes: errors.map(|errors| errors.iter().map(cause).collect()),
            ..StatusDetails::default()
        }));
        self
    }

    /// Adds a cause that is of no field.
    fn because(mut self, message: &str) -> Self {
        let cause = StatusCause {
            message: Some(message.to_owned()),
            ..StatusCause::default()
        };
        let details = self.details.get_or_insert_default();
        details.causes.get_or_insert_default().push(cause);
        self
    }

    pub(crate) fn status(&self) -> Value {
        let status = Status {
            code: Some(self.code.as_u16().into()),
            details: self.details.as_deref().cloned(),
            message: Some(self.message.clone()),
            metadata: ListMeta::default(),
            reason: Some(self.reason.to_string()).filter(|reason| !reason.is_empty()),
            status: Some("Failure".to_owned()),
        };
        serde_json::to_value(status).unwrap_or_default()
    }

    pub(crate) fn answer(&self) -> Answer {
        let mut answer = answer::value(self.code, &self.status());
        let retry = self
            .details
            .as_ref()
            .and_then(|details| details.retry_after_seconds);
        if let Some(seconds) = retry {
            answer
                .headers_mut()
                .insert(http::header::RETRY_AFTER, seconds.into());
        }
        answer
    }
}

fn cause(error: &FieldError) -> StatusCause {
    StatusCause {
        field: Some(error.path.to_string()),
        message: Some(error.body()),
        reason: Some(error.kind.reason().to_owned()),
    }
}

fn code_of(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// `pods "web"`, `deployments.apps "web"`.
fn named(subject: &ErrorSubject) -> String {
    format!("{} {:?}", subject.resource.group_resource(), subject.key.name())
}

/// `Deployment.apps "web"`: a refusal of what an object says names its kind.
fn kind_named(subject: &ErrorSubject) -> String {
    let resource = &subject.resource;
    let dot = if resource.group.is_empty() { "" } else { "." };
    format!(
        "{}{dot}{} {:?}",
        resource.kind,
        resource.group,
        subject.key.name()
    )
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        let message = error.to_string();
        match &error {
            ApiError::NotFound(subject) => Self::new(
                StatusCode::NOT_FOUND,
                "NotFound",
                format!("{} not found", named(subject)),
            )
            .about(subject, &subject.resource.plural, None),
            ApiError::AlreadyExists(subject) => Self::new(
                StatusCode::CONFLICT,
                "AlreadyExists",
                format!("{} already exists", named(subject)),
            )
            .about(subject, &subject.resource.plural, None),
            ApiError::Conflict { subject, reason } => Self::conflict(subject, reason),
            ApiError::Invalid { subject, errors } => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "Invalid",
                format!("{} is invalid: {errors}", kind_named(subject)),
            )
            .about(subject, &subject.resource.kind, Some(errors)),
            ApiError::Forbidden { subject, reason } => Self::new(
                StatusCode::FORBIDDEN,
                "Forbidden",
                format!("{} is forbidden: {reason}", named(subject)),
            )
            .about(subject, &subject.resource.plural, None),
            ApiError::Denied {
                code,
                reason,
                message,
            } => Self::new(code_of(*code), reason.clone(), message.clone()),
            ApiError::RefusedByPolicy {
                subject,
                code,
                reason,
                message,
            } => Self::new(
                code_of(*code),
                reason.clone(),
                format!("{} is forbidden: {message}", named(subject)),
            )
            .about(subject, &subject.resource.plural, None)
            .because(message),
            ApiError::BadRequest(reason) => Self::bad_request(reason.clone()),
            ApiError::Expired(reason) => Self::new(StatusCode::GONE, "Expired", reason.clone()),
            ApiError::Unavailable(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
            }
            // What cannot be read, what may have been written, and what is not known here yet.
            _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message),
        }
    }
}

impl From<ApplyError> for Refused {
    fn from(error: ApplyError) -> Self {
        let message = error.to_string();
        match error {
            ApplyError::Conflicts(conflicts) => {
                let mut refused = Self::new(StatusCode::CONFLICT, "Conflict", message);
                let causes = conflicts.causes().map(|(message, field)| StatusCause {
                    field: Some(field),
                    message: Some(message),
                    reason: Some("FieldManagerConflict".to_owned()),
                });
                refused.details = Some(Box::new(StatusDetails {
                    causes: Some(causes.collect()),
                    ..StatusDetails::default()
                }));
                refused
            }
            // What is stored, not what was sent.
            ApplyError::Managed(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message),
            _ => Self::bad_request(message),
        }
    }
}

/// What is answered where there is nothing to show.
pub(crate) fn done(code: StatusCode) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code.as_u16()})
}

/// What is answered to a delete after which nothing is left.
pub(crate) fn deleted(resource: &ApiResource, name: &str, uid: &str) -> Value {
    let mut details = json!({"name": name, "kind": resource.plural, "uid": uid});
    if !resource.group.is_empty() {
        details["group"] = json!(resource.group);
    }
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}
