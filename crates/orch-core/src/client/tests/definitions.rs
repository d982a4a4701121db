//! Kinds that objects define: what one writer defines is in force for all.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::*;
use crate::object::{Document, FieldError, FieldErrors, FieldPath, ObjectKey, RawObject};

const DEFINITION: ApiResource =
    ApiResource::new("example.com", "v1", "Definition", "definitions", Scope::Cluster);

/// Definitions say in which version objects are, and the fewest lives that they may have.
#[derive(Clone, Default)]
struct Definitions {
    made: Arc<AtomicUsize>,
}

impl DefinesKinds for Definitions {
    fn resource(&self) -> &ApiResource {
        const { &DEFINITION }
    }

    fn kind(&self, definition: &Document) -> Option<Kind> {
        self.made.fetch_add(1, Ordering::Relaxed);
        let fewest = definition.lookup("spec.fewest")?.as_u64()?;
        let version = definition.lookup("spec.version")?.as_str()?.to_owned();
        Some(Kind::new(cats(version), Fewest(fewest)))
    }
}

struct Fewest(u64);

impl KindRules for Fewest {
    fn has_status(&self) -> bool {
        false
    }

    fn validate(&self, object: &Document) -> FieldErrors {
        let lives = object.lookup("spec.lives").and_then(|lives| lives.as_u64());
        let at = FieldPath::new("spec").child("lives");
        match lives {
            Some(lives) if lives >= self.0 => FieldErrors::default(),
            _ => FieldError::invalid(&at, lives, format!("must be at least {}", self.0)).into(),
        }
    }
}

fn cats(version: impl Into<Cow<'static, str>>) -> ApiResource {
    ApiResource {
        version: version.into(),
        ..Cat::resource()
    }
}

/// A client of a store that others may have too.
struct Of {
    client: Client,
    made: Arc<AtomicUsize>,
}

impl Of {
    fn store(store: &Arc<MemoryStore>) -> Self {
        let definitions = Definitions::default();
        let made = definitions.made.clone();
        let builder = Client::builder(store.clone()).kind(Kind::new(DEFINITION, NoRules));
        let client = builder.definitions(definitions).build();
        Self { client, made }
    }

    async fn create(&self, resource: ApiResource, object: Value) -> Result<Written, ApiError> {
        let namespace = resource.is_namespaced().then(|| "default".to_owned());
        let collection = Collection {
            resource: resource.into(),
            namespace,
        };
        let params = WriteParams::default();
        self.client
            .backend()
            .create(&collection, raw(object), &params)
            .await
    }

    async fn lives(&self, name: &str, lives: u64) -> Result<Written, ApiError> {
        let object = json!({"metadata": {"name": name}, "spec": {"lives": lives}});
        self.create(cats("v1"), object).await
    }

    async fn define(&self, version: &str, fewest: u64) {
        let patch = Patch::Merge(json!({"spec": {"version": version, "fewest": fewest}}));
        let backend = self.client.backend();
        let params = WriteParams::default();
        let changed = backend.patch(&definition(), Part::Whole, &patch, &params).await;
        if changed.is_err_and(|error| error.is_not_found()) {
            let object = json!({
                "metadata": {"name": "cats.example.com"}, "spec": {"version": version, "fewest": fewest},
            });
            self.create(DEFINITION, object).await.unwrap();
        }
    }
}

fn raw(object: Value) -> RawObject {
    object.as_object().unwrap().clone()
}

fn definition() -> Target {
    Target {
        resource: Arc::new(DEFINITION),
        key: ObjectKey::new(None, "cats.example.com"),
    }
}

#[tokio::test]
async fn what_one_client_defines_is_in_force_for_the_next_write_of_any() {
    let store = Arc::new(MemoryStore::new());
    let (one, other) = (Of::store(&store), Of::store(&store));
    // Nobody has said anything of cats.
    other.lives("free", 0).await.unwrap();

    one.define("v1", 7).await;
    let refused = other.lives("tom", 6).await.unwrap_err();
    assert!(refused.to_string().contains("must be at least 7"), "{refused}");
    other.lives("tom", 7).await.unwrap();

    one.define("v1", 8).await;
    let refused = other.lives("tim", 7).await.unwrap_err();
    assert!(refused.to_string().contains("must be at least 8"), "{refused}");
    other.lives("tim", 8).await.unwrap();
    assert_eq!(other.made.load(Ordering::Relaxed), 2, "once for each generation");

    let backend = one.client.backend();
    backend
        .delete(&definition(), &DeleteParams::default())
        .await
        .unwrap();
    // What was stored of them by its rules is not added to without any.
    let refused = other.lives("tam", 0).await.unwrap_err();
    assert!(
        refused.to_string().contains("their definition is gone"),
        "{refused}"
    );
    assert!(!other.client.resources().contains(&cats("v1")));
    one.define("v1", 9).await;
    other.lives("tam", 9).await.unwrap();
}

#[tokio::test]
async fn a_defined_kind_is_known_as_long_as_it_is_defined() {
    let store = Arc::new(MemoryStore::new());
    let of = Of::store(&store);
    of.define("v1", 7).await;
    let knows = || of.client.resources().contains(&cats("v1"));
    assert!(!knows(), "nobody has used it");
    of.client
        .api::<Cat>("default")
        .list(&ListParams::default())
        .await
        .unwrap();
    assert!(knows());
    let backend = of.client.backend();
    backend
        .delete(&definition(), &DeleteParams::default())
        .await
        .unwrap();
    assert!(!knows());
}

#[tokio::test]
async fn objects_are_written_in_the_version_that_is_stored() {
    let store = Arc::new(MemoryStore::new());
    let of = Of::store(&store);
    of.define("v1", 1).await;
    of.lives("tom", 1).await.unwrap();
    of.define("v2", 1).await;

    let refused = of.lives("tim", 1).await.unwrap_err();
    let expected = r#"bad request: apiVersion: "example.com/v1": cats.example.com are stored as example.com/v2, and are to be written as that here"#;
    assert_eq!(refused.to_string(), expected);

    // What is there is read as it was written, and written anew as it is stored now.
    let tom = Target {
        resource: Arc::new(cats("v2")),
        key: ObjectKey::new(Some("default"), "tom"),
    };
    let backend = of.client.backend();
    assert_eq!(backend.get(&tom).await.unwrap().api_version(), "example.com/v1");
    let patch = Patch::Merge(json!({"spec": {"lives": 2}}));
    let params = WriteParams::default();
    let patched = backend.patch(&tom, Part::Whole, &patch, &params).await.unwrap();
    assert_eq!(patched.document.api_version(), "example.com/v2");
}

#[tokio::test]
async fn a_status_that_is_not_written_apart_is_desired_state_like_the_rest() {
    let of = Of::store(&Arc::new(MemoryStore::new()));
    of.define("v1", 1).await;
    of.lives("tom", 1).await.unwrap();
    let tom = Target {
        resource: Arc::new(cats("v1")),
        key: ObjectKey::new(Some("default"), "tom"),
    };
    let patch = Patch::Merge(json!({"status": {"asleep": true}}));
    let (backend, params) = (of.client.backend(), WriteParams::default());
    let patched = backend.patch(&tom, Part::Whole, &patch, &params).await.unwrap();
    assert_eq!(patched.document.lookup("status.asleep"), Some(json!(true)));
    assert_eq!(patched.document.meta().generation, 2);
    let refused = backend
        .patch(&tom, Part::Status, &patch, &params)
        .await
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "bad request: cats.example.com have no subresource \"status\""
    );
}
