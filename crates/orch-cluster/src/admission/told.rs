//! A write as expressions and webhooks are told of it.

use orch_core::client::{AdmissionRequest, Operation, Refusal};
use orch_core::object::{ApiResource, Document, ObjectKey, RawObject};
use serde_json::{Value, json};

use super::{internal, word};
use crate::expression::Val;
use crate::webhooks::{GROUPS, USER};

/// What expressions are told of a write, beside the object as it would be.
pub(crate) struct Told {
    old: Option<RawObject>,
    request: RawObject,
}

impl Told {
    /// # Errors
    ///
    /// That of an object that is stored and cannot be read.
    pub(crate) fn new(request: &AdmissionRequest<'_>) -> Result<Self, Refusal> {
        let old = request.old.map(Document::to_raw).transpose();
        Ok(Self {
            old: old.map_err(|error| {
                Refusal::Failed(internal(&format!("could not create admission objects: {error}")))
            })?,
            request: facts(request.resource, request.key, request.operation, request.dry_run),
        })
    }

    /// `object`, `oldObject` and `request`.
    pub(crate) fn inputs<'a>(&'a self, request: &'a AdmissionRequest<'_>) -> [(&'static str, Val<'a>); 3] {
        let is_kept = request.operation != Operation::Delete;
        [
            ("object", Val::object(is_kept.then_some(&*request.object))),
            ("oldObject", Val::object(self.old.as_ref())),
            ("request", Val::object(Some(&self.request))),
        ]
    }
}

/// The fields of an `AdmissionRequest` but for its uid and the objects.
pub(crate) fn facts(
    resource: &ApiResource,
    key: &ObjectKey,
    operation: Operation,
    dry_run: bool,
) -> RawObject {
    let (group, version) = (&resource.group, &resource.version);
    let kind = json!({"group": group, "version": version, "kind": resource.kind});
    let plural = json!({"group": group, "version": version, "resource": resource.plural});
    let options = match operation {
        Operation::Create => "CreateOptions",
        Operation::Update => "UpdateOptions",
        Operation::Delete => "DeleteOptions",
    };
    let fields = [
        ("requestKind", kind.clone()),
        ("requestResource", plural.clone()),
        ("kind", kind),
        ("resource", plural),
        ("name", key.name().into()),
        ("operation", word(operation).into()),
        // All who may write may do everything; who it is that writes is not known here.
        ("userInfo", json!({"username": USER, "groups": GROUPS})),
        ("dryRun", dry_run.into()),
        (
            "options",
            json!({"apiVersion": "meta.k8s.io/v1", "kind": options}),
        ),
    ];
    let namespace = super::labels::home(resource, key);
    let namespace = namespace.map(|namespace| ("namespace", Value::from(namespace)));
    let fields = fields.into_iter().chain(namespace);
    fields.map(|(name, value)| (name.to_owned(), value)).collect()
}
