//! A client with the rules that tests of controllers need.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use orch_core::client::{Client, Kind, KindRules};
use orch_core::object::{Document, FieldError, FieldErrors, FieldPath, Object, RawObject};
use orch_core::store::Store;
use serde_json::{Value, json};

/// A client over `store` whose pods can be bound and whose namespaces are held by their finalizer.
pub(crate) fn client(store: Arc<dyn Store>) -> Client {
    Client::builder(store)
        .random(orch_core::random::Random::seeded(1))
        .kind(Kind::new(Pod::resource(), PodRules))
        .kind(Kind::new(Namespace::resource(), NamespaceRules))
        .build()
}

struct PodRules;

impl KindRules for PodRules {
    fn subresource(&self, name: &str, object: &mut RawObject, old: &RawObject) -> Option<FieldErrors> {
        if name != "binding" {
            return None;
        }
        let mut errors = FieldErrors::default();
        let node = object["spec"]["nodeName"].clone();
        if let Some(bound) = old["spec"].get("nodeName") {
            let path = FieldPath::new("spec").child("nodeName");
            errors.push(FieldError::invalid(&path, bound.to_string(), "is bound already"));
        }
        *object = old.clone();
        object["spec"]["nodeName"] = node;
        let status = object.entry("status").or_insert(json!({}));
        status["conditions"] = json!([{"type": "PodScheduled", "status": "True"}]);
        Some(errors)
    }

    fn grace_period_seconds(&self, document: &Document, requested: Option<u64>) -> u64 {
        match document.lookup("spec.nodeName") {
            Some(Value::String(node)) if !node.is_empty() => requested.unwrap_or(30),
            _ => 0,
        }
    }
}

struct NamespaceRules;

impl KindRules for NamespaceRules {
    fn default(&self, object: &mut RawObject) {
        if object.get("spec").is_none() {
            object.insert("spec".to_owned(), json!({"finalizers": ["kubernetes"]}));
        }
    }

    fn subresource(&self, name: &str, _: &mut RawObject, _: &RawObject) -> Option<FieldErrors> {
        (name == "finalize").then(FieldErrors::default)
    }

    fn blocks_removal(&self, document: &Document) -> bool {
        let finalizers = document.lookup("spec.finalizers");
        finalizers
            .as_ref()
            .and_then(Value::as_array)
            .is_some_and(|all| !all.is_empty())
    }
}
