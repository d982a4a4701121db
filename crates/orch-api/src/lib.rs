//! Kubernetes' REST API over a [`Client`](orch_core::client::Client), in the process.
//!
//! [`ApiService`] is a [`tower_service::Service`] that answers Kubernetes' requests: discovery, and reads, lists, watches and writes of
//! every built-in kind and of those that the client was given. Nothing listens on a socket: kube-rs' client takes the service
//! itself, whatever its version, and so runs under tokio's paused time too.
//!
//! ```
//! use std::sync::Arc;
//!
//! use k8s_openapi::api::core::v1::ConfigMap;
//! use kube::api::{Api, ObjectMeta, PostParams};
//! use orch_api::ServeApi;
//! use orch_cluster::cluster::Cluster;
//! use orch_core::store::MemoryStore;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = Cluster::builder(Arc::new(MemoryStore::new())).start().await?;
//! let client = kube::Client::new(cluster.api(), "default");
//!
//! let maps: Api<ConfigMap> = Api::default_namespaced(client);
//! let map = ConfigMap {
//!     metadata: ObjectMeta { name: Some("web".into()), ..ObjectMeta::default() },
//!     ..ConfigMap::default()
//! };
//! maps.create(&PostParams::default(), &map).await?;
//! assert_eq!(maps.list(&Default::default()).await?.items.len(), 1);
//! # cluster.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Who owns which fields
//!
//! `PATCH` with `application/apply-patch+yaml` is server-side apply, of objects and of their status: `kubectl apply --server-side`, and
//! kube-rs' `Patch::Apply`. All other writes through this API are recorded in `metadata.managedFields` as kube-apiserver does it, under
//! the name in `fieldManager`, or that of the program in `User-Agent`. Each record is kept in the same transaction as what it is of, after
//! the object is filled in and before admission may change it.
//!
//! What is written past this API is not recorded: what the cluster's own controllers, its node agents and the embedding program do with a
//! [`Client`](orch_core::client::Client). The record stays as it was, and so a field goes on belonging to whoever wrote it here last: if a
//! program in the process scales a Deployment, the next apply of who owns `spec.replicas` sets it back without a conflict, where in
//! Kubernetes it would be refused; and who owned it and leaves it out removes it. Let such a program write through this API, or give its
//! writes a [`FieldManager`](orch_core::client::FieldManager), or leave the field out of what is applied from the start. An object that was
//! made in the process has no record until the first apply, which takes all that is there for `before-first-apply`'s.
//!
//! What a patch does to an object is in [`patch`], and how values of a kind merge in [`schema`]: both are pure, from values to
//! values.
//!
//! What a request may be is bounded: see [`ApiOptions`]. Who has the service may do everything, as who has
//! the client may: it asks nobody who they are, which the feature `listen` does for those who come over a socket.

mod accept;
mod answer;
mod convert;
mod custom;
mod discovery;
mod fields;
mod handle;
mod input;
#[cfg(feature = "listen")]
pub mod listen;
mod options;
pub mod patch;
mod protobuf;
mod publish;
mod query;
mod resources;
mod route;
pub mod schema;
mod service;
mod status;
mod table;
mod unstored;
#[cfg(feature = "webhooks")]
pub mod webhooks;
mod writer;

pub use answer::Body;
pub use options::ApiOptions;
pub use service::{ApiService, ServeApi};
