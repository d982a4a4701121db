//! Definitions of kinds: what is filled in, what is refused.

use orch_core::client::KindRules;
use serde_json::{Value, json};

use crate::kinds::find_kind;
use crate::kinds::testkit::{created, document, raw, with};

const VERSION: &str = "apiextensions.k8s.io/v1";

fn definition() -> Value {
    json!({
        "apiVersion": VERSION, "kind": "CustomResourceDefinition",
        "metadata": {"name": "cats.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "cats", "kind": "Cat"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object"}},
            }],
        },
    })
}

fn refused(definition: Value, expected: &str) {
    let errors = created(VERSION, definition).unwrap_err();
    assert!(errors.to_string().contains(expected), "{expected}: {errors}");
}

#[test]
fn names_are_filled_in_and_what_is_established_is_said() {
    let made = created(VERSION, definition()).unwrap();
    assert_eq!(made["spec"]["names"]["singular"], "cat");
    assert_eq!(made["spec"]["names"]["listKind"], "CatList");
    assert_eq!(made["status"]["acceptedNames"], made["spec"]["names"]);
    assert_eq!(made["status"]["storedVersions"], json!(["v1"]));
    assert_eq!(made["metadata"]["finalizers"], json!([super::CLEANUP]));
    let conditions = made["status"]["conditions"].as_array().unwrap();
    let types: Vec<_> = conditions
        .iter()
        .map(|one| (&one["type"], &one["status"]))
        .collect();
    let yes = json!("True");
    assert_eq!(
        types,
        [(&json!("NamesAccepted"), &yes), (&json!("Established"), &yes)]
    );
}

