//! Lists are snapshots, selected and paged.

use super::*;
use crate::object::{FieldSelector, ObjectKey, Selector};
use crate::testing::FaultyStore;

async fn ten_cats() -> Api<Cat> {
    let client = client();
    for n in 0..10 {
        let namespace = if n < 5 { "east" } else { "west" };
        let mut cat = cat(&format!("cat-{n}"), n);
        cat.metadata
            .labels
            .insert("parity".into(), if n % 2 == 0 { "even" } else { "odd" }.into());
        client.api(namespace).create(&cat).await.unwrap();
    }
    client.all()
}

fn lives(list: &List<Cat>) -> Vec<u32> {
    list.items.iter().map(|cat| cat.spec.lives).collect()
}

#[tokio::test]
async fn selectors_choose_by_namespace_label_and_field() {
    let cats = ten_cats().await;
    let select = |labels: &str, fields: &str| {
        let labels: Selector = labels.parse().unwrap();
        let fields: FieldSelector = fields.parse().unwrap();
        ListParams::default().labels(labels).fields(fields)
    };
    for (labels, fields, expected) in [
        ("", "", vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("parity=even", "", vec![0, 2, 4, 6, 8]),
        ("parity!=even", "metadata.namespace=west", vec![5, 7, 9]),
        ("", "metadata.name=cat-3", vec![3]),
        ("nothing", "", vec![]),
    ] {
        assert_eq!(
            lives(&cats.list(&select(labels, fields)).await.unwrap()),
            expected,
            "{labels} {fields}"
        );
    }
    let west = cats.client().api::<Cat>("west");
    assert_eq!(
        lives(&west.list(&ListParams::default()).await.unwrap()),
        [5, 6, 7, 8, 9]
    );
    let error = cats
        .list(&select("", "spec.lives=3"))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("field label not supported: spec.lives"), "{error}");
}

#[tokio::test]
async fn pages_show_one_snapshot_whatever_is_written_meanwhile() {
    let cats = ten_cats().await;
    for (labels, all) in [
        ("", (0..10).collect::<Vec<u32>>()),
        ("parity=odd", vec![1, 3, 5, 7, 9]),
    ] {
        let mut params = ListParams::default().labels(labels.parse().unwrap()).limit(3);
        let mut seen = Vec::new();
        loop {
            let page = cats.list(&params).await.unwrap();
            assert!(page.items.len() <= 3);
            seen.extend(lives(&page));
            cats.client()
                .api("east")
                .create(&Cat {
                    metadata: ObjectMeta {
                        generate_name: Some("zz-".into()),
                        ..ObjectMeta::named("").label("parity", "odd")
                    },
                    ..Cat::default()
                })
                .await
                .unwrap();
            match page.continue_token {
                Some(token) => params.continue_token = Some(token),
                None => break,
            }
        }
        assert_eq!(seen, all, "{labels}");
        // The kittens of the first round are real by the second.
        for kitten in cats.list(&ListParams::default()).await.unwrap().items {
            if kitten.metadata.name.starts_with("zz-") {
                cats.client()
                    .api::<Cat>("east")
                    .delete(&kitten.metadata.name, &DeleteParams::now())
                    .await
                    .unwrap();
            }
        }
    }
    let bad = ListParams {
        continue_token: Some("nonsense".into()),
        ..ListParams::default()
    };
    assert!(
        cats.list(&bad)
            .await
            .unwrap_err()
            .to_string()
            .contains("continue: \"nonsense\" is no token")
    );
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_left_out_of_lists_and_told_of_by_get() {
    let store = Arc::new(MemoryStore::new());
    let client = Client::new(store.clone());
    let cats = client.api::<Cat>("default");
    cats.create(&cat("tom", 9)).await.unwrap();
    let key = format!("registry/{}/default/broken", Cat::resource().group_resource());
    let json = r#"{"apiVersion":"example.com/v1","kind":"Cat","metadata":{"name":"broken","labels":3}}"#;
    let txn = crate::store::Txn::new().create(key, json);
    crate::store::Store::commit(&*store, txn).await.unwrap();
    for page in [None, Some(1)] {
        let mut params = ListParams {
            limit: page,
            ..ListParams::default()
        };
        let mut found = Vec::new();
        loop {
            let list = cats.list(&params).await.unwrap();
            found.extend(list.items.into_iter().map(|cat| cat.metadata.name));
            params.continue_token = list.continue_token;
            if params.continue_token.is_none() {
                break;
            }
        }
        assert_eq!(found, ["tom"], "{page:?}");
    }
    let list = client
        .backend()
        .list(cats.collection(), &ListParams::default())
        .await;
    let unreadable = list.unwrap().unreadable;
    assert_eq!(unreadable, [ObjectKey::new(Some("default"), "broken")]);
    let error = cats.get("broken").await.unwrap_err();
    assert!(matches!(error, ApiError::Decode { .. }), "{error}");
    assert!(
        error.to_string().contains("\"broken\" in namespace \"default\""),
        "{error}"
    );
}

#[tokio::test]
async fn kinds_that_only_the_store_knows_are_discovered() {
    let store = Arc::new(MemoryStore::new());
    let kinds = [
        ApiResource::new("", "v1", "Thing", "things", Scope::Namespaced),
        ApiResource::new("a.example.com", "v1", "Cat", "cats", Scope::Cluster),
        ApiResource::new(
            "a.example.com",
            "v2beta1",
            "Catalog",
            "catalogs",
            Scope::Namespaced,
        ),
        Cat::resource(),
    ];
    let writer = Client::new(store.clone());
    for kind in &kinds {
        for name in ["x", "y"] {
            let namespace = kind.is_namespaced().then(|| "default".to_owned());
            let collection = Collection {
                resource: Arc::new(kind.clone()),
                namespace,
            };
            let object = serde_json::json!({"metadata": {"name": name}})
                .as_object()
                .unwrap()
                .clone();
            let params = WriteParams::default();
            writer
                .backend()
                .create(&collection, object, &params)
                .await
                .unwrap();
        }
    }
    // What lies beside the objects is none.
    let txn = crate::store::Txn::new()
        .create("registrz/x/y", "other")
        .create("fence", "7");
    crate::store::Store::commit(&*store, txn).await.unwrap();
    let reader = Client::new(store);
    assert_eq!(reader.resources(), []);
    reader.backend().discover().await.unwrap();
    let found = reader.resources();
    assert_eq!(found.len(), kinds.len());
    for kind in &kinds {
        assert!(found.contains(kind), "{kind:?} {found:?}");
    }
}

#[tokio::test]
async fn little_is_found_in_few_steps() {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let cats = Client::new(store.clone()).api::<Cat>("default");
    for n in 0..200 {
        cats.create(&cat(&format!("cat-{n:03}"), n)).await.unwrap();
    }
    let before = store.pages();
    let last = ListParams::default()
        .fields("metadata.name=cat-199".parse().unwrap())
        .limit(1);
    assert_eq!(lives(&cats.list(&last).await.unwrap()), [199]);
    let steps = store.pages() - before;
    assert!(
        steps <= 8,
        "{steps} steps to look through 200 objects by one, two, four..."
    );
}
