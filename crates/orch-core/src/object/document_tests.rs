//! Documents keep what was written, and find their way in it.

use super::*;

const POD: &str = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web","namespace":"default",
    "labels":null,"creationTimestamp":null,"futureField":{"a":1}},
    "spec":{"nodeName":"n1","x.y":1,"containers":[{"name":"c"}]},"status":{"phase":"Running"},"novel":[1,2]}"#;

fn pod() -> Document {
    Document::from_stored(POD.into(), Revision::new(7)).unwrap()
}

#[test]
fn what_a_writer_sent_is_kept_and_the_revision_is_added() {
    let shown: Value = serde_json::from_slice(&pod().to_json()).unwrap();
    let mut expected: Value = serde_json::from_str(POD).unwrap();
    expected["metadata"]["resourceVersion"] = "7".into();
    assert_eq!(shown, expected);
    assert_eq!(pod().stored().as_ref(), POD.as_bytes());
}

#[test]
fn a_sent_resource_version_moves_from_the_bytes_to_the_metadata() {
    let sent = pod().to_json();
    let document = Document::parse(sent).unwrap();
    assert_eq!(document.revision(), Revision::new(7));
    assert!(!String::from_utf8_lossy(document.stored()).contains("resourceVersion"));
    assert_eq!(document.meta().other["futureField"], serde_json::json!({"a": 1}));
}

#[test]
fn lookups_reach_into_maps_only() {
    for (path, expected) in [
        ("spec.nodeName", Some(Value::from("n1"))),
        ("metadata.name", Some("web".into())),
        ("kind", Some("Pod".into())),
        ("status.phase", Some("Running".into())),
        ("spec.containers.name", None),
        ("spec.absent", None),
        ("absent.x", None),
        ("novel", Some(serde_json::json!([1, 2]))),
    ] {
        assert_eq!(pod().lookup(path), expected, "{path}");
    }
}

#[test]
fn a_rebuilt_document_differs_only_where_it_was_told_to() {
    let rebuilt = pod()
        .rebuild(None, &[("status", br#"{"phase":"Failed"}"#)])
        .unwrap();
    let rebuilt: Value = serde_json::from_slice(&rebuilt).unwrap();
    let mut expected: Value = serde_json::from_str(POD).unwrap();
    expected["status"]["phase"] = "Failed".into();
    assert_eq!(rebuilt, expected);

    let added = pod().rebuild(None, &[("extra", b"1")]).unwrap();
    assert_eq!(
        Document::from_stored(added, Revision::ZERO)
            .unwrap()
            .field("extra"),
        Some("1")
    );
}

#[test]
fn bytes_that_are_no_object_are_refused_with_the_reason() {
    for (json, reason) in [
        ("[]", "expected an object with apiVersion"),
        (r#"{"kind":"Pod","metadata":{}}"#, "apiVersion: required"),
        (r#"{"apiVersion":"v1","kind":3,"metadata":{}}"#, "kind: required"),
        (r#"{"apiVersion":"v1","kind":"Pod"}"#, "metadata: required"),
        (
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"labels":"x"}}"#,
            "metadata.labels: invalid type",
        ),
        (
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"resourceVersion":"x"}}"#,
            "must be a decimal number",
        ),
        (
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{},"a":1,"a":2}"#,
            "duplicate field \"a\"",
        ),
        (r#"{"apiVersion":"v1""#, "EOF"),
    ] {
        let error = Document::parse(json.into()).unwrap_err().to_string();
        assert!(error.contains(reason), "{json}: {error}");
    }
}
