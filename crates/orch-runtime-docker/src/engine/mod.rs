//! Calls to the engine: bounded in number and time, with errors that say what to do.

pub(crate) mod fault;
mod transport;
mod version;
pub(crate) mod wire;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as BollardError;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use orch_core::runtime::RuntimeError;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

use crate::options::{Address, DockerOptions};
use fault::Fault;
use transport::{SendError, Transport};
pub(crate) use version::ApiVersion;

/// The longest answer that is read whole. A list of 5,000 containers is some 20 MiB.
const ANSWER_LIMIT: usize = 256 << 20;
/// How long an engine may take to say who it is, or half as long as a call may if that is less.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// Which queue a call waits in, so that many slow ones do not delay the quick ones.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lane {
    /// Creating, starting and removing: bounded by [`DockerOptions::parallelism`].
    Heavy,
    /// Reading and small changes.
    Light,
    /// Waits for programs to end rather than for the engine: as many at once that pods hardly ever stop in turns,
    /// and few enough for the connections a process may open.
    Stop,
    /// Takes no place: whoever calls holds one.
    Held,
}

/// An engine, answering or not.
#[derive(Debug)]
pub(crate) struct Engine {
    transport: Transport,
    docker: Docker,
    /// The question that is under way, if one is.
    hello: Mutex<Option<Arc<OnceCell<Result<wire::Version, Fault>>>>>,
    /// Whether it is Docker itself, as far as is known, rather than another with its API.
    is_docker: AtomicBool,
    heavy: Semaphore,
    light: Semaphore,
    stops: Semaphore,
    bound: Duration,
}

impl Engine {
    pub(crate) fn new(options: &DockerOptions) -> Result<Self, RuntimeError> {
        let transport = Transport::new(Address::find(options)?);
        let sender = transport.clone();
        // Our own bounds end a call earlier; bollard's is only a net below them, and counts whole seconds.
        let never = Duration::from_secs(7 * 24 * 3600).as_secs();
        let docker = Docker::connect_with_custom_transport(
            move |request| sender.clone().send_for_bollard(request),
            Some("http://docker"),
            never,
            bollard::API_DEFAULT_VERSION,
        )
        .map_err(|error| RuntimeError::failed("setting up the engine's client", error))?;
        Ok(Self {
            transport,
            docker,
            hello: Mutex::default(),
            is_docker: AtomicBool::new(true),
            heavy: Semaphore::new(options.parallelism),
            light: Semaphore::new(options.parallelism * 4),
            stops: Semaphore::new(options.parallelism * 32),
            bound: options.request_timeout,
        })
    }

    pub(crate) fn address(&self) -> &Address {
        &self.transport.address
    }

    /// The client, for what comes as a stream. Agree on a [`version`](Self::version) first.
    pub(crate) fn docker(&self) -> &Docker {
        &self.docker
    }

    /// What a client's error means.
    pub(crate) fn sorted(&self, error: BollardError) -> Fault {
        self.noted(Fault::from_bollard(error, self.address()))
    }

    /// How long one call may take.
    pub(crate) fn bound(&self) -> Duration {
        self.bound
    }

    /// Asks the engine who it is, and agrees on a version. All who ask while an answer is awaited share it, a
    /// failure too: if each waited for its own, the last would wait for all before it.
    pub(crate) async fn hello(&self) -> Result<wire::Version, Fault> {
        let cell = self.hello.lock().get_or_insert_default().clone();
        let told = cell.get_or_init(async || {
            let told = within(HELLO_TIMEOUT.min(self.bound / 2), self.introduce()).await;
            self.hello.lock().take_if(|asked| Arc::ptr_eq(asked, &cell));
            told
        });
        told.await.clone()
    }

    async fn introduce(&self) -> Result<wire::Version, Fault> {
        let sent = self.transport.send(get("/version")?).await;
        let engine: wire::Version = self.read_json(sent.map_err(|e| self.unsent(e))?).await?;
        self.is_docker.store(!engine.is_podman(), Ordering::Relaxed);
        *self.transport.version.write() = Some(version::negotiate(&engine)?);
        Ok(engine)
    }

    /// Whether it is Docker itself; agree on a [`version`](Self::version) first.
    pub(crate) fn is_docker(&self) -> bool {
        self.is_docker.load(Ordering::Relaxed)
    }

    /// The version agreed on, agreeing on one first if need be.
    pub(crate) async fn version(&self) -> Result<ApiVersion, Fault> {
        if let Some(version) = *self.transport.version.read() {
            return Ok(version);
        }
        version::negotiate(&self.hello().await?)
    }

    /// A call through bollard.
    pub(crate) async fn call<'a, T, F>(
        &'a self,
        lane: Lane,
        bound: Duration,
        call: impl FnOnce(&'a Docker) -> F,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, BollardError>>,
    {
        let _place = self.turn(lane, bound).await?;
        within(bound, async {
            call(&self.docker).await.map_err(|error| self.sorted(error))
        })
        .await
    }

    /// `GET` of something read whole.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Fault> {
        let _place = self.turn(Lane::Light, self.bound).await?;
        within(self.bound, async {
            let response = self.exchange(get(path)?).await?;
            self.read_json(response).await
        })
        .await
    }

