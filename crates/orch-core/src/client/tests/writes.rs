//! Creates, updates, patches and their conflicts.

use serde_json::json;

use super::*;

#[tokio::test]
async fn a_created_object_gets_its_identity_from_the_store() {
    let cats = client().api::<Cat>("default");
    let mut sent = cat("tom", 9);
    sent.metadata.uid = "chosen".into();
    sent.metadata.generation = 7;
    sent.metadata.deletion_timestamp = Some(crate::time::now());
    let tom = cats.create(&sent).await.unwrap();
    assert_eq!(tom.metadata.namespace.as_deref(), Some("default"));
    assert_eq!(tom.metadata.generation, 1);
    assert_eq!(tom.metadata.uid.len(), 36);
    assert!(tom.metadata.creation_timestamp.is_some() && !tom.metadata.is_deleting());
    assert_eq!(cats.get("tom").await.unwrap(), tom);
    let again = cats.create(&sent).await.unwrap_err();
    assert!(again.is_already_exists());
    assert_eq!(
        again.to_string(),
        r#"cats.example.com "tom" in namespace "default" already exists"#
    );
}

#[tokio::test]
async fn a_generated_name_is_drawn_until_it_is_free() {
    let store = Arc::new(MemoryStore::new());
    let first = Client::builder(store.clone()).random(Random::seeded(5)).build();
    // The same seed draws the same names: the second client meets the first one's.
    let second = Client::builder(store).random(Random::seeded(5)).build();
    let mut kitten = cat("", 9);
    kitten.metadata.generate_name = Some("kitten-".into());
    let mut names = std::collections::HashSet::new();
    for client in [&first, &second] {
        for _ in 0..5 {
            let made = client.api::<Cat>("default").create(&kitten).await.unwrap();
            assert!(made.metadata.name.starts_with("kitten-") && made.metadata.name.len() == 12);
            assert!(names.insert(made.metadata.name));
        }
    }
}

#[tokio::test]
async fn objects_that_cannot_be_placed_are_refused_with_the_field() {
    let cats = client().api::<Cat>("default");
    for (change, part) in [
        (
            json!({"metadata": {}}),
            "metadata.name: Required value: name or generateName is required",
        ),
        (
            json!({"metadata": {"name": "a/b"}}),
            "metadata.name: Invalid value: \"a/b\": may not contain '/'",
        ),
        (
            json!({"metadata": {"name": "a", "namespace": "other"}}),
            "metadata.namespace: \"other\" does not match",
        ),
        (
            json!({"metadata": {"name": "a", "resourceVersion": "3"}}),
            "metadata.resourceVersion: must not be set",
        ),
        (
            json!({"metadata": {"name": "a"}, "kind": "Dog"}),
            "kind: expected \"Cat\", got \"Dog\"",
        ),
        (
            json!({"metadata": {"name": "a", "labels": {"x": 3}}}),
            "metadata.labels.x: invalid type: integer",
        ),
        (json!({"metadata": 3}), "metadata: expected a map, got 3"),
    ] {
        let object = change.as_object().unwrap().clone();
        let backend = cats.client().backend();
        let error = backend
            .create(cats.collection(), object, &WriteParams::default())
            .await
            .unwrap_err();
        assert!(error.to_string().contains(part), "{change}: {error}");
    }
}

#[tokio::test]
async fn an_update_keeps_what_is_not_the_writers_and_counts_desired_changes() {
    let cats = client().api::<Cat>("default");
    let tom = cats.create(&cat("tom", 9)).await.unwrap();
    let mut asleep = tom.clone();
    asleep.status = Some(CatStatus { asleep: true });
    asleep.spec.lives = 1;
    let slept = cats.update_status(&asleep).await.unwrap();
    assert_eq!(
        (slept.spec.lives, slept.status.clone()),
        (9, asleep.status),
        "status alone is written"
    );
    assert_eq!(slept.metadata.generation, 1);

    let mut fewer = slept.clone();
    fewer.spec.lives = 8;
    fewer.status = None;
    fewer.metadata.uid = String::new();
    fewer.metadata.creation_timestamp = None;
    let fewer = cats.update(&fewer).await.unwrap();
    assert_eq!(
        (fewer.spec.lives, fewer.status.clone()),
        (8, slept.status),
        "all but status is written"
    );
    assert_eq!(fewer.metadata.generation, 2);
    assert_eq!(fewer.metadata.uid, tom.metadata.uid);
    assert_eq!(fewer.metadata.creation_timestamp, tom.metadata.creation_timestamp);

    let labelled = cats
        .patch("tom", &Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}})))
        .await
        .unwrap();
    assert_eq!(labelled.metadata.generation, 2, "metadata is no desired state");
}

