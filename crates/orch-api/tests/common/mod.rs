//! Requests as they are on the wire.

#![allow(dead_code)]

pub(crate) mod apply;

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use orch_api::{ApiOptions, ApiService, Body, ServeApi};
use orch_cluster::cluster::Cluster;
use orch_core::store::MemoryStore;
use orch_core::testing::FakeRuntime;
use serde_json::Value;
use tower_service::Service;

/// A cluster of one node that runs nothing, and its API.
pub(crate) async fn cluster(options: ApiOptions) -> (Cluster, Http) {
    let cluster = Cluster::builder(Arc::new(MemoryStore::new()))
        .node("node-1", Arc::new(FakeRuntime::new()))
        .start()
        .await
        .expect("starting a cluster");
    let api = ApiService::new(cluster.client().clone(), options);
    (cluster, Http(api))
}

/// A cluster of one node whose containers can be reached, and its API.
pub(crate) async fn reached(runtime: FakeRuntime) -> (Cluster, Http) {
    let cluster = Cluster::builder(Arc::new(MemoryStore::new()))
        .node("node-1", Arc::new(runtime))
        .start()
        .await
        .expect("starting a cluster");
    let api = Http(cluster.api());
    (cluster, api)
}

/// The API as somebody meets it who writes requests by hand.
pub(crate) struct Http(pub(crate) ApiService);

impl Http {
    pub(crate) async fn send<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes, Error = std::convert::Infallible> + Send + 'static,
    {
        match self.0.clone().call(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        }
    }

    /// A request with a body of a form, or none; the code and what is said.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        sent: Option<(&str, &str)>,
    ) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some((form, _)) = sent {
            request = request.header("Content-Type", form);
        }
        let body = sent.map(|(_, body)| body.to_owned()).unwrap_or_default();
        let answer = self
            .send(request.body(Full::from(body)).expect("a request"))
            .await;
        let code = answer.status();
        (code, json(answer).await)
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.ask("GET", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, object: &Value) -> (StatusCode, Value) {
        self.ask("POST", path, Some(("application/json", &object.to_string())))
            .await
    }
}

pub(crate) async fn json(answer: Response<Body>) -> Value {
    let bytes = answer
        .into_body()
        .collect()
        .await
        .expect("it cannot fail")
        .to_bytes();
    serde_json::from_slice(&bytes).unwrap_or_else(|_| panic!("no JSON: {bytes:?}"))
}

/// The next lines of a watch.
pub(crate) async fn events(body: &mut Body, count: usize) -> Vec<Value> {
    let mut found = Vec::new();
    while found.len() < count {
        let frame = body
            .frame()
            .await
            .expect("the watch goes on")
            .expect("it cannot fail");
        let data = frame.into_data().expect("it has no trailers");
        assert!(data.ends_with(b"\n"), "each frame is a line: {data:?}");
        found.push(serde_json::from_slice(&data).expect("a line is JSON"));
    }
    found
}

pub(crate) fn map(name: &str, value: &str) -> Value {
    serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"app": name}},
        "data": {"key": value},
    })
}

/// Where config maps of the usual namespace are.
pub(crate) const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// Says what was not tested, and why, in a line of its own however tests are run.
pub(crate) fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}
