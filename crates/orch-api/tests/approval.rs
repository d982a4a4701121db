//! Whether a request for a certificate is granted, a part of it that is written by itself.

mod common;

use common::Http;
use orch_api::ApiOptions;
use serde_json::{Value, json};

const ALL: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const APPROVAL: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests/jane/approval";

/// A request in PEM, as base64: no more of it than its outline.
const REQUEST: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUE0d0J3SUJBREFBTUFBd0FBTUJBQT09Ci0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo=";

async fn requested(api: &Http) -> Value {
    let request = json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": "jane"},
        "spec": {"request": REQUEST, "signerName": "example.com/people", "usages": ["client auth"], "username": "root"},
    });
    let (code, made) = api.post(ALL, &request).await;
    assert_eq!(code, 201, "{made}");
    made
}

#[tokio::test(start_paused = true)]
async fn a_request_is_approved_through_its_own_part_alone() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    let mut request = requested(&api).await;
    assert_eq!(request["spec"].get("username"), None);
    request["status"] = json!({"conditions": [{"type": "Approved", "status": "True", "reason": "Known"}]});
    request["spec"]["signerName"] = json!("example.com/others");
    let whole = Some(("application/json", request.to_string()));
    let whole = whole.as_ref().map(|(form, body)| (*form, body.as_str()));
    let (code, refused) = api.ask("PUT", &format!("{ALL}/jane/status"), whole).await;
    assert_eq!(code, 422, "{refused}");
    let (code, kept) = api.ask("PUT", &format!("{ALL}/jane"), whole).await;
    assert_eq!(code, 200, "{kept}");
    assert_eq!(kept.get("status"), None);
    let (code, approved) = api.ask("PUT", APPROVAL, whole).await;
    assert_eq!(code, 200, "{approved}");
    assert_eq!(approved["spec"]["signerName"], "example.com/people");
    let condition = &approved["status"]["conditions"][0];
    assert_eq!(condition["reason"], "Known");
    assert!(condition["lastUpdateTime"].is_string(), "{condition}");
    assert_eq!(api.get(APPROVAL).await.1, approved);

    let patch = r#"{"status": {"conditions": [{"type": "Denied", "status": "True"}]}}"#;
    let patch = Some(("application/merge-patch+json", patch));
    let (code, refused) = api.ask("PATCH", APPROVAL, patch).await;
    assert_eq!(code, 422, "{refused}");
    let message = refused["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("may not remove a condition of type"),
        "{message}"
    );

    let (_, parts) = api.get("/apis/certificates.k8s.io/v1").await;
    let parts = parts["resources"].as_array().unwrap().iter();
    let approval = parts
        .filter(|part| part["name"] == "certificatesigningrequests/approval")
        .collect::<Vec<_>>();
    assert_eq!(approval[0]["verbs"], json!(["get", "patch", "update"]));
    let chosen = format!("{ALL}?fieldSelector=spec.signerName=example.com/people");
    assert_eq!(api.get(&chosen).await.1["items"].as_array().unwrap().len(), 1);
}
