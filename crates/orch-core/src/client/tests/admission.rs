//! Rules run for every writer, in order, and can warn, change and refuse.

use async_trait::async_trait;
use serde_json::json;

use super::*;
use crate::object::{Document, FieldError, FieldErrors, FieldPath, RawObject};

struct CatRules;

impl KindRules for CatRules {
    fn prepare_create(&self, object: &mut RawObject) {
        object.remove("status");
    }

    fn default(&self, object: &mut RawObject) {
        let spec = object.entry("spec").or_insert_with(|| json!({}));
        if let Some(spec) = spec.as_object_mut() {
            spec.entry("lives").or_insert(json!(9));
        }
    }

    fn validate(&self, object: &Document) -> FieldErrors {
        let lives = lives(object).unwrap_or_default();
        let path = FieldPath::new("spec").child("lives");
        let mut errors = FieldErrors::default();
        if lives > 9 {
            errors.push(FieldError::invalid(&path, lives, "must be at most 9"));
        }
        errors
    }

    fn validate_update(&self, object: &Document, old: &Document) -> FieldErrors {
        let mut errors = self.validate(object);
        if lives(object) > lives(old) {
            errors.push(FieldError::forbidden(
                &FieldPath::new("spec").child("lives"),
                "lives do not come back",
            ));
        }
        errors
    }

    fn create_warnings(&self, object: &RawObject) -> Vec<String> {
        let is_sent = object.contains_key("status");
        is_sent
            .then(|| "nobody asked how it is".into())
            .into_iter()
            .collect()
    }

    fn warnings(&self, object: &RawObject) -> Vec<String> {
        if object["spec"]["lives"] == json!(1) {
            vec!["last life".into()]
        } else {
            Vec::new()
        }
    }
}

fn lives(cat: &Document) -> Option<u64> {
    cat.lookup("spec.lives")?.as_u64()
}

struct Collar;

#[async_trait]
impl Admission for Collar {
    fn name(&self) -> &str {
        "Collar"
    }

    fn handles(&self, resource: &ApiResource, _: Operation) -> bool {
        resource.kind == "Cat"
    }

    async fn mutate(&self, request: &mut AdmissionRequest<'_>) -> Result<(), Refusal> {
        if request.operation == Operation::Create {
            request.object["metadata"]["labels"]["collar"] = json!("red");
        }
        Ok(())
    }

    async fn validate(&self, request: &AdmissionRequest<'_>) -> Result<(), Refusal> {
        if request.operation == Operation::Delete && request.key.name() == "queen" {
            return Err(Refusal::Forbidden("she stays".into()));
        }
        Ok(())
    }
}

fn ruled() -> Api<Cat> {
    Client::builder(Arc::new(MemoryStore::new()))
        .kind(Kind::new(Cat::resource(), CatRules))
        .admission(Collar)
        .build()
        .api("default")
}

#[tokio::test]
async fn defaults_mutations_and_validation_run_in_that_order() {
    let cats = ruled();
    let raw = json!({"metadata": {"name": "tom", "labels": {}}, "spec": {}, "status": {"asleep": true}});
    let create = |raw: serde_json::Value| {
        let cats = cats.clone();
        async move {
            let backend = cats.client().backend();
            backend
                .create(
                    cats.collection(),
                    raw.as_object().unwrap().clone(),
                    &WriteParams::default(),
                )
                .await
        }
    };
    create(raw).await.unwrap();
    let tom = cats.get("tom").await.unwrap();
    assert_eq!(
        (tom.spec.lives, tom.status, tom.metadata.labels["collar"].as_str()),
        (9, None, "red")
    );

    let error = create(json!({"metadata": {"name": "x", "labels": {}}, "spec": {"lives": 10}}))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"cats.example.com "x" in namespace "default" is invalid: spec.lives: Invalid value: 10: must be at most 9"#
    );
    let warned = create(json!({"metadata": {"name": "y", "labels": {}}, "spec": {"lives": 1}}))
        .await
        .unwrap();
    assert_eq!(warned.warnings, ["last life"]);
    let sent = json!({"metadata": {"name": "z", "labels": {}}, "spec": {"lives": 1}, "status": {}});
    let warned = create(sent).await.unwrap();
    assert_eq!(
        warned.warnings,
        ["nobody asked how it is", "last life"],
        "it is judged as it was sent"
    );
}

#[tokio::test]
async fn updates_are_held_against_what_was() {
    let cats = ruled();
    let mut tom = cat("tom", 5);
    tom.metadata.labels.insert("a".into(), "b".into());
    let mut tom = cats.create(&tom).await.unwrap();
    tom.spec.lives = 6;
    let error = cats.update(&tom).await.unwrap_err().to_string();
    assert!(
        error.contains("spec.lives: Forbidden: lives do not come back"),
        "{error}"
    );
    let error = cats
        .patch("tom", &Patch::Merge(json!({"spec": {"lives": 7}})))
        .await
        .unwrap_err();
    assert!(matches!(error, ApiError::Invalid { .. }));
    assert_eq!(cats.get("tom").await.unwrap().spec.lives, 5);
}

#[tokio::test]
async fn a_refusal_names_the_rule_and_the_object() {
    let cats = ruled();
    let mut queen = cat("queen", 9);
    queen.metadata.labels.insert("a".into(), "b".into());
    cats.create(&queen).await.unwrap();
    let error = cats
        .delete("queen", &DeleteParams::now())
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        r#"cats.example.com "queen" in namespace "default" is forbidden: Collar: she stays"#
    );
    cats.get("queen").await.unwrap();
}

/// Takes the spec away, so that there is something to be filled in again.
struct Forgetful;

#[async_trait]
impl Admission for Forgetful {
    fn name(&self) -> &str {
        "Forgetful"
    }

    fn handles(&self, resource: &ApiResource, _: Operation) -> bool {
        resource.kind == "Cat"
    }

    async fn mutate(&self, request: &mut AdmissionRequest<'_>) -> Result<(), Refusal> {
        request.object["spec"] = json!({});
        Ok(())
    }
}

#[tokio::test]
async fn what_admission_takes_away_is_defaulted_again() {
    let cats = Client::builder(Arc::new(MemoryStore::new()))
        .kind(Kind::new(Cat::resource(), CatRules))
        .admission(Forgetful)
        .build()
        .api::<Cat>("default");
    let mut tom = cats.create(&cat("tom", 3)).await.unwrap();
    assert_eq!(tom.spec.lives, 9);
    tom.spec.lives = 2;
    assert_eq!(cats.update(&tom).await.unwrap().spec.lives, 9);
}

#[tokio::test]
async fn a_kind_without_rules_is_created_without_status_too() {
    let cats = Client::new(Arc::new(MemoryStore::new())).api::<Cat>("default");
    let mut tom = cat("tom", 3);
    tom.status = Some(CatStatus { asleep: true });
    assert_eq!(cats.create(&tom).await.unwrap().status, None);
}
