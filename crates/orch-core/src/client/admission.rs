//! Admission: what runs between a writer and the store, whoever the writer is.

use async_trait::async_trait;
use parking_lot::Mutex;

use super::{ApiError, Client, KindRules};
use crate::object::{ApiResource, Document, FieldErrors, ObjectKey, RawObject};

/// What a writer is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Create the object.
    Create,
    /// Replace the object.
    Update,
    /// Delete the object.
    Delete,
}

/// A write on its way to the store.
pub struct AdmissionRequest<'a> {
    /// What is about to happen.
    pub operation: Operation,
    /// The kind.
    pub resource: &'a ApiResource,
    /// Its rules, by which a rule that takes changes from outside fills them in, or takes out of them what the kind does not have.
    pub rules: &'a dyn KindRules,
    /// Namespace and name.
    pub key: &'a ObjectKey,
    /// The object as it would be stored; on a delete, as it is.
    pub object: &'a mut RawObject,
    /// The object as it is; none on a create.
    pub old: Option<&'a Document>,
    /// Whether nothing will be written in the end.
    pub dry_run: bool,
    /// What to tell the writer though the write is allowed.
    pub warnings: &'a Warnings,
    /// For reading other objects. Writing from here is written whether or not this write is.
    pub client: &'a Client,
}

/// What a writer is told though the write is allowed.
#[derive(Debug, Default)]
pub struct Warnings(Mutex<Vec<String>>);

impl Warnings {
    /// Tells the writer this too.
    pub fn add(&self, warning: impl Into<String>) {
        self.0.lock().push(warning.into());
    }

    pub(super) fn into_vec(self) -> Vec<String> {
        self.0.into_inner()
    }
}

/// Why a write is not admitted.
#[derive(Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// The writer may not do this.
    Forbidden(String),
    /// Fields break a rule.
    Invalid(FieldErrors),
    /// The rule met an error of its own, which the writer gets as it is: something that the object needs is not
    /// there, or the store cannot be read.
    Failed(ApiError),
}

/// A rule for writes, beyond the kinds' own. Runs for every writer, inside the process or out.
///
/// Called for whole objects on create, update and delete; not for writes to subresources. A call may be
/// repeated for one write (after a conflict) and must not count on being the last.
///
/// ```
/// use orch_core::client::{Admission, AdmissionRequest, Operation, Refusal};
/// use orch_core::object::ApiResource;
///
/// struct NoFridays;
///
/// #[async_trait::async_trait]
/// impl Admission for NoFridays {
///     fn name(&self) -> &str { "NoFridays" }
///     fn handles(&self, resource: &ApiResource, operation: Operation) -> bool {
///         resource.kind == "Deployment" && operation == Operation::Update
///     }
///     async fn validate(&self, _request: &AdmissionRequest<'_>) -> Result<(), Refusal> {
///         Err(Refusal::Forbidden("no releases on Friday; wait for Monday".into()))
///     }
/// }
/// ```
#[async_trait]
pub trait Admission: Send + Sync + 'static {
    /// Its name, for messages.
    fn name(&self) -> &str;

    /// Whether it wants to see such writes.
    fn handles(&self, resource: &ApiResource, operation: Operation) -> bool;

    /// May change the object. Runs after defaulting, before validation.
    async fn mutate(&self, request: &mut AdmissionRequest<'_>) -> Result<(), Refusal> {
        let _ = request;
        Ok(())
    }

    /// May refuse the object as it will be stored. Runs last.
    async fn validate(&self, request: &AdmissionRequest<'_>) -> Result<(), Refusal> {
        let _ = request;
        Ok(())
    }
}
