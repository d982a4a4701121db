//! Applies the objects of a manifest: all of them, or none if one is refused.

use std::borrow::Cow;
use std::collections::HashSet;

use k8s_openapi::api::core::v1::Namespace;
use orch_core::client::{ApiError, Client};
use orch_core::object::{FieldPath, ObjectKey};

use super::apply::apply;
use super::{Applied, ApplyError};
use crate::manifest::{Item, Manifest, ManifestError, ManifestErrors};

/// The objects of a manifest in the order in which they can be applied.
pub(super) struct Set<'a> {
    /// With their places in the manifest.
    pub(super) items: Vec<(usize, &'a Item)>,
    /// Those that come with it.
    namespaces: HashSet<&'a str>,
}

/// Tries all without writing anything.
pub(crate) async fn check_all(client: &Client, manifest: &Manifest) -> Result<(), ApplyError> {
    Set::of(manifest).check(client).await
}

/// Applies all, or none if one is refused. What was done is told in the order of the file.
pub(crate) async fn apply_all(client: &Client, manifest: &Manifest) -> Result<Vec<Applied>, ApplyError> {
    let set = Set::of(manifest);
    set.check(client).await?;
    let mut applied: Vec<(usize, Applied)> = Vec::with_capacity(set.items.len());
    for (place, item) in set.items {
        match apply_item(client, item, false).await {
            Ok(one) => applied.push((place, one)),
            Err(source) => return Err(failed(item, source, in_order(applied))),
        }
    }
    Ok(in_order(applied))
}

impl<'a> Set<'a> {
    /// Namespaces first, so that what lies in them finds them; of an object given twice the later one, which wins.
    pub(super) fn of(manifest: &'a Manifest) -> Self {
        let mut seen = HashSet::new();
        let mut items: Vec<_> = manifest.items.iter().enumerate().collect();
        items.reverse();
        items.retain(|(_, item)| seen.insert(identity(item)));
        items.sort_by_key(|(place, item)| (!is_namespace(item), *place));
        let namespaces = items.iter().filter(|(_, item)| is_namespace(item));
        Self {
            namespaces: namespaces.map(|(_, item)| item.name()).collect(),
            items,
        }
    }

    /// Tries each without writing anything.
    async fn check(&self, client: &Client) -> Result<(), ApplyError> {
        let mut errors = Vec::new();
        for (_, item) in &self.items {
            match apply_item(client, item, true).await {
                Ok(_) => {}
                Err(ApiError::Invalid { errors: found, .. }) => {
                    errors.extend(item.errors(&found));
                    // It hides whether the namespace is there, which is looked at last.
                    if let Some(error) = self.missing_namespace(client, item).await? {
                        errors.push(error);
                    }
                }
                Err(error) if is_missing_namespace(&error, item) => {
                    if !self.namespaces.contains(namespace(item)) {
                        errors.push(at(item, namespace_field(), &error));
                    }
                }
                // Of the object nothing is known then.
                Err(source @ (ApiError::Unavailable(_) | ApiError::Unknown(_) | ApiError::Expired(_))) => {
                    return Err(failed(item, source, Vec::new()));
                }
                Err(error) => errors.push(at(item, FieldPath::root(), &error)),
            }
        }
        errors.sort_by_key(|error| error.place.position);
        Ok(ManifestErrors::gather(errors)?)
    }

    /// That an object's namespace neither is there nor comes with the manifest.
    async fn missing_namespace(
        &self,
        client: &Client,
        item: &Item,
    ) -> Result<Option<ManifestError>, ApplyError> {
        let name = namespace(item);
        if !item.resource().is_namespaced() || self.namespaces.contains(name) {
            return Ok(None);
        }
        match client.all::<Namespace>().get(name).await {
            Err(error) if is_missing_namespace(&error, item) => Ok(Some(at(item, namespace_field(), &error))),
            Err(source @ (ApiError::Unavailable(_) | ApiError::Unknown(_))) => {
                Err(failed(item, source, Vec::new()))
            }
            // One that cannot be named is told of already.
            Ok(_) | Err(_) => Ok(None),
        }
    }
}

async fn apply_item(client: &Client, item: &Item, dry_run: bool) -> Result<Applied, ApiError> {
    apply(client, item.resource(), item.object().clone(), dry_run).await
}

fn identity(item: &Item) -> (Cow<'_, str>, ObjectKey) {
    let resource = item.resource();
    let namespace = resource.is_namespaced().then(|| namespace(item));
    (resource.group_resource(), ObjectKey::new(namespace, item.name()))
}

pub(super) fn namespace(item: &Item) -> &str {
    item.namespace().unwrap_or("default")
}

pub(super) fn is_namespace(item: &Item) -> bool {
    let resource = item.resource();
    resource.kind == "Namespace" && resource.group.is_empty()
}

fn namespace_field() -> FieldPath {
    FieldPath::new("metadata").child("namespace")
}

/// Whether all that is wrong is that the object's namespace does not exist.
fn is_missing_namespace(error: &ApiError, item: &Item) -> bool {
    let ApiError::NotFound(subject) = error else {
        return false;
    };
    let missing = &subject.resource;
    missing.kind == "Namespace"
        && missing.group.is_empty()
        && item.resource().is_namespaced()
        && subject.key.name() == namespace(item)
}

fn at(item: &Item, path: FieldPath, error: &ApiError) -> ManifestError {
    ManifestError {
        place: item.place(&path),
        message: error.to_string(),
    }
}

fn failed(item: &Item, source: ApiError, applied: Vec<Applied>) -> ApplyError {
    ApplyError::Failed {
        place: item.place(&FieldPath::root()).to_string(),
        source,
        applied,
    }
}

fn in_order(mut applied: Vec<(usize, Applied)>) -> Vec<Applied> {
    applied.sort_by_key(|(place, _)| *place);
    applied.into_iter().map(|(_, one)| one).collect()
}
