//! What becomes of requests for certificates: who may write what of it.

use orch_core::client::{KindRules, SubresourceWrite, Wanted};
use serde_json::{Value, json};

use super::tests::{base64, request};
use crate::kinds::find;
use crate::kinds::testkit::{document, raw, takes_status};

/// Made by `openssl req -x509`.
const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBdjCCARugAwIBAgIUPMp2+KPnFr2vUsF4R7sT70/Cvi4wCgYIKoZIzj0EAwIw\n\
DzENMAsGA1UEAwwEamFuZTAgFw0yNjExMjMxMDQ0MjVaGA8yMTI2MTAzMDEwNDQy\n\
NVowDzENMAsGA1UEAwwEamFuZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABLn+\n\
dW9MSQKRSuWK4kSLHakq19LYm7VX1Bh9bJb1vcAwSfw3FmaqsHb5/0HBufJi/S44\n\
ceX1kX5HeU9PYD+4skCjUzBRMB0GA1UdDgQWBBQBI+JeDZMiDG7/V6q6jl6weean\n\
7jAfBgNVHSMEGDAWgBQBI+JeDZMiDG7/V6q6jl6weean7jAPBgNVHRMBAf8EBTAD\n\
AQH/MAoGCCqGSM49BAMCA0kAMEYCIQDqCcmu+ew192bFWqMgRrYZwnXRtj6c07ly\n\
nuRe83UERAIhAOxbo1S/bCMfV1y2IU66B2OR89/LjnoWqoELOhO5X84O\n\
-----END CERTIFICATE-----\n\
";

/// A request with this status.
fn with_status(status: Value) -> Value {
    let mut request = request();
    request["status"] = status;
    request
}

fn condition(type_: &str) -> Value {
    json!({"type": type_, "status": "True", "lastUpdateTime": "2030-01-01T00:00:00Z",
        "lastTransitionTime": "2030-01-01T00:00:00Z"})
}

fn approved(old: Value, conditions: Value) -> SubresourceWrite {
    let new = raw(with_status(
        json!({"conditions": conditions, "certificate": base64("mine")}),
    ));
    let write = find("csr")
        .unwrap()
        .subresource("approval", Wanted::Whole(&new), &document(&raw(old)));
    write.unwrap()
}

#[test]
fn who_approves_writes_conditions_alone_and_when() {
    let fields = approved(
        with_status(json!({"certificate": base64("old")})),
        json!([{"type": "Approved", "status": "True", "reason": "Known"}]),
    )
    .unwrap();
    let [("status", status)] = &fields[..] else {
        panic!("{fields:?}")
    };
    let mut status: Value = serde_json::from_slice(status).unwrap();
    let written = status["conditions"][0].take();
    assert_eq!(
        status,
        json!({"certificate": base64("old"), "conditions": [null]})
    );
    assert_eq!(written["reason"], "Known");
    assert!(written["lastUpdateTime"].is_string(), "{written}");
    assert_eq!(written["lastTransitionTime"], written["lastUpdateTime"]);

    let old = with_status(json!({"conditions": [condition("Approved")]}));
    assert_eq!(
        approved(old.clone(), json!([condition("Approved")])),
        Ok(Vec::new()),
        "nothing is written of what is so already"
    );
    let mut again = condition("Approved");
    again["lastTransitionTime"] = json!(null);
    again["message"] = json!("yes");
    let fields = approved(old, json!([again])).unwrap();
    let status: Value = serde_json::from_slice(&fields[0].1).unwrap();
    let since = &status["conditions"][0]["lastTransitionTime"];
    assert_eq!(since, "2030-01-01T00:00:00Z", "it has been so since");
}

#[test]
fn what_is_decided_stands() {
    let old = with_status(json!({"conditions": [condition("Approved")]}));
    let at = "status.conditions";
    for (conditions, expected) in [
        (
            json!([]),
            format!("{at}: Forbidden: updates may not remove a condition of type \"Approved\""),
        ),
        (
            json!([condition("Approved"), condition("Denied")]),
            format!(
                "{at}[1].type: Invalid value: \"Denied\": Approved and Denied conditions are mutually exclusive"
            ),
        ),
        (
            json!([condition("Approved"), condition("Approved")]),
            format!("{at}[1].type: Duplicate value: \"Approved\""),
        ),
        (
            json!([condition("Approved"), {"type": "Failed", "status": "False"}]),
            format!("{at}[1].status: Unsupported value: \"False\": supported values: \"True\""),
        ),
        (
            json!([condition("Approved"), {"type": "Mine", "status": "Maybe"}]),
            format!(
                "{at}[1].status: Unsupported value: \"Maybe\": supported values: \"False\", \"True\", \"Unknown\""
            ),
        ),
        (
            json!([condition("Approved"), {"type": "", "status": "True"}]),
            format!("{at}[1].type: Required value"),
        ),
    ] {
        let errors = approved(old.clone(), conditions.clone()).unwrap_err();
        assert_eq!(errors.to_string(), expected, "{conditions}");
    }
    let malformed = approved(old, json!("Approved")).unwrap_err().to_string();
    assert!(
        malformed.starts_with("status.conditions: Invalid value"),
        "{malformed}"
    );
}

#[test]
fn who_signs_writes_the_certificate_once_and_no_decision() {
    let granted = with_status(json!({"conditions": [condition("Approved")]}));
    let mut other = condition("Approved");
    other["message"] = json!("mine");
    let status = |conditions: Value, certificate: &str| match certificate {
        "" => json!({"conditions": conditions}),
        pem => json!({"conditions": conditions, "certificate": base64(pem)}),
    };
    let same = json!([condition("Approved")]);
    let wrong = |detail: &str| format!("status.certificate: Invalid value: \"<certificate data>\": {detail}");
    let headers = CERTIFICATE.replace("CERTIFICATE-----\nMII", "CERTIFICATE-----\nA: b\n\nMII");
    let body = CERTIFICATE.lines().nth(1).unwrap();
    takes_status(
        &granted,
        &[
            (status(same.clone(), CERTIFICATE), ""),
            (status(same.clone(), &CERTIFICATE.repeat(2)), ""),
            (
                status(json!([condition("Approved"), condition("Failed")]), ""),
                "",
            ),
            (
                status(json!([]), ""),
                "status.conditions: Forbidden: updates may not remove a condition of type \"Approved\"",
            ),
            (
                status(json!([other]), ""),
                "status.conditions: Forbidden: updates may not modify a condition of type \"Approved\"",
            ),
            (
                status(same.clone(), "none"),
                &wrong("must contain at least one CERTIFICATE PEM block"),
            ),
            (
                status(same.clone(), &CERTIFICATE.replace("CERTIFICATE", "KEY")),
                &wrong("only CERTIFICATE PEM blocks are allowed, found \"KEY\""),
            ),
            (
                status(same.clone(), &headers),
                &wrong("no PEM block headers are permitted"),
            ),
            (
                status(same.clone(), &CERTIFICATE.replace(body, "")),
                &wrong("x509: malformed certificate"),
            ),
        ],
    );
    takes_status(
        &with_status(json!({})),
        &[(
            status(same.clone(), ""),
            "status.conditions: Forbidden: updates may not add a condition of type \"Approved\"",
        )],
    );
    takes_status(
        &with_status(status(same.clone(), CERTIFICATE)),
        &[
            (status(same.clone(), CERTIFICATE), ""),
            (
                status(same, &CERTIFICATE.repeat(2)),
                "status.certificate: Forbidden: updates may not modify existing certificate content",
            ),
        ],
    );
}
