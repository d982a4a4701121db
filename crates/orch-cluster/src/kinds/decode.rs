//! Decodes raw objects into types, and says where that fails.

use orch_core::object::RawObject;
use orch_core::object::{FieldError, FieldPath};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Decodes a raw object.
///
/// # Errors
///
/// Names the field that does not fit, the value found there and what is expected.
///
/// ```
/// # use k8s_openapi::api::core::v1::Pod;
/// let raw = serde_json::json!({"spec": {"containers": [{"name": "web", "ports": [{"containerPort": "http"}]}]}});
/// let error = orch_cluster::kinds::decode::decode::<Pod>(raw.as_object().unwrap()).unwrap_err();
/// assert!(error.to_string().starts_with("spec.containers[0].ports[0].containerPort: Invalid value: \"http\""));
/// ```
pub fn decode<K: DeserializeOwned>(object: &RawObject) -> Result<K, FieldError> {
    // Keeping track of the path costs as much again as decoding, so it is done only to explain a failure.
    K::deserialize(object).or_else(|_| {
        let value = Value::Object(object.clone());
        serde_path_to_error::deserialize(&value).map_err(|error| explain(&value, &FieldPath::root(), &error))
    })
}

/// Decodes JSON text that stands at `at` of an object.
pub(super) fn decode_json<T: DeserializeOwned>(json: &[u8], at: &FieldPath) -> Result<T, FieldError> {
    serde_json::from_slice(json).or_else(|_| {
        let value: Value = serde_json::from_slice(json).unwrap_or_default();
        serde_path_to_error::deserialize(&value).map_err(|error| explain(&value, at, &error))
    })
}

fn explain(
    value: &Value,
    at: &FieldPath,
    error: &serde_path_to_error::Error<serde_json::Error>,
) -> FieldError {
    use serde_path_to_error::Segment;
    let (mut path, mut found) = (at.clone(), Some(value));
    for segment in error.path() {
        match segment {
            Segment::Seq { index } => {
                path = path.index(*index);
                found = found.and_then(|value| value.get(*index));
            }
            Segment::Map { key } => {
                path = path.child(key.clone());
                found = found.and_then(|value| value.get(key));
            }
            Segment::Enum { .. } | Segment::Unknown => break,
        }
    }
    FieldError::type_invalid(&path, found, error.inner().to_string())
}
