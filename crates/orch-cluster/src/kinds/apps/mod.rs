//! The kinds of apps/v1 that are stored, and that nothing acts on yet.

mod controller_revision;
mod daemon_set;
mod stateful_set;

#[cfg(test)]
mod tests;

use k8s_openapi::api::apps::v1::{
    ControllerRevision, DaemonSet, DaemonSetStatus, StatefulSet, StatefulSetStatus,
};

use super::table::{BuiltIn, one, status, stored, template_warnings, two, without_status};

pub(super) fn rows() -> Vec<BuiltIn> {
    vec![
        BuiltIn {
            short_names: &["sts"],
            categories: &["all"],
            has_status: true,
            has_scale: true,
            prepare_create: without_status,
            default: stateful_set::default,
            warnings: template_warnings,
            validate_status: |new, _| {
                status(new, |new: &StatefulSetStatus| stateful_set::validate_status(new))
            },
            ..stored::<StatefulSet>(
                "statefulset",
                |new| one::<StatefulSet>(new, stateful_set::validate),
                |new, old| two::<StatefulSet>(new, old, stateful_set::validate_update),
            )
        },
        BuiltIn {
            short_names: &["ds"],
            categories: &["all"],
            has_status: true,
            prepare_create: without_status,
            default: daemon_set::default,
            warnings: template_warnings,
            validate_status: |new, _| status(new, |new: &DaemonSetStatus| daemon_set::validate_status(new)),
            ..stored::<DaemonSet>(
                "daemonset",
                |new| one::<DaemonSet>(new, daemon_set::validate),
                |new, old| two::<DaemonSet>(new, old, daemon_set::validate_update),
            )
        },
        stored::<ControllerRevision>(
            "controllerrevision",
            |new| one::<ControllerRevision>(new, controller_revision::validate),
            |new, old| two::<ControllerRevision>(new, old, controller_revision::validate_update),
        ),
    ]
}
