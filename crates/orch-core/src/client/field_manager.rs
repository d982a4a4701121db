//! The record of who wrote which fields, kept in each write.

use std::fmt;

use super::ApiError;
use crate::object::RawObject;

/// Keeps the record of who wrote which fields of objects (Kubernetes' `metadata.managedFields`) in the writes that are made with it
/// ([`WriteParams::field_manager`](super::WriteParams::field_manager)): in the same transaction as what it records.
///
/// It sees objects as they are stored: filled in, and without what the kind's rules took out of what was sent.
///
/// ```
/// use std::sync::Arc;
///
/// use orch_core::client::{ApiError, Client, FieldManager, WriteParams};
/// use orch_core::object::RawObject;
/// use orch_core::store::MemoryStore;
/// # use orch_core::object::{Object, ObjectMeta};
/// # #[derive(Clone, Debug, serde::Serialize, serde::Deserialize, Object)]
/// # #[object(group = "example.com", kind = "Cat")]
/// # struct Cat { metadata: ObjectMeta, lives: u32 }
/// use serde_json::json;
///
/// /// Writes down who wrote last.
/// #[derive(Debug)]
/// struct Signed(&'static str);
///
/// impl FieldManager for Signed {
///     fn record(&self, _: Option<&RawObject>, new: &mut RawObject) -> Result<(), ApiError> {
///         new["metadata"]["managedFields"] = json!([{ "manager": self.0 }]);
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), ApiError> {
/// # let client = Client::new(Arc::new(MemoryStore::new()));
/// let cats = client.api::<Cat>("default");
/// let signed = WriteParams::default().field_manager(Arc::new(Signed("alice")));
/// let tom = cats.create_with(&Cat { metadata: ObjectMeta::named("tom"), lives: 9 }, &signed).await?;
/// assert_eq!(tom.document.record(), Some(r#"[{"manager":"alice"}]"#));
/// # Ok(())
/// # }
/// ```
pub trait FieldManager: fmt::Debug + Send + Sync {
    /// Looks at what was sent, or what a patch made of the object, before any rule of the kind does; may take out what is not to be
    /// looked at at all.
    ///
    /// # Errors
    ///
    /// Whatever it is, nothing is written.
    fn receive(&self, object: &mut RawObject) -> Result<(), ApiError> {
        let _ = object;
        Ok(())
    }

    /// Records in `new` what this write does to `old`; to nothing if it creates.
    ///
    /// Called once an object is filled in and before admission may change it, whose changes so are nobody's; of a write to the status or
    /// another subresource with the whole object. Called again, with the newest version, if another writer comes between.
    ///
    /// # Errors
    ///
    /// Whatever it is, nothing is written.
    fn record(&self, old: Option<&RawObject>, new: &mut RawObject) -> Result<(), ApiError>;

    /// Makes `new` the same as `old` if nothing but the record differs, and that in nothing that counts (the time of the write): nothing
    /// is written then. Called last, when nothing changes the object any more.
    fn settle(&self, old: &RawObject, new: &mut RawObject) {
        let _ = (old, new);
    }
}
