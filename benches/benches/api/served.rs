//! The API as it is served, and callers of it: over TLS as kubectl's, and in the process.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use orch_api::listen::{Access, ApiListener};
use orch_api::{ApiOptions, ApiService};
use orch_store::RedbStore;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tower_service::Service;

/// The API of an empty cluster with all rules, over a redb store of its own.
pub(crate) struct Served {
    pub(crate) api: ApiService,
    access: Access,
    tls: TlsConnector,
    listeners: Vec<ApiListener>,
    _directory: TempDir,
}

impl Served {
    /// Behind so many sockets, each of which takes 512 connections.
    pub(crate) async fn start(sockets: usize) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store = RedbStore::open(directory.path().join("state.redb")).expect("a store");
        let client = orch_benches::cluster(Arc::new(store), 0).await;
        let api = ApiService::new(client, ApiOptions::default());
        let access = Access::generate().expect("random numbers");
        let mut listeners = Vec::new();
        for _ in 0..sockets {
            let socket = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
            let listener = ApiListener::start(socket, api.clone(), access.clone());
            listeners.push(listener.expect("an address of loopback"));
        }
        Self {
            tls: connector(&access),
            api,
            access,
            listeners,
            _directory: directory,
        }
    }

    /// A connection to one of the sockets.
    pub(crate) async fn connect(&self, socket: usize) -> Caller {
        let address = self.listeners[socket % self.listeners.len()].address();
        let stream = TcpStream::connect(address).await.expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = self.tls.connect(name, stream).await.expect("its certificate");
        Caller {
            stream,
            read: Vec::new(),
        }
    }

    /// A request as it is sent.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
        let (token, length) = (self.access.token(), body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nUser-Agent: bench/1\r\n"
        );
        let content = match body {
            "" => String::new(),
            _ => format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"),
        };
        format!("{head}{headers}{content}\r\n{body}").into_bytes()
    }

    /// The same without a socket: the code, and how long the answer is.
    pub(crate) async fn call(&self, method: &str, path: &str, body: String) -> (u16, usize) {
        let request = Request::builder().method(method).uri(path);
        let request = request
            .header("Content-Type", "application/json")
            .header("User-Agent", "bench/1")
            .body(Full::new(Bytes::from(body)));
        let mut api = self.api.clone();
        let Ok(answer) = api.call(request.expect("a request")).await;
        let code = answer.status().as_u16();
        let Ok(body) = answer.into_body().collect().await;
        (code, body.to_bytes().len())
    }
}

fn connector(access: &Access) -> TlsConnector {
    let authority = CertificateDer::from_pem_slice(access.certificate().as_bytes()).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(authority).expect("a certificate");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// A connection over TLS.
pub(crate) struct Caller {
    stream: TlsStream<TcpStream>,
    /// What came and is not looked at yet.
    read: Vec<u8>,
}

impl Caller {
    pub(crate) async fn send(&mut self, request: &[u8]) {
        self.stream.write_all(request).await.expect("it is open");
    }

    /// Sends a request and reads its answer whole: the code, and how long the body is.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> (u16, usize) {
        self.send(request).await;
        let head = loop {
            if let Some(end) = self.read.windows(4).position(|end| end == b"\r\n\r\n") {
                break end + 4;
            }
            self.more().await;
        };
        let text = String::from_utf8_lossy(&self.read[..head]).to_ascii_lowercase();
        let code = text[9..12].parse().expect("a code");
        let length = text
            .split_once("content-length: ")
            .and_then(|(_, rest)| rest.split("\r\n").next()?.parse().ok());
        let length: usize = length.expect("its length is said");
        self.read.drain(..head);
        while self.read.len() < length {
            self.more().await;
        }
        self.read.drain(..length);
        (code, length)
    }

    /// Reads on until `word` has come, and forgets all up to there.
    pub(crate) async fn until(&mut self, word: &[u8]) {
        loop {
            if let Some(at) = self.read.windows(word.len()).position(|found| found == word) {
                self.read.drain(..at + word.len());
                return;
            }
            self.more().await;
        }
    }

    async fn more(&mut self) {
        let read = self.stream.read_buf(&mut self.read).await.expect("it is open");
        assert_ne!(read, 0, "it is not closed");
    }
}
