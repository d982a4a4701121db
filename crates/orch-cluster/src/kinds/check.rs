//! Checks that many kinds share: each looks at one value and adds what is wrong with it, in Kubernetes' words.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use orch_core::object::{FieldError, FieldErrors, FieldPath};
use orch_core::object::{metadata, names};

use super::same;

/// What Kubernetes says of a changed field that may not change.
pub(crate) const IMMUTABLE: &str = "field is immutable";

/// What Kubernetes says of a number below zero.
pub(crate) const NEGATIVE: &str = "must be greater than or equal to 0";

/// A part of an object that one version of Kubernetes' schema requires and another does not.
pub(crate) fn given<'a, T: 'a>(part: impl Into<Option<&'a T>>) -> Option<&'a T> {
    part.into()
}

/// Adds an error for each thing a format says against a value.
pub(crate) fn format(errors: &mut FieldErrors, at: &FieldPath, value: &str, wrong: Vec<String>) {
    errors.extend(
        wrong
            .into_iter()
            .map(|message| FieldError::invalid(at, value, message)),
    );
}

/// A value of a name's format, which must be given.
pub(crate) fn required_name(
    errors: &mut FieldErrors,
    at: &FieldPath,
    value: &str,
    rule: fn(&str) -> Vec<String>,
) {
    if value.is_empty() {
        errors.push(FieldError::required(at, ""));
    } else {
        format(errors, at, value, rule(value));
    }
}

/// A path behind a domain, which says whose it is: `acme.io/foo`.
pub(crate) fn domain_prefixed_path(errors: &mut FieldErrors, at: &FieldPath, value: &str) {
    if value.is_empty() {
        errors.push(FieldError::required(at, ""));
        return;
    }
    let parts = value.split_once('/');
    let Some((host, path)) = parts.filter(|(host, path)| !host.is_empty() && !path.is_empty()) else {
        let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
        errors.push(FieldError::invalid(at, value, detail));
        return;
    };
    format(errors, at, host, names::dns_subdomain(host));
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte);
    if !path.bytes().all(is_allowed) {
        let detail = "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')";
        errors.push(FieldError::invalid(at, path, detail));
    }
}

/// A number that may not be negative.
pub(crate) fn non_negative(errors: &mut FieldErrors, at: &FieldPath, value: impl Into<Option<i64>>) {
    if let Some(value) = value.into()
        && value < 0
    {
        errors.push(FieldError::invalid(at, value, NEGATIVE));
    }
}

/// A word that must be given and be one of a few.
pub(crate) fn one_of(errors: &mut FieldErrors, at: &FieldPath, value: Option<&str>, allowed: &[&str]) {
    match value.unwrap_or_default() {
        "" => errors.push(FieldError::required(at, "")),
        value => optional_one_of(errors, at, Some(value), allowed),
    }
}

/// A word that, where it is given, must be one of a few.
pub(crate) fn optional_one_of(
    errors: &mut FieldErrors,
    at: &FieldPath,
    value: Option<&str>,
    allowed: &[&str],
) {
    if let Some(value) = value
        && !allowed.contains(&value)
    {
        errors.push(FieldError::not_supported(at, value, allowed.iter().copied()));
    }
}

/// A field that must be what it was.
pub(crate) fn immutable<T: PartialEq + serde::Serialize>(
    errors: &mut FieldErrors,
    at: &FieldPath,
    new: &T,
    old: &T,
) {
    if !same::are_same(new, old) {
        errors.push(FieldError::invalid(at, new, IMMUTABLE));
    }
}

/// The mode of a file in a volume.
pub(crate) fn file_mode(errors: &mut FieldErrors, at: &FieldPath, mode: Option<i32>) {
    if let Some(mode) = mode
        && !(0..=0o777).contains(&mode)
    {
        let allowed = "must be a number between 0 and 0777 (octal), both inclusive";
        errors.push(FieldError::invalid(at, mode, allowed));
    }
}

