//! Requests for certificates.

use serde_json::json;

use super::kinds::check;

#[test]
fn requests_say_what_has_become_of_them() {
    let columns = [
        "Name",
        "Age",
        "SignerName",
        "Requestor",
        "RequestedDuration",
        "Condition",
    ];
    let spec = json!({"signerName": "example.com/s", "username": "jane", "expirationSeconds": 86400});
    let condition = |type_: &str| json!({"type": type_, "status": "True"});
    let last = |conditions: serde_json::Value, certificate: &str| json!({"status": {"conditions": conditions, "certificate": certificate}});
    check(
        "certificates.k8s.io/v1",
        "CertificateSigningRequest",
        &columns,
        &[
            (
                json!({"spec": spec}),
                &["a", "5m", "example.com/s", "jane", "24h", "Pending"],
            ),
            (json!({}), &["a", "5m", "<none>", "", "<none>", "Pending"]),
        ],
    );
    check(
        "certificates.k8s.io/v1",
        "CertificateSigningRequest",
        &["Condition"],
        &[
            (last(json!([condition("Approved")]), ""), &["Approved"]),
            (last(json!([condition("Approved")]), "eA=="), &["Approved,Issued"]),
            (
                last(json!([condition("Approved"), condition("Failed")]), ""),
                &["Approved,Failed"],
            ),
            (
                last(json!([condition("Approved"), condition("Denied")]), ""),
                &["Denied"],
            ),
        ],
    );
}
