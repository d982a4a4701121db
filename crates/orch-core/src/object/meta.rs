//! Metadata that every object has.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::store::Revision;

/// Kubernetes' `ObjectMeta`. Empty strings, maps and lists mean unset, and are left out when written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectMeta {
    /// Unique among the kind's objects in its namespace; cannot change.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The beginning of a name that is generated where `name` is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generate_name: Option<String>,
    /// Where it lives; none if its kind is cluster-scoped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Unique over time and space; given at creation, never changes.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The store revision that last wrote it: send it back with an update to be refused if it is stale.
    #[serde(with = "resource_version", skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<Revision>,
    /// Counts the changes of desired state: everything but metadata and status. What a subresource writes (a pod's
    /// binding) does not count unless the kind says so ([`KindRules::counts`](crate::client::KindRules::counts)).
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_zero")]
    pub generation: i64,
    /// When it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation_timestamp: Option<Timestamp>,
    /// When it is to be gone: set by a delete that has to wait. It never goes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<Timestamp>,
    /// How many seconds the delete allowed it to end in peace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_grace_period_seconds: Option<i64>,
    /// What it can be selected by.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What tools keep with it.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// On whose behalf it exists; when all of them are gone, a garbage collector such as orch-cluster's deletes it.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub owner_references: Vec<OwnerReference>,
    /// Who must still act before it may go.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<String>,
    /// What else a writer sent, kept as it was: `managedFields` too, but in the metadata of a
    /// [`Document`](super::Document), where that is [by itself](super::Document::record).
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl ObjectMeta {
    /// Metadata with a name.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// In `namespace`.
    #[must_use]
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// With one more label.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// The owner that controls it, of which there is at most one.
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.owner_references.iter().find(|owner| owner.controller)
    }

    /// Whether it is being deleted.
    pub fn is_deleting(&self) -> bool {
        self.deletion_timestamp.is_some()
    }
}

/// An object on whose behalf another exists, in the same namespace or cluster-scoped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// The owner's `apiVersion`.
    pub api_version: String,
    /// The owner's kind.
    pub kind: String,
    /// The owner's name.
    pub name: String,
    /// The owner's uid; the owner is gone when no object has it, whatever the name.
    pub uid: String,
    /// Whether the owner manages it.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "std::ops::Not::not")]
    pub controller: bool,
    /// Whether a foreground deletion of the owner waits for it.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "std::ops::Not::not")]
    pub block_owner_deletion: bool,
    /// What else a writer sent, kept as it was.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Reads an explicit null as unset, which is how Go's writers leave fields out.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(n: &i64) -> bool {
    *n == 0
}

/// On the wire an opaque string; here a revision's number, as Kubernetes' versions are since KEP-5504.
mod resource_version {
    use super::{Deserialize, Deserializer, Revision, Serializer};

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(
        value: &Option<Revision>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(revision) => serializer.collect_str(revision),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Revision>, D::Error> {
        let text = Option::<std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        match text.as_deref() {
            None | Some("" | "0") => Ok(None),
            Some(text) => text.parse().map(|n| Some(Revision::new(n))).map_err(|_| {
                serde::de::Error::custom(format_args!(
                    "resourceVersion: invalid value {text:?}: must be a decimal number"
                ))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_does_not_know_is_kept_with_owners_too() {
        let json = serde_json::json!({
            "name": "kit",
            "ownerReferences": [{"apiVersion": "v1", "kind": "Cat", "name": "tom", "uid": "1", "since": {"year": 3}}],
            "managedFields": [],
        });
        let meta: ObjectMeta = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(&meta).unwrap(), json);
    }
}
