//! Validates environment variables, and references to a pod's own fields.

use k8s_openapi::api::core::v1::{
    EnvFromSource, EnvVar, EnvVarSource, ObjectFieldSelector, ResourceFieldSelector,
};
use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use crate::kinds::check;

/// The fields an environment variable can hold, besides single labels and annotations.
const ENV_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// The fields a file of the downward API can hold, besides single labels and annotations.
pub(super) const FILE_FIELDS: [&str; 5] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
];

/// The fields of a pod that Kubernetes' converts from its API, whether or not a given place may use them.
const KNOWN_FIELDS: [&str; 14] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "status.phase",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

const BYTE_DIVISORS: [&str; 13] = [
    "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei",
];

/// Validates `env`.
pub(super) fn validate_env(errors: &mut FieldErrors, at: &FieldPath, variables: &[EnvVar]) {
    for (index, variable) in variables.iter().enumerate() {
        let at = at.index(index);
        check::required_name(errors, &at.child("name"), &variable.name, names::env_var_name);
        if let Some(source) = &variable.value_from {
            let has_value = variable.value.as_deref().is_some_and(|value| !value.is_empty());
            validate_source(errors, &at.child("valueFrom"), source, has_value);
        }
    }
}

fn validate_source(errors: &mut FieldErrors, at: &FieldPath, source: &EnvVarSource, has_value: bool) {
    let mut given = 0;
    if let Some(field) = &source.field_ref {
        given += 1;
        validate_field(errors, &at.child("fieldRef"), field, &ENV_FIELDS);
    }
    if let Some(resource) = &source.resource_field_ref {
        given += 1;
        validate_resource(errors, &at.child("resourceFieldRef"), resource, false);
    }
    if let Some(key) = &source.config_map_key_ref {
        given += 1;
        validate_key(errors, &at.child("configMapKeyRef"), &key.name, &key.key);
    }
    if let Some(key) = &source.secret_key_ref {
        given += 1;
        validate_key(errors, &at.child("secretKeyRef"), &key.name, &key.key);
    }
    if let Some(key) = &source.file_key_ref {
        given += 1;
        let at = at.child("fileKeyRef");
        check::required_name(errors, &at.child("key"), &key.key, names::env_var_name);
        check::required_name(
            errors,
            &at.child("volumeName"),
            &key.volume_name,
            names::dns_label,
        );
        if key.path.is_empty() {
            errors.push(FieldError::required(&at.child("path"), ""));
        } else {
            check::descending_file(errors, &at.child("path"), &key.path);
        }
    }
    let wrong = if given == 0 {
        "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
    } else if has_value {
        "may not be specified when `value` is not empty"
    } else if given > 1 {
        "may not have more than one field specified at a time"
    } else {
        return;
    };
    errors.push(FieldError::invalid(at, "", wrong));
}

fn validate_key(errors: &mut FieldErrors, at: &FieldPath, name: &str, key: &str) {
    check::format(errors, &at.child("name"), name, names::dns_subdomain(name));
    check::required_name(errors, &at.child("key"), key, names::config_key);
}

/// Validates `envFrom`.
pub(super) fn validate_env_from(errors: &mut FieldErrors, at: &FieldPath, sources: &[EnvFromSource]) {
    for (index, source) in sources.iter().enumerate() {
        let at = at.index(index);
        if let Some(prefix) = source.prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
            check::format(errors, &at.child("prefix"), prefix, names::env_var_name(prefix));
        }
        let references = [
            (
                "configMapRef",
                source.config_map_ref.as_ref().map(|reference| &reference.name),
            ),
            (
                "secretRef",
                source.secret_ref.as_ref().map(|reference| &reference.name),
            ),
        ];
        let mut given = 0;
        for (field, name) in references {
            if let Some(name) = name {
                given += 1;
                check::required_name(errors, &at.child(field).child("name"), name, names::dns_subdomain);
            }
        }
        match given {
            0 => errors.push(FieldError::invalid(
                &at,
                "",
                "must specify one of: `configMapRef` or `secretRef`",
            )),
            1 => {}
            _ => errors.push(FieldError::invalid(
                &at,
                "",
                "may not have more than one field specified at a time",
            )),
        }
    }
}

/// Validates a reference to one of the pod's own fields; `allowed` depends on where it stands.
pub(super) fn validate_field(
    errors: &mut FieldErrors,
    at: &FieldPath,
    field: &ObjectFieldSelector,
    allowed: &[&'static str],
) {
    let version = field.api_version.as_deref().unwrap_or_default();
    if version.is_empty() {
        errors.push(FieldError::required(&at.child("apiVersion"), ""));
        return;
    }
    let path = &field.field_path;
    let at_path = at.child("fieldPath");
    if path.is_empty() {
        errors.push(FieldError::required(&at_path, ""));
        return;
    }
    let (name, subscript) = match path.strip_suffix("']").and_then(|path| path.split_once("['")) {
        Some((name, subscript)) => (name, Some(subscript)),
        None => (path.as_str(), None),
    };
    if version != "v1" {
        let detail = format!("error converting fieldPath: unsupported pod version: {version}");
        errors.push(FieldError::invalid(&at_path, path, detail));
        return;
    }
    if !KNOWN_FIELDS.contains(&name) {
        let detail = format!("error converting fieldPath: field label not supported: {name}");
        errors.push(FieldError::invalid(&at_path, path, detail));
        return;
    }
    match (name, subscript) {
        ("metadata.annotations", Some(key)) => {
            check::format(errors, at, key, names::qualified_name(&key.to_lowercase()));
        }
        ("metadata.labels", Some(key)) => check::format(errors, at, key, names::qualified_name(key)),
        (name, Some(_)) => {
            errors.push(FieldError::invalid(at, name, "does not support subscript"));
        }
        (name, None) => check::optional_one_of(errors, &at_path, Some(name), allowed),
    }
}

/// Validates a reference to a container's request or limit; a file must say whose.
pub(super) fn validate_resource(
    errors: &mut FieldErrors,
    at: &FieldPath,
    field: &ResourceFieldSelector,
    file: bool,
) {
    let resource = field.resource.as_str();
    let huge_pages = resource.starts_with("limits.hugepages-") || resource.starts_with("requests.hugepages-");
    if file && field.container_name.as_deref().unwrap_or_default().is_empty() {
        errors.push(FieldError::required(&at.child("containerName"), ""));
    } else if resource.is_empty() {
        errors.push(FieldError::required(&at.child("resource"), ""));
    } else if !huge_pages {
        check::optional_one_of(errors, &at.child("resource"), Some(resource), &RESOURCES);
    }
    let divisor = field.divisor.as_ref().map_or("", |divisor| divisor.0.as_str());
    if matches!(divisor, "" | "0") {
        return;
    }
    let bytes = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the";
    let detail = match resource
        .split_once('.')
        .map_or(resource, |(_, resource)| resource)
    {
        "cpu" if !["1m", "1"].contains(&divisor) => {
            "only divisor's values 1m and 1 are supported with the cpu resource".to_owned()
        }
        "cpu" => return,
        _ if BYTE_DIVISORS.contains(&divisor) => return,
        "memory" => format!("only divisor's values {bytes} memory resource"),
        "ephemeral-storage" => format!("only divisor's values {bytes} local ephemeral storage resource"),
        _ if huge_pages => format!("only divisor's values {bytes} hugepages resource"),
        _ => return,
    };
    errors.push(FieldError::invalid(&at.child("divisor"), resource, detail));
}
