//! The rules of objects of a user's own kinds, as the client runs them.

use std::sync::Arc;

use orch_core::client::{DefinesKinds, Kind, KindRules};
use orch_core::object::{ApiResource, Document, FieldErrors, RawObject, Scope};
use orch_core::random::Random;
use serde_json::Value;

use super::conversion::ByWebhook;
use super::definition::{Definition, Version};
use crate::kinds::meta::STANDARD_FINALIZERS;
use crate::webhooks::Caller;

/// The kind of the definitions.
pub const DEFINITION: ApiResource = ApiResource::new(
    "apiextensions.k8s.io",
    "v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    Scope::Cluster,
);

/// Teaches a client the kinds that CustomResourceDefinitions define.
pub struct Definitions {
    caller: Option<Arc<dyn Caller>>,
    random: Random,
}

impl Definitions {
    /// Asks no webhooks: objects whose versions differ by what a webhook makes of them are used in the version that they are stored in.
    pub fn new() -> Self {
        Self {
            caller: None,
            random: Random::from_os(),
        }
    }

    /// Asks the webhooks that convert.
    #[must_use]
    pub fn webhooks(self, caller: Arc<dyn Caller>) -> Self {
        Self {
            caller: Some(caller),
            ..self
        }
    }

    /// Where the uids of reviews come from; by default the operating system's randomness.
    #[must_use]
    pub fn random(self, random: Random) -> Self {
        Self { random, ..self }
    }
}

impl Default for Definitions {
    fn default() -> Self {
        Self::new()
    }
}

impl DefinesKinds for Definitions {
    fn resource(&self) -> &ApiResource {
        static RESOURCE: ApiResource = DEFINITION;
        &RESOURCE
    }

    fn kind(&self, definition: &Document) -> Option<Kind> {
        let definition = Definition::read(definition)?;
        let stored = definition.stored().clone();
        let resource = ApiResource::clone(&stored.resource);
        let conversion = definition.webhook.map(|webhook| ByWebhook {
            webhook,
            kind: resource.kind.clone().into_owned(),
            caller: self.caller.clone(),
            random: self.random.fork(),
        });
        let kind = Kind::new(resource, Custom(stored));
        Some(match conversion {
            Some(conversion) => kind.converted_by(conversion),
            None => kind,
        })
    }
}

/// What is asked of objects in the version that they are stored in.
struct Custom(Version);

impl KindRules for Custom {
    fn has_status(&self) -> bool {
        self.0.has_status
    }

    fn prepare_create(&self, object: &mut RawObject) {
        if self.0.has_status {
            object.remove("status");
        }
        self.0.schema.prune(object);
    }

    fn prepare_update(&self, object: &mut RawObject, _: &RawObject) {
        self.0.schema.prune(object);
    }

    fn default(&self, object: &mut RawObject) {
        self.0.schema.default(object);
    }

    fn prune(&self, object: &mut RawObject) {
        self.0.schema.prune(object);
    }

    fn validate(&self, object: &Document) -> FieldErrors {
        match object.to_raw() {
            Ok(object) => self.0.schema.validate(&object),
            // The client has written it a moment ago.
            Err(_) => FieldErrors::default(),
        }
    }

    fn validate_update(&self, object: &Document, old: &Document) -> FieldErrors {
        match (object.to_raw(), old.to_raw()) {
            (Ok(object), Ok(old)) => self.0.schema.validate_update(&object, &old),
            _ => FieldErrors::default(),
        }
    }

    fn validate_status(&self, status: &[u8], old: &Document) -> FieldErrors {
        let (Ok(status), Ok(old)) = (serde_json::from_slice::<Value>(status), old.to_raw()) else {
            return FieldErrors::default();
        };
        let mut new = old.clone();
        new.insert("status".to_owned(), status);
        self.0.schema.validate_update(&new, &old)
    }

    /// Finalizers should say whose they are (`customresource/strategy.go`'s `generateWarningsFromObj`).
    fn warnings(&self, object: &RawObject) -> Vec<String> {
        let finalizers = object.get("metadata").and_then(|meta| meta.get("finalizers"));
        let finalizers = finalizers.and_then(Value::as_array).into_iter().flatten();
        let bare = finalizers
            .filter_map(Value::as_str)
            .filter(|name| !name.contains('/'));
        bare.filter(|name| !STANDARD_FINALIZERS.contains(name))
            .map(|name| {
                format!(
                    "metadata.finalizers: {name:?}: prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other finalizer writers"
                )
            })
            .collect()
    }

    fn selectable_field(&self, document: &Document, path: &str) -> Option<String> {
        let field = self.0.fields.iter().find(|field| field.to_string() == path)?;
        Some(match document.lookup(&field.to_string()) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text,
            Some(value) => value.to_string(),
        })
    }

    fn is_selectable(&self, path: &str) -> bool {
        self.0.fields.iter().any(|field| field.to_string() == path)
    }
}