#[tokio::test]
async fn a_stale_update_is_a_conflict_and_retrying_resolves_it() {
    let cats = client().api::<Cat>("default");
    let tom = cats.create(&cat("tom", 9)).await.unwrap();
    let mut one = tom.clone();
    one.spec.lives = 8;
    cats.update(&one).await.unwrap();
    assert!(cats.update(&one).await.unwrap_err().is_conflict());
    assert!(cats.update_status(&one).await.unwrap_err().is_conflict());
    let mut other = one.clone();
    other.metadata.resource_version = None;
    other.metadata.uid = "somebody else".into();
    let error = cats.update(&other).await.unwrap_err();
    assert!(error.to_string().contains("Precondition failed: UID"), "{error}");

    let writers: Vec<_> = (0..8)
        .map(|_| {
            let cats = cats.clone();
            tokio::spawn(async move {
                retry_on_conflict(|| async {
                    let mut tom = cats.get("tom").await?;
                    tom.spec.lives += 1;
                    cats.update(&tom).await
                })
                .await
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    assert_eq!(cats.get("tom").await.unwrap().spec.lives, 16);
}

#[tokio::test]
async fn a_write_that_changes_nothing_makes_no_revision() {
    let cats = client().api::<Cat>("default");
    let mut tom = cats.create(&cat("tom", 9)).await.unwrap();
    tom.status = Some(CatStatus { asleep: true });
    let tom = cats.update_status(&tom).await.unwrap();
    assert_eq!(revision(&cats.update(&tom).await.unwrap()), revision(&tom));
    assert_eq!(revision(&cats.update_status(&tom).await.unwrap()), revision(&tom));
    assert_eq!(
        revision(&cats.patch("tom", &Patch::Merge(json!({}))).await.unwrap()),
        revision(&tom)
    );
    let written = cats
        .put_status("tom", None, &json!({"asleep": true}))
        .await
        .unwrap();
    assert!(!written.changed);
}

#[tokio::test]
async fn a_status_of_an_object_as_it_was_read_is_refused_once_it_is_another() {
    let cats = client().api::<Cat>("default");
    let asleep = CatStatus { asleep: true };
    let unread = cats.put_status_of(&cat("tom", 9), &asleep).await.unwrap_err();
    assert!(
        unread.to_string().contains("metadata.resourceVersion: required"),
        "{unread}"
    );
    let tom = cats.create(&cat("tom", 9)).await.unwrap();
    assert!(cats.put_status_of(&tom, &asleep).await.unwrap().changed);
    let awake = CatStatus { asleep: false };
    let later = cats.put_status_of(&tom, &awake).await.unwrap_err();
    assert!(later.is_conflict(), "{later}");
    let tom = cats.get("tom").await.unwrap();
    cats.delete("tom", &DeleteParams::default()).await.unwrap();
    cats.create(&cat("tom", 9)).await.unwrap();
    let another = cats.put_status_of(&tom, &awake).await.unwrap_err();
    assert!(another.is_conflict(), "{another}");
    assert_eq!(cats.get("tom").await.unwrap().status, None);
}

#[tokio::test]
async fn patches_change_what_they_name() {
    let cats = client().api::<Cat>("default");
    cats.create(&cat("tom", 9)).await.unwrap();
    let operations = json!([
        {"op": "test", "path": "/metadata/finalizers", "value": null},
        {"op": "replace", "path": "/spec/lives", "value": 7},
    ]);
    let patch = Patch::Json(serde_json::from_value(operations).unwrap());
    assert_eq!(cats.patch("tom", &patch).await.unwrap().spec.lives, 7);
    let status = Patch::Merge(json!({"spec": {"lives": 1}, "status": {"asleep": true}}));
    let tom = cats.patch_status("tom", &status).await.unwrap();
    assert_eq!(
        (tom.spec.lives, tom.status),
        (7, Some(CatStatus { asleep: true }))
    );
    let status = json!([{"op": "replace", "path": "/status/asleep", "value": false}]);
    let tom = cats
        .patch_status("tom", &Patch::Json(serde_json::from_value(status).unwrap()))
        .await
        .unwrap();
    assert_eq!(tom.status, Some(CatStatus { asleep: false }));

    for (patch, part) in [
        (Patch::Merge(json!(3)), "merge patch: expected a map"),
        (
            Patch::Merge(json!({"metadata": {"resourceVersion": "1000"}})),
            "has been modified",
        ),
        (
            Patch::Merge(json!({"metadata": {"name": "jerry"}})),
            "metadata.name: \"jerry\" does not match",
        ),
        (
            Patch::Json(serde_json::from_value(json!([{"op": "remove", "path": "/nope"}])).unwrap()),
            "JSON patch",
        ),
        (
            Patch::Json(
                serde_json::from_value(json!([{"op": "test", "path": "/kind", "value": "Dog"}])).unwrap(),
            ),
            "kind: Invalid value: \"Cat\": the patch's test does not hold",
        ),
    ] {
        let error = cats.patch("tom", &patch).await.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    assert!(
        cats.patch("jerry", &Patch::Merge(json!({})))
            .await
            .unwrap_err()
            .is_not_found()
    );
    assert!(
        cats.patch_part("tom", Part::Subresource("nap"), &Patch::Merge(json!({})))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn what_a_type_does_not_know_survives_a_typed_status_write() {
    let client = client();
    let cats = client.api::<Cat>("default");
    let raw = json!({"metadata": {"name": "tom", "future": [1]}, "spec": {"lives": 9, "tail": "long"}, "more": {"x": null}});
    let backend = client.backend();
    backend
        .create(
            cats.collection(),
            raw.as_object().unwrap().clone(),
            &WriteParams::default(),
        )
        .await
        .unwrap();
    let mut tom = cats.get("tom").await.unwrap();
    tom.status = Some(CatStatus { asleep: true });
    cats.update_status(&tom).await.unwrap();
    let target = Target {
        resource: cats.collection().resource.clone(),
        key: tom.key(),
    };
    let kept = client.backend().get(&target).await.unwrap().to_raw().unwrap();
    assert_eq!(kept["spec"], raw["spec"]);
    assert_eq!(kept["more"], raw["more"]);
    assert_eq!(kept["metadata"]["future"], raw["metadata"]["future"]);
}

#[tokio::test]
async fn a_dry_run_checks_everything_and_writes_nothing() {
    let client = client();
    let cats = client.api::<Cat>("default");
    let params = WriteParams::default().dry_run(true);
    let written = cats.create_with(&cat("tom", 9), &params).await.unwrap();
    assert!(!written.changed && !written.document.meta().uid.is_empty());
    assert!(cats.get("tom").await.unwrap_err().is_not_found());
    cats.create(&cat("tom", 9)).await.unwrap();
    assert!(
        cats.create_with(&cat("tom", 9), &params)
            .await
            .unwrap_err()
            .is_already_exists()
    );
    let dry = DeleteParams {
        dry_run: true,
        ..DeleteParams::default()
    };
    assert!(matches!(
        cats.delete("tom", &dry).await.unwrap(),
        Deleted::Gone(_)
    ));
    cats.get("tom").await.unwrap();
}

#[tokio::test]
async fn a_fallen_fence_refuses_writes() {
    let client = client();
    let fences = client.backend().fences().unwrap();
    let seen = fences.read_fence("lead").await.unwrap();
    let first = fences.raise_fence("lead", "one", seen).await.unwrap().unwrap();
    let leader = fences.behind(&first).api::<Cat>("default");
    let tom = leader.create(&cat("tom", 9)).await.unwrap();
    assert_eq!(
        fences.raise_fence("lead", "late", seen).await.unwrap(),
        None,
        "raised since it was read"
    );
    let seen = fences.read_fence("lead").await.unwrap();
    let second = fences.raise_fence("lead", "two", seen).await.unwrap().unwrap();
    let mut fewer = tom.clone();
    fewer.spec.lives = 8;
    for refused in [
        leader.create(&cat("jerry", 1)).await.map(drop),
        leader.update(&fewer).await.map(drop),
        leader
            .put_status("tom", None, &CatStatus { asleep: true })
            .await
            .map(drop),
        leader.delete("tom", &DeleteParams::default()).await.map(drop),
    ] {
        assert!(matches!(refused, Err(ApiError::Forbidden { .. })), "{refused:?}");
    }
    fences
        .behind(&second)
        .api::<Cat>("default")
        .update(&fewer)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_api_of_one_namespace_writes_to_no_other() {
    let client = Client::new(Arc::new(MemoryStore::new()));
    let mut theirs = client.api::<Cat>("theirs").create(&cat("tom", 1)).await.unwrap();
    client.api::<Cat>("ours").create(&cat("tom", 1)).await.unwrap();
    theirs.spec.lives = 0;
    let refused = client.api::<Cat>("ours").update(&theirs).await.unwrap_err();
    assert!(
        refused.to_string().contains("metadata.namespace: \"theirs\""),
        "{refused}"
    );
    let everywhere = client.all::<Cat>();
    assert_eq!(everywhere.update(&theirs).await.unwrap().spec.lives, 0);
    let mut ours = cat("tom", 5);
    ours.metadata.namespace = Some(String::new());
    assert_eq!(
        client.api::<Cat>("ours").update(&ours).await.unwrap().spec.lives,
        5
    );
}

#[tokio::test]
async fn what_could_not_be_read_back_is_not_written() {
    let api = Client::new(Arc::new(MemoryStore::new())).api::<Cat>("default");
    api.create(&cat("tom", 1)).await.unwrap();
    let nested = |levels| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    for (levels, allowed) in [(125, true), (126, true), (127, false), (500, false)] {
        let patch = Patch::Merge(json!({"extra": nested(levels)}));
        let patched = api.patch_part("tom", Part::Whole, &patch).await;
        assert_eq!(patched.is_ok(), allowed, "{levels}");
        let status = Patch::Merge(json!({"status": {"deep": nested(levels - 1)}}));
        let patched = api.patch_part("tom", Part::Status, &status).await;
        assert_eq!(patched.is_ok(), allowed, "{levels} in the status");
        let marked = Patch::Merge(json!({"metadata": {"labels": {"levels": levels.to_string()}}}));
        api.patch_part("tom", Part::Whole, &marked).await.unwrap();
    }
    let refused = api
        .patch_part("tom", Part::Whole, &Patch::Merge(json!({"extra": nested(127)})))
        .await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("extra: more than 126 levels"), "{refused}");

    // serde_json reads such a map as the value that is written in it.
    let field = "$serde_json::private::RawValue";
    for (part, patch) in [
        (Part::Whole, json!({"extra": [{field: "1"}]})),
        (Part::Whole, json!({field: "1"})),
        (Part::Whole, json!({"metadata": {field: 1}})),
        (Part::Status, json!({"status": {"deep": {field: 1}}})),
    ] {
        let refused = api.patch_part("tom", part, &Patch::Merge(patch.clone())).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("is no name of a field"), "{patch}: {refused}");
    }
}

/// A kind in no namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Planet {
    metadata: ObjectMeta,
    #[serde(default)]
    moons: u32,
}

impl Object for Planet {
    fn resource() -> ApiResource {
        ApiResource::new("example.com", "v1", "Planet", "planets", Scope::Cluster)
    }

    fn metadata(&self) -> Cow<'_, ObjectMeta> {
        Cow::Borrowed(&self.metadata)
    }

    fn set_metadata(&mut self, metadata: ObjectMeta) {
        self.metadata = metadata;
    }
}

#[tokio::test]
async fn a_namespace_is_cleared_where_the_kind_has_none() {
    let planets = client().all::<Planet>();
    let mut mars = Planet {
        metadata: ObjectMeta::named("mars").in_namespace("default"),
        moons: 1,
    };
    assert_eq!(planets.create(&mars).await.unwrap().metadata.namespace, None);
    mars.moons = 2;
    for written in [planets.update(&mars).await, planets.update_status(&mars).await] {
        let written = written.unwrap();
        assert_eq!((written.metadata.namespace, written.moons), (None, 2));
    }
    let patch = Patch::Merge(json!({"metadata": {"namespace": "default"}}));
    assert_eq!(
        planets.patch("mars", &patch).await.unwrap().metadata.namespace,
        None
    );
}

#[tokio::test]
async fn the_metadata_of_a_kind_without_rules_is_judged_as_that_of_a_custom_resource() {
    let cats = client().api::<Cat>("default");
    let named = |name: &str| cat(name, 9);
    for (cat, field) in [
        (named("To m"), "metadata.name"),
        (named("a/b"), "metadata.name"),
        (named(".."), "metadata.name"),
        (named(&"a".repeat(254)), "metadata.name"),
        (named("system:node"), "metadata.name"),
        (
            Cat {
                metadata: ObjectMeta::named("tom").label("", "x y"),
                ..Cat::default()
            },
            "metadata.labels",
        ),
    ] {
        let refused = cats.create(&cat).await.unwrap_err();
        let ApiError::Invalid { errors, .. } = &refused else {
            panic!("{refused}");
        };
        assert!(
            errors.iter().all(|error| error.path.to_string() == field),
            "{refused}"
        );
    }
    cats.create(&named("tom")).await.unwrap();
    let patch = Patch::Merge(json!({"metadata": {"finalizers": ["my/own/one"]}}));
    let refused = cats.patch("tom", &patch).await.unwrap_err().to_string();
    assert!(
        refused.contains("metadata.finalizers: Invalid value: \"my/own/one\""),
        "{refused}"
    );
}
