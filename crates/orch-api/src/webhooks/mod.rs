//! Admission webhooks reached by HTTPS, as kube-apiserver reaches them.

mod service;

use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use k8s_openapi::ByteString;
use orch_cluster::webhooks::{ANSWER_MAX, Call, CallError, Caller};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

const JSON: &str = "application/json";
/// How much is told of an answer that is none, in characters.
const TOLD: usize = 200;

/// Asks webhooks by HTTPS/1.1, over a connection for each question.
///
/// The webhook's certificate must be signed by the configuration's `caBundle`; without one nobody is trusted. A webhook that is a
/// `service` is connected to at an address of its Endpoints, or else at its cluster IP, and must have a certificate for
/// `name.namespace.svc`. It presents no certificate of its own.
///
/// ```
/// use std::sync::Arc;
///
/// use orch_api::webhooks::HttpsCaller;
/// use orch_cluster::cluster::Cluster;
/// use orch_core::store::MemoryStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), orch_core::client::ApiError> {
/// let cluster = Cluster::builder(Arc::new(MemoryStore::new())).webhooks(HttpsCaller).start().await?;
/// # cluster.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpsCaller;

#[async_trait]
impl Caller for HttpsCaller {
    async fn call(&self, call: Call<'_>) -> Result<Vec<u8>, CallError> {
        let uri: Uri = call.url().parse().map_err(CallError::new)?;
        let stream = connect(&call, &uri).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(CallError::new)?;
        let request = Request::post(uri.path_and_query().map_or("/", |path| path.as_str()))
            .header(HOST, uri.authority().map_or("", |authority| authority.as_str()))
            .header(CONTENT_TYPE, JSON)
            .header(ACCEPT, JSON)
            .body(Full::new(Bytes::from(call.review)))
            .map_err(CallError::new)?;
        let mut answering = pin!(async move {
            let answer = sender.send_request(request).await.map_err(CallError::new)?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_MAX);
            let body = body.collect().await.map_err(CallError::new)?.to_bytes();
            if status.is_success() {
                return Ok(body.into());
            }
            let text = String::from_utf8_lossy(&body);
            let told: String = text.chars().take(TOLD).collect();
            Err(CallError::new(format_args!(
                "the webhook answered {status}: {told}"
            )))
        });
        tokio::select! {
            biased;
            answer = &mut answering => answer,
            // What has come of the answer by then can still be read.
            _ = connection => answering.await,
        }
    }
}

/// A connection to the webhook, which has shown that it is who the configuration says.
async fn connect(call: &Call<'_>, uri: &Uri) -> Result<TlsStream<TcpStream>, CallError> {
    // An IPv6 address stands in brackets there.
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned()).map_err(CallError::new)?;
    let connector = TlsConnector::from(trust(call.endpoint.ca_bundle.as_ref())?);
    let (host, port) = match &call.endpoint.service {
        Some(service) => service::address(call.client, service).await?,
        None => (host.to_owned(), uri.port_u16().unwrap_or(443)),
    };
    let stream = TcpStream::connect((host.as_str(), port)).await;
    let stream = stream.map_err(|error| CallError::new(format_args!("dial tcp {host}:{port}: {error}")))?;
    connector.connect(name, stream).await.map_err(CallError::new)
}

/// Trusts those whom a bundle of authorities vouches for.
fn trust(bundle: Option<&ByteString>) -> Result<Arc<ClientConfig>, CallError> {
    let bundle = bundle.ok_or_else(|| {
        CallError::new(
            "nobody vouches for the webhook; give its authority's certificate in clientConfig.caBundle",
        )
    })?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bundle.0) {
        let certificate = certificate.map_err(wrong_bundle)?;
        roots.add(certificate).map_err(wrong_bundle)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(CallError::new)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn wrong_bundle(error: impl std::fmt::Display) -> CallError {
    CallError::new(format_args!(
        "clientConfig.caBundle: {error}; PEM certificates are expected"
    ))
}
