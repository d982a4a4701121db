//! Objects in other versions of their kind than they are stored in.

use super::raw::{bad, object_to_json};
use super::{LocalBackend, subject};
use crate::client::{ApiError, Conversion, Target};
use crate::object::{ApiResource, Document, RawObject};

/// An object that is to be changed, in the version that its kind is stored in now.
pub(super) struct Current {
    pub(super) document: Document,
    /// Whether it is stored in another: it is written then though nothing else of it changes.
    pub(super) is_of_old: bool,
}

impl LocalBackend {
    /// The object in the version of `target`, which is the one that it is to be stored in.
    pub(super) async fn current(&self, target: &Target, document: Document) -> Result<Current, ApiError> {
        let as_it_is = |document| Current {
            document,
            is_of_old: false,
        };
        let resource = &target.resource;
        if is_of(resource, document.api_version()) {
            return Ok(as_it_is(document));
        }
        let kind = self.kind(resource).await?;
        let Some(conversion) = kind.conversion() else {
            return Ok(as_it_is(document));
        };
        let old = document.to_raw().map_err(bad)?;
        let mut converted = self.converted(conversion, resource, vec![old]).await?;
        let converted = converted
            .pop()
            .ok_or_else(|| ApiError::NotFound(subject(target)))?;
        let json = object_to_json(&converted)?;
        Ok(Current {
            document: Document::from_stored(json, document.revision()).map_err(bad)?,
            is_of_old: true,
        })
    }

    /// All the objects in the version of `resource`.
    pub(super) async fn all_in_version(
        &self,
        resource: &ApiResource,
        mut objects: Vec<RawObject>,
    ) -> Result<Vec<RawObject>, ApiError> {
        let kind = self.kind(resource).await?;
        if let Some(conversion) = kind.conversion() {
            return self.converted(conversion, resource, objects).await;
        }
        for object in &mut objects {
            object.insert("apiVersion".to_owned(), resource.api_version().into());
        }
        Ok(objects)
    }

    async fn converted(
        &self,
        conversion: &dyn Conversion,
        resource: &ApiResource,
        objects: Vec<RawObject>,
    ) -> Result<Vec<RawObject>, ApiError> {
        let version = resource.api_version();
        conversion.convert(objects, &version, &self.client()).await
    }
}

fn is_of(resource: &ApiResource, api_version: &str) -> bool {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    resource.group == group && resource.version == version
}
