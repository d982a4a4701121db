//! The API on a socket: who may come in, and how it stops.

mod common;

use std::sync::Arc;
use std::time::Duration;

use orch_api::listen::{Access, ApiListener};
use orch_api::{ApiOptions, ServeApi};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

async fn listener(cluster: &orch_cluster::cluster::Cluster) -> ApiListener {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    ApiListener::start(socket, cluster.api(), Access::generate().unwrap()).unwrap()
}

/// Connected as one who trusts what the kubeconfig says.
async fn connect(listener: &ApiListener) -> TlsStream<TcpStream> {
    let authority = CertificateDer::from_pem_slice(listener.access().certificate().as_bytes()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(listener.address()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap()
}

async fn ask(listener: &ApiListener, path: &str, authorization: &str) -> String {
    send(listener, "GET", path, authorization, "").await
}

async fn send(listener: &ApiListener, method: &str, path: &str, authorization: &str, body: &str) -> String {
    let mut stream = connect(listener).await;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: api\r\n{authorization}Content-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // A connection that is closed without a word of TLS's is one that is closed.
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

#[tokio::test]
async fn who_names_the_token_comes_in() {
    let (cluster, _) = common::cluster(ApiOptions::default()).await;
    let listener = listener(&cluster).await;
    let token = listener.access().token();
    let with = |scheme: &str, token: &str| format!("Authorization: {scheme} {token}\r\n");
    for (path, authorization, code) in [
        ("/api/v1/nodes", with("Bearer", token), 200),
        ("/api/v1/nodes", with("bearer", token), 200),
        ("/api/v1/nodes", String::new(), 401),
        ("/api/v1/nodes", with("Bearer", &token[1..]), 401),
        ("/api/v1/nodes", with("Bearer", &format!("{token}0")), 401),
        ("/api/v1/nodes", with("Basic", token), 401),
        ("/version", String::new(), 401),
        ("/readyz", String::new(), 200),
    ] {
        let answer = ask(&listener, path, &authorization).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {code} ")),
            "{path} {authorization:?}: {answer}"
        );
        assert_eq!(
            answer.contains("\"reason\":\"Unauthorized\""),
            code == 401,
            "{answer}"
        );
    }
    listener.stop().await;
    let socket = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let refused = ApiListener::start(socket, cluster.api(), Access::generate().unwrap());
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("must be an address of loopback"), "{message}");
    cluster.stop().await;
}

#[tokio::test]
async fn a_listener_that_is_stopped_ends_watches_and_takes_nobody_any_more() {
    let (cluster, _) = common::cluster(ApiOptions::default()).await;
    let listener = listener(&cluster).await;
    let address = listener.address();
    let mut stream = BufReader::new(connect(&listener).await);
    let token = listener.access().token();
    let request =
        format!("GET /api/v1/nodes?watch=1 HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.get_mut().write_all(request.as_bytes()).await.unwrap();
    let mut line = String::new();
    while !line.contains("ADDED") {
        line.clear();
        assert_ne!(stream.read_line(&mut line).await.unwrap(), 0, "the watch begins");
    }
    let stopped = tokio::time::timeout(Duration::from_secs(20), listener.stop());
    stopped.await.expect("it does not wait for the watch");
    let mut rest = Vec::new();
    // Cut off, or ended.
    let _ = stream.read_to_end(&mut rest).await;
    assert!(TcpStream::connect(address).await.is_err());
    cluster.stop().await;
}

#[tokio::test]
async fn a_token_of_an_account_is_good_as_long_as_what_it_is_bound_to_is_there() {
    let (cluster, api) = common::cluster(ApiOptions::default()).await;
    let listener = listener(&cluster).await;
    let own = format!("Authorization: Bearer {}\r\n", listener.access().token());
    let core = "/api/v1/namespaces/default";
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bot"}});
    api.post(&format!("{core}/serviceaccounts"), &account).await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}});
    api.post(&format!("{core}/secrets"), &secret).await;
    let path = format!("{core}/serviceaccounts/bot/token");
    for (spec, wanted) in [
        (
            json!({"expirationSeconds": 599}),
            "may not specify a duration less than 10 minutes",
        ),
        (
            json!({"boundObjectRef": {"apiVersion": "v1", "kind": "ConfigMap", "name": "s"}}),
            "cannot bind token to object of type v1, Kind=ConfigMap",
        ),
        (
            json!({"boundObjectRef": {"apiVersion": "v1", "kind": "Secret", "name": "none"}}),
            "secrets \\\"none\\\" not found",
        ),
        (
            json!({"boundObjectRef": {"apiVersion": "v1", "kind": "Secret", "name": "s", "uid": "other"}}),
            "does not match the UID in record",
        ),
        (json!({"expirationSeconds": "long"}), "spec: "),
    ] {
        let answer = send(&listener, "POST", &path, &own, &json!({"spec": spec}).to_string()).await;
        assert!(answer.contains(wanted), "{spec}: {answer}");
    }
    let token = async |spec: Value| {
        let answer = send(&listener, "POST", &path, &own, &json!({"spec": spec}).to_string()).await;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let issued: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"));
        format!(
            "Authorization: Bearer {}\r\n",
            issued["status"]["token"].as_str().unwrap()
        )
    };
    let bound = token(json!({"boundObjectRef": {"apiVersion": "v1", "kind": "Secret", "name": "s"}})).await;
    let of_others = token(json!({"audiences": ["vault"]})).await;
    let is_taken = async |token: &str| {
        ask(&listener, "/version", token)
            .await
            .starts_with("HTTP/1.1 200 ")
    };
    assert!(is_taken(&bound).await);
    assert!(!is_taken(&of_others).await, "it is for somebody else");
    api.ask("DELETE", &format!("{core}/secrets/s"), None).await;
    assert!(!is_taken(&bound).await);
    // In the process nobody need have one.
    let (code, said) = api.post(&path, &json!({})).await;
    assert_eq!(code, 501, "{said}");
}
