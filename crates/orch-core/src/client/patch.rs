//! Patches: what to change of an object, rather than what it should be.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use json_patch::PatchErrorKind;
use serde_json::Value;

use super::{ApiError, ErrorSubject};
use crate::object::{DEEPEST, FieldError, FieldPath, RawObject, depth};

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
    /// Anything else that makes a new object of an old one, such as one that needs to know the kind's lists (strategic merge).
    Custom(Arc<dyn CustomPatch>),
}

/// A change to an object by rules that this crate does not have.
#[async_trait]
pub trait CustomPatch: fmt::Debug + Send + Sync {
    /// The object as changed. Called again, with the newest version, if another writer comes between.
    ///
    /// # Errors
    ///
    /// [`BadRequest`](ApiError::BadRequest) for what cannot be applied, with where and why; whatever it is, nothing is written.
    async fn apply(&self, object: RawObject) -> Result<RawObject, ApiError>;
}

/// Bounds of a JSON patch, as in Kubernetes (`jsonpatch.go`): few bytes can ask for much.
const OPERATIONS: usize = 10_000;
const COPIED_BYTES: usize = 3 << 20;

/// Refuses an operation that would make the object too large or too deep.
fn check_growth(
    object: &Value,
    operation: &json_patch::PatchOperation,
    copied: &mut usize,
) -> Result<(), ApiError> {
    use json_patch::PatchOperation;

    let (path, value) = match operation {
        PatchOperation::Add(add) => (&add.path, Some(&add.value)),
        PatchOperation::Replace(replace) => (&replace.path, Some(&replace.value)),
        PatchOperation::Move(moved) => (&moved.path, object.pointer(moved.from.as_str())),
        PatchOperation::Copy(copy) => {
            let source = object.pointer(copy.from.as_str());
            *copied += source.map_or(0, |source| source.to_string().len());
            if *copied > COPIED_BYTES {
                return Err(ApiError::BadRequest(format!(
                    "JSON patch: copies {copied} bytes, at most {COPIED_BYTES} allowed"
                )));
            }
            (&copy.path, source)
        }
        PatchOperation::Remove(_) | PatchOperation::Test(_) => return Ok(()),
    };
    let above = path.as_str().matches('/').count();
    let depth = above + value.map_or(0, |value| depth(value, DEEPEST + 1));
    if depth > DEEPEST {
        return Err(ApiError::BadRequest(format!(
            "JSON patch: {path}: more than {DEEPEST} levels deep"
        )));
    }
    Ok(())
}

/// What a test found instead. Kubernetes answers 422 too.
fn untrue(test: &json_patch::PatchOperation, object: &Value) -> FieldError {
    let pointer = test.path();
    let mut at = FieldPath::root();
    for name in pointer.tokens() {
        let name = name.decoded();
        at = match name.parse() {
            Ok(index) if !at.is_root() => at.index(index),
            _ => at.child(name.into_owned()),
        };
    }
    let found = object.pointer(pointer.as_str());
    FieldError::invalid(&at, found, "the patch's test does not hold")
}

impl Patch {
    /// The object as changed; `subject` is what it is called where a test does not hold.
    ///
    /// # Errors
    ///
    /// [`BadRequest`](ApiError::BadRequest) for what cannot be applied, and [`Invalid`](ApiError::Invalid) for a test that
    /// does not hold.
    pub async fn apply(
        &self,
        object: RawObject,
        subject: impl Fn() -> ErrorSubject + Send,
    ) -> Result<RawObject, ApiError> {
        match self {
            Self::Custom(patch) => patch.apply(object).await,
            Self::Merge(change) => merge(object, change),
            Self::Json(operations) => operate(object, operations, subject),
        }
    }
}

fn merge(object: RawObject, change: &Value) -> Result<RawObject, ApiError> {
    if !change.is_object() {
        return Err(ApiError::BadRequest(format!(
            "merge patch: expected a map, got {change}"
        )));
    }
    let mut object = Value::Object(object);
    json_patch::merge(&mut object, change);
    still_object(object)
}

fn operate(
    object: RawObject,
    operations: &json_patch::Patch,
    subject: impl Fn() -> ErrorSubject,
) -> Result<RawObject, ApiError> {
    if operations.0.len() > OPERATIONS {
        let count = operations.0.len();
        return Err(ApiError::BadRequest(format!(
            "JSON patch: {count} operations, at most {OPERATIONS} allowed"
        )));
    }
    let mut object = Value::Object(object);
    let mut copied = 0;
    for operation in &operations.0 {
        check_growth(&object, operation, &mut copied)?;
        if let json_patch::PatchOperation::Test(test) = operation
            && test.value.is_null()
            && object.pointer(test.path.as_str()).is_none()
        {
            continue;
        }
        json_patch::patch(&mut object, std::slice::from_ref(operation)).map_err(|error| {
            match error.kind {
                PatchErrorKind::TestFailed => ApiError::Invalid {
                    subject: subject(),
                    errors: untrue(operation, &object).into(),
                },
                _ => ApiError::BadRequest(format!("JSON patch: {error}")),
            }
        })?;
    }
    still_object(object)
}

fn still_object(patched: Value) -> Result<RawObject, ApiError> {
    match patched {
        Value::Object(object) => Ok(object),
        other => Err(ApiError::BadRequest(format!(
            "the patch leaves no object but {other}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::{ApiResource, ObjectKey, Scope};

    fn refusal(operations: Value) -> String {
        let Value::Object(object) = json!({"x": {"text": "a".repeat(1000)}, "y": {}, "z": [{"a/b": 2}]})
        else {
            unreachable!("it is a map")
        };
        let operations = serde_json::from_value(operations).unwrap();
        let subject = || {
            ErrorSubject::new(
                &ApiResource::new("", "v1", "Cat", "cats", Scope::Cluster),
                &ObjectKey::new(None, "tom"),
            )
        };
        operate(object, &operations, subject)
            .expect_err("it is refused")
            .to_string()
    }

    #[test]
    fn a_test_that_does_not_hold_names_the_field() {
        let test = json!([{"op": "test", "path": "/z/0/a~1b", "value": 1}]);
        let refused = refusal(test);
        assert!(
            refused.starts_with("cats \"tom\" is invalid: z[0].a/b: Invalid value: 2"),
            "{refused}"
        );
    }

    #[test]
    fn a_patch_that_asks_for_too_much_is_refused() {
        let doubling: Vec<_> = (0..40)
            .map(|n| json!({"op": "copy", "from": "", "path": format!("/copy-{n}")}))
            .collect();
        assert!(refusal(doubling.into()).contains("copies"));
        let nesting: Vec<_> = (0..200)
            .map(|_| json!({"op": "copy", "from": "/y", "path": "/y/y"}))
            .collect();
        assert!(refusal(nesting.into()).contains("levels deep"));
        let many: Vec<_> = (0..10_001)
            .map(|_| json!({"op": "remove", "path": "/x"}))
            .collect();
        assert!(refusal(many.into()).contains("10001 operations"));
    }
}
