//! The API on a socket, for kubectl and all else that does not run in this process (feature `listen`).
//!
//! HTTP/1.1 over TLS, without which kubectl names no token: it is made for loopback, and whoever has the token may do everything.

mod access;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use orch_core::client::ApiError;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tower_service::Service;

pub use access::Access;

use crate::answer::Body;
use crate::service::ApiService;
use crate::status::Refused;
use crate::user::User;

/// What the cluster, its user and both together are called in a kubeconfig.
const NAME: &str = "orch";

/// How many connections there are at most; further ones wait until one of these ends.
const CONNECTIONS: usize = 512;

/// How long a caller may take to come to terms of TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long it may take to say what it asks for, and between one request and the next: as long as kube-apiserver.
const HEAD: Duration = Duration::from_secs(90);

/// How long what is under way may take to end, once the listener is stopped. Watches end with it.
const GRACE: Duration = Duration::from_secs(2);

/// How long to wait where a connection could not be taken, for want of descriptors, before the next is.
const PAUSE: Duration = Duration::from_millis(50);

/// The API on a socket, until it is stopped or dropped.
///
/// ```
/// use std::sync::Arc;
///
/// use orch_api::listen::{Access, ApiListener};
/// use orch_api::{ApiOptions, ApiService};
/// use orch_core::client::Client;
/// use orch_core::store::MemoryStore;
/// use tokio::net::TcpListener;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new(Arc::new(MemoryStore::new()));
/// let api = ApiService::new(client, ApiOptions::default());
/// let socket = TcpListener::bind("127.0.0.1:0").await?;
/// let listener = ApiListener::start(socket, api, Access::generate()?)?;
/// // For a file that only its owner may read, and KUBECONFIG.
/// assert!(listener.kubeconfig().contains(&format!("https://{}", listener.address())));
/// listener.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ApiListener {
    address: SocketAddr,
    access: Access,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl ApiListener {
    /// Takes connections from now on, on a task of the tokio runtime that this is called in.
    ///
    /// # Errors
    ///
    /// A socket that has no address, or one off loopback, which the certificate does not name.
    pub fn start(socket: TcpListener, api: ApiService, access: Access) -> io::Result<Self> {
        let address = socket.local_addr()?;
        if !address.ip().is_loopback() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "{address}: must be an address of loopback, 127.0.0.1 or ::1, which the certificate names"
                ),
            ));
        }
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(accept(socket, api, access.clone(), stopped));
        Ok(Self {
            address,
            access,
            stop,
            task,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What callers need to come in.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// What kubectl and kube-rs read of how to come here (`KUBECONFIG`): the address, whom to trust, and the token. JSON, which is YAML
    /// too. Whoever can read it may do everything.
    pub fn kubeconfig(&self) -> String {
        let authority = BASE64_STANDARD.encode(self.access.certificate());
        let server = format!("https://{}", self.address);
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": NAME, "cluster": {"server": server, "certificate-authority-data": authority}}],
            "users": [{"name": NAME, "user": {"token": self.access.token()}}],
            "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": NAME}}],
            "current-context": NAME,
        });
        format!("{config:#}\n")
    }

    /// Takes no more connections, waits up to two seconds for what is under way, and ends watches.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        // It only ends, or is not there any more.
        let _ = (&mut self.task).await;
    }
}

impl Drop for ApiListener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(socket: TcpListener, api: ApiService, access: Access, mut stopped: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await;
            (place, socket.accept().await)
        };
        tokio::select! {
            biased;
            () = is_stopped(&mut stopped) => break,
            // Those that have ended are let go.
            Some(_) = connections.join_next() => {}
            (place, accepted) = next => match accepted {
                Ok((stream, _)) => {
                    let serving = serve(stream, api.clone(), access.clone(), stopped.clone());
                    connections.spawn(async move {
                        let _place = place;
                        serving.await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection to the API could not be taken");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
    drop(socket);
    let ended = async { while connections.join_next().await.is_some() {} };
    // What goes on after that is cut off with the set.
    let _ = tokio::time::timeout(GRACE, ended).await;
}

/// Also where the listener is gone.
async fn is_stopped(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

async fn serve(stream: TcpStream, api: ApiService, access: Access, mut stopped: watch::Receiver<bool>) {
    // Answers are written whole; small ones must not wait for the caller to say that it has the last.
    let _ = stream.set_nodelay(true);
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, access.tls.accept(stream)).await else {
        tracing::debug!("a caller of the API did not come to terms of TLS");
        return;
    };
    let access = Arc::new(access);
    let service = service_fn(move |request| answer(api.clone(), access.clone(), request));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let done = tokio::select! {
        biased;
        done = connection.as_mut() => done,
        () = is_stopped(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = done {
        tracing::debug!(%error, "a connection to the API ended");
    }
}

async fn answer(
    mut api: ApiService,
    access: Arc<Access>,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    // Who asks whether it is ready need not be known, as in Kubernetes.
    let is_open = matches!(request.uri().path(), "/livez" | "/readyz" | "/healthz");
    if is_open {
        return api.call(request).await;
    }
    let user = match user(&api, &access, request.headers()).await {
        Ok(Some(user)) => user,
        Ok(None) => {
            let mut answer = Refused::unauthorized().answer();
            let bearer = HeaderValue::from_static("Bearer");
            answer.headers_mut().insert(WWW_AUTHENTICATE, bearer);
            return Ok(answer);
        }
        Err(error) => return Ok(Refused::from(error).answer()),
    };
    let extensions = request.extensions_mut();
    extensions.insert(user);
    extensions.insert(access.issuer.clone());
    api.call(request).await
}

/// Who asks, if it is known.
async fn user(api: &ApiService, access: &Access, headers: &HeaderMap) -> Result<Option<User>, ApiError> {
    let Some(named) = access::bearer(headers) else {
        return Ok(None);
    };
    if access.is_token(named) {
        return Ok(Some(User::admin()));
    }
    match std::str::from_utf8(named) {
        Ok(token) => access.issuer.user_of(token, api.client()).await,
        Err(_) => Ok(None),
    }
}
