//! Requests that nobody should send, by the thousand: each is answered in time, in Kubernetes' form, and what is refused writes nothing.
//!
//! They are made of good ones by a seed (`ORCH_HOSTILE_SEED`), so many (`ORCH_HOSTILE_REQUESTS`); a failure names the one that did it.

#[path = "../common/mod.rs"]
mod common;
mod mutate;
mod objects;
mod requests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::Http;
use http::StatusCode;
use http_body_util::BodyExt;
use orch_api::{ApiOptions, ApiService};
use orch_core::client::{Client, Collection, ListParams};
use orch_core::object::{ApiResource, Scope};
use orch_core::random::Random;
use orch_core::store::{MemoryStore, Revision};
use serde_json::Value;

use requests::Sent;

/// How many are sent where nobody says otherwise.
const REQUESTS: u64 = 6000;
/// How long an answer may take, on whatever machine.
const SLOW: Duration = Duration::from_secs(10);

fn number(name: &str, usual: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(usual, |given| {
        given
            .parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {given}"))
    })
}

struct World {
    client: Client,
    api: Http,
}

impl World {
    fn new(random: &Random) -> Self {
        let builder = Client::builder(Arc::new(MemoryStore::new())).random(random.fork());
        let client = orch_cluster::kinds::teach(builder).build();
        let api = Http(ApiService::new(client.clone(), ApiOptions::default()));
        Self { client, api }
    }

    /// How many writes there have been.
    async fn revision(&self) -> Revision {
        let collection = Collection {
            resource: Arc::new(ApiResource::new(
                "",
                "v1",
                "Namespace",
                "namespaces",
                Scope::Cluster,
            )),
            namespace: None,
        };
        let list = self
            .client
            .backend()
            .list(&collection, &ListParams::default())
            .await;
        list.expect("the store is in memory").revision
    }

    /// Sends a request and looks at what comes of it.
    async fn judge(&self, sent: &Sent) {
        let before = self.revision().await;
        let began = Instant::now();
        let answer = self.api.send(sent.request()).await;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.expect("it cannot fail").to_bytes();
        let took = began.elapsed();
        assert!(took < SLOW, "it took {took:?}");
        let code = head.status;
        let is_known = code.as_u16() < 500 || code == StatusCode::NOT_IMPLEMENTED;
        let said = String::from_utf8_lossy(&body);
        assert!(is_known, "{code}: {said}");
        let is_json = head.headers["content-type"]
            .as_bytes()
            .starts_with(b"application/json");
        if code.is_success() {
            if is_json && sent.is_write() {
                self.is_kept(&serde_json::from_slice(&body).expect("it is JSON"))
                    .await;
            }
            return;
        }
        let status: Value =
            serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{code}: no status: {said}"));
        assert_eq!(
            (&status["kind"], &status["code"]),
            (&"Status".into(), &code.as_u16().into()),
            "{said}"
        );
        assert!(
            status["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty()),
            "{said}"
        );
        assert!(body.len() < 1 << 20, "a refusal of {} bytes", body.len());
        assert_eq!(self.revision().await, before, "{said}");
    }

    /// What a write was answered with can be read.
    async fn is_kept(&self, written: &Value) {
        let of = |field: &str| written["metadata"][field].as_str().unwrap_or_default();
        let version = written["apiVersion"].as_str().unwrap_or_default();
        if of("resourceVersion").is_empty() || of("name").is_empty() || written["kind"] == "Status" {
            return;
        }
        let Some(plural) = objects::plural(written["kind"].as_str().unwrap_or_default()) else {
            return;
        };
        let root = if version.contains('/') { "apis" } else { "api" };
        let namespace = match of("namespace") {
            "" => String::new(),
            namespace => format!("namespaces/{namespace}/"),
        };
        let path = format!(
            "/{root}/{version}/{namespace}{plural}/{}",
            requests::escaped(of("name"))
        );
        let (code, found) = self.api.get(&path).await;
        // One that was being deleted goes with its last finalizer.
        if code != StatusCode::NOT_FOUND {
            assert_eq!(
                (code, &found["metadata"]["uid"]),
                (StatusCode::OK, &written["metadata"]["uid"]),
                "{path}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_that_is_sent_breaks_the_api() {
    let seed = number("ORCH_HOSTILE_SEED", 1);
    let random = Random::seeded(seed);
    let world = World::new(&random);
    for object in objects::all() {
        let (code, said) = world.api.post(&objects::collection(&object), &object).await;
        assert_eq!(code, StatusCode::CREATED, "a good one is taken: {said}");
    }
    for place in 0..number("ORCH_HOSTILE_REQUESTS", REQUESTS) {
        let sent = Sent::draw(&random);
        let told = Told(&sent, seed, place);
        world.judge(&sent).await;
        drop(told);
    }
    for object in objects::all() {
        let (code, list) = world.api.get(&objects::collection(&object)).await;
        // The definition of a kind may be gone.
        assert!(matches!(code, StatusCode::OK | StatusCode::NOT_FOUND), "{list}");
    }
}

/// Tells which request it was, if the test fails at it.
struct Told<'a>(&'a Sent, u64, u64);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            common::skipped(&format!("seed {}, request {}: {}", self.1, self.2, self.0));
        }
    }
}
