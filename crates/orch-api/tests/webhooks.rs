//! Webhooks behind a real socket, with TLS, asked by requests to the API.

mod common;

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use common::{Http, MAPS};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k8s_openapi::ByteString;
use orch_api::webhooks::HttpsCaller;
use orch_api::{ApiOptions, ApiService};
use orch_cluster::cluster::Cluster;
use orch_core::store::MemoryStore;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

const MUTATING: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
const VALIDATING: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";

/// A webhook that judges by the path it is asked at; where it listens, and who vouches for it.
async fn webhook() -> (u16, Value) {
    let names = ["127.0.0.1", "judge.default.svc"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // Who does not trust it goes away.
                if let Ok(stream) = acceptor.accept(stream).await {
                    let served =
                        http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(judge));
                    let _ = served.await;
                }
            });
        }
    });
    (port, json!(ByteString(made.cert.pem().into_bytes())))
}

async fn judge(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let review: Value = serde_json::from_slice(&body).unwrap();
    let mut response = match path.as_str() {
        "/label" => {
            let patch = json!([{"op": "add", "path": "/metadata/labels/judged", "value": "yes"}]);
            let patch = ByteString(patch.to_string().into_bytes());
            json!({"allowed": true, "patchType": "JSONPatch", "patch": patch, "warnings": ["labelled"]})
        }
        "/refuse" => {
            json!({"allowed": false, "status": {"code": 403, "reason": "Forbidden", "message": "no maps"}})
        }
        "/long" => return Ok(Response::new(Full::from(vec![b' '; 4 << 20]))),
        _ => {
            let mut lost = Response::new(Full::from("who?"));
            *lost.status_mut() = StatusCode::NOT_FOUND;
            return Ok(lost);
        }
    };
    response["uid"] = review["request"]["uid"].clone();
    let answer =
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
    Ok(Response::new(Full::from(answer.to_string())))
}

async fn cluster() -> (Cluster, Http) {
    let builder = Cluster::builder(Arc::new(MemoryStore::new())).webhooks(HttpsCaller);
    let cluster = builder.start().await.unwrap();
    let api = ApiService::new(cluster.client().clone(), ApiOptions::default());
    (cluster, Http(api))
}

fn configuration(kind: &str, client: &Value) -> Value {
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": "judge"}, "webhooks": [{
        "name": "maps.judge.example.com", "clientConfig": client, "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}],
    }]})
}

#[tokio::test]
async fn webhooks_change_and_refuse_what_is_sent_to_the_api() {
    let (port, bundle) = webhook().await;
    let (_cluster, api) = cluster().await;
    let at = |path: &str| json!({"url": format!("https://127.0.0.1:{port}/{path}"), "caBundle": bundle});
    let (code, made) = api
        .post(
            MUTATING,
            &configuration("MutatingWebhookConfiguration", &at("label")),
        )
        .await;
    assert_eq!(code, StatusCode::CREATED, "{made}");

    let request = Request::post(MAPS).header("Content-Type", "application/json");
    let answer = api
        .send(
            request
                .body(Full::from(common::map("one", "1").to_string()))
                .unwrap(),
        )
        .await;
    assert_eq!(answer.headers()["Warning"], "299 - \"labelled\"");
    assert_eq!(common::json(answer).await["metadata"]["labels"]["judged"], "yes");

    let configured = configuration("ValidatingWebhookConfiguration", &at("refuse"));
    api.post(VALIDATING, &configured).await;
    let (code, said) = api.post(MAPS, &common::map("two", "2")).await;
    assert_eq!(
        (code, &said["reason"]),
        (StatusCode::FORBIDDEN, &json!("Forbidden")),
        "{said}"
    );
    assert_eq!(
        said["message"],
        "admission webhook \"maps.judge.example.com\" denied the request: no maps"
    );
    let (code, _) = api.get(&format!("{MAPS}/two")).await;
    assert_eq!(code, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_webhook_may_be_a_service() {
    let (port, bundle) = webhook().await;
    for (spec, expected) in [
        (
            json!({"clusterIP": "None", "ports": [{"port": port}]}),
            format!(
                "Internal error occurred: failed calling webhook \"maps.judge.example.com\": failed to call webhook: Post \
                 \"https://judge.default.svc:{port}/refuse?timeout=10s\": no endpoints available for service \"judge\""
            ),
        ),
        // Its certificate is for the service, wherever that is.
        (
            json!({"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]}),
            "admission webhook \"maps.judge.example.com\" denied the request: no maps".to_owned(),
        ),
    ] {
        let (_cluster, api) = cluster().await;
        let service =
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "judge"}, "spec": spec});
        let (code, made) = api.post("/api/v1/namespaces/default/services", &service).await;
        assert_eq!(code, StatusCode::CREATED, "{made}");
        let reference = json!({"namespace": "default", "name": "judge", "path": "/refuse", "port": port});
        let client = json!({"service": reference, "caBundle": bundle});
        let configured = configuration("ValidatingWebhookConfiguration", &client);
        let (code, made) = api.post(VALIDATING, &configured).await;
        assert_eq!(code, StatusCode::CREATED, "{made}");
        let (_, said) = api.post(MAPS, &common::map("one", "1")).await;
        assert_eq!(said["message"], expected);
    }
}

#[tokio::test]
async fn nobody_is_trusted_without_the_certificate_and_no_answer_is_taken_that_is_none() {
    let (port, bundle) = webhook().await;
    let (_, other) = webhook().await;
    for (path, bundle, expected) in [
        (
            "refuse",
            Value::Null,
            "nobody vouches for the webhook; give its authority's certificate in clientConfig.caBundle",
        ),
        ("refuse", other, "invalid peer certificate"),
        ("lost", bundle.clone(), "the webhook answered 404 Not Found: who?"),
        ("long", bundle, "length limit exceeded"),
    ] {
        let (_cluster, api) = cluster().await;
        let client = json!({"url": format!("https://127.0.0.1:{port}/{path}"), "caBundle": bundle});
        let configured = configuration("ValidatingWebhookConfiguration", &client);
        let (code, made) = api.post(VALIDATING, &configured).await;
        assert_eq!(code, StatusCode::CREATED, "{made}");
        let (code, said) = api.post(MAPS, &common::map("one", "1")).await;
        assert_eq!(code, StatusCode::INTERNAL_SERVER_ERROR, "{said}");
        let message = said["message"].as_str().unwrap();
        assert!(message.contains(expected), "{message}");
    }
}
