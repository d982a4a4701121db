//! What nobody should send.

use orch_core::object::{DEEPEST, depth};
use proptest::prelude::*;
use serde_json::Value;

use super::super::{START, read, table};
use super::{body, bytes, captured, number};

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
        (
            of_map([vec![0xff; 9], vec![2]].concat()),
            "a number is longer than 64 bits",
        ),
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
