//! `kubectl apply`, client-side: what the manifest says now, said before, and what there is.

use std::sync::Arc;

use orch_core::client::{ApiError, Client, Collection, Part, Patch, Target, WriteParams, Written};
use orch_core::object::{ApiResource, Document, ObjectKey, RawObject};
use serde_json::{Map, Value};

/// Where kubectl, too, keeps what was applied last.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Where namespaced objects go whose manifest says nothing.
const DEFAULT_NAMESPACE: &str = "default";

/// What applying did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The object was created.
    Created,
    /// The object was changed.
    Configured,
    /// The object was so already.
    Unchanged,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
        })
    }
}

/// An object that has been applied.
#[derive(Clone, Debug)]
pub struct Applied {
    /// What was done.
    pub outcome: Outcome,
    /// The object as it now is.
    pub document: Document,
    /// What the applier should know.
    pub warnings: Vec<String>,
}

/// Creates the object, or changes what the manifest says and what it said before but says no more.
///
/// What others set and the manifest never mentioned stays. Lists are replaced whole (a JSON merge patch, as
/// kubectl uses it for custom resources); what defaulting adds to their elements is added again. A Deployment's
/// strategy, once the manifest changes it, is what the manifest says of it (`retainKeys`).
pub async fn apply(
    client: &Client,
    resource: &ApiResource,
    mut object: RawObject,
    dry_run: bool,
) -> Result<Applied, ApiError> {
    let params = WriteParams::default().dry_run(dry_run);
    let key = identify(resource, &mut object)?;
    remember(&mut object)?;
    let resource = Arc::new(resource.clone());
    let target = Target {
        resource: resource.clone(),
        key,
    };
    let backend = client.backend();
    loop {
        let current = match backend.get(&target).await {
            Ok(current) => current,
            Err(ApiError::NotFound(_)) => {
                let namespace = target.key.namespace().map(str::to_owned);
                let collection = Collection {
                    resource: resource.clone(),
                    namespace,
                };
                match backend.create(&collection, object.clone(), &params).await {
                    Ok(written) => return Ok(done(Outcome::Created, written)),
                    // Somebody else was faster; change what they made.
                    Err(ApiError::AlreadyExists(_)) => continue,
                    Err(error) => return Err(error),
                }
            }
            Err(error) => return Err(error),
        };
        let current = current
            .to_raw()
            .map_err(|error| ApiError::BadRequest(error.to_string()))?;
        let original = last_applied(&current);
        let mut patch = three_way(original.as_ref(), &object, &current);
        retain_keys(&target.resource, &mut patch, &object, &current);
        let patch = Patch::Merge(Value::Object(patch));
        return match backend.patch(&target, Part::Whole, &patch, &params).await {
            Ok(written) => {
                let outcome = if written.changed {
                    Outcome::Configured
                } else {
                    Outcome::Unchanged
                };
                Ok(done(outcome, written))
            }
            // Deleted meanwhile: make it anew.
            Err(ApiError::NotFound(_)) => continue,
            Err(error) => Err(error),
        };
    }
}

fn done(outcome: Outcome, written: Written) -> Applied {
    Applied {
        outcome,
        document: written.document,
        warnings: written.warnings,
    }
}

fn identify(resource: &ApiResource, object: &mut RawObject) -> Result<ObjectKey, ApiError> {
    let bad = |reason: &str| ApiError::BadRequest(reason.to_owned());
    let meta = object
        .get_mut("metadata")
        .and_then(Value::as_object_mut)
        .ok_or_else(|| bad("metadata: required"))?;
    if resource.is_namespaced() {
        let namespace = meta
            .entry("namespace")
            .or_insert_with(|| DEFAULT_NAMESPACE.into());
        if namespace.is_null() {
            *namespace = DEFAULT_NAMESPACE.into();
        }
    }
    let name = meta.get("name").and_then(Value::as_str);
    let name = name
        .filter(|name| !name.is_empty())
        .ok_or_else(|| bad("metadata.name: required to apply an object"))?;
    let namespace = meta
        .get("namespace")
        .and_then(Value::as_str)
        .filter(|_| resource.is_namespaced());
    Ok(ObjectKey::new(namespace, name))
}

/// Writes into the object what it says itself, for the next time.
fn remember(object: &mut RawObject) -> Result<(), ApiError> {
    let bad = |error: serde_json::Error| ApiError::BadRequest(error.to_string());
    annotations(object).remove(LAST_APPLIED);
    // The status is no configuration.
    object.remove("status");
    let text = serde_json::to_string(object).map_err(bad)?;
    annotations(object).insert(LAST_APPLIED.to_owned(), text.into());
    Ok(())
}

