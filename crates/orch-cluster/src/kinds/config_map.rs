//! ConfigMaps: what Kubernetes refuses of them. They have no defaults that can be seen.

use k8s_openapi::api::core::v1::ConfigMap;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use super::check;
use super::meta::{self, NameRule};

/// All values of a ConfigMap or of a Secret together, in bytes.
pub const DATA_LIMIT: usize = 1024 * 1024;

/// Validates a ConfigMap.
pub fn validate(config_map: &ConfigMap) -> FieldErrors {
    let mut errors = meta::validate(&config_map.metadata, true, NameRule::Subdomain);
    let mut bytes = 0;
    let at = FieldPath::new("data");
    for (key, value) in config_map.data.iter().flatten() {
        check::data_key(&mut errors, &at.key(key.clone()), key);
        if config_map
            .binary_data
            .as_ref()
            .is_some_and(|data| data.contains_key(key))
        {
            let detail = "duplicate of key present in binaryData";
            errors.push(FieldError::invalid(&at.key(key.clone()), key, detail));
        }
        bytes += value.len();
    }
    let at = FieldPath::new("binaryData");
    for (key, value) in config_map.binary_data.iter().flatten() {
        check::data_key(&mut errors, &at.key(key.clone()), key);
        bytes += value.0.len();
    }
    if bytes > DATA_LIMIT {
        errors.push(FieldError::too_long(&FieldPath::root(), DATA_LIMIT));
    }
    errors
}

/// Validates a ConfigMap that replaces `old`: an immutable one keeps its data, and stays immutable.
pub fn validate_update(new: &ConfigMap, old: &ConfigMap) -> FieldErrors {
    let mut errors = FieldErrors::default();
    if old.immutable == Some(true) {
        for (field, changed) in [
            ("immutable", new.immutable != Some(true)),
            (
                "data",
                new.data.clone().unwrap_or_default() != old.data.clone().unwrap_or_default(),
            ),
            (
                "binaryData",
                new.binary_data.clone().unwrap_or_default() != old.binary_data.clone().unwrap_or_default(),
            ),
        ] {
            if changed {
                let detail = "field is immutable when `immutable` is set";
                errors.push(FieldError::forbidden(&FieldPath::new(field), detail));
            }
        }
    }
    errors.extend(validate(new));
    errors
}
