//! Objects and options that are sent as protobuf, as kubectl 1.32 and newer do.

mod common;

use bytes::Bytes;
use common::{Http, MAPS};
use http::{Request, StatusCode};
use http_body_util::Full;
use orch_api::ApiOptions;
use serde_json::{Value, json};

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// `kubectl create configmap web --from-literal=key=value`.
const MAP: &str = "6b3873000a0f0a0276311209436f6e6669674d617012230a130a0377656212001a0022002a00320038004200120c0a036b6579120576616c75651a002200";

/// `kubectl create deployment web --image=nginx --replicas=0 --port=80`.
const DEPLOYMENT: &str = "6b3873000a150a07617070732f7631120a4465706c6f796d656e7412b8010a1f0a0377656212001a0022002a003200380042005a0a0a0361707012037765621286010800120c0a0a0a0361707012037765621a6c0a1c0a0012001a0022002a003200380042005a0a0a036170701203776562124c122e0a056e67696e7812056e67696e782a00320a0a001000185022002a0042006a007200800100880100900100a201001a00320042004a0052005800600068008201008a01009a0100c2010022020a00280038001a0c0800100018002000280038001a002200";

/// DeleteOptions of five seconds' grace, as `kubectl drain --grace-period=5` sends them.
const DELETE_OPTIONS: &str = "6b3873000a130a027631120d44656c6574654f7074696f6e73120208051a002200";

/// The same with `propagationPolicy: Sideways` beside.
const WRONG_OPTIONS: &str = "6b3873000a130a027631120d44656c6574654f7074696f6e73120c080522085369646577617973";

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

async fn send(api: &Http, method: &str, path: &str, body: Vec<u8>) -> (StatusCode, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("Content-Type", PROTOBUF)
        .header("Accept", format!("{PROTOBUF},application/json"));
    let answer = api
        .send(request.body(Full::new(Bytes::from(body))).unwrap())
        .await;
    let code = answer.status();
    assert_eq!(answer.headers()["content-type"], "application/json");
    (code, common::json(answer).await)
}

#[tokio::test(start_paused = true)]
async fn an_object_is_made_as_from_json() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    let (code, made) = send(&api, "POST", MAPS, bytes(MAP)).await;
    assert_eq!(code, 201, "{made}");
    assert_eq!(made["data"], json!({"key": "value"}));
    assert_eq!(
        (&made["kind"], &made["apiVersion"]),
        (&json!("ConfigMap"), &json!("v1"))
    );
    let record = &made["metadata"]["managedFields"][0]["fieldsV1"];
    assert_eq!(
        record,
        &json!({"f:data": {".": {}, "f:key": {}}}),
        "nothing else is set: {made}"
    );

    let all = "/apis/apps/v1/namespaces/default/deployments";
    let (code, made) = send(&api, "POST", all, bytes(DEPLOYMENT)).await;
    assert_eq!(code, 201, "{made}");
    let json = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "json", "labels": {"app": "web"}},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "strategy": {},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "nginx", "image": "nginx", "ports": [{"containerPort": 80}], "resources": {}}]},
            },
        },
        "status": {},
    });
    let (code, same) = api.post(all, &json).await;
    assert_eq!(code, 201, "{same}");
    assert_eq!(made["spec"], same["spec"]);
}

#[tokio::test(start_paused = true)]
async fn an_object_is_put_and_found_changed() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    api.post(MAPS, &common::map("web", "old")).await;
    let (code, put) = send(&api, "PUT", &format!("{MAPS}/web"), bytes(MAP)).await;
    assert_eq!(
        (code, &put["data"]["key"]),
        (StatusCode::OK, &json!("value")),
        "{put}"
    );
    assert_eq!(put["metadata"].get("labels"), None);
}

#[tokio::test(start_paused = true)]
async fn what_to_mind_in_deleting_is_read() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    api.post(MAPS, &common::map("web", "1")).await;
    let path = format!("{MAPS}/web");
    let (code, said) = send(&api, "DELETE", &path, bytes(MAP)).await;
    assert_eq!(code, 400);
    assert_eq!(said["message"], "kind: \"ConfigMap\": must be DeleteOptions");
    let (code, said) = send(&api, "DELETE", &path, bytes(WRONG_OPTIONS)).await;
    assert_eq!(code, 422, "{said}");
    assert!(said["message"].as_str().unwrap().contains("Sideways"), "{said}");
    let (code, said) = send(&api, "DELETE", &path, bytes(DELETE_OPTIONS)).await;
    assert_eq!(
        (code, &said["status"]),
        (StatusCode::OK, &json!("Success")),
        "{said}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_refused_and_why() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    let cut = bytes(MAP)[..30].to_vec();
    for (path, body, said) in [
        (MAPS, Vec::new(), "the body is empty; an object is expected"),
        (
            MAPS,
            b"{}".to_vec(),
            r#"the body cannot be read as protobuf: it must begin with "k8s\0""#,
        ),
        (
            MAPS,
            cut,
            "the body cannot be read as protobuf: it ends in the middle of a field",
        ),
    ] {
        let (code, status) = send(&api, "POST", path, body).await;
        assert_eq!(
            (code, &status["reason"]),
            (StatusCode::BAD_REQUEST, &json!("BadRequest"))
        );
        assert_eq!(status["message"], said);
    }
    // Of another kind than the path's: as JSON of it is.
    let secrets = "/api/v1/namespaces/default/secrets";
    let (code, refused) = send(&api, "POST", secrets, bytes(MAP)).await;
    let map = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "web"}, "data": {"key": "value"}});
    assert_eq!((code, refused), api.post(secrets, &map).await);
    assert_eq!(code, 400);
}
