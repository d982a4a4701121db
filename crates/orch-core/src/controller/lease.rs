//! The lease that a leader holds.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::object::{ApiResource, Object, ObjectMeta, Scope};

/// A right that one holder has for a while; the wire form is Kubernetes' `coordination.k8s.io/v1` `Lease`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// Who holds it and since when.
    #[serde(default)]
    pub spec: LeaseSpec,
}

/// Who holds a lease and since when.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LeaseSpec {
    /// The holder; none or empty if nobody holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder_identity: Option<String>,
    /// How long it holds without being renewed, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_duration_seconds: Option<i32>,
    /// When the present holder took it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "micro_time")]
    pub acquire_time: Option<Timestamp>,
    /// When the present holder last renewed it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "micro_time")]
    pub renew_time: Option<Timestamp>,
    /// How often the holder has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_transitions: Option<i32>,
    /// What else a writer sent (`strategy` and `preferredHolder` among it), kept as it was.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Kubernetes' `MicroTime`: six digits of a second, which its clients insist on.
#[expect(clippy::ref_option, reason = "serde's signature")]
fn micro_time<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(&format_args!("{time:.6}")),
        None => serializer.serialize_none(),
    }
}

impl Object for Lease {
    fn resource() -> ApiResource {
        ApiResource::new("coordination.k8s.io", "v1", "Lease", "leases", Scope::Namespaced)
    }

    fn metadata(&self) -> Cow<'_, ObjectMeta> {
        Cow::Borrowed(&self.metadata)
    }

    fn set_metadata(&mut self, metadata: ObjectMeta) {
        self.metadata = metadata;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_six_digits_of_a_second() {
        for (time, written) in [
            ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00.000000Z"),
            ("2026-11-20T10:00:00.1234567Z", "2026-11-20T10:00:00.123456Z"),
        ] {
            let spec = LeaseSpec {
                renew_time: Some(time.parse().unwrap()),
                ..LeaseSpec::default()
            };
            let json = serde_json::to_value(&spec).unwrap();
            assert_eq!(json, serde_json::json!({"renewTime": written}));
            serde_json::from_value::<LeaseSpec>(json).unwrap();
        }
    }
}
