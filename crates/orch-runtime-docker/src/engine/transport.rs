//! One connection to the engine per request.
//!
//! A pooled connection saves some 50 µs of a call and costs, after an engine's restart, requests that fail on
//! a dead connection or wait behind a stream. Here a dropped response is a closed connection, always.

use std::sync::Arc;
use std::time::Duration;

use bollard::BollardRequest;
use bollard::errors::Error as BollardError;
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderName, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use parking_lot::RwLock;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::version::ApiVersion;
use crate::options::Address;

/// Why a request got no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error(transparent)]
    Connect(#[from] std::io::Error),
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error(transparent)]
    Request(#[from] hyper::http::Error),
}

impl From<SendError> for BollardError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Connect(err) => err.into(),
            SendError::Http(err) => err.into(),
            SendError::Request(err) => err.into(),
        }
    }
}

/// Sends requests to the engine, under the version of the API that was agreed on.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    pub(crate) address: Arc<Address>,
    /// None until agreed on, and again once the engine was away: it may come back as another version.
    pub(crate) version: Arc<RwLock<Option<ApiVersion>>>,
}

/// How long a connection over a network may be silent before the system asks the other side whether it is there,
/// and how often it then asks. Linux gives up after nine questions: a minute after the last word.
const SILENCE: Duration = Duration::from_secs(15);
const PROBE_EVERY: Duration = Duration::from_secs(5);

static REGISTRY_AUTH: HeaderName = HeaderName::from_static("x-registry-auth");

impl Transport {
    pub(crate) fn new(address: Address) -> Self {
        Self {
            address: Arc::new(address),
            version: Arc::default(),
        }
    }

    pub(crate) async fn send<B>(&self, request: Request<B>) -> Result<Response<Incoming>, SendError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let request = self.prepare(request)?;
        match &*self.address {
            Address::Unix(path) => exchange(UnixStream::connect(path).await?, request).await,
            Address::Tcp(authority) => exchange(connect(authority).await?, request).await,
        }
    }

    /// What bollard sends, through the same door.
    pub(crate) async fn send_for_bollard(
        self,
        request: BollardRequest,
    ) -> Result<Response<Incoming>, BollardError> {
        Ok(self.send(request).await?)
    }

    /// Origin form with the version in front, as the engine wants it.
    fn prepare<B>(&self, mut request: Request<B>) -> Result<Request<B>, SendError> {
        let path = request.uri().path_and_query().map_or("/", |p| p.as_str());
        let uri: Uri = match *self.version.read() {
            Some(version) if request.uri().path() != "/version" => format!("/v{version}{path}"),
            _ => path.to_owned(),
        }
        .parse()
        .map_err(hyper::http::Error::from)?;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_static("docker"));
        if let Some(auth) = headers.get_mut(&REGISTRY_AUTH) {
            // bollard encodes by the standard alphabet, the engine decodes by the one for URLs, and an engine
            // that cannot decode asks the registry anonymously.
            let fixed = auth.as_bytes().iter().map(|byte| match byte {
                b'+' => b'-',
                b'/' => b'_',
                other => *other,
            });
            let mut fixed =
                HeaderValue::from_bytes(&fixed.collect::<Vec<_>>()).map_err(hyper::http::Error::from)?;
            fixed.set_sensitive(true);
            *auth = fixed;
        }
        Ok(request)
    }
}

/// Connects over a network. A stream of events may say nothing for days; if the other side is gone without a
/// word (a lost network, a machine without power) only asking the system shows that.
async fn connect(authority: &str) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(authority).await?;
    stream.set_nodelay(true)?;
    let probes = TcpKeepalive::new().with_time(SILENCE).with_interval(PROBE_EVERY);
    SockRef::from(&stream).set_tcp_keepalive(&probes)?;
    Ok(stream)
}

async fn exchange<S, B>(stream: S, request: Request<B>) -> Result<Response<Incoming>, SendError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends by itself once the response is read or dropped.
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::trace!(%error, "connection to the engine ended");
        }
    });
    Ok(sender.send_request(request).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(version: Option<ApiVersion>, uri: &str, auth: Option<&str>) -> (String, Option<String>) {
        let transport = Transport::new(Address::Unix("/x".into()));
        *transport.version.write() = version;
        let mut request = Request::builder().uri(uri);
        if let Some(auth) = auth {
            request = request.header("X-Registry-Auth", auth);
        }
        let request = transport.prepare(request.body(()).unwrap()).unwrap();
        let auth = request.headers().get("x-registry-auth");
        (
            request.uri().to_string(),
            auth.map(|value| value.to_str().unwrap().to_owned()),
        )
    }

    #[test]
    fn the_agreed_version_goes_in_front_of_every_path() {
        let version = Some(ApiVersion(1, 41));
        assert_eq!(
            sent(version, "http://x/containers/json?a=b", None).0,
            "/v1.41/containers/json?a=b"
        );
        assert_eq!(sent(None, "http://x/containers/json", None).0, "/containers/json");
        assert_eq!(sent(version, "/version", None).0, "/version");
    }

    #[tokio::test]
    async fn connections_over_a_network_notice_that_the_other_side_is_gone() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = connect(&listener.local_addr().unwrap().to_string())
            .await
            .unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), SILENCE);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), PROBE_EVERY);
    }

    #[test]
    fn credentials_are_sent_in_the_alphabet_the_engine_reads() {
        assert_eq!(sent(None, "/images/create", Some("a+b/c=")).1.unwrap(), "a-b_c=");
    }
}
