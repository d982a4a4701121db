//! Patches: what to change of an object, rather than what it should be.

use serde_json::Value;

use super::ApiError;
use crate::object::RawObject;

/// A change to an object. Applied to its newest version, and again if another writer comes between.
///
/// A `resourceVersion` in the patched metadata makes it conditional, as in Kubernetes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Patch {
    /// RFC 7386: maps are merged, null removes, all else replaces.
    Merge(Value),
    /// RFC 6902: operations in order. A `test` for null also holds where the path does not exist, which
    /// kube-rs' finalizer helper relies on.
    Json(json_patch::Patch),
}

impl Patch {
    pub(crate) fn apply(&self, object: RawObject) -> Result<RawObject, ApiError> {
        let mut object = Value::Object(object);
        match self {
            Self::Merge(patch) => {
                if !patch.is_object() {
                    return Err(ApiError::BadRequest(format!(
                        "merge patch: expected a map, got {patch}"
                    )));
                }
                json_patch::merge(&mut object, patch);
            }
            Self::Json(operations) => {
                for operation in &operations.0 {
                    if let json_patch::PatchOperation::Test(test) = operation
                        && test.value.is_null()
                        && object.pointer(test.path.as_str()).is_none()
                    {
                        continue;
                    }
                    json_patch::patch(&mut object, std::slice::from_ref(operation))
                        .map_err(|error| ApiError::BadRequest(format!("JSON patch: {error}")))?;
                }
            }
        }
        match object {
            Value::Object(object) => Ok(object),
            other => Err(ApiError::BadRequest(format!(
                "the patch leaves no object but {other}"
            ))),
        }
    }
}
