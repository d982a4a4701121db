//! What the client knows of each kind: its rules.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use serde_json::Value;

use super::{ApiError, Client};
use crate::object::metadata::{self, NameRule};
use crate::object::{ApiResource, Document, FieldErrors, ObjectMeta, RawObject};

/// The rules of a kind, run for every writer. All are pure; each has a default that allows everything.
///
/// On create, in this order: [`create_warnings`](Self::create_warnings), [`prepare_create`](Self::prepare_create),
/// [`default`](Self::default), admission, which may change it (then `default` again), [`validate`](Self::validate), admission,
/// which may refuse it, [`warnings`](Self::warnings). On update the same with
/// `prepare_update` and `validate_update`.
pub trait KindRules: Send + Sync + 'static {
    /// Whether the status is written apart from the rest: who writes the object does not write it, and a new one does not make
    /// a new generation. Of a kind that has none, `status` is a field like others (a custom resource without that subresource).
    fn has_status(&self) -> bool {
        true
    }

    /// Takes out what a creator may not set.
    fn prepare_create(&self, object: &mut RawObject) {
        let _ = object;
    }

    /// Restores what an updater may not change. The status is restored already if it is [written apart](Self::has_status).
    fn prepare_update(&self, object: &mut RawObject, old: &RawObject) {
        let _ = (object, old);
    }

    /// Fills in what the writer left open. Doing it twice changes nothing.
    fn default(&self, object: &mut RawObject) {
        let _ = object;
    }

    /// Takes out what objects of this kind do not have. Who writes through a client may have been told of it before; this is for
    /// [admission](super::Admission) that takes changes from outside.
    fn prune(&self, object: &mut RawObject) {
        let _ = object;
    }

    /// Everything that is wrong with the metadata of an object, new or changed: of a kind that says nothing else, what
    /// Kubernetes asks of a custom resource's ([`metadata::validate`] with names that are DNS subdomains).
    ///
    /// Asked before [`validate`](Self::validate), and told together with what that finds.
    fn validate_metadata(&self, meta: &ObjectMeta) -> FieldErrors {
        metadata::validate(meta, NameRule::Subdomain)
    }

    /// Everything that is wrong with a new object. Rules over a Rust type take it from [`Document::typed`]: what they
    /// decode is what the writer, caches and watchers get.
    fn validate(&self, object: &Document) -> FieldErrors {
        let _ = object;
        FieldErrors::default()
    }

    /// Everything that is wrong with an object that replaces `old`.
    fn validate_update(&self, object: &Document, old: &Document) -> FieldErrors {
        let _ = old;
        self.validate(object)
    }

    /// Everything that is wrong with a status, given as JSON, that is to replace that of `old`.
    fn validate_status(&self, status: &[u8], old: &Document) -> FieldErrors {
        let _ = (status, old);
        FieldErrors::default()
    }

    /// Writes a subresource other than status (`binding`, `finalize`…): gives the top-level fields that change, as
    /// JSON, or what is wrong. If nothing changes it must give none, for each write makes a new revision, which wakes
    /// all who watch the object. It reads of `wanted` only what the subresource is there to write.
    ///
    /// A subresource that the kind does not have is [`None`].
    fn subresource(&self, name: &str, wanted: Wanted<'_>, old: &Document) -> Option<SubresourceWrite> {
        let _ = (name, wanted, old);
        None
    }

    /// Whether what is written through a subresource is wanted of the object, so that it has a new
    /// [generation](crate::object::ObjectMeta::generation): a pod's other resources are (`resize`), its node is not (`binding`).
    fn counts(&self, subresource: &str) -> bool {
        let _ = subresource;
        false
    }

    /// The value of a field that objects of this kind can be selected by, besides `metadata.name` and
    /// `metadata.namespace`; an unset field is the empty string, one that is not selectable none.
    fn selectable_field(&self, document: &Document, path: &str) -> Option<String> {
        let _ = (document, path);
        None
    }

    /// Whether objects can be selected by this field.
    fn is_selectable(&self, path: &str) -> bool {
        let _ = path;
        false
    }

    /// How many seconds a delete waits before the object is removed, given what the caller asked for. Above
    /// zero, somebody (the node agent) must finish the deletion with zero.
    fn grace_period_seconds(&self, document: &Document, requested: Option<u64>) -> u64 {
        let _ = (document, requested);
        0
    }

    /// Whether something other than finalizers in the metadata must be taken away before the object may go
    /// (a namespace's `spec.finalizers`).
    fn blocks_removal(&self, document: &Document) -> bool {
        let _ = document;
        false
    }

    /// What the writer of a new object should know of it as it was sent, before [`prepare_create`](Self::prepare_create).
    fn create_warnings(&self, object: &RawObject) -> Vec<String> {
        let _ = object;
        Vec::new()
    }

    /// What the writer should know though it is allowed.
    fn warnings(&self, object: &RawObject) -> Vec<String> {
        let _ = object;
        Vec::new()
    }
}

