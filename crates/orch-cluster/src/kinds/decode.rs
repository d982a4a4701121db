//! Decodes objects into types, and says where that fails.

use std::error::Error;
use std::sync::Arc;

use orch_core::object::{Document, FieldError, FieldPath, Object};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The object as its Rust type, shared with all who read the document.
///
/// # Errors
///
/// Names the field that does not fit, the value found there and what is expected.
///
/// ```
/// # use k8s_openapi::api::core::v1::Pod;
/// # use orch_core::object::Document;
/// let pod = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
///     "spec": {"containers": [{"name": "web", "ports": [{"containerPort": "http"}]}]}}"#;
/// let error = orch_cluster::kinds::decode::typed::<Pod>(&Document::parse(pod.into())?).unwrap_err();
/// assert!(error.to_string().starts_with("spec.containers[0].ports[0].containerPort: Invalid value: \"http\""));
/// # Ok::<(), orch_core::object::DocumentError>(())
/// ```
pub fn typed<K: Object>(document: &Document) -> Result<Arc<K>, FieldError> {
    let typed = document.typed();
    typed.map_err(|error| explain::<K>(document.stored(), &FieldPath::root(), &error))
}

/// Decodes JSON text that stands at `at` of an object.
pub(super) fn decode_json<T: DeserializeOwned>(json: &[u8], at: &FieldPath) -> Result<T, FieldError> {
    serde_json::from_slice(json).map_err(|error| explain::<T>(json, at, &error))
}

/// Says where JSON does not fit. Keeping track of the path costs as much again as decoding, so it is done only to
/// explain a failure; through a boxed deserializer, so that no type is compiled a second time for it.
fn explain<T: DeserializeOwned>(json: &[u8], at: &FieldPath, error: &dyn Error) -> FieldError {
    use serde_path_to_error::{Deserializer, Segment, Track};
    let value: Value = serde_json::from_slice(json).unwrap_or_default();
    let mut track = Track::new();
    let mut tracked = <dyn erased_serde::Deserializer<'_>>::erase(Deserializer::new(&value, &mut track));
    let again = erased_serde::deserialize::<T>(&mut tracked).err();
    drop(tracked);
    let message = again.map_or_else(|| error.to_string(), |error| error.to_string());
    let (mut path, mut found) = (at.clone(), Some(&value));
    for segment in &track.path() {
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
    FieldError::type_invalid(&path, found, message)
}