/// A path that stays below where it starts.
pub(crate) fn descending_path(errors: &mut FieldErrors, at: &FieldPath, path: &str) {
    if path.starts_with('/') {
        errors.push(FieldError::invalid(at, path, "must be a relative path"));
    }
    no_backsteps(errors, at, path);
}

/// A descending path whose first element does not begin with two dots, which atomic volume updates use themselves.
pub(crate) fn descending_file(errors: &mut FieldErrors, at: &FieldPath, path: &str) {
    descending_path(errors, at, path);
    if path.starts_with("..") && path != ".." && !path.starts_with("../") {
        errors.push(FieldError::invalid(at, path, "must not start with '..'"));
    }
}

/// A path without `..` elements.
pub(crate) fn no_backsteps(errors: &mut FieldErrors, at: &FieldPath, path: &str) {
    if path.split('/').any(|element| element == "..") {
        errors.push(FieldError::invalid(at, path, "must not contain '..'"));
    }
}

/// A port number.
pub(crate) fn port_number(errors: &mut FieldErrors, at: &FieldPath, port: i32) {
    if !(1..=65535).contains(&port) {
        errors.push(FieldError::invalid(
            at,
            port,
            "must be between 1 and 65535, inclusive",
        ));
    }
}

/// A port's number or its name.
pub(crate) fn port(errors: &mut FieldErrors, at: &FieldPath, port: &IntOrString) {
    match port {
        IntOrString::Int(number) => port_number(errors, at, *number),
        IntOrString::String(name) => format(errors, at, name, names::port_name(name)),
    }
}

/// An IPv4 or IPv6 address.
pub(crate) fn ip_address(errors: &mut FieldErrors, at: &FieldPath, address: &str) {
    if address.parse::<IpAddr>().is_err() {
        let allowed = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        errors.push(FieldError::invalid(at, address, allowed));
    }
}

/// The id of a user or a group.
pub(crate) fn id(errors: &mut FieldErrors, at: &FieldPath, id: Option<i64>) {
    if let Some(id) = id
        && !(0..=i64::from(i32::MAX)).contains(&id)
    {
        errors.push(FieldError::invalid(
            at,
            id,
            "must be between 0 and 2147483647, inclusive",
        ));
    }
}

/// The key of a label, a taint or a toleration.
pub(crate) fn label_key(errors: &mut FieldErrors, at: &FieldPath, key: &str) {
    format(errors, at, key, names::qualified_name(key));
}

/// Labels, or a map that must look like labels.
pub(crate) fn labels(errors: &mut FieldErrors, at: &FieldPath, labels: Option<&BTreeMap<String, String>>) {
    if let Some(labels) = labels {
        metadata::labels(errors, at, labels);
    }
}

/// A label selector.
pub(crate) fn label_selector(errors: &mut FieldErrors, at: &FieldPath, selector: Option<&LabelSelector>) {
    if let Some(selector) = selector {
        errors.extend(orch_core::object::LabelSelector::from(selector).validate(at));
    }
}

/// The operator of an expression and the values it takes.
pub(crate) fn operator_values(errors: &mut FieldErrors, at: &FieldPath, operator: &str, values: &[String]) {
    match operator {
        "In" | "NotIn" if values.is_empty() => errors.push(FieldError::required(
            &at.child("values"),
            "must be specified when `operator` is 'In' or 'NotIn'",
        )),
        "Exists" | "DoesNotExist" if !values.is_empty() => errors.push(FieldError::forbidden(
            &at.child("values"),
            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        )),
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        operator => errors.push(FieldError::invalid(
            &at.child("operator"),
            operator,
            "not a valid selector operator",
        )),
    }
}

/// A key of a ConfigMap or a Secret.
pub(crate) fn data_key(errors: &mut FieldErrors, at: &FieldPath, key: &str) {
    format(errors, at, key, names::config_key(key));
}
