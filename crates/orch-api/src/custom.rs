//! Kinds that CustomResourceDefinitions define, as they are served: read when they are asked for, and made ready once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use orch_cluster::custom::{DEFINITION, Definition, Version};
use orch_core::client::{ApiError, Client, Collection, ListParams, Target};
use orch_core::object::{Document, ObjectKey};
use orch_core::store::Revision;

use crate::schema::Schema;
use crate::table::Columns;

/// A version of a kind of a user's own, and what is made of it to serve it.
#[derive(Clone, Debug)]
pub(crate) struct Custom {
    pub(crate) definition: Arc<Definition>,
    pub(crate) version: Version,
    /// How objects merge as they are stored.
    pub(crate) stored_schema: Schema,
    /// The same of this version.
    pub(crate) own_schema: Option<Schema>,
    pub(crate) columns: Arc<Columns>,
    /// That of the definition.
    pub(crate) revision: Revision,
}

/// All versions of kinds, by the names of their definitions, each as of a revision of its definition.
#[derive(Debug, Default)]
pub(crate) struct CustomKinds(Mutex<HashMap<String, (Revision, Versions)>>);

/// All versions of a kind.
pub(crate) type Versions = Arc<[Arc<Custom>]>;

impl CustomKinds {
    /// The versions of a kind, served or not; none if nobody defines it.
    pub(crate) async fn find(
        &self,
        client: &Client,
        group: &str,
        plural: &str,
    ) -> Result<Option<Versions>, ApiError> {
        let name = format!("{plural}.{group}");
        let target = Target {
            resource: Arc::new(DEFINITION),
            key: ObjectKey::new(None, &name),
        };
        match client.backend().get(&target).await {
            Ok(definition) => Ok(Some(self.versions(&definition))),
            Err(error) if error.is_not_found() => {
                self.known().remove(&name);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// All that are served.
    pub(crate) async fn all(&self, client: &Client) -> Result<Vec<Arc<Custom>>, ApiError> {
        let collection = Collection {
            resource: Arc::new(DEFINITION),
            namespace: None,
        };
        let list = client.backend().list(&collection, &ListParams::default()).await?;
        let all = list.items.iter().map(|definition| self.versions(definition));
        let all = all.flat_map(|versions| versions.to_vec());
        Ok(all.filter(|one| one.version.is_served).collect())
    }

    fn versions(&self, definition: &Document) -> Versions {
        let (name, revision) = (&definition.meta().name, definition.revision());
        if let Some((of, versions)) = self.known().get(name)
            && *of == revision
        {
            return versions.clone();
        }
        let versions = match Definition::read(definition) {
            Some(definition) => made(definition, revision),
            None => Versions::default(),
        };
        self.known().insert(name.clone(), (revision, versions.clone()));
        versions
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Revision, Versions)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn made(definition: Definition, revision: Revision) -> Versions {
    let definition = Arc::new(definition);
    let stored = Schema::custom_resource(&definition.stored().open_api);
    // What was taken with the definition can be read.
    let stored = stored.unwrap_or_else(|_| Schema::untyped());
    let versions = definition.versions.iter().map(|version| {
        Arc::new(Custom {
            stored_schema: stored.clone(),
            own_schema: Schema::custom_resource(&version.open_api).ok(),
            columns: Arc::new(Columns::of(&version.columns)),
            version: version.clone(),
            definition: definition.clone(),
            revision,
        })
    });
    versions.collect()
}
