//! Events: what Kubernetes refuses of them.

use k8s_openapi::api::core::v1::Event;
use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use super::check;
use super::meta::{self, NameRule};

// Longest texts of an event that has an `eventTime`, in bytes.
const ACTION_LIMIT: usize = 128;
const INSTANCE_LIMIT: usize = 128;
const MESSAGE_LIMIT: usize = 1024;
const REASON_LIMIT: usize = 128;

/// Validates an Event. One without an `eventTime` is of the old form, of which little is asked.
pub fn validate(event: &Event) -> FieldErrors {
    let mut errors = meta::validate(&event.metadata, true, NameRule::Subdomain);
    let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
    let involved = event.involved_object.namespace.as_deref().unwrap_or_default();
    let is_new_form = event.event_time.is_some();
    let agrees = match (involved, is_new_form) {
        // An object without a namespace is spoken of in `default`, by newer reporters in `kube-system` too.
        ("", false) => matches!(namespace, "" | "default"),
        ("", true) => matches!(namespace, "default" | "kube-system"),
        (involved, _) => involved == namespace,
    };
    if !agrees {
        let at = FieldPath::new("involvedObject").child("namespace");
        errors.push(FieldError::invalid(
            &at,
            involved,
            "does not match event.namespace",
        ));
    }
    if is_new_form {
        validate_new_form(&mut errors, event);
    }
    errors
}

fn validate_new_form(errors: &mut FieldErrors, event: &Event) {
    let reporter = event.reporting_component.as_deref().unwrap_or_default();
    let at = FieldPath::new("reportingController");
    if reporter.is_empty() {
        errors.push(FieldError::required(&at, ""));
    }
    check::format(errors, &at, reporter, names::qualified_name(reporter));
    for (field, text, limit, is_required) in [
        (
            "reportingInstance",
            &event.reporting_instance,
            INSTANCE_LIMIT,
            true,
        ),
        ("action", &event.action, ACTION_LIMIT, true),
        ("reason", &event.reason, REASON_LIMIT, true),
        ("message", &event.message, MESSAGE_LIMIT, false),
    ] {
        let at = FieldPath::new(field);
        let length = text.as_ref().map_or(0, String::len);
        if is_required && length == 0 {
            errors.push(FieldError::required(&at, ""));
        }
        if length > limit {
            errors.push(FieldError::invalid(
                &at,
                "",
                format!("can have at most {limit} characters"),
            ));
        }
    }
}