fn annotations(object: &mut RawObject) -> &mut Map<String, Value> {
    let mut map = object;
    for step in ["metadata", "annotations"] {
        let slot = map.entry(step).or_insert_with(|| Value::Object(Map::new()));
        if !slot.is_object() {
            *slot = Value::Object(Map::new());
        }
        let Value::Object(inner) = slot else {
            unreachable!("made a map just above")
        };
        map = inner;
    }
    map
}

fn last_applied(current: &RawObject) -> Option<RawObject> {
    let text = current
        .get("metadata")?
        .get("annotations")?
        .get(LAST_APPLIED)?
        .as_str()?;
    serde_json::from_str(text).ok()
}

/// The merge patch that sets what `modified` says and `current` has otherwise, and removes what `original` said and
/// `modified` does not.
fn three_way(original: Option<&RawObject>, modified: &RawObject, current: &RawObject) -> RawObject {
    let mut patch = Map::new();
    for (key, wanted) in modified {
        let before = original.and_then(|original| original.get(key));
        match (wanted, current.get(key)) {
            (Value::Object(wanted), Some(Value::Object(is))) => {
                let inner = three_way(before.and_then(Value::as_object), wanted, is);
                if !inner.is_empty() {
                    patch.insert(key.clone(), inner.into());
                }
            }
            (wanted, Some(is)) if wanted == is => {}
            (wanted, _) => {
                patch.insert(key.clone(), wanted.clone());
            }
        }
    }
    for key in original.into_iter().flat_map(Map::keys) {
        if !modified.contains_key(key) && current.contains_key(key) {
            patch.insert(key.clone(), Value::Null);
        }
    }
    patch
}

/// Kubernetes' `patchStrategy: retainKeys`: where a union is changed, what the manifest does not say of it goes, also if
/// it was defaulted. Otherwise a Deployment could not become `Recreate`: the parameters of its rolling update, which
/// no manifest ever said, would stay.
fn retain_keys(resource: &ApiResource, patch: &mut RawObject, modified: &RawObject, current: &RawObject) {
    const UNIONS: [(&str, &str, [&str; 2]); 1] = [("apps", "Deployment", ["spec", "strategy"])];
    for (group, kind, path) in UNIONS {
        if resource.group != group || resource.kind != kind {
            continue;
        }
        let at = |object: &RawObject| {
            let [outer, inner] = path;
            object.get(outer)?.get(inner)?.as_object().cloned()
        };
        let (Some(modified), Some(current)) = (at(modified), at(current)) else {
            continue;
        };
        let [outer, inner] = path;
        let patch = patch.get_mut(outer).and_then(|outer| outer.get_mut(inner));
        let Some(patch) = patch.and_then(Value::as_object_mut) else {
            continue;
        };
        for (key, _) in current {
            if !modified.contains_key(&key) {
                patch.insert(key, Value::Null);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> RawObject {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn what_the_manifest_no_longer_says_goes_and_what_others_set_stays() {
        for (original, modified, current, patch) in [
            (json!({}), json!({"a": 1}), json!({"b": 2}), json!({"a": 1})),
            (
                json!({"a": 1}),
                json!({}),
                json!({"a": 1, "b": 2}),
                json!({"a": null}),
            ),
            (json!({"a": 1}), json!({}), json!({"b": 2}), json!({})),
            (
                json!({"m": {"x": 1, "y": 1}}),
                json!({"m": {"x": 2}}),
                json!({"m": {"x": 1, "y": 1, "z": 1}}),
                json!({"m": {"x": 2, "y": null}}),
            ),
            (
                json!({"l": [1]}),
                json!({"l": [1, 2]}),
                json!({"l": [1]}),
                json!({"l": [1, 2]}),
            ),
            (json!({"a": 1}), json!({"a": 1}), json!({"a": 5}), json!({"a": 1})),
        ] {
            let got = three_way(
                Some(&map(original.clone())),
                &map(modified.clone()),
                &map(current.clone()),
            );
            assert_eq!(Value::Object(got), patch, "{original} {modified} {current}");
        }
    }

    fn object() -> impl Strategy<Value = RawObject> {
        let leaf = prop_oneof![
            any::<u8>().prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from)
        ];
        let value = leaf.prop_recursive(3, 16, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-d]", inner, 0..3)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        });
        prop::collection::btree_map("[a-d]", value, 0..4).prop_map(|m| m.into_iter().collect())
    }

    proptest! {
        #[test]
        fn applying_twice_changes_nothing_more(original in object(), modified in object(), current in object()) {
            let mut once = Value::Object(current.clone());
            json_patch::merge(&mut once, &three_way(Some(&original), &modified, &current).into());
            let once = once.as_object().unwrap().clone();
            prop_assert!(three_way(Some(&modified), &modified, &once).is_empty());
        }
    }
}
