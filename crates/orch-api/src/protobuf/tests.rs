//! What kubectl sends, what nobody should, and whether the table is that of the kinds served.

use std::collections::{HashMap, HashSet};

use orch_core::object::{DEEPEST, depth};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::table::{self, Shape, Type};
use super::{ProtobufError, START, read};
use crate::schema::{Node, Schema, built_in, every_kind};

/// The command, what was sent, and the same in JSON.
fn captured() -> Vec<(&'static str, Vec<u8>, Value)> {
    let rows = include_str!("captured.txt").split("\n\n").skip(1);
    rows.map(|row| {
        let [command, hex, json] = row.lines().collect::<Vec<_>>()[..] else {
            panic!("{row}");
        };
        let bytes = (0..hex.len()).step_by(2).map(|at| &hex[at..at + 2]);
        let bytes = bytes.map(|byte| u8::from_str_radix(byte, 16).unwrap());
        (command, bytes.collect(), serde_json::from_str(json).unwrap())
    })
    .collect()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
    bytes
}

/// A field that is a number.
fn number(field: u64, value: i64) -> Vec<u8> {
    [varint(field << 3), varint(value.cast_unsigned())].concat()
}

/// A field that is a string, or a message.
fn bytes(field: u64, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    let length = varint(u64::try_from(value.len()).unwrap());
    [varint(field << 3 | 2), length, value.to_vec()].concat()
}

fn body(api_version: &str, kind: &str, message: &[u8]) -> Vec<u8> {
    let type_ = [bytes(1, api_version), bytes(2, kind)].concat();
    [START.to_vec(), bytes(1, type_), bytes(2, message)].concat()
}

/// The object, without what it is.
fn read_as(api_version: &str, kind: &str, message: &[u8]) -> Result<Value, ProtobufError> {
    let mut object = read(&body(api_version, kind, message))?;
    assert_eq!(object.remove("apiVersion"), Some(api_version.into()));
    assert_eq!(object.remove("kind"), Some(kind.into()));
    Ok(Value::Object(object))
}

#[test]
fn what_kubectl_sends_is_what_it_writes_as_json() {
    let all = captured();
    assert!(all.len() > 10);
    for (command, bytes, json) in all {
        let found = read(&bytes).unwrap_or_else(|error| panic!("kubectl {command}: {error}"));
        assert_eq!(Value::Object(found), json, "kubectl {command}");
    }
}

#[test]
fn a_zero_counts_where_go_has_a_pointer_or_writes_it_always() {
    let meta = [
        bytes(1, "a"),
        bytes(3, ""),
        number(7, 0),
        number(10, 0),
        bytes(8, ""),
    ]
    .concat();
    for (version, kind, message, expected) in [
        (
            "apps/v1",
            "Deployment",
            bytes(2, [number(1, 0), number(5, 0), number(7, 0)].concat()),
            json!({"spec": {"replicas": 0}}),
        ),
        (
            "batch/v1",
            "Job",
            bytes(2, [number(7, 0), number(1, -1)].concat()),
            json!({"spec": {"backoffLimit": 0, "parallelism": -1}}),
        ),
        (
            "v1",
            "PersistentVolumeClaim",
            bytes(2, [bytes(3, ""), bytes(5, "")].concat()),
            json!({"spec": {"storageClassName": ""}}),
        ),
        (
            "v1",
            "Pod",
            bytes(2, [number(4, 0), bytes(16, ""), number(11, 0)].concat()),
            json!({"spec": {"terminationGracePeriodSeconds": 0}}),
        ),
        (
            "v1",
            "ConfigMap",
            bytes(1, meta),
            json!({"metadata": {"name": "a", "deletionGracePeriodSeconds": 0}}),
        ),
        (
            "v1",
            "ConfigMap",
            bytes(2, bytes(1, "k")),
            json!({"data": {"k": ""}}),
        ),
        (
            "v1",
            "ServiceAccount",
            number(4, 0),
            json!({"automountServiceAccountToken": false}),
        ),
        (
            "autoscaling/v1",
            "Scale",
            bytes(2, number(1, 0)),
            json!({"spec": {}}),
        ),
        (
            "v1",
            "DeleteOptions",
            number(1, 0),
            json!({"gracePeriodSeconds": 0}),
        ),
        (
            "policy/v1",
            "DeleteOptions",
            bytes(4, "Orphan"),
            json!({"propagationPolicy": "Orphan"}),
        ),
    ] {
        let found = read_as(version, kind, &message);
        assert_eq!(found.as_ref(), Ok(&expected), "{kind} {message:?}");
    }
}

