//! Clients keep what Kubernetes promises of objects.

mod admission;
mod definitions;
mod deletes;
mod field_managers;
mod reads;
mod watches;
mod writes;

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::*;
use crate::object::{ApiResource, ObjectMeta, Scope};
use crate::random::Random;
use crate::store::MemoryStore;

/// A kind with desired state and status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Cat {
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    pub(super) spec: CatSpec,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<CatStatus>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct CatSpec {
    pub(super) lives: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct CatStatus {
    pub(super) asleep: bool,
}

impl Object for Cat {
    fn resource() -> ApiResource {
        ApiResource::new("example.com", "v1", "Cat", "cats", Scope::Namespaced)
    }

    fn metadata(&self) -> Cow<'_, ObjectMeta> {
        Cow::Borrowed(&self.metadata)
    }

    fn set_metadata(&mut self, metadata: ObjectMeta) {
        self.metadata = metadata;
    }
}

pub(super) fn cat(name: &str, lives: u32) -> Cat {
    Cat {
        metadata: ObjectMeta::named(name),
        spec: CatSpec { lives },
        status: None,
    }
}

fn client() -> Client {
    Client::builder(Arc::new(MemoryStore::new()))
        .random(Random::seeded(1))
        .build()
}

fn revision(cat: &Cat) -> crate::store::Revision {
    cat.metadata.resource_version.unwrap()
}
