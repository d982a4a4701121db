//! The API as a tower service.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use orch_cluster::agent::NodeAccess;
use orch_cluster::cluster::Cluster;
use orch_core::client::Client;
use tokio::sync::Semaphore;
use tower_service::Service;

use crate::answer::Body;
use crate::custom::CustomKinds;
use crate::handle::{self, Server};
use crate::options::ApiOptions;
use crate::publish::Published;

/// Requests that measure at the same time what containers use.
const MEASURING: usize = 4;

/// Kubernetes' REST API over a client; cheap to clone.
///
/// It is always ready, answers every request (a refusal is an answer too: Kubernetes' `Status`), and needs no socket.
///
/// ```
/// use std::sync::Arc;
///
/// use http_body_util::{BodyExt, Empty};
/// use orch_api::{ApiOptions, ApiService};
/// use orch_core::client::Client;
/// use orch_core::store::MemoryStore;
/// use tower_service::Service;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new(Arc::new(MemoryStore::new()));
/// let mut api = ApiService::new(client, ApiOptions::default());
/// let request = http::Request::get("/api/v1/namespaces/web/pods/none").body(Empty::<bytes::Bytes>::new())?;
/// let answer = api.call(request).await?;
/// assert_eq!(answer.status(), 404);
/// let status = answer.into_body().collect().await?.to_bytes();
/// assert!(String::from_utf8(status.to_vec())?.contains(r#""message":"pods \"none\" not found""#));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ApiService(Arc<Server>);

impl ApiService {
    /// Serves what the client gives access to.
    pub fn new(client: Client, options: ApiOptions) -> Self {
        Self::reaching(client, options, [])
    }

    /// Serves that, and what is to be had of the containers on these nodes: what they wrote (`kubectl logs`).
    pub fn reaching(
        client: Client,
        options: ApiOptions,
        nodes: impl IntoIterator<Item = NodeAccess>,
    ) -> Self {
        let nodes = nodes.into_iter().collect();
        Self(Arc::new(Server {
            client,
            options,
            nodes,
            published: Published::default(),
            custom: CustomKinds::default(),
            measuring: Semaphore::new(MEASURING),
        }))
    }
}

impl fmt::Debug for ApiService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiService")
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}

impl<B> Service<Request<B>> for ApiService
where
    B: http_body::Body<Data: Send> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let server = self.0.clone();
        Box::pin(async move { Ok(handle::answer(&server, request).await) })
    }
}

/// Serves a cluster's API: `kube::Client::new(cluster.api(), "default")`.
pub trait ServeApi {
    /// Its API, with the usual bounds, and the containers of its nodes. Of a client alone it is [`ApiService::new`].
    fn api(&self) -> ApiService;
}

impl ServeApi for Cluster {
    fn api(&self) -> ApiService {
        let nodes = self.agents().iter().map(|agent| agent.access().clone());
        ApiService::reaching(self.client().clone(), ApiOptions::default(), nodes)
    }
}
