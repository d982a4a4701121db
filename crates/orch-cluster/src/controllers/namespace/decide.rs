//! What a namespace's deletion has come to.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition, NamespaceStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::controllers::empty::Remaining;

/// The finalizer in `spec.finalizers` that holds a namespace until its content is gone.
pub(crate) const FINALIZER: &str = "kubernetes";

/// What to write.
#[derive(Debug, PartialEq)]
pub(crate) struct Plan {
    /// The new status, if it differs.
    pub(crate) status: Option<NamespaceStatus>,
    /// The namespace is empty: take [`FINALIZER`] from `spec.finalizers`.
    pub(crate) finalize: bool,
}

/// Decides about a namespace that is being deleted, from what `remains` in it and the `failures` met while
/// deleting. With one that is not being deleted there is nothing to do.
pub(crate) fn decide(
    namespace: &Namespace,
    remains: &[Remaining],
    failures: &[String],
    now: Timestamp,
) -> Plan {
    if namespace.metadata.deletion_timestamp.is_none() {
        return Plan {
            status: None,
            finalize: false,
        };
    }
    let old = namespace.status.clone().unwrap_or_default();
    let conditions = conditions(
        old.conditions.as_deref().unwrap_or_default(),
        remains,
        failures,
        now,
    );
    let status = NamespaceStatus {
        phase: Some("Terminating".to_owned()),
        conditions: Some(conditions),
    };
    let held = namespace.spec.as_ref().and_then(|spec| spec.finalizers.as_ref());
    let held = held.is_some_and(|finalizers| finalizers.iter().any(|own| own == FINALIZER));
    let is_empty = failures.is_empty() && remains.iter().all(|remaining| remaining.objects == 0);
    Plan {
        status: (status != old).then_some(status),
        finalize: held && is_empty,
    }
}

/// The conditions Kubernetes reports; each is True while it holds the deletion up.
fn conditions(
    old: &[NamespaceCondition],
    remains: &[Remaining],
    failures: &[String],
    now: Timestamp,
) -> Vec<NamespaceCondition> {
    let mut left = String::new();
    let mut held: BTreeMap<&str, usize> = BTreeMap::new();
    for remaining in remains.iter().filter(|remaining| remaining.objects > 0) {
        let separator = if left.is_empty() { "" } else { ", " };
        let (resource, objects) = (&remaining.resource, remaining.objects);
        // Writing to a string cannot fail.
        let _ = write!(left, "{separator}{resource} has {objects} resource instances");
        for (finalizer, count) in &remaining.finalizers {
            *held.entry(finalizer).or_default() += count;
        }
    }
    let held: Vec<String> = held
        .into_iter()
        .map(|(finalizer, count)| format!("{finalizer} in {count} resource instances"))
        .collect();
    let table = [
        (
            "NamespaceDeletionContentFailure",
            (!failures.is_empty()).then(|| failures.join("; ")),
            ("ContentDeletionFailed", "Failed to delete all resource types"),
            (
                "ContentDeleted",
                "All content successfully deleted, may be waiting on finalization",
            ),
        ),
        (
            "NamespaceContentRemaining",
            (!left.is_empty()).then_some(left),
            ("SomeResourcesRemain", "Some resources are remaining"),
            ("ContentRemoved", "All content successfully removed"),
        ),
        (
            "NamespaceFinalizersRemaining",
            (!held.is_empty()).then(|| held.join(", ")),
            (
                "SomeFinalizersRemain",
                "Some content in the namespace has finalizers remaining",
            ),
            (
                "ContentHasNoFinalizers",
                "All content-preserving finalizers finished",
            ),
        ),
    ];
    let found = table.map(|(type_, trouble, bad, good)| {
        let (status, reason, message) = match trouble {
            Some(trouble) => ("True", bad.0, format!("{}: {trouble}", bad.1)),
            None => ("False", good.0, good.1.to_owned()),
        };
        let before = old.iter().find(|condition| condition.type_ == type_);
        let since = before.filter(|before| before.status == status);
        NamespaceCondition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_transition_time: since
                .and_then(|before| before.last_transition_time.clone())
                .or(Some(Time(now))),
        }
    });
    let known = |condition: &&NamespaceCondition| found.iter().any(|own| own.type_ == condition.type_);
    let others = old.iter().filter(|condition| !known(condition)).cloned();
    others.chain(found.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn namespace(deleting: bool) -> Namespace {
        let mut value = json!({"metadata": {"name": "a"}, "spec": {"finalizers": ["kubernetes"]}});
        if deleting {
            value["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        serde_json::from_value(value).unwrap()
    }

    fn pods(objects: usize) -> Remaining {
        Remaining {
            resource: "pods".to_owned(),
            objects,
            finalizers: [("example.com/hold".to_owned(), objects)].into(),
        }
    }

    #[test]
    fn a_namespace_goes_when_it_is_empty_and_not_before() {
        let now: Timestamp = "2026-01-01T00:00:01Z".parse().unwrap();
        let failure = vec!["pods: store unavailable".to_owned()];
        // (being deleted, what remains, failures, may go)
        let table: [(bool, Vec<Remaining>, &[String], bool); 5] = [
            (false, vec![], &[], false),
            (true, vec![], &[], true),
            (true, vec![pods(0)], &[], true),
            (true, vec![pods(2)], &[], false),
            (true, vec![], &failure, false),
        ];
        for (deleting, remains, failures, finalize) in table {
            let plan = decide(&namespace(deleting), &remains, failures, now);
            assert_eq!(plan.finalize, finalize, "{deleting} {remains:?} {failures:?}");
            assert_eq!(plan.status.is_some(), deleting);
        }
    }

    #[test]
    fn the_status_says_what_remains_and_is_written_once() {
        let now: Timestamp = "2026-01-01T00:00:01Z".parse().unwrap();
        let mut namespace = namespace(true);
        let status = decide(&namespace, &[pods(2)], &[], now).status.unwrap();
        let conditions = status.conditions.as_ref().unwrap();
        let message = |type_: &str| {
            let condition = conditions
                .iter()
                .find(|condition| condition.type_ == type_)
                .unwrap();
            (condition.status.clone(), condition.message.clone().unwrap())
        };
        let (held, text) = message("NamespaceContentRemaining");
        assert_eq!(
            (held.as_str(), text.as_str()),
            (
                "True",
                "Some resources are remaining: pods has 2 resource instances"
            )
        );
        assert!(
            message("NamespaceFinalizersRemaining")
                .1
                .ends_with("example.com/hold in 2 resource instances")
        );
        assert_eq!(message("NamespaceDeletionContentFailure").0, "False");
        namespace.status = Some(status);
        let later: Timestamp = "2026-01-01T00:00:09Z".parse().unwrap();
        assert_eq!(decide(&namespace, &[pods(2)], &[], later).status, None);
    }
}