/// Top-level fields and the JSON that they are to hold, or why not.
pub type SubresourceWrite = Result<Vec<(&'static str, Vec<u8>)>, FieldErrors>;

/// What the writer of a subresource sent.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// The object as it is to be.
    Whole(&'a RawObject),
    /// A merge patch of it.
    Merge(&'a Value),
}

impl Wanted<'_> {
    /// The value that the field at a dotted path is to have; null if none.
    pub fn value(&self, path: &str, old: &Document) -> Value {
        let mut names = path.split('.');
        match self {
            Self::Whole(object) => {
                let top = names.next().and_then(|name| object.get(name));
                let found = top.and_then(|top| names.try_fold(top, |at, name| at.get(name)));
                found.cloned().unwrap_or_default()
            }
            Self::Merge(patch) => {
                let change = names.try_fold(*patch, |at, name| match at {
                    Value::Object(map) => map.get(name),
                    // What is above it goes, and it with that.
                    _ => Some(&Value::Null),
                });
                let mut value = match change {
                    Some(change) if !change.is_object() => return change.clone(),
                    _ => old.lookup(path).unwrap_or_default(),
                };
                if let Some(change) = change {
                    json_patch::merge(&mut value, change);
                }
                value
            }
        }
    }
}

/// A kind without rules of its own: what a custom resource with a status subresource is in Kubernetes.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRules;

impl KindRules for NoRules {
    /// A status is not written with the object, neither on create nor on update.
    fn prepare_create(&self, object: &mut RawObject) {
        object.remove("status");
    }
}

/// Makes objects of one version of a kind ones of another, where that takes more than to change what their version is called.
#[async_trait]
pub trait Conversion: Send + Sync + 'static {
    /// The objects in a version, in their order.
    ///
    /// # Errors
    ///
    /// Why they cannot be had: nothing is written then, or shown.
    async fn convert(
        &self,
        objects: Vec<RawObject>,
        api_version: &str,
        client: &Client,
    ) -> Result<Vec<RawObject>, ApiError>;
}

/// A kind as the client knows it.
#[derive(Clone)]
pub struct Kind {
    /// Group, version, names and scope.
    pub resource: ApiResource,
    /// Its rules.
    pub rules: Arc<dyn KindRules>,
    conversion: Option<Arc<dyn Conversion>>,
    /// Whether the client counts it among its [resources](super::Client::resources).
    is_in_use: Arc<AtomicBool>,
}

impl Kind {
    /// A kind with rules.
    pub fn new(resource: ApiResource, rules: impl KindRules) -> Self {
        Self {
            resource,
            rules: Arc::new(rules),
            conversion: None,
            is_in_use: Arc::new(AtomicBool::new(true)),
        }
    }

    /// The same, but not among the client's [resources](super::Client::resources) until it is used or found in the store:
    /// who watches them all does not watch, in vain, the many kinds that most programs never use.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use orch_core::client::{Client, Kind, NoRules};
    /// use orch_core::object::{ApiResource, Scope};
    /// use orch_core::store::MemoryStore;
    ///
    /// let backups = ApiResource::new("example.com", "v1", "Backup", "backups", Scope::Namespaced);
    /// let kind = Kind::new(backups, NoRules).when_used();
    /// let client = Client::builder(Arc::new(MemoryStore::new())).kind(kind).build();
    /// assert!(client.resources().is_empty());
    /// ```
    #[must_use]
    pub fn when_used(self) -> Self {
        Self {
            is_in_use: Arc::new(AtomicBool::new(false)),
            ..self
        }
    }
}

impl Kind {
    /// The same, whose versions differ: an object that was stored in another version than [`resource`](Self::resource) is converted
    /// before it is changed, and is stored in that one then. Who reads it through this client gets it as it is stored.
    #[must_use]
    pub fn converted_by(self, conversion: impl Conversion) -> Self {
        Self {
            conversion: Some(Arc::new(conversion)),
            ..self
        }
    }

    pub(super) fn conversion(&self) -> Option<&dyn Conversion> {
        self.conversion.as_deref()
    }

    pub(super) fn is_in_use(&self) -> bool {
        self.is_in_use.load(Ordering::Relaxed)
    }

    pub(super) fn uses(&self) {
        self.is_in_use.store(true, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Kind").field(&self.resource).finish()
    }
}

/// Objects that define kinds, as Kubernetes' CustomResourceDefinitions do: what the client is to make of each.
///
/// The client looks for the definition of a kind that it was not given whenever that is used: what one writer defines is
/// in force for the next write of any, in every process over the same store.
pub trait DefinesKinds: Send + Sync + 'static {
    /// The kind of the definitions. It has no namespace, and each is named as what it defines: `plural.group`.
    fn resource(&self) -> &ApiResource;

    /// What is defined; none if the definition is not to be used. Asked once for each generation of a definition.
    fn kind(&self, definition: &Document) -> Option<Kind>;
}
