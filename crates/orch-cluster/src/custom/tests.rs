//! What definitions say, and the order of their versions.

use orch_core::client::DefinesKinds;
use orch_core::object::Document;
use serde_json::{Value, json};

use super::{Definition, Definitions, Path};

fn definition(versions: &[&str]) -> Document {
    let versions: Vec<Value> = versions
        .iter()
        .map(|name| {
            json!({
                "name": name, "served": true, "storage": *name == versions[0],
                "schema": {"openAPIV3Schema": {"type": "object"}},
            })
        })
        .collect();
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "cats.example.com"},
        "spec": {
            "group": "example.com", "scope": "Cluster", "names": {"plural": "cats", "kind": "Cat"},
            "versions": versions,
        },
    });
    Document::parse(definition.to_string().into()).unwrap()
}

#[test]
fn versions_are_in_the_order_of_their_stability() {
    // The example of Kubernetes' documentation.
    let given = [
        "foo10",
        "v11beta2",
        "v10beta3",
        "v3beta1",
        "v12alpha1",
        "v11alpha2",
        "v1",
        "v2",
        "v10",
        "foo1",
    ];
    let expected = [
        "v10",
        "v2",
        "v1",
        "v11beta2",
        "v10beta3",
        "v3beta1",
        "v12alpha1",
        "v11alpha2",
        "foo1",
        "foo10",
    ];
    let definition = Definition::read(&definition(&given)).unwrap();
    let found: Vec<_> = definition
        .versions
        .iter()
        .map(|one| &*one.resource.version)
        .collect();
    assert_eq!(found, expected);
    assert_eq!(definition.stored().resource.version, "foo10");
    assert_eq!(definition.singular, "cat");
    assert_eq!(definition.list_kind, "CatList");
}

#[test]
fn a_definition_that_cannot_be_used_defines_nothing() {
    assert!(Definitions::new().kind(&definition(&["v1"])).is_some());
    assert!(
        Definitions::new().kind(&definition(&[])).is_none(),
        "nothing is stored"
    );
    let other = Document::parse(r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}}"#.into());
    assert!(Definitions::new().kind(&other.unwrap()).is_none());
}

#[test]
fn a_path_leads_to_one_field() {
    let mut object = json!({"spec": {"size": 3, "text": "a"}})
        .as_object()
        .unwrap()
        .clone();
    for (path, expected) in [
        (".spec.size", Some(json!(3))),
        (".spec.none", None),
        (".spec.text.deep", None),
    ] {
        assert_eq!(
            Path::read(path).unwrap().value(&object).cloned(),
            expected,
            "{path}"
        );
    }
    for wrong in ["spec.size", ".", ".spec.", ".spec[0]", "..spec", ".spec.a b", ""] {
        assert_eq!(Path::read(wrong), None, "{wrong}");
    }
    assert!(Path::read(".status.replicas").unwrap().set(&mut object, json!(1)));
    assert!(!Path::read(".spec.text.deep").unwrap().set(&mut object, json!(1)));
    assert_eq!(
        json!(object),
        json!({"spec": {"size": 3, "text": "a"}, "status": {"replicas": 1}})
    );
}
