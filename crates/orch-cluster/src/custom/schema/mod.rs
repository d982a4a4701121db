//! What the schema of a custom kind says of its objects: which fields they have, what those not given are, and which
//! values they may have (`openAPIV3Schema` of a CustomResourceDefinition). Pure.
//!
//! Start at [`Structural`].

mod default;
pub(crate) mod format;
pub(crate) mod node;
pub(crate) mod pattern;
mod prune;
mod read;
mod rules;
#[cfg(test)]
mod tests;
mod validate;

use std::sync::Arc;

use orch_core::object::{FieldErrors, FieldPath, RawObject};
use serde_json::Value;

use self::node::Node;

/// The schema of one version of a custom kind: what Kubernetes calls a structural schema (KEP-1904).
///
/// Read once, and then cheap to clone and quick to ask: a write prunes, defaults and validates an object.
///
/// ```
/// use orch_cluster::custom::schema::Structural;
/// use orch_core::object::FieldPath;
/// use serde_json::json;
///
/// let schema = json!({
///     "type": "object",
///     "properties": {"spec": {
///         "type": "object",
///         "required": ["image"],
///         "properties": {
///             "image": {"type": "string"},
///             "replicas": {"type": "integer", "minimum": 1, "default": 1},
///         },
///     }},
/// });
/// let schema = Structural::read(&schema, &FieldPath::new("openAPIV3Schema"))?;
///
/// let object = json!({"apiVersion": "example.com/v1", "kind": "App", "metadata": {}, "spec": {"imgae": "busybox"}});
/// let mut object = object.as_object().cloned().unwrap_or_default();
/// assert_eq!(schema.prune(&mut object), ["spec.imgae"]);
/// schema.default(&mut object);
/// assert_eq!(object["spec"], json!({"replicas": 1}));
/// assert_eq!(schema.validate(&object).to_string(), "spec.image: Required value");
/// # Ok::<(), orch_core::object::FieldErrors>(())
/// ```
#[derive(Clone, Debug)]
pub struct Structural(Arc<Node>);

impl Structural {
    /// Reads an `openAPIV3Schema` that stands at `at`.
    ///
    /// # Errors
    ///
    /// What Kubernetes refuses of one, in its words: what is no structural schema, keywords that there are not, rules in CEL
    /// (`x-kubernetes-validations`, KEP-2876) that speak of what there is not or call functions that are not known here,
    /// defaults that do not satisfy it, patterns that are none, lists and maps that contradict themselves. Besides, it
    /// may not be deeper than an object ([`DEEPEST`](orch_core::object::DEEPEST)), be made of more than 65,536 others,
    /// nor have patterns larger than 256 KiB, or 32 MiB together, once compiled.
    pub fn read(schema: &Value, at: &FieldPath) -> Result<Self, FieldErrors> {
        let root = read::read(schema, at)?;
        Ok(Self(Arc::new(root)))
    }

    /// Takes out of an object of the kind what the schema does not have, and tells the fields taken out
    /// (`spec.list[0].bar`), sorted. `apiVersion`, `kind` and `metadata` stay, those of embedded objects too.
    ///
    /// If what is told is longer than 64 KiB, the rest is left unsaid.
    pub fn prune(&self, object: &mut RawObject) -> Vec<String> {
        prune::object(&self.0, object)
    }

    /// Fills in the defaults of what an object does not say, in lists and maps too. A null where there may be none is
    /// as if it were not there. Twice is once.
    pub fn default(&self, object: &mut RawObject) {
        default::object(&self.0, object);
    }

    /// What is wrong with an object's values, in the words of Kubernetes; at most some hundred things. Metadata is not
    /// judged, but for what the schema says of `metadata.name` and `metadata.generateName`.
    ///
    /// An object that takes more than ten million steps to look at, or whose rules take more than five million, is refused.
    pub fn validate(&self, object: &RawObject) -> FieldErrors {
        validate::object(&self.0, object)
    }

    /// The same for an object that replaces `old`: values that are what they were are let be, however wrong they are
    /// (KEP-4008).
    pub fn validate_update(&self, object: &RawObject, old: &RawObject) -> FieldErrors {
        validate::update(&self.0, object, old)
    }
}
