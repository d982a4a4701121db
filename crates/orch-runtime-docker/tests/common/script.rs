//! An engine that answers as a test has it, for what a real one cannot be made to do.

use std::path::Path;
use std::sync::Arc;

use orch_runtime_docker::{DockerOptions, DockerRuntime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// Who it says it is.
const VERSION: &str = r#"{"Version":"20.10.24","ApiVersion":"1.41","MinAPIVersion":"1.12","Arch":"amd64"}"#;

/// A request, and the connection to answer it on.
pub(crate) struct Exchange {
    /// `POST /v1.41/containers/create?name=x`
    pub(crate) target: String,
    pub(crate) body: String,
    stream: UnixStream,
}

impl Exchange {
    async fn read(mut stream: UnixStream) -> Option<Self> {
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&bytes);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(": ")?;
                    name.eq_ignore_ascii_case("content-length").then_some(value)
                });
                let length = length.map_or(0, |length| length.parse().expect("a length"));
                if body.len() >= length {
                    let target = head.lines().next()?.rsplit_once(' ')?.0.to_owned();
                    let body = body.to_owned();
                    return Some(Self { target, body, stream });
                }
            }
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    pub(crate) fn is(&self, beginning: &str) -> bool {
        self.target.starts_with(beginning)
    }

    pub(crate) async fn answer(self, status: u16, body: &str) {
        let length = body.len();
        let head = format!("{status} x\r\nContent-Type: application/json\r\nContent-Length: {length}");
        drop(self.begin(&head, body).await);
    }

    /// Begins an answer that ends when the connection is closed.
    pub(crate) async fn open(self, beginning: &str) -> UnixStream {
        self.begin("200 OK", beginning).await
    }

    /// Makes a two-way stream of the connection.
    pub(crate) async fn upgrade(self) -> UnixStream {
        self.begin("101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp", "")
            .await
    }

    async fn begin(mut self, head: &str, body: &str) -> UnixStream {
        // Whoever asked may have left.
        let _ = self
            .stream
            .write_all(format!("HTTP/1.1 {head}\r\n\r\n{body}").as_bytes())
            .await;
        self.stream
    }
}

/// Listens at `path`, and has each request answered by `engine`.
pub(crate) fn serve<F: Future<Output = ()> + Send + 'static>(
    path: &Path,
    engine: impl Fn(Exchange) -> F + Send + Sync + 'static,
) {
    let listener = UnixListener::bind(path).expect("a socket");
    let engine = Arc::new(engine);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let engine = Arc::clone(&engine);
            tokio::spawn(async move {
                if let Some(exchange) = Exchange::read(stream).await {
                    engine(exchange).await;
                }
            });
        }
    });
}

/// An engine of API 1.41 that leaves everything else to the test.
pub(crate) struct Script(tempfile::TempDir);

impl Script {
    pub(crate) fn new<F: Future<Output = ()> + Send + 'static>(
        engine: impl Fn(Exchange) -> F + Send + Sync + 'static,
    ) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let engine = Arc::new(engine);
        serve(&directory.path().join("engine.sock"), move |exchange| {
            let engine = Arc::clone(&engine);
            async move {
                if exchange.is("GET /version") {
                    exchange.answer(200, VERSION).await;
                } else {
                    engine(exchange).await;
                }
            }
        });
        Self(directory)
    }

    pub(crate) fn options(&self) -> DockerOptions {
        let path = self.0.path().join("engine.sock");
        DockerOptions::default().host(format!("unix://{}", path.display()))
    }

    pub(crate) fn runtime(&self) -> DockerRuntime {
        DockerRuntime::new(self.options()).expect("good options")
    }
}

/// What an engine tells of a sandbox or container of the default scope: `kind` as its label has it.
pub(crate) fn inspected(id: &str, kind: &str, state: &str) -> String {
    let mut labels = serde_json::json!({
        "orch.scope": "default", "orch.kind": kind, "orch.pod.uid": "u1", "orch.sandbox": "s1",
    });
    if kind == "container" {
        labels["orch.container.name"] = "main".into();
    }
    let told = serde_json::json!({
        "Id": id, "Created": "2030-01-01T00:00:00Z", "Config": { "Labels": labels },
        "State": { "Status": state, "StartedAt": "2030-01-01T00:00:01Z" },
    });
    told.to_string()
}
