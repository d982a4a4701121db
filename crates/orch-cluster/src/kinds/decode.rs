//! Decodes objects into types, and says where that fails.

use std::error::Error;
use std::sync::Arc;

use orch_core::object::{Document, FieldError, FieldErrors, FieldPath, Object};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::strict;

/// The object as its Rust type, shared with all who read the document.
///
/// # Errors
///
/// Name each field that does not fit, the value found there and what is expected.
///
/// ```
/// # use k8s_openapi::api::core::v1::Pod;
/// # use orch_core::object::Document;
/// let pod = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
///     "spec": {"containers": [{"name": "web", "ports": [{"containerPort": "http"}]}]}}"#;
/// let error = orch_cluster::kinds::decode::typed::<Pod>(&Document::parse(pod.into())?).unwrap_err();
/// let reason = "spec.containers[0].ports[0].containerPort: Invalid value: expected an integer, got \"http\"";
/// assert_eq!(error.to_string(), reason);
/// # Ok::<(), orch_core::object::DocumentError>(())
/// ```
pub fn typed<K: Object>(document: &Document) -> Result<Arc<K>, FieldErrors> {
    let typed = document.typed();
    typed.map_err(|error| explain::<K>(document.stored(), &FieldPath::root(), &error))
}

/// Decodes JSON text that stands at `at` of an object.
pub(super) fn decode_json<T: DeserializeOwned>(json: &[u8], at: &FieldPath) -> Result<T, FieldErrors> {
    serde_json::from_slice(json).map_err(|error| explain::<T>(json, at, &error))
}

/// Says all that does not fit. Finding out costs more than decoding, so it is done only after a failure.
fn explain<T: DeserializeOwned>(json: &[u8], at: &FieldPath, error: &dyn Error) -> FieldErrors {
    let value: Value = serde_json::from_slice(json).unwrap_or_default();
    let mut errors = FieldErrors::default();
    for fault in strict::misfits::<T>(&value, at) {
        errors.push(FieldError::malformed(&fault.path, fault.message));
    }
    if errors.is_empty() {
        errors.push(FieldError::malformed(at, error.to_string()));
    }
    errors
}