#[test]
fn what_is_a_value_in_json_is_one() {
    let volume = bytes(1, [bytes(1, "v"), bytes(2, bytes(2, b""))].concat());
    let time = [number(1, 1_700_000_000), number(2, 123_456_789)].concat();
    let before = [number(1, -1), number(2, 999_999_999)].concat();
    let record = bytes(7, bytes(1, r#"{"f:data":{}}"#));
    let extra = bytes(
        6,
        [bytes(1, "k"), bytes(2, [bytes(1, "a"), bytes(1, "")].concat())].concat(),
    );
    for (version, kind, message, expected) in [
        (
            "v1",
            "Secret",
            bytes(2, [bytes(1, "k"), bytes(2, [0, 255])].concat()),
            json!({"data": {"k": "AP8="}}),
        ),
        (
            "v1",
            "Pod",
            bytes(2, volume),
            json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}),
        ),
        (
            "v1",
            "Pod",
            bytes(1, bytes(9, &time)),
            json!({"metadata": {"deletionTimestamp": "2023-11-14T22:13:20Z"}}),
        ),
        (
            "v1",
            "Pod",
            bytes(1, bytes(9, number(1, 0))),
            json!({"metadata": {"deletionTimestamp": "1970-01-01T00:00:00Z"}}),
        ),
        (
            "coordination.k8s.io/v1",
            "Lease",
            bytes(2, bytes(3, &time)),
            json!({"spec": {"acquireTime": "2023-11-14T22:13:20.123456Z"}}),
        ),
        (
            "coordination.k8s.io/v1",
            "Lease",
            bytes(2, bytes(3, &before)),
            json!({"spec": {"acquireTime": "1969-12-31T23:59:59.999999Z"}}),
        ),
        (
            "coordination.k8s.io/v1",
            "Lease",
            bytes(2, bytes(3, "")),
            json!({"spec": {"acquireTime": null}}),
        ),
        (
            "policy/v1",
            "PodDisruptionBudget",
            bytes(2, bytes(1, number(2, 3))),
            json!({"spec": {"minAvailable": 3}}),
        ),
        (
            "apps/v1",
            "ControllerRevision",
            bytes(2, bytes(1, r#"{"spec":[1]}"#)),
            json!({"data": {"spec": [1]}}),
        ),
        (
            "v1",
            "ConfigMap",
            bytes(1, bytes(17, record)),
            json!({"metadata": {"managedFields": [{"fieldsV1": {"f:data": {}}}]}}),
        ),
        (
            "certificates.k8s.io/v1",
            "CertificateSigningRequest",
            bytes(2, extra),
            json!({"spec": {"extra": {"k": ["a", ""]}}}),
        ),
        // Given twice: a message is both, a scalar the last.
        (
            "v1",
            "Event",
            [bytes(2, bytes(1, "A")), bytes(2, bytes(3, "n"))].concat(),
            json!({"involvedObject": {"kind": "A", "name": "n"}}),
        ),
        (
            "v1",
            "ConfigMap",
            [bytes(1, bytes(1, "a")), bytes(1, bytes(1, "b"))].concat(),
            json!({"metadata": {"name": "b"}}),
        ),
        // Packed, and not.
        (
            "v1",
            "Pod",
            bytes(2, bytes(14, [bytes(4, [1, 2]), number(4, 3)].concat())),
            json!({"spec": {"securityContext": {"supplementalGroups": [1, 2, 3]}}}),
        ),
        // What is not known, of every wire type.
        (
            "v1",
            "ConfigMap",
            [
                number(99, 1),
                bytes(98, "x"),
                vec![0xb9, 6, 0, 0, 0, 0, 0, 0, 0, 0],
                vec![0xbd, 6, 0, 0, 0, 0],
                vec![0xbb, 6, 0x0b, 8, 1, 0x0c, 0xbc, 6],
            ]
            .concat(),
            json!({}),
        ),
    ] {
        let found = read_as(version, kind, &message);
        assert_eq!(found.as_ref(), Ok(&expected), "{kind} {message:?}");
    }
    let quota = bytes(2, bytes(1, bytes(1, "cpu")));
    assert_eq!(
        read_as("v1", "ResourceQuota", &quota),
        Ok(json!({"spec": {"hard": {"cpu": "0"}}}))
    );
}

#[test]
fn what_is_wrong_is_said() {
    let of_map = |message: Vec<u8>| body("v1", "ConfigMap", &message);
    let lease = |time: Vec<u8>| body("coordination.k8s.io/v1", "Lease", &bytes(2, bytes(3, time)));
    let revision = |json: &str| body("apps/v1", "ControllerRevision", &bytes(2, bytes(1, json)));
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let unknown = |field: Vec<u8>| [body("v1", "ConfigMap", b""), field].concat();
    for (bytes, said) in [
        (Vec::new(), r#"it must begin with "k8s\0""#),
        (b"{}".to_vec(), r#"it must begin with "k8s\0""#),
        (
            START.to_vec(),
            r#"apiVersion and kind must be given (got "" and "")"#,
        ),
        (
            body("v1", "", b""),
            r#"apiVersion and kind must be given (got "v1" and "")"#,
        ),
        (
            body("example.com/v1", "Widget", b""),
            r#"kind "Widget" of "example.com/v1" is not read in this form; send it as application/json"#,
        ),
        (
            unknown(bytes(3, "gzip")),
            r#"contentEncoding: "gzip": must be left out"#,
        ),
        (
            unknown(bytes(4, "text/plain")),
            r#"contentType: "text/plain": must be application/vnd.kubernetes.protobuf, or left out"#,
        ),
        (of_map(vec![0x0a, 5, 1]), "it ends in the middle of a field"),
        (
            of_map(bytes(
                1,
                [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            )),
            "metadata: it ends in the middle of a field",
        ),
        (of_map(vec![0xff; 10]), "a number is longer than 64 bits"),
        (of_map(vec![0x0f]), "wire type 7 does not exist"),
        (of_map(vec![0x0c]), "a group ends that did not begin"),
        (of_map(vec![0x0b, 0x0b, 0x0c]), "it ends in the middle of a field"),
        (
            of_map(vec![0x02, 0]),
            "field numbers must be from 1 to 536870911, got 0",
        ),
        (
            of_map(bytes(1, number(1, 1))),
            "metadata.name: wire type 0 is not that of the field's type, bytes",
        ),
        (
            of_map(bytes(4, "x")),
            "immutable: wire type 2 is not that of the field's type, a number",
        ),
        (
            of_map(bytes(1, bytes(11, [bytes(1, "app"), bytes(2, [255])].concat()))),
            "metadata.labels.app: it must be UTF-8",
        ),
        (
            lease(number(1, i64::MAX)),
            "spec.acquireTime: 9223372036854775807 s and 0 ns since 1970 must be a time in the years 1 to 9999, with 0 to 999999999 ns",
        ),
        (
            lease(number(2, -1)),
            "spec.acquireTime: 0 s and -1 ns since 1970 must be a time in the years 1 to 9999, with 0 to 999999999 ns",
        ),
        (
            body(
                "policy/v1",
                "PodDisruptionBudget",
                &bytes(2, bytes(1, number(1, 2))),
            ),
            "spec.minAvailable: type 2: must be 0, a number, or 1, a string",
        ),
        (
            revision("{"),
            "data: it must be JSON: EOF while parsing an object at line 1 column 1",
        ),
        (
            revision(&nested(DEEPEST)),
            "it nests more than 127 levels of maps and lists",
        ),
        (
            revision(&nested(5000)),
            "data: it must be JSON: recursion limit exceeded at line 1 column 128",
        ),
    ] {
        let error = read(&bytes).expect_err(said);
        assert_eq!(error.to_string(), said, "{bytes:?}");
    }
    assert!(read(&revision(&nested(DEEPEST - 1))).is_ok());
}

#[test]
fn the_table_has_the_fields_that_the_kinds_have() {
    let (kinds, messages) = table::all();
    let messages: HashMap<_, _> = messages.into_iter().collect();
    for (api_version, kind) in every_kind() {
        assert!(table::kind(api_version, kind).is_some(), "{api_version} {kind}");
    }
    let (mut seen, mut missing) = (HashSet::new(), Vec::new());
    let mut open: Vec<(&str, Option<Schema>)> = kinds
        .iter()
        .map(|[version, kind, message]| (*message, built_in(version, kind).cloned()))
        .collect();
    while let Some((message, schema)) = open.pop() {
        if !seen.insert((message, schema.is_some())) {
            continue;
        }
        let mut names = HashSet::new();
        let mut fields = messages
            .get(message)
            .unwrap_or_else(|| panic!("{message}"))
            .clone();
        while let Some(field) = fields.pop() {
            let Some(name) = field.name else {
                let Type::Message(within) = field.type_ else {
                    panic!("{message}: {field:?}")
                };
                fields.extend(messages[within].iter().cloned());
                continue;
            };
            assert!(names.insert(name), "{message}.{name} is there twice");
            let child = schema.as_ref().and_then(|schema| schema.child(name));
            if let Some(child) = &child {
                let (node, is_message) = (child.node(), matches!(field.type_, Type::Message(_)));
                let fits = match field.shape {
                    Shape::List => matches!(node, Node::List(_)),
                    Shape::Map => matches!(node, Node::Map(_)),
                    Shape::One if is_message => {
                        matches!(node, Node::Struct(_) | Node::Untyped | Node::Map(_))
                    }
                    Shape::One if field.type_ == Type::Json => {
                        matches!(node, Node::Untyped | Node::Map(_) | Node::Struct(_))
                    }
                    Shape::One => matches!(node, Node::Scalar),
                };
                assert!(
                    fits,
                    "{message}.{name}: {:?} {:?} is no {child:?}",
                    field.shape, field.type_
                );
            }
            if let Type::Message(below) = field.type_ {
                let items = child.map(|child| match child.node() {
                    Node::List(list) => list.items.clone(),
                    Node::Map(map) => map.values.clone(),
                    _ => child,
                });
                open.push((below, items));
            }
        }
        if let Some(Node::Struct(of)) = schema.as_ref().map(Schema::node) {
            let absent = of
                .fields()
                .map(|(name, _)| name)
                .filter(|name| !names.contains(name));
            let absent = absent.filter(|name| !matches!(*name, "apiVersion" | "kind"));
            missing.extend(absent.map(|name| format!("{message}.{name}")));
        }
    }
    // Newer than the sources that the table is made of.
    missing.retain(|field| field != "core.v1.NodeSystemInfo.runningInUserNamespace");
    assert!(missing.is_empty(), "{missing:?}");
    assert!(seen.len() > 200, "{}", seen.len());
}

/// Bytes that begin well, changed here and there.
fn changed() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..3_u8);
    (
        prop::sample::select(captured()),
        prop::collection::vec(change, 1..8),
    )
        .prop_map(|((_, mut bytes, _), changes)| {
            for (at, byte, how) in changes {
                let at = at.index(bytes.len());
                match how {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    _ if bytes.len() > 5 => drop(bytes.remove(at)),
                    _ => bytes.truncate(5),
                }
            }
            bytes
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_bytes_do_harm(bytes in prop_oneof![
        changed(),
        prop::collection::vec(any::<u8>(), 0..200).prop_map(|bytes| [START, &bytes].concat()),
        (prop::sample::select(table::all().0), prop::collection::vec(any::<u8>(), 0..200))
            .prop_map(|([version, kind, _], bytes)| body(version, kind, &bytes)),
    ]) {
        if let Ok(object) = read(&bytes) {
            let object = Value::Object(object);
            prop_assert!(depth(&object, DEEPEST + 1) <= DEEPEST);
            // Nothing grows much: base64 by a third, the least message to `{}`, names by what the table has.
            prop_assert!(object.to_string().len() <= 64 * (bytes.len() + 1));
        }
    }
}
