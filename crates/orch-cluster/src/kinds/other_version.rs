//! Other versions of built-in kinds: what is stored in one is read and written in the others as well.

use std::sync::LazyLock;

use orch_core::object::{ApiResource, RawObject, Scope};

use super::autoscaling::v1;
use super::{BuiltIn, find_kind};

/// A version, or group, that a built-in kind is served in beside the one that its objects are stored in.
#[derive(Debug)]
#[non_exhaustive]
pub struct OtherVersion {
    /// The kind in this version.
    pub resource: ApiResource,
    /// The kind in the version that is stored.
    pub stored: &'static BuiltIn,
    /// Makes an object of this version one that is stored. What it leaves out is left out, so that it may be part of one.
    pub to_stored: fn(&mut RawObject),
    /// Makes a stored object one of this version.
    pub from_stored: fn(&mut RawObject),
}

/// All of them.
///
/// ```
/// use orch_cluster::kinds::OTHER_VERSIONS;
///
/// let events = OTHER_VERSIONS.iter().find(|version| version.resource.group == "events.k8s.io").unwrap();
/// assert_eq!(events.stored.resource.api_version(), "v1");
/// ```
pub static OTHER_VERSIONS: LazyLock<Vec<OtherVersion>> = LazyLock::new(|| {
    let event = find_kind("v1", "Event").map(|stored| OtherVersion {
        resource: ApiResource::new("events.k8s.io", "v1", "Event", "events", Scope::Namespaced),
        stored,
        to_stored: |event| rename(event, "v1", |(new, old)| (new, old)),
        from_stored: |event| rename(event, "events.k8s.io/v1", |(new, old)| (old, new)),
    });
    let autoscaler = find_kind("autoscaling/v2", "HorizontalPodAutoscaler").map(|stored| OtherVersion {
        resource: ApiResource {
            version: "v1".into(),
            ..stored.resource.clone()
        },
        stored,
        to_stored: v1::to_stored,
        from_stored: v1::from_stored,
    });
    event.into_iter().chain(autoscaler).collect()
});

/// What fields of events are called in events.k8s.io/v1, and in v1 (Kubernetes' `pkg/apis/events/v1/conversion.go`).
const EVENT_FIELDS: [(&str, &str); 7] = [
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

type Names = (&'static str, &'static str);

/// Gives the fields the names of a version, by what is to be renamed to what.
fn rename(event: &mut RawObject, api_version: &str, direction: fn(Names) -> Names) {
    event.insert("apiVersion".to_owned(), api_version.into());
    for (from, to) in EVENT_FIELDS.map(direction) {
        if let Some(value) = event.remove(from) {
            event.insert(to.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kinds::testkit::raw;

    #[test]
    fn an_event_is_the_same_in_both_groups() {
        let new = json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "web.1", "namespace": "default"},
            "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "me", "reportingInstance": "me-1",
            "action": "Scaling", "reason": "Scaled", "type": "Normal", "note": "to 3",
            "regarding": {"kind": "Pod", "name": "web"}, "series": {"count": 2}, "deprecatedCount": 2,
        });
        let version = &OTHER_VERSIONS[0];
        let mut event = raw(new.clone());
        (version.to_stored)(&mut event);
        assert_eq!(event["apiVersion"], "v1");
        for (field, value) in [
            ("message", json!("to 3")),
            ("reportingComponent", json!("me")),
            ("involvedObject", json!({"kind": "Pod", "name": "web"})),
            ("count", json!(2)),
        ] {
            assert_eq!(event[field], value, "{field}");
        }
        (version.from_stored)(&mut event);
        assert_eq!(Value::Object(event), new);
    }
}
