//! Tokens of service accounts, as they are asked for (`serviceaccounts/NAME/token`, of the kind `TokenRequest`).
//!
//! Sources: Kubernetes' `pkg/registry/core/serviceaccount/storage/token.go` and `pkg/apis/authentication/validation`.

use http::StatusCode;
use k8s_openapi::api::authentication::v1::BoundObjectReference;
use k8s_openapi::api::core::v1::Pod;
use orch_core::client::{ApiError, ErrorSubject};
use orch_core::object::{ApiResource, Document, FieldError, FieldErrors, FieldPath, ObjectKey, Scope};
use orch_core::random::Random;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Asked, Server};
use crate::answer::{self, Answer};
use crate::input;
use crate::status::Refused;
use crate::tokens::{AUDIENCE, Bound, Claims};

/// How long a token is good that is asked for without saying so, in seconds.
const USUAL: i64 = 3600;
/// The shortest and the longest that may be asked for.
const SHORTEST: i64 = 600;
const LONGEST: i64 = 1 << 32;

/// What is asked for.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    audiences: Option<Vec<String>>,
    expiration_seconds: Option<i64>,
    bound_object_ref: Option<BoundObjectReference>,
}

pub(super) async fn issue(server: &Server, asked: &Asked, name: &str) -> Result<Answer, Refused> {
    let Some(issuer) = &asked.issuer else {
        return Err(Refused::no_tokens());
    };
    let (mut request, _) = input::object(&asked.media_type, &asked.body)?;
    let spec = request.remove("spec").unwrap_or_default();
    let spec: Option<Spec> =
        serde_json::from_value(spec).map_err(|error| Refused::bad_request(format!("spec: {error}")))?;
    let spec = spec.unwrap_or_default();
    let namespace = asked.place.namespace.as_deref().unwrap_or_default();
    for (field, expected) in [("name", name), ("namespace", namespace)] {
        let given = request.get("metadata").and_then(|meta| meta.get(field));
        let given = given.and_then(Value::as_str).unwrap_or_default();
        if !given.is_empty() && given != expected {
            return Err(Refused::bad_request(format!(
                "metadata.{field}: {given:?}: must be that of the path, {expected:?}"
            )));
        }
    }
    let account = server.client.backend().get(&asked.target(name)).await?;
    let seconds = spec.expiration_seconds.unwrap_or(USUAL);
    check(seconds)?;
    let bound = match &spec.bound_object_ref {
        Some(reference) => Some(bound(server, namespace, name, reference).await?),
        None => None,
    };
    asked.query.dry_run()?;
    let mut audiences = spec.audiences.unwrap_or_default();
    if audiences.is_empty() {
        audiences.push(AUDIENCE.to_owned());
    }
    let claims = Claims::new(
        Bound::new("ServiceAccount", namespace, name, &account.meta().uid),
        bound,
        audiences.clone(),
        orch_core::time::now(),
        seconds,
        Random::from_os().uuid(),
    );
    let token = issuer
        .sign(&claims)
        .map_err(|error| Refused::internal(format!("the token cannot be written: {error}")))?;
    let issued = json!({
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": null},
        "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": spec.bound_object_ref},
        "status": {"token": token, "expirationTimestamp": claims.expires().map(|time| time.to_string())},
    });
    Ok(answer::value(StatusCode::CREATED, &issued))
}

fn check(seconds: i64) -> Result<(), Refused> {
    let wrong = match seconds {
        ..SHORTEST => "may not specify a duration less than 10 minutes",
        seconds if seconds > LONGEST => "may not specify a duration larger than 2^32 seconds",
        _ => return Ok(()),
    };
    let at = FieldPath::new("spec").child("expirationSeconds");
    let resource = ApiResource::new(
        "authentication.k8s.io",
        "v1",
        "TokenRequest",
        "tokenrequests",
        Scope::Cluster,
    );
    Err(Refused::from(ApiError::Invalid {
        subject: ErrorSubject {
            resource: Box::new(resource),
            key: ObjectKey::new(None, ""),
        },
        errors: FieldErrors::from(FieldError::invalid(&at, seconds, wrong)),
    }))
}

/// What the token is to be bound to: it is good as long as that is there.
async fn bound(
    server: &Server,
    namespace: &str,
    account: &str,
    reference: &BoundObjectReference,
) -> Result<Bound, Refused> {
    let name = reference.name.as_deref().unwrap_or_default();
    let version = reference.api_version.as_deref().unwrap_or_default();
    let kind = match (version, reference.kind.as_deref().unwrap_or_default()) {
        ("v1", "Pod") => "Pod",
        ("v1", "Secret") => "Secret",
        (version, kind) => {
            return Err(Refused::bad_request(format!(
                "spec.boundObjectRef: cannot bind token to object of type {version}, Kind={kind}; allowed are Pod and Secret of v1"
            )));
        }
    };
    let wanted = Bound::new(kind, namespace, name, "");
    let found = server.client.backend().get(&wanted.target()).await?;
    if kind == "Pod" && account_of(&found) != account {
        return Err(Refused::bad_request(format!(
            "cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name."
        )));
    }
    let uid = &found.meta().uid;
    if let Some(given) = reference
        .uid
        .as_deref()
        .filter(|given| !given.is_empty() && given != uid)
    {
        return Err(Refused::from(ApiError::Conflict {
            subject: ErrorSubject {
                resource: Box::new(ApiResource::clone(&wanted.target().resource)),
                key: wanted.target().key,
            },
            reason: format!(
                "the UID in the bound object reference ({given}) does not match the UID in record. The object might have been deleted and then recreated"
            ),
        }));
    }
    Ok(Bound::new(kind, namespace, name, uid))
}

fn account_of(pod: &Document) -> String {
    let pod = pod.typed::<Pod>().ok();
    let spec = pod.as_ref().and_then(|pod| pod.spec.as_ref());
    let account = spec.and_then(|spec| spec.service_account_name.clone());
    account
        .filter(|account| !account.is_empty())
        .unwrap_or_else(|| "default".to_owned())
}
