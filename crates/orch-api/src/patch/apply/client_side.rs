//! From `kubectl apply` to `kubectl apply --server-side`: what the annotation of the former says is kubectl's
//! to take.

use serde_json::{Map, Value, json};

use super::fieldset::FieldSet;
use super::request::Request;
use super::typed::{self, Type};

/// What was applied last on the client's side.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The name under which kubectl applies, unless it is told another.
const KUBECTL: &str = "kubectl";

/// Bytes that all annotations of an object may have, names included.
const MOST_ANNOTATIONS: usize = 256 * 1024;

/// What kubectl may take from others, for it applied that before on the client's side and it is still so. None
/// for other managers, and where nothing was.
pub(super) fn allowed(request: &Request<'_>, of: &Type, live: &Value) -> Option<FieldSet> {
    if request.manager != KUBECTL {
        return None;
    }
    let last: Value = serde_json::from_str(
        live.get("metadata")?
            .get("annotations")?
            .get(LAST_APPLIED)?
            .as_str()?,
    )
    .ok()?;
    if last.get("apiVersion")? != request.api_version || !typed::validate(of, &last).is_empty() {
        return None;
    }
    let differs = typed::compare(of, &last, live);
    let fields = typed::fields_of(of, &last);
    Some(
        fields
            .difference(&differs.modified)
            .difference(&differs.added)
            .difference(&differs.removed),
    )
}

/// Whether what it applies is kept in the annotation, too.
pub(super) fn is_followed(request: &Request<'_>) -> bool {
    request.manager == KUBECTL
}

/// Has the annotation say what kubectl has applied now, if there is one, so that applying on the client's side
/// again works.
pub(super) fn follow(request: &Request<'_>, object: &mut Map<String, Value>, config: &Value) {
    if !is_followed(request) {
        return;
    }
    let annotations = object
        .get_mut("metadata")
        .and_then(|metadata| metadata.get_mut("annotations"));
    let Some(Value::Object(annotations)) = annotations else {
        return;
    };
    if annotations
        .get(LAST_APPLIED)
        .and_then(Value::as_str)
        .is_none_or(str::is_empty)
    {
        return;
    }
    let mut config = config.clone();
    if let Some(Value::Object(own)) = config
        .get_mut("metadata")
        .and_then(|metadata| metadata.get_mut("annotations"))
    {
        own.remove(LAST_APPLIED);
        if own.is_empty() {
            config["metadata"]
                .as_object_mut()
                .map(|metadata| metadata.remove("annotations"));
        }
    }
    // As kubectl writes it: with a line's end.
    annotations.insert(LAST_APPLIED.to_owned(), json!(format!("{config}\n")));
    let size: usize = annotations
        .iter()
        .map(|(name, value)| name.len() + value.as_str().map_or(0, str::len))
        .sum();
    if size > MOST_ANNOTATIONS {
        annotations.remove(LAST_APPLIED);
    }
}
