//! The objects by which a policy judges, as `paramKind` and `paramRef` say.

use std::sync::Arc;

use k8s_openapi::api::admissionregistration::v1::{ParamKind, ParamRef};
use orch_core::client::{AdmissionRequest, ApiError, Client, Collection, ListParams, Target};
use orch_core::object::{ApiResource, Document, LabelSelector, ObjectKey, RawObject};

use crate::admission::Home;
use crate::custom::{DEFINITION, Definition};
use crate::kinds;

/// Why there are no parameters.
pub(super) enum Missing {
    /// The policy is wrong.
    Policy(String),
    /// Its binding is wrong, or what it names is not there.
    Binding(String),
    /// They cannot be read.
    Failed(ApiError),
}

impl From<ApiError> for Missing {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

/// The parameters, by each of which a write is judged; no write is judged by none of them.
///
/// # Errors
///
/// Why the write cannot be judged.
pub(super) async fn collect(
    kind: &ParamKind,
    reference: &ParamRef,
    request: &AdmissionRequest<'_>,
) -> Result<Vec<RawObject>, Missing> {
    let client = request.client;
    let Some(resource) = find(kind, client).await? else {
        let (version, kind) = (text(&kind.api_version), text(&kind.kind));
        return Err(Missing::Policy(format!(
            "failed to find resource referenced by paramKind: '{version}, Kind={kind}'"
        )));
    };
    let namespace = namespace(&resource, reference, request)?;
    let documents = read(&resource, namespace, reference, client).await?;
    if documents.is_empty() && reference.parameter_not_found_action.as_deref() == Some("Deny") {
        return Err(Missing::Binding(
            "no params found for policy binding with `Deny` parameterNotFoundAction".to_owned(),
        ));
    }
    let mut objects = Vec::with_capacity(documents.len());
    for document in documents {
        let object = document.to_raw().map_err(|error| {
            Missing::Binding(format!(
                "params {:?} cannot be read: {error}",
                document.meta().name
            ))
        })?;
        if document.api_version() == resource.api_version() {
            objects.push(object);
        } else {
            objects.extend(client.backend().convert(&resource, vec![object]).await?);
        }
    }
    Ok(objects)
}

/// The namespace in which they are; none of a kind that is in none.
fn namespace<'r>(
    resource: &ApiResource,
    reference: &'r ParamRef,
    request: &AdmissionRequest<'r>,
) -> Result<Option<&'r str>, Missing> {
    let given = reference.namespace.as_deref().filter(|name| !name.is_empty());
    let wrong = match (resource.is_namespaced(), given.or(Home::name(request))) {
        (true, Some(namespace)) => return Ok(Some(namespace)),
        (false, _) if given.is_none() => return Ok(None),
        (true, None) => {
            "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
        }
        (false, _) => "paramRef.namespace must not be provided for a cluster-scoped `paramKind`",
    };
    Err(Missing::Binding(wrong.to_owned()))
}

async fn read(
    resource: &ApiResource,
    namespace: Option<&str>,
    reference: &ParamRef,
    client: &Client,
) -> Result<Vec<Document>, Missing> {
    let resource = Arc::new(resource.clone());
    if let Some(name) = reference.name.as_deref().filter(|name| !name.is_empty()) {
        let key = ObjectKey::new(namespace, name);
        return match client.backend().get(&Target { resource, key }).await {
            Ok(document) => Ok(vec![document]),
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        };
    }
    let selector = reference.selector.clone().unwrap_or_default();
    let selector = LabelSelector::from(&selector).to_selector();
    let selector = selector.map_err(|errors| Missing::Binding(errors.to_string()))?;
    let collection = Collection {
        resource,
        namespace: namespace.map(str::to_owned),
    };
    let params = ListParams::default().labels(selector);
    let list = client.backend().list(&collection, &params).await?;
    match list.unreadable.first() {
        Some(key) => Err(Missing::Binding(format!(
            "params {:?} cannot be read",
            key.name()
        ))),
        None => Ok(list.items),
    }
}

/// The kind of that name and version: a built-in one, one that the client was taught, or one that is defined and served.
async fn find(kind: &ParamKind, client: &Client) -> Result<Option<ApiResource>, ApiError> {
    let (version, kind) = (text(&kind.api_version), text(&kind.kind));
    if let Some(row) = kinds::find_kind(version, kind) {
        return Ok(Some(row.resource.clone()));
    }
    let is_it = |resource: &ApiResource| resource.kind == kind && resource.api_version() == version;
    let definitions = Collection {
        resource: Arc::new(DEFINITION),
        namespace: None,
    };
    let list = client
        .backend()
        .list(&definitions, &ListParams::default())
        .await?;
    let defined = list.items.iter().filter_map(Definition::read);
    let mut versions = defined.flat_map(|definition| definition.versions);
    let found = versions.find(|version| version.is_served && is_it(&version.resource));
    Ok(match found {
        Some(version) => Some(ApiResource::clone(&version.resource)),
        None => client.resources().into_iter().find(is_it),
    })
}

fn text(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or_default()
}
