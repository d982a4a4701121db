//! Secrets: their defaults, and what Kubernetes refuses of them.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use orch_core::object::{FieldError, FieldErrors, FieldPath};
use serde_json::Value;

use super::check;
use super::config_map::DATA_LIMIT;
use super::meta::{self, NameRule};
use super::raw::{Raw, child_or_new, default_text};

/// Fills a Secret: its type is `Opaque`, and `stringData`, which nobody reads back, goes into `data`.
///
/// ```
/// # use serde_json::json;
/// let mut secret = json!({"stringData": {"user": "tom"}});
/// orch_cluster::kinds::secret::default(secret.as_object_mut().unwrap());
/// assert_eq!(secret, json!({"data": {"user": "dG9t"}, "type": "Opaque"}));
/// ```
pub fn default(secret: &mut Raw) {
    default_text(secret, "type", "Opaque");
    // Anything but strings stays where it is, for decoding to refuse.
    let plain = secret.get("stringData").and_then(Value::as_object);
    let encoded: Option<Vec<(String, Value)>> = plain.and_then(|plain| {
        let encode = |text: &str| serde_json::to_value(ByteString(text.as_bytes().to_vec())).ok();
        plain
            .iter()
            .map(|(key, value)| Some((key.clone(), encode(value.as_str()?)?)))
            .collect()
    });
    if let Some(encoded) = encoded {
        if !encoded.is_empty() {
            let Some(data) = child_or_new(secret, "data") else {
                return;
            };
            data.extend(encoded);
        }
        secret.remove("stringData");
    }
}

/// Validates a Secret, its defaults filled.
pub fn validate(secret: &Secret) -> FieldErrors {
    let mut errors = meta::validate(&secret.metadata, true, NameRule::Subdomain);
    let at = FieldPath::new("data");
    let none = BTreeMap::new();
    let data = secret.data.as_ref().unwrap_or(&none);
    let mut bytes = 0;
    for (key, value) in data {
        check::data_key(&mut errors, &at.key(key.clone()), key);
        bytes += value.0.len();
    }
    if bytes > DATA_LIMIT {
        errors.push(FieldError::too_long(&at, DATA_LIMIT));
    }
    validate_type(&mut errors, &at, secret, data);
    errors
}

/// What a Secret of a known type must hold.
fn validate_type(
    errors: &mut FieldErrors,
    at: &FieldPath,
    secret: &Secret,
    data: &BTreeMap<String, ByteString>,
) {
    let mut require = |key: &'static str| {
        if !data.contains_key(key) {
            errors.push(FieldError::required(&at.key(key), ""));
        }
        data.get(key)
    };
    match secret.type_.as_deref().unwrap_or_default() {
        "kubernetes.io/service-account-token" => {
            let key = "kubernetes.io/service-account.name";
            let annotations = secret.metadata.annotations.as_ref();
            if annotations
                .and_then(|annotations| annotations.get(key))
                .is_none_or(String::is_empty)
            {
                let at = FieldPath::new("metadata").child("annotations").key(key);
                errors.push(FieldError::required(&at, ""));
            }
        }
        "kubernetes.io/dockercfg" => {
            let found = require(".dockercfg");
            validate_json(errors, &at.key(".dockercfg"), found);
        }
        "kubernetes.io/dockerconfigjson" => {
            let found = require(".dockerconfigjson");
            validate_json(errors, &at.key(".dockerconfigjson"), found);
        }
        "kubernetes.io/basic-auth" if !data.contains_key("username") && !data.contains_key("password") => {
            require("username");
            require("password");
        }
        "kubernetes.io/ssh-auth" if data.get("ssh-privatekey").is_none_or(|value| value.0.is_empty()) => {
            errors.push(FieldError::required(&at.key("ssh-privatekey"), ""));
        }
        "kubernetes.io/tls" => {
            require("tls.crt");
            require("tls.key");
        }
        _ => {}
    }
}

fn validate_json(errors: &mut FieldErrors, at: &FieldPath, value: Option<&ByteString>) {
    let Some(value) = value else { return };
    if let Err(error) = serde_json::from_slice::<Raw>(&value.0) {
        // The error names a place, never the text.
        let detail = format!(
            "must be a JSON object: line {} column {}",
            error.line(),
            error.column()
        );
        errors.push(FieldError::invalid(at, "<secret contents redacted>", detail));
    }
}

/// Validates a Secret that replaces `old`: its type stays, and an immutable one keeps its data.
pub fn validate_update(new: &Secret, old: &Secret) -> FieldErrors {
    let mut errors = FieldErrors::default();
    check::immutable(&mut errors, &FieldPath::new("type"), &new.type_, &old.type_);
    if old.immutable == Some(true) {
        let changed = new.data.clone().unwrap_or_default() != old.data.clone().unwrap_or_default();
        for (field, changed) in [("immutable", new.immutable != Some(true)), ("data", changed)] {
            if changed {
                let detail = "field is immutable when `immutable` is set";
                errors.push(FieldError::forbidden(&FieldPath::new(field), detail));
            }
        }
    }
    errors.extend(validate(new));
    errors
}
