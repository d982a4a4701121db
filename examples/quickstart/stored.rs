//! What the store has of a kind, as documents: one that cannot be understood is there all the same.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use orch_core::client::{ApiError, Client, Collection, DocumentList, ListParams};
use orch_core::object::{ApiResource, Object};

/// All pods.
pub(crate) async fn pods(client: &Client) -> Result<DocumentList, ApiError> {
    all(client, Pod::resource()).await
}

/// All pods and what makes some, by kind. What owns comes before what it owns: whoever made a pod was there before it.
pub(crate) async fn workloads(client: &Client) -> Result<Vec<(String, DocumentList)>, ApiError> {
    let mut lists = Vec::new();
    for resource in [Deployment::resource(), ReplicaSet::resource(), Pod::resource()] {
        let kind = resource.kind.to_string();
        lists.push((kind, all(client, resource).await?));
    }
    Ok(lists)
}

async fn all(client: &Client, resource: ApiResource) -> Result<DocumentList, ApiError> {
    let all = Collection {
        resource: Arc::new(resource),
        namespace: None,
    };
    client.backend().list(&all, &ListParams::default()).await
}
