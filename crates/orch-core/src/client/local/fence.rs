//! Fences: a deposed leader's writes are refused by the store itself.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::LocalBackend;
use crate::client::ApiError;
use crate::client::backend::Fences;
use crate::client::{Backend, Client};
use crate::store::{CommitError, Compare, Expect, Key, Revision, Txn};

/// The right to write that a leader holds until the next one raises the fence anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    key: Key,
    raised: Revision,
}

impl Fence {
    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    pub(super) fn compare(&self) -> Compare {
        Compare {
            key: self.key.clone(),
            expect: Expect::Modified(self.raised),
        }
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fence {} of revision {} has fallen", self.key, self.raised)
    }
}

fn fence_key(name: &str) -> Key {
    format!("fence/{name}").into()
}

#[async_trait]
impl Fences for LocalBackend {
    async fn read_fence(&self, name: &str) -> Result<Revision, ApiError> {
        let read = self
            .shared
            .store
            .get(&fence_key(name))
            .await
            .map_err(super::read_error)?;
        Ok(read.value.map_or(Revision::ZERO, |entry| entry.modified))
    }

    async fn raise_fence(&self, name: &str, holder: &str, seen: Revision) -> Result<Option<Fence>, ApiError> {
        let key = fence_key(name);
        let expect = if seen == Revision::ZERO {
            Expect::Absent
        } else {
            Expect::Modified(seen)
        };
        let txn = Txn::new()
            .compare(key.clone(), expect)
            .put(key.clone(), holder.to_owned());
        match self.shared.store.commit(txn).await {
            Ok(committed) => Ok(Some(Fence {
                key,
                raised: committed.revision,
            })),
            Err(CommitError::Conflict { .. }) => Ok(None),
            Err(CommitError::Invalid { reason }) => Err(ApiError::BadRequest(reason)),
            Err(CommitError::Unavailable(source)) => Err(ApiError::Unavailable(source)),
            Err(error) => Err(ApiError::Unknown(error.into())),
        }
    }

    fn behind(&self, fence: &Fence) -> Client {
        let backend: Arc<dyn Backend> = Arc::new(Self {
            shared: self.shared.clone(),
            fence: Some(fence.clone()),
        });
        Client::from_backend(backend)
    }
}