    /// `POST` of something, answered with something read whole. For what holds secrets: the client writes the
    /// bodies it sends into the log.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        lane: Lane,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Fault> {
        let request = post(path, body)?;
        let _place = self.turn(lane, self.bound).await?;
        within(self.bound, async {
            let response = self.exchange(request).await?;
            self.read_json(response).await
        })
        .await
    }

    /// The answer to a request whose body comes as it comes; only its beginning is bounded in time.
    pub(crate) async fn open(&self, method: Method, path: &str) -> Result<Response<Incoming>, Fault> {
        within(self.bound, async {
            self.version().await?;
            let request = Request::builder()
                .method(method)
                .uri(path)
                .body(Full::new(Bytes::new()));
            self.exchange(request.map_err(malformed)?).await
        })
        .await
    }

    /// `POST` that waits for its answer without bound.
    pub(crate) async fn wait<T: DeserializeOwned>(&self, path: &str) -> Result<T, Fault> {
        let _place = self.turn(Lane::Stop, self.bound).await?;
        let response = self.open(Method::POST, path).await?;
        self.read_json(response).await
    }

    /// `POST` that turns the connection into a two-way stream.
    pub(crate) async fn upgrade(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<TokioIo<Upgraded>, Fault> {
        let mut request = post(path, body)?;
        let headers = request.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("tcp"));
        within(self.bound, async {
            self.version().await?;
            let response = self.exchange(request).await?;
            let upgraded = hyper::upgrade::on(response).await;
            Ok(TokioIo::new(upgraded.map_err(|error| self.unsent(error.into()))?))
        })
        .await
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Fault> {
        let response = self
            .transport
            .send(request)
            .await
            .map_err(|error| self.unsent(error))?;
        let status = response.status();
        if status.is_success() || status.as_u16() == 101 || status.as_u16() == 304 {
            return Ok(response);
        }
        let body = self.read(response).await?;
        #[derive(serde::Deserialize)]
        struct Refusal {
            message: String,
        }
        let message = serde_json::from_slice::<Refusal>(&body).map_or_else(
            |_| String::from_utf8_lossy(&body).into_owned(),
            |refusal| refusal.message,
        );
        Err(Fault::Refused {
            status: status.as_u16(),
            message,
        })
    }

    async fn read(&self, response: Response<Incoming>) -> Result<Bytes, Fault> {
        let body = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await;
        match body {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) => match error.downcast::<hyper::Error>() {
                Ok(error) => Err(self.unsent((*error).into())),
                Err(error) => Err(Fault::Malformed(error.to_string())),
            },
        }
    }

    /// Reads an answer whole, without bound in time.
    pub(crate) async fn read_json<T: DeserializeOwned>(
        &self,
        response: Response<Incoming>,
    ) -> Result<T, Fault> {
        let body = self.read(response).await?;
        serde_json::from_slice(&body).map_err(malformed)
    }

    fn unsent(&self, error: SendError) -> Fault {
        self.noted(match error {
            SendError::Connect(error) => Fault::away(self.address(), &error),
            SendError::Http(error) => Fault::away(self.address(), &error),
            SendError::Request(error) => malformed(error),
        })
    }

    /// An engine that was away may come back as another version.
    fn noted(&self, fault: Fault) -> Fault {
        if matches!(fault, Fault::Away(_)) {
            *self.transport.version.write() = None;
        }
        fault
    }

    /// Agrees on a version and waits for a place in the lane, both within `bound`: the call itself has its own,
    /// for one that begins late would be given up with its work half done.
    pub(crate) async fn turn(
        &self,
        lane: Lane,
        bound: Duration,
    ) -> Result<Option<SemaphorePermit<'_>>, Fault> {
        within(bound, async {
            self.version().await?;
            let lane = match lane {
                Lane::Heavy => &self.heavy,
                Lane::Light => &self.light,
                Lane::Stop => &self.stops,
                Lane::Held => return Ok(None),
            };
            // Never closed, so an error cannot be.
            Ok(lane.acquire().await.ok())
        })
        .await
    }
}

fn malformed(error: impl std::fmt::Display) -> Fault {
    Fault::Malformed(error.to_string())
}

fn get(path: &str) -> Result<Request<Full<Bytes>>, Fault> {
    Request::builder()
        .uri(path)
        .body(Full::new(Bytes::new()))
        .map_err(malformed)
}

fn post(path: &str, body: &impl Serialize) -> Result<Request<Full<Bytes>>, Fault> {
    let body = serde_json::to_vec(body).map_err(malformed)?;
    Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(body.into()))
        .map_err(malformed)
}

/// `call`, given up after `bound`.
pub(crate) async fn within<T>(
    bound: Duration,
    call: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    tokio::time::timeout(bound, call)
        .await
        .unwrap_or(Err(Fault::Timeout(bound)))
}

/// `path?name=value&…`, encoded.
pub(crate) fn path(path: &str, query: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(query)
        .finish();
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    }
}