#[test]
fn what_cannot_be_served_is_refused() {
    for (path, value, expected) in [
        (
            "metadata/name",
            json!("cat"),
            "metadata.name: Invalid value: \"cat\": must be spec.names.plural+\".\"+spec.group",
        ),
        (
            "spec/group",
            json!("example"),
            "spec.group: Invalid value: \"example\": should be a domain with at least one dot",
        ),
        (
            "spec/group",
            json!("cats.k8s.io"),
            "metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups",
        ),
        (
            "spec/scope",
            json!("Global"),
            "spec.scope: Unsupported value: \"Global\"",
        ),
        (
            "spec/preserveUnknownFields",
            json!(true),
            "spec.preserveUnknownFields: Invalid value: true",
        ),
        (
            "spec/names/kind",
            json!("My Cat"),
            "spec.names.kind: Invalid value: \"My Cat\": may have mixed case",
        ),
        (
            "spec/names/plural",
            json!("Cats"),
            "spec.names.plural: Invalid value: \"Cats\"",
        ),
        (
            "spec/names/listKind",
            json!("Cat"),
            "kind and listKind may not be the same",
        ),
        (
            "spec/names/shortNames",
            json!(["C"]),
            "spec.names.shortNames[0]: Invalid value: \"C\"",
        ),
        (
            "spec/versions/0/storage",
            json!(false),
            "must have exactly one version marked as storage version",
        ),
        (
            "spec/versions/0/name",
            json!("V1"),
            "spec.versions[0].name: Invalid value: \"V1\"",
        ),
        (
            "spec/versions/0/schema",
            json!(null),
            "spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required",
        ),
        (
            "spec/versions/0/deprecationWarning",
            json!("old"),
            "can only be set for deprecated versions",
        ),
        (
            "spec/versions/0/subresources",
            json!({"scale": {"specReplicasPath": ".status.n", "statusReplicasPath": ""}}),
            "spec.versions[0].subresources.scale.specReplicasPath: Invalid value: \".status.n\": should be a json path under .spec",
        ),
        (
            "spec/versions/0/additionalPrinterColumns",
            json!([{"name": "Age", "type": "time", "jsonPath": "metadata"}]),
            "spec.versions[0].additionalPrinterColumns[0].type: Unsupported value: \"time\"",
        ),
        (
            "spec/versions/0/additionalPrinterColumns",
            json!([{"name": "A", "type": "string", "jsonPath": format!(".a[?({}", "(".repeat(900))}]),
            "must have \"(\" 8 times at most",
        ),
        (
            "spec/versions/0/additionalPrinterColumns",
            json!([{"name": "A", "type": "string", "jsonPath": ".a[?@[?@[?@]]]"}]),
            "must have \"?\" 1 times at most",
        ),
        (
            "spec/versions/0/additionalPrinterColumns",
            json!([{"name": "A", "type": "string", "jsonPath": format!(".{}", "a".repeat(1024))}]),
            "must be no longer than 1024 bytes",
        ),
        (
            "spec/versions/0/subresources",
            json!({"scale": {"specReplicasPath": ".spec".repeat(33), "statusReplicasPath": ".status.n"}}),
            "should be a json path under .spec, of no more than 32 fields and 1 KiB",
        ),
        (
            "spec/versions/0/selectableFields",
            json!([{"jsonPath": ".metadata.name"}]),
            "must not point to fields in metadata",
        ),
        (
            "spec/conversion",
            json!({"strategy": "Webhook"}),
            "spec.conversion.webhook: Required value: required when strategy is set to Webhook",
        ),
        (
            "spec/conversion",
            json!({"strategy": "Guess"}),
            "spec.conversion.strategy: Unsupported value: \"Guess\": supported values: \"None\", \"Webhook\"",
        ),
        (
            "spec/conversion",
            json!({"strategy": "None", "webhook": {"conversionReviewVersions": ["v1"]}}),
            "spec.conversion.webhook: Forbidden: should not be set when strategy is not set to Webhook",
        ),
        (
            "spec/conversion",
            json!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"]}}),
            "spec.conversion.webhook.clientConfig: Required value: required when strategy is set to Webhook",
        ),
        (
            "spec/conversion",
            json!({"strategy": "Webhook", "webhook": {
                "clientConfig": {"url": "https://example.com", "caBundle": "bm9uZQ=="}, "conversionReviewVersions": ["v2"],
            }}),
            "spec.conversion.webhook.clientConfig.caBundle: Invalid value: \"<bundle>\": unable to load root certificates: must contain at \
             least one CERTIFICATE PEM block",
        ),
        (
            "spec/conversion",
            json!({"strategy": "Webhook", "webhook": {
                "clientConfig": {"url": "https://example.com"}, "conversionReviewVersions": ["v2"],
            }}),
            "spec.conversion.webhook.conversionReviewVersions: Invalid value: [\"v2\"]: must include at least one of v1, v1beta1",
        ),
    ] {
        refused(with(definition(), &format!("/{path}"), value), expected);
    }
    let mut twice = definition();
    let versions = twice["spec"]["versions"].as_array_mut().unwrap();
    versions.push(versions[0].clone());
    refused(twice.clone(), "must contain unique version names");
    refused(twice, "must have exactly one version marked as storage version");
}

#[test]
fn what_objects_are_stored_by_stays() {
    let kind = find_kind(VERSION, "CustomResourceDefinition").unwrap();
    let old = created(VERSION, definition()).unwrap();
    for (path, value, expected) in [
        (
            "spec/scope",
            json!("Cluster"),
            "spec.scope: Invalid value: \"Cluster\": field is immutable",
        ),
        (
            "spec/names/kind",
            json!("Dog"),
            "spec.names.kind: Invalid value: \"Dog\": field is immutable",
        ),
        (
            "spec/versions/0/name",
            json!("v2"),
            "status.storedVersions[0]: Invalid value: \"v1\": missing from spec.versions",
        ),
    ] {
        let new = with(old.clone(), &format!("/{path}"), value);
        let errors = kind.validate_update(&document(&raw(new)), &document(&raw(old.clone())));
        assert!(errors.to_string().contains(expected), "{path}: {errors}");
    }
}
