//! PodTemplates: their defaults, and what Kubernetes refuses of them.

use k8s_openapi::api::core::v1::{PodTemplate, PodTemplateSpec};
use orch_core::object::{FieldErrors, FieldPath};

use crate::kinds::meta::{self, NameRule};
use crate::kinds::pod;
use crate::kinds::raw::{Raw, child, child_mut};

/// Fills a PodTemplate with the defaults of its template.
pub(super) fn default(object: &mut Raw) {
    if let Some(template) = child_mut(object, "template") {
        pod::default_template(template);
    }
}

pub(super) fn validate(object: &PodTemplate) -> FieldErrors {
    let mut errors = meta::validate(&object.metadata, true, NameRule::Subdomain);
    let none = PodTemplateSpec::default();
    let template = object.template.as_ref().unwrap_or(&none);
    pod::validate_any_template(&mut errors, &FieldPath::new("template"), template);
    errors
}

pub(super) fn warnings(object: &Raw) -> Vec<String> {
    let template = child(object, "template");
    let at = FieldPath::new("template");
    template
        .map(|template| pod::template_warnings(template, &at))
        .unwrap_or_default()
}
