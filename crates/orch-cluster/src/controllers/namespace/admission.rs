//! The rule that objects live in namespaces that exist (Kubernetes' admission plugin `NamespaceLifecycle`).

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Namespace;
use orch_core::client::{Admission, AdmissionRequest, ApiError, Client, Operation, Refusal, Target};
use orch_core::object::{ApiResource, Object, ObjectKey, ObjectMeta};

/// The namespaces that every cluster has, and that cannot be deleted.
pub const PROTECTED: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Refuses objects in a namespace that does not exist or is being deleted, and the deletion of those in
/// [`PROTECTED`].
///
/// ```
/// use std::sync::Arc;
///
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use orch_cluster::controllers::{NamespaceLifecycle, ensure_namespaces};
/// use orch_core::client::Client;
/// use orch_core::store::MemoryStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), orch_core::client::ApiError> {
/// let client = Client::builder(Arc::new(MemoryStore::new())).admission(NamespaceLifecycle).build();
/// ensure_namespaces(&client).await?;
/// let mut map = ConfigMap::default();
/// map.metadata.name = Some("settings".into());
/// let refused = client.api("nowhere").create(&map).await.unwrap_err();
/// assert_eq!(refused.to_string(), r#"namespaces "nowhere" not found"#);
/// assert!(client.api("default").create(&map).await.is_ok());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct NamespaceLifecycle;

#[async_trait]
impl Admission for NamespaceLifecycle {
    fn name(&self) -> &str {
        "NamespaceLifecycle"
    }

    fn handles(&self, resource: &ApiResource, operation: Operation) -> bool {
        match operation {
            Operation::Create => resource.is_namespaced(),
            Operation::Delete => is_namespace(resource),
            Operation::Update => false,
        }
    }

    async fn validate(&self, request: &AdmissionRequest<'_>) -> Result<(), Refusal> {
        if request.operation == Operation::Delete {
            return if PROTECTED.contains(&request.key.name()) {
                Err(Refusal::Forbidden("this namespace may not be deleted".to_owned()))
            } else {
                Ok(())
            };
        }
        let Some(namespace) = request.key.namespace() else {
            return Ok(());
        };
        let target = Target {
            resource: Arc::new(Namespace::resource()),
            key: ObjectKey::new(None, namespace),
        };
        match request.client.backend().get(&target).await {
            Ok(found) if found.meta().is_deleting() => Err(Refusal::Forbidden(format!(
                "unable to create new content in namespace {namespace} because it is being terminated"
            ))),
            Ok(_) => Ok(()),
            Err(error) => Err(Refusal::Failed(error)),
        }
    }
}

fn is_namespace(resource: &ApiResource) -> bool {
    resource.kind == "Namespace" && resource.group.is_empty()
}

/// Creates those namespaces of [`PROTECTED`] that do not exist yet. May be called again.
pub async fn ensure_namespaces(client: &Client) -> Result<(), ApiError> {
    let api = client.all::<Namespace>();
    for name in PROTECTED {
        if api.get_opt(name).await?.is_some() {
            continue;
        }
        let mut namespace = Namespace::default();
        namespace.set_metadata(ObjectMeta::named(name));
        match api.create(&namespace).await {
            Ok(_) | Err(ApiError::AlreadyExists(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
