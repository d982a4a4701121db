//! Validates how a pod resolves names, and what it is called itself.

use k8s_openapi::api::core::v1::{PodDNSConfig, PodSpec};
use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use crate::kinds::check;

// Limits of the C library's resolver, as Kubernetes has them.
const NAMESERVERS_LIMIT: usize = 3;
const SEARCHES_LIMIT: usize = 32;
const SEARCH_CHARACTERS_LIMIT: usize = 2048;

/// Validates `dnsPolicy`, `dnsConfig`, `hostname`, `subdomain` and `hostAliases`.
pub(super) fn validate_dns(errors: &mut FieldErrors, at: &FieldPath, spec: &PodSpec) {
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    check::one_of(
        errors,
        &at.child("dnsPolicy"),
        spec.dns_policy.as_deref(),
        &policies,
    );
    let nobody_answers = spec.dns_policy.as_deref() == Some("None");
    let config_at = at.child("dnsConfig");
    match &spec.dns_config {
        Some(config) => validate_config(errors, &config_at, config, nobody_answers),
        None if nobody_answers => {
            let detail = "must provide `dnsConfig` when `dnsPolicy` is None";
            errors.push(FieldError::required(&config_at, detail));
        }
        None => {}
    }
    for (field, name) in [("hostname", &spec.hostname), ("subdomain", &spec.subdomain)] {
        if let Some(name) = name.as_deref().filter(|name| !name.is_empty()) {
            check::format(errors, &at.child(field), name, names::dns_label(name));
        }
    }
    for (index, alias) in spec.host_aliases.iter().flatten().enumerate() {
        let at = at.child("hostAliases").index(index);
        check::ip_address(errors, &at.child("ip"), &alias.ip);
        for (index, name) in alias.hostnames.iter().flatten().enumerate() {
            check::format(
                errors,
                &at.child("hostnames").index(index),
                name,
                names::dns_subdomain(name),
            );
        }
    }
}

fn validate_config(errors: &mut FieldErrors, at: &FieldPath, config: &PodDNSConfig, nobody_answers: bool) {
    let servers = config.nameservers.as_deref().unwrap_or_default();
    let servers_at = at.child("nameservers");
    if nobody_answers && servers.is_empty() {
        let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        errors.push(FieldError::required(&servers_at, detail));
        return;
    }
    if servers.len() > NAMESERVERS_LIMIT {
        let detail = format!("must not have more than {NAMESERVERS_LIMIT} nameservers");
        errors.push(FieldError::invalid(&servers_at, servers, detail));
    }
    for (index, server) in servers.iter().enumerate() {
        check::ip_address(errors, &servers_at.index(index), server);
    }
    let searches = config.searches.as_deref().unwrap_or_default();
    let searches_at = at.child("searches");
    if searches.len() > SEARCHES_LIMIT {
        let detail = format!("must not have more than {SEARCHES_LIMIT} search paths");
        errors.push(FieldError::invalid(&searches_at, searches, detail));
    }
    let characters: usize = searches.iter().map(|search| search.len() + 1).sum();
    if characters > SEARCH_CHARACTERS_LIMIT + 1 {
        let detail = format!(
            "must not have more than {SEARCH_CHARACTERS_LIMIT} characters (including spaces) in the search list"
        );
        errors.push(FieldError::invalid(&searches_at, searches, detail));
    }
    for (index, search) in searches.iter().enumerate() {
        if search == "." {
            continue;
        }
        let name = search.strip_suffix('.').unwrap_or(search);
        check::format(
            errors,
            &searches_at.index(index),
            name,
            names::dns_subdomain(name),
        );
    }
    for (index, option) in config.options.iter().flatten().enumerate() {
        if option.name.as_deref().unwrap_or_default().is_empty() {
            errors.push(FieldError::required(
                &at.child("options").index(index),
                "must not be empty",
            ));
        }
    }
}
