//! What Kubernetes refuses of where a webhook is: a URL, or a service.

use k8s_openapi::api::admissionregistration::v1::{ServiceReference, WebhookClientConfig};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions;
use orch_core::object::{FieldError, FieldErrors, FieldPath, names};

use crate::kinds::check;

/// What a URL looks like.
const FORM: &str = "; desired format: https://host[/path]";

pub(in crate::kinds) fn validate(errors: &mut FieldErrors, at: &FieldPath, client: &WebhookClientConfig) {
    match (&client.url, &client.service) {
        (Some(address), None) => url(errors, &at.child("url"), address),
        (None, Some(reference)) => service(errors, &at.child("service"), reference),
        _ => errors.push(FieldError::required(
            at,
            "exactly one of url or service is required",
        )),
    }
}

/// Where a webhook that converts is, in the words of those that admit, which are the same.
pub(crate) fn as_of_admission(client: &apiextensions::WebhookClientConfig) -> WebhookClientConfig {
    WebhookClientConfig {
        ca_bundle: client.ca_bundle.clone(),
        service: client.service.as_ref().map(|service| ServiceReference {
            name: service.name.clone(),
            namespace: service.namespace.clone(),
            path: service.path.clone(),
            port: service.port,
        }),
        url: client.url.clone(),
    }
}

fn url(errors: &mut FieldErrors, at: &FieldPath, url: &str) {
    let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (scheme, rest) = rest.split_once(':').unwrap_or(("", rest));
    let authority = rest.strip_prefix("//").unwrap_or_default();
    let authority = authority.split('/').next().unwrap_or_default();
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if let Err(problem) = readable(url, host) {
        let detail = format!("url must be a valid URL: parse {url:?}: {problem}{FORM}");
        errors.push(FieldError::required(at, detail));
        return;
    }
    if scheme != "https" {
        let detail = format!("'https' is the only allowed URL scheme{FORM}");
        errors.push(FieldError::invalid(at, scheme, detail));
    }
    if host.is_empty() {
        let detail = format!("host must be provided{FORM}");
        errors.push(FieldError::invalid(at, host, detail));
    }
    for (part, what) in [
        (user, "user information is"),
        (fragment, "fragments are"),
        (query, "query parameters are"),
    ] {
        if !part.is_empty() {
            let detail = format!("{what} not permitted in the URL");
            errors.push(FieldError::invalid(at, part, detail));
        }
    }
}

/// What Go's `net/url` takes for no URL.
fn readable(url: &str, host: &str) -> Result<(), String> {
    if url.chars().any(|c| c.is_ascii_control()) {
        return Err("net/url: invalid control character in URL".to_owned());
    }
    if host.contains(' ') {
        return Err("invalid character \" \" in host name".to_owned());
    }
    // What follows the last colon that is not in an IPv6 address.
    let port = host.rfind(':').filter(|at| !host[*at..].contains(']'));
    let Some(at) = port else { return Ok(()) };
    // None after the colon is that of the scheme.
    match host[at + 1..].parse::<u16>() {
        Err(_) if !host[at + 1..].is_empty() => Err(format!("invalid port {:?} after host", &host[at..])),
        _ => Ok(()),
    }
}

fn service(errors: &mut FieldErrors, at: &FieldPath, service: &ServiceReference) {
    for (field, value) in [("name", &service.name), ("namespace", &service.namespace)] {
        if value.is_empty() {
            let detail = format!("service {field} is required");
            errors.push(FieldError::required(&at.child(field), detail));
        }
    }
    if let Some(port) = service.port.filter(|port| !(1..=65535).contains(port)) {
        let detail = "port is not valid: must be between 1 and 65535, inclusive";
        errors.push(FieldError::invalid(&at.child("port"), port, detail));
    }
    if let Some(path) = &service.path {
        path_segments(errors, &at.child("path"), path);
    }
}

fn path_segments(errors: &mut FieldErrors, at: &FieldPath, path: &str) {
    if path.is_empty() || path == "/" {
        return;
    }
    if path == "//" {
        errors.push(FieldError::invalid(at, path, "segment[0] may not be empty"));
        return;
    }
    let segments = match path.strip_prefix('/') {
        Some(segments) => segments,
        None => {
            errors.push(FieldError::invalid(at, path, "must start with a '/'"));
            path
        }
    };
    let segments = segments.strip_suffix('/').unwrap_or(segments);
    for (index, segment) in segments.split('/').enumerate() {
        if segment.is_empty() {
            let detail = format!("segment[{index}] may not be empty");
            errors.push(FieldError::invalid(at, path, detail));
            continue;
        }
        let wrong = names::dns_subdomain(segment).into_iter();
        let wrong = wrong.map(|detail| format!("segment[{index}]: {detail}"));
        check::format(errors, at, path, wrong.collect());
    }
}
