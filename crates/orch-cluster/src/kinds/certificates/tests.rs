//! Requests for certificates: what is kept of them, what is refused.

use k8s_openapi::ByteString;
use orch_core::client::KindRules;
use serde_json::{Value, json};

use crate::kinds::find;
use crate::kinds::testkit::{created, raw, refuses};

/// Of `jane`, made by `openssl req -new`.
const REQUEST: &str = "\
-----BEGIN CERTIFICATE REQUEST-----\n\
MIHIMHECAQAwDzENMAsGA1UEAwwEamFuZTBZMBMGByqGSM49AgEGCCqGSM49AwEH\n\
A0IABAbgX06jKzfrcquhr8eY4UBMA09anntoDYTmVJsa7hCAQRq4kl01rFOk/ewM\n\
tM2iPjyM4/zuiKm8i/qz5NqKJTqgADAKBggqhkjOPQQDAgNHADBEAiALuFCx2G+r\n\
+41El7fmUSlr+2attG7uGogao/we4lMuYAIgWImga2bvluoeYtCmRvsbfO8zuUen\n\
1Ef56qfonJikN/M=\n\
-----END CERTIFICATE REQUEST-----\n\
";

pub(super) fn base64(text: &str) -> Value {
    json!(ByteString(text.as_bytes().to_vec()))
}

pub(super) fn request() -> Value {
    json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": "node:jane"},
        "spec": {
            "request": base64(REQUEST), "signerName": "example.com/people", "usages": ["client auth"],
            "username": "root", "uid": "1", "groups": ["system:masters"], "extra": {"a": ["b"]},
        },
        "status": {"conditions": [{"type": "Approved", "status": "True"}]},
    })
}

#[test]
fn nobody_says_for_whom_they_ask_or_that_it_is_granted() {
    let made = created("certificates.k8s.io/v1", request()).unwrap();
    let spec =
        json!({"request": base64(REQUEST), "signerName": "example.com/people", "usages": ["client auth"]});
    assert_eq!(made["spec"], spec);
    assert_eq!(made.get("status"), None);
    let mut other = raw(made.clone());
    other["spec"]["signerName"] = json!("example.com/machines");
    find("csr")
        .unwrap()
        .prepare_update(&mut other, &raw(made.clone()));
    assert_eq!(Value::Object(other), made, "what is asked for stays");
}

#[test]
fn a_request_is_one_for_a_signer_that_there_may_be() {
    let signer = |name: &str| json!(name);
    let label = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end \
                 with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
                 '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
    let of_form = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
    let at = "/spec/signerName";
    let long = format!("example.com/{}", ["a"; 290].join("."));
    refuses(
        &request(),
        &[
            ("/spec/usages", json!([]), "spec.usages: Required value"),
            (
                "/spec/usages",
                json!(["any", "any"]),
                "spec.usages[1]: Duplicate value: \"any\"",
            ),
            (at, signer(""), "spec.signerName: Required value"),
            (
                at,
                signer("kubernetes.io/legacy-unknown"),
                "spec.signerName: Invalid value: \"kubernetes.io/legacy-unknown\": the legacy signerName is not allowed via this API version",
            ),
            (
                at,
                signer("people"),
                &format!("spec.signerName: Invalid value: \"people\": {of_form}"),
            ),
            (
                at,
                signer("a.b/c/d"),
                &format!("spec.signerName: Invalid value: \"a.b/c/d\": {of_form}"),
            ),
            (
                at,
                signer("local/people"),
                "spec.signerName: Invalid value: \"local\": should be a domain with at least two segments separated by dots",
            ),
            (
                at,
                signer("Example.com/people"),
                &format!(
                    "spec.signerName: Invalid value: \"Example.com\": validating label \"Example\": {label}"
                ),
            ),
            (
                at,
                signer(&long),
                "spec.signerName: Too long: may not be more than 571 bytes",
            ),
            (
                "/spec/expirationSeconds",
                json!(599),
                "spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 600 seconds (10 minutes)",
            ),
        ],
    );
    let unknown = created(
        "certificates.k8s.io/v1",
        crate::kinds::testkit::with(request(), "/spec/usages", json!(["all"])),
    );
    let unknown = unknown.unwrap_err().to_string();
    let expected = "spec.usages[0]: Unsupported value: \"all\": supported values: \"any\", \"cert sign\"";
    assert!(unknown.starts_with(expected), "{unknown}");
}

#[test]
fn what_is_no_request_is_refused() {
    let label = "PEM block type must be CERTIFICATE REQUEST";
    let form = "must be a certification request of PKCS #10 in DER";
    let body = REQUEST.lines().nth(1).unwrap();
    let block = |body: &str| {
        format!("-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n")
    };
    for (text, wrong) in [
        (String::new(), label),
        ("none".to_owned(), label),
        (REQUEST.replace("CERTIFICATE REQUEST", "CERTIFICATE"), label),
        (REQUEST.replace("-----END", "-----EN"), label),
        (REQUEST.replace(body, "!"), label),
        (block("eA=="), form),
        (block("MAA="), form),
        (block("MIGA"), form),
        (block("MAcwADAAAwEA"), form),
    ] {
        let mut request = request();
        request["spec"]["request"] = base64(&text);
        let errors = created("certificates.k8s.io/v1", request)
            .unwrap_err()
            .to_string();
        let given = base64(&text);
        assert_eq!(
            errors,
            format!("spec.request: Invalid value: {given}: {wrong}"),
            "{text}"
        );
    }
    let mut around = request();
    around["spec"]["request"] = base64(&format!("of jane\r\n{}", REQUEST.replace('\n', "\r\n")));
    created("certificates.k8s.io/v1", around).unwrap();
}
