//! The few fields of an object that a table shows, read without the others.

use std::ops::Deref;

use jiff::Timestamp;
use orch_core::object::{Document, LabelSelector};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};

/// A top-level field. One that is left out, or is not as its kind has it, is as if empty: a table is there to be looked at, and
/// one object must not keep the others of a list from it.
pub(super) fn field<T: DeserializeOwned + Default>(document: &Document, name: &str) -> T {
    let json = document.field(name);
    json.and_then(|json| serde_json::from_str::<Or<T>>(json).ok())
        .unwrap_or_default()
        .0
}

/// A value whose `null` means what leaving it out means: Go's writers do both.
#[derive(Clone, Debug, Default)]
pub(super) struct Or<T>(pub(super) T);

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Or<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Option::deserialize(deserializer)?.unwrap_or_default()))
    }
}

impl<T> Deref for Or<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

pub(super) type Text = Or<String>;
pub(super) type List<T> = Or<Vec<T>>;

/// A map of which only the number of entries is shown.
pub(super) type Keys = Or<std::collections::BTreeMap<String, IgnoredAny>>;

/// A time as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Time(Text);

impl Time {
    /// None where there is none, and where the text is no time.
    pub(super) fn get(&self) -> Option<Timestamp> {
        self.0.parse().ok()
    }
}

/// A condition of a pod or a node.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub(super) type_: Text,
    pub(super) status: Text,
    pub(super) reason: Text,
}

impl Condition {
    /// Whether the first of this type is true; none if there is none.
    pub(super) fn is_true(all: &[Self], type_: &str) -> Option<bool> {
        let found = all.iter().find(|one| *one.type_ == type_);
        found.map(|one| *one.status == "True")
    }
}

/// What is shown of a container that is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Container {
    pub(super) name: Text,
    pub(super) image: Text,
    pub(super) restart_policy: Option<String>,
}

/// What is shown of the `spec` of what makes pods.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WorkloadSpec {
    pub(super) replicas: Option<i64>,
    pub(super) selector: Option<LabelSelector>,
    pub(super) template: Or<Template>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Template {
    pub(super) spec: Or<TemplateSpec>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct TemplateSpec {
    pub(super) containers: List<Container>,
    pub(super) node_selector: Or<std::collections::BTreeMap<String, Text>>,
}
