//! A derived kind is an object like any other.

use orch_core::object::{ApiResource, Document, Object, ObjectMeta, Scope};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize, Object)]
#[object(group = "example.com", version = "v1beta1", scope = "Cluster")]
struct Policy {
    metadata: ObjectMeta,
    spec: Rules,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Rules {
    deny: bool,
}

#[test]
fn a_derived_kind_has_its_names_and_metadata() {
    let expected = ApiResource::new("example.com", "v1beta1", "Policy", "policies", Scope::Cluster);
    assert_eq!(Policy::resource(), expected);

    let mut policy = Policy {
        metadata: ObjectMeta::named("strict"),
        spec: Rules { deny: true },
    };
    assert_eq!(policy.metadata().name, "strict");
    policy.set_metadata(ObjectMeta::named("lax"));
    assert_eq!(policy.key().name(), "lax");

    let document = Document::from_object(&policy).unwrap();
    assert_eq!(
        (document.api_version(), document.kind()),
        ("example.com/v1beta1", "Policy")
    );
    assert_eq!(document.lookup("spec.deny"), Some(true.into()));
}
