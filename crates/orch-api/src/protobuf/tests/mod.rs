//! What is read, and as what.

mod hostile;
mod kinds;

use serde_json::{Value, json};

use super::{ProtobufError, START, read};

/// The command, what was sent, and the same in JSON.
fn captured() -> Vec<(&'static str, Vec<u8>, Value)> {
    let rows = include_str!("../captured.txt").split("\n\n").skip(1);
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
