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

/// A document reads back from its bytes as it is.
#[track_caller]
fn assert_whole(document: &Document) {
    let read = Document::from_stored(document.stored().clone(), document.revision()).unwrap();
    assert_eq!((&read, read.meta()), (document, document.meta()));
    assert_eq!(
        (read.api_version(), read.kind()),
        (document.api_version(), document.kind())
    );
    for name in ["spec", "status", "novel", "extra"] {
        assert_eq!(read.field(name), document.field(name), "{name}");
    }
}

#[test]
fn fields_are_replaced_and_all_else_stays() {
    let failed = pod()
        .with_record_and_fields(None, &[("status", br#" {"phase":"Failed"} "#)])
        .unwrap();
    assert_whole(&failed);
    let mut expected: Value = serde_json::from_str(POD).unwrap();
    expected["status"]["phase"] = "Failed".into();
    assert_eq!(
        serde_json::from_slice::<Value>(failed.stored()).unwrap(),
        expected
    );
    assert_eq!(failed.revision(), pod().revision());

    let added = pod().with_record_and_fields(None, &[("extra", b"1")]).unwrap();
    assert_whole(&added);
    assert_eq!(added.field("extra"), Some("1"));
}

#[test]
fn metadata_is_replaced_and_its_revision_stays_out_of_the_bytes() {
    let mut meta = pod().meta().clone();
    meta.finalizers.push("example.com/last".to_owned());
    let held = pod().with_meta(meta.clone()).unwrap();
    assert_whole(&held);
    assert_eq!((held.meta(), held.revision()), (&meta, Revision::new(7)));
    assert!(!String::from_utf8_lossy(held.stored()).contains("resourceVersion"));
}

#[test]
fn a_field_that_would_break_the_document_is_refused() {
    for (fields, reason) in [
        (&[("status", &b"{"[..])][..], "EOF"),
        (&[("status", b"1,\"x\":2")], "trailing"),
        (&[("metadata", b"{}")], "metadata: given twice"),
        (&[("extra", b"1"), ("extra", b"2")], "extra: given twice"),
        (&[("a\"b", b"1")], "no name of a field"),
    ] {
        let error = pod()
            .with_record_and_fields(None, fields)
            .unwrap_err()
            .to_string();
        assert!(error.contains(reason), "{error}");
    }
    let long = serde_json::to_vec(&"x".repeat(crate::store::limits::VALUE_BYTES)).unwrap();
    let error = pod()
        .with_record_and_fields(None, &[("extra", &long)])
        .unwrap_err();
    assert!(matches!(error, DocumentError::TooLarge { .. }), "{error}");
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

#[test]
fn the_record_of_who_wrote_what_stays_text() {
    let json = r#"{"kind":"Cat","metadata":{"managedFields": [{"manager":"a"}],"name":"tom"},"apiVersion":"v1","spec":{}}"#;
    let tom = Document::from_stored(json.into(), Revision::new(7)).unwrap();
    assert_eq!(tom.record(), Some(r#"[{"manager":"a"}]"#));
    assert!(tom.meta().other.is_empty());

    // What is made of it keeps it, wherever it then lies.
    let changed = tom.with_record_and_fields(None, &[("spec", b"1")]).unwrap();
    assert_eq!(changed.record(), tom.record());
    let mut meta = changed.meta().clone();
    meta.labels.insert("a".to_owned(), "b".to_owned());
    let labelled = changed.with_meta(meta).unwrap();
    assert_eq!(labelled.record(), tom.record());
    let again = Document::from_stored(labelled.stored().clone(), Revision::new(7)).unwrap();
    assert_eq!((again.record(), again.meta()), (tom.record(), labelled.meta()));

    let other = tom.with_record_and_fields(Some(b"[]"), &[]).unwrap();
    assert_eq!(other.record(), Some("[]"));
    assert_eq!(
        other.lookup("metadata.managedFields"),
        Some(serde_json::json!([]))
    );
    let none = other.with_record_and_fields(Some(b"null"), &[]).unwrap();
    assert_eq!(none.record(), None);
    assert_eq!(none.lookup("metadata.managedFields"), None);
    tom.with_record_and_fields(Some(b"[,"), &[]).unwrap_err();

    let mut metadata = Vec::new();
    tom.write_metadata(&mut metadata);
    let expected = r#"{"resourceVersion":"7","managedFields": [{"manager":"a"}],"name":"tom"}"#;
    assert_eq!(String::from_utf8(metadata).unwrap(), expected);

    let twice =
        r#"{"apiVersion":"v1","kind":"Cat","metadata":{"name":"tom","managedFields":[],"managedFields":[]}}"#;
    let refused = Document::parse(twice.into()).unwrap_err();
    assert_eq!(refused.to_string(), "metadata: a field is given twice");
}
