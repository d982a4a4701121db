//! StorageClasses: their defaults, and what Kubernetes refuses of them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use k8s_openapi::api::core::v1::TopologySelectorTerm;
use k8s_openapi::api::storage::v1::StorageClass;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use crate::kinds::check;
use crate::kinds::meta::{self, NameRule};
use crate::kinds::raw::{Raw, default_value};

/// The most parameters that there may be.
const PARAMETERS: usize = 512;
/// How long they may be together.
const PARAMETER_BYTES: usize = 256 << 10;

/// Fills a StorageClass: volumes go with their claims, and are made at once.
pub(super) fn default(class: &mut Raw) {
    default_value(class, "reclaimPolicy", "Delete");
    default_value(class, "volumeBindingMode", "Immediate");
}

pub(super) fn validate(class: &StorageClass) -> FieldErrors {
    let mut errors = meta::validate(&class.metadata, false, NameRule::Subdomain);
    let at = FieldPath::new("provisioner");
    validate_provisioner(&mut errors, &at, &class.provisioner);
    validate_parameters(&mut errors, class.parameters.as_ref());
    let reclaim = class
        .reclaim_policy
        .as_deref()
        .filter(|policy| !policy.is_empty());
    let at = FieldPath::new("reclaimPolicy");
    check::optional_one_of(&mut errors, &at, reclaim, &["Delete", "Retain"]);
    let at = FieldPath::new("volumeBindingMode");
    let modes = ["Immediate", "WaitForFirstConsumer"];
    check::optional_one_of(&mut errors, &at, class.volume_binding_mode.as_deref(), &modes);
    let terms = class.allowed_topologies.as_deref().unwrap_or_default();
    validate_topologies(&mut errors, terms);
    errors
}

/// Validates a StorageClass that replaces `old`: its volumes are what they are.
pub(super) fn validate_update(new: &StorageClass, old: &StorageClass) -> FieldErrors {
    let mut errors = validate(new);
    forbid_changes(
        &mut errors,
        &[
            ("parameters", new.parameters != old.parameters),
            ("provisioner", new.provisioner != old.provisioner),
            ("reclaimPolicy", new.reclaim_policy != old.reclaim_policy),
        ],
    );
    let at = FieldPath::new("volumeBindingMode");
    let (new, old) = (&new.volume_binding_mode, &old.volume_binding_mode);
    check::immutable(&mut errors, &at, new, old);
    errors
}

/// Some fields stay as they were: of each its name, and whether it is another now.
pub(super) fn forbid_changes(errors: &mut FieldErrors, fields: &[(&'static str, bool)]) {
    for (field, has_changed) in fields {
        if *has_changed {
            let detail = format!("updates to {field} are forbidden.");
            errors.push(FieldError::forbidden(&FieldPath::new(*field), detail));
        }
    }
}

/// Validates the name of the driver that makes volumes, or changes them.
pub(super) fn validate_provisioner(errors: &mut FieldErrors, at: &FieldPath, provisioner: &str) {
    if provisioner.is_empty() {
        errors.push(FieldError::required(at, ""));
    } else {
        check::label_key(errors, at, &provisioner.to_lowercase());
    }
}

/// Validates what that driver is told: much, but not whatever.
pub(super) fn validate_parameters(errors: &mut FieldErrors, parameters: Option<&BTreeMap<String, String>>) {
    let at = FieldPath::new("parameters");
    let none = BTreeMap::new();
    let parameters = parameters.unwrap_or(&none);
    if parameters.len() > PARAMETERS {
        errors.push(FieldError::too_long(&at, PARAMETERS));
        return;
    }
    if parameters.contains_key("") {
        errors.push(FieldError::invalid(&at, "", "field can not be empty."));
    }
    let bytes: usize = parameters
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if bytes > PARAMETER_BYTES {
        errors.push(FieldError::too_long(&at, PARAMETER_BYTES));
    }
}

fn validate_topologies(errors: &mut FieldErrors, terms: &[TopologySelectorTerm]) {
    let mut seen = HashSet::new();
    for (index, term) in terms.iter().enumerate() {
        let at = FieldPath::new("allowedTopologies")
            .index(index)
            .child("matchLabelExpressions");
        let selected = validate_term(errors, &at, term);
        if !seen.insert(selected) {
            errors.push(FieldError::duplicate(&at, ""));
        }
    }
}

/// Validates which nodes a term selects, and gives it without regard to order.
fn validate_term<'a>(
    errors: &mut FieldErrors,
    at: &FieldPath,
    term: &'a TopologySelectorTerm,
) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut selected = BTreeMap::new();
    let expressions = term.match_label_expressions.iter().flatten();
    for (index, expression) in expressions.enumerate() {
        let at = at.index(index);
        let values_at = at.child("values");
        if expression.values.is_empty() {
            errors.push(FieldError::required(&values_at, ""));
        }
        let mut values = BTreeSet::new();
        for (index, value) in expression.values.iter().enumerate() {
            if !values.insert(value.as_str()) {
                errors.push(FieldError::duplicate(&values_at.index(index), value));
            }
        }
        let key_at = at.child("key");
        check::label_key(errors, &key_at, &expression.key);
        if selected.insert(expression.key.as_str(), values).is_some() {
            errors.push(FieldError::duplicate(&key_at, &expression.key));
        }
    }
    selected
}
