//! What is stored: documents, and the typed views of them.
//!
//! A [`Document`] is an object as it was written, JSON bytes with the metadata parsed once; nothing a writer
//! sent is lost in it. An [`Object`] is a Rust type that a document can be decoded into when its fields
//! matter. The wire form is Kubernetes' own (`apiVersion`, `kind`, `metadata`, then what the kind has).

mod apart;
mod condition;
mod depth;
mod document;
mod field;
mod key;
#[cfg(feature = "k8s-openapi")]
mod kubernetes;
mod meta;
pub mod metadata;
pub mod names;
mod peek;
mod quantity;
mod resource;
mod selector;
mod typed;

use std::borrow::Cow;
use std::fmt::Debug;

use crate::store::Revision;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use condition::{Condition, ConditionStatus, set_condition};
pub use depth::{DEEPEST, depth};
pub(crate) use document::raw_object;
pub use document::{Document, DocumentError, RawObject};
pub use field::{FieldError, FieldErrorKind, FieldErrors, FieldPath, Segment};
pub use key::ObjectKey;
pub use meta::{ObjectMeta, OwnerReference};
#[cfg(feature = "derive")]
pub use orch_derive::Object;
pub use peek::Members;
pub(crate) use peek::same_json;
pub use quantity::{Quantity, QuantityError, QuantityFormat};
pub use resource::{ApiResource, Scope};
pub use selector::{
    FieldRequirement, FieldSelector, LabelSelector, LabelSelectorRequirement, Operator, Requirement,
    Selector, SelectorError,
};

/// A kind of object, as a Rust type.
///
/// Derive it, or write its three functions:
///
/// ```
/// use std::borrow::Cow;
///
/// use orch_core::object::{ApiResource, Object, ObjectMeta, Scope};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Debug, Default, Serialize, Deserialize)]
/// struct Backup {
///     metadata: ObjectMeta,
///     spec: BackupSpec,
///     #[serde(default, skip_serializing_if = "Option::is_none")]
///     status: Option<BackupStatus>,
/// }
///
/// #[derive(Clone, Debug, Default, Serialize, Deserialize)]
/// struct BackupSpec { volume: String }
///
/// #[derive(Clone, Debug, Default, Serialize, Deserialize)]
/// struct BackupStatus { finished: bool }
///
/// impl Object for Backup {
///     fn resource() -> ApiResource {
///         ApiResource::new("example.com", "v1", "Backup", "backups", Scope::Namespaced)
///     }
///     fn metadata(&self) -> Cow<'_, ObjectMeta> {
///         Cow::Borrowed(&self.metadata)
///     }
///     fn set_metadata(&mut self, metadata: ObjectMeta) {
///         self.metadata = metadata;
///     }
/// }
/// ```
///
/// With the feature `k8s-openapi`, every kind of that crate and every type that derives kube's
/// `CustomResource` is an `Object` already.
///
/// The JSON form need not contain `apiVersion` and `kind`: they are added from [`resource`](Self::resource).
/// A top-level field `status`, if there is one, is written through the status subresource only.
pub trait Object: Serialize + DeserializeOwned + Clone + Debug + Send + Sync + 'static {
    /// What kind it is.
    fn resource() -> ApiResource;

    /// Its metadata; borrowed where the type holds an [`ObjectMeta`], else converted.
    fn metadata(&self) -> Cow<'_, ObjectMeta>;

    /// Replaces its metadata.
    fn set_metadata(&mut self, metadata: ObjectMeta);

    /// Writes the resource version into its metadata, and nothing else.
    fn set_resource_version(&mut self, revision: Revision) {
        let mut metadata = self.metadata().into_owned();
        metadata.resource_version = Some(revision);
        self.set_metadata(metadata);
    }

    /// Its namespace (none if cluster-scoped or unset) and name.
    fn key(&self) -> ObjectKey {
        let metadata = self.metadata();
        ObjectKey::new(metadata.namespace.as_deref(), &metadata.name)
    }
}
