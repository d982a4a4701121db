//! Deletes all objects of a kind, and says what is left of them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures::stream::{self, StreamExt};
use orch_core::client::{ApiError, Client, Collection, DeleteParams, Deleted, ListParams, Target};
use orch_core::object::{ApiResource, Document};

/// How many deletes are under way at once.
const IN_FLIGHT: usize = 64;
/// How many objects are read at a time.
const PAGE: usize = 500;

/// What is left of a kind after a round of deleting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remaining {
    /// Plural and group: `pods`, `deployments.apps`.
    pub(crate) resource: String,
    /// How many objects.
    pub(crate) objects: usize,
    /// How many of them each finalizer holds.
    pub(crate) finalizers: BTreeMap<String, usize>,
}

/// Deletes all objects of a kind, in a namespace or everywhere; says what is left of them, and what failed. An object that cannot be
/// deleted (a rule refuses it) holds up none of the others.
pub(super) async fn empty(
    client: &Client,
    resource: &Arc<ApiResource>,
    namespace: Option<&str>,
) -> (Option<Remaining>, Option<Failed>) {
    let collection = Collection {
        resource: Arc::clone(resource),
        namespace: namespace.map(str::to_owned),
    };
    let mut params = ListParams::default().limit(PAGE);
    let mut remaining = Remaining {
        resource: resource.group_resource().into_owned(),
        ..Remaining::default()
    };
    let mut failed: Option<Failed> = None;
    loop {
        let page = match client.backend().list(&collection, &params).await {
            Ok(page) => page,
            Err(error) => {
                failed = Some(Failed::count(failed, error));
                break;
            }
        };
        for key in page.unreadable {
            // It is there, and reading it says what is wrong with it.
            remaining.objects += 1;
            let target = Target {
                resource: Arc::clone(resource),
                key,
            };
            if let Err(error) = client.backend().get(&target).await {
                failed = Some(Failed::count(failed, error));
            }
        }
        let mut deletes = Vec::with_capacity(page.items.len());
        for document in page.items {
            deletes.push(delete(client.clone(), Arc::clone(resource), document));
        }
        let mut deletes = stream::iter(deletes).buffer_unordered(IN_FLIGHT);
        while let Some(left) = deletes.next().await {
            let left = match left {
                Ok(left) => left,
                Err(error) => {
                    remaining.objects += 1;
                    failed = Some(Failed::count(failed, error));
                    continue;
                }
            };
            let Some(left) = left else { continue };
            remaining.objects += 1;
            for finalizer in &left.meta().finalizers {
                *remaining.finalizers.entry(finalizer.clone()).or_default() += 1;
            }
        }
        match page.continue_token {
            Some(token) => params.continue_token = Some(token),
            None => break,
        }
    }
    ((remaining.objects > 0).then_some(remaining), failed)
}

/// What went wrong with a kind: the first error, and how many there were.
pub(super) struct Failed {
    pub(super) first: ApiError,
    count: usize,
}

impl Failed {
    fn count(before: Option<Self>, error: ApiError) -> Self {
        match before {
            Some(Self { first, count }) => Self {
                first,
                count: count + 1,
            },
            None => Self {
                first: error,
                count: 1,
            },
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(f)?;
        match self.count - 1 {
            0 => Ok(()),
            more => write!(f, " (and {more} more)"),
        }
    }
}

/// Deletes an object unless that is under way; what is left of it, if it must wait for somebody.
async fn delete(
    client: Client,
    resource: Arc<ApiResource>,
    document: Document,
) -> Result<Option<Document>, ApiError> {
    let meta = document.meta();
    if meta.is_deleting() {
        return Ok(Some(document));
    }
    let key = document.key();
    let params = DeleteParams::default().uid(meta.uid.as_str());
    match client.backend().delete(&Target { resource, key }, &params).await {
        Ok(Deleted::Gone(_)) | Err(ApiError::NotFound(_)) => Ok(None),
        Ok(Deleted::Pending(document)) => Ok(Some(document)),
        Err(error) => Err(error),
    }
}
