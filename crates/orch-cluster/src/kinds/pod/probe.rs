//! Validates probes and lifecycle hooks.

use k8s_openapi::api::core::v1::{
    Container, ExecAction, GRPCAction, HTTPGetAction, Lifecycle, LifecycleHandler, Probe, SleepAction,
    TCPSocketAction,
};
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use crate::kinds::check;

/// Validates the three probes of a container.
pub(super) fn validate_probes(
    errors: &mut FieldErrors,
    at: &FieldPath,
    container: &Container,
    grace: Option<i64>,
) {
    for (field, probe) in [
        ("livenessProbe", &container.liveness_probe),
        ("startupProbe", &container.startup_probe),
    ] {
        let Some(probe) = probe else { continue };
        let at = at.child(field);
        validate_probe(errors, &at, probe, grace);
        if probe.success_threshold != Some(1) {
            let at = at.child("successThreshold");
            errors.push(FieldError::invalid(
                &at,
                probe.success_threshold.unwrap_or(0),
                "must be 1",
            ));
        }
        if let Some(seconds) = probe.termination_grace_period_seconds
            && seconds <= 0
        {
            let at = at.child("terminationGracePeriodSeconds");
            errors.push(FieldError::invalid(&at, seconds, "must be greater than 0"));
        }
    }
    if let Some(probe) = &container.readiness_probe {
        let at = at.child("readinessProbe");
        validate_probe(errors, &at, probe, grace);
        if let Some(seconds) = probe.termination_grace_period_seconds {
            let at = at.child("terminationGracePeriodSeconds");
            errors.push(FieldError::invalid(
                &at,
                seconds,
                "must not be set for readinessProbes",
            ));
        }
    }
}

fn validate_probe(errors: &mut FieldErrors, at: &FieldPath, probe: &Probe, grace: Option<i64>) {
    let handler = Handler {
        exec: probe.exec.as_ref(),
        http_get: probe.http_get.as_ref(),
        tcp_socket: probe.tcp_socket.as_ref(),
        grpc: probe.grpc.as_ref(),
        sleep: None,
    };
    handler.validate(errors, at, grace);
    for (field, value) in [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ] {
        if let Some(value) = value {
            check::non_negative(errors, &at.child(field), i64::from(value));
        }
    }
}

/// Validates the hooks of a container, `grace` being the pod's own grace period in seconds.
pub(super) fn validate_lifecycle(
    errors: &mut FieldErrors,
    at: &FieldPath,
    lifecycle: &Lifecycle,
    grace: Option<i64>,
) {
    for (field, handler) in [
        ("postStart", &lifecycle.post_start),
        ("preStop", &lifecycle.pre_stop),
    ] {
        if let Some(handler) = handler {
            validate_hook(errors, &at.child(field), handler, grace);
        }
    }
}

fn validate_hook(errors: &mut FieldErrors, at: &FieldPath, hook: &LifecycleHandler, grace: Option<i64>) {
    let handler = Handler {
        exec: hook.exec.as_ref(),
        http_get: hook.http_get.as_ref(),
        tcp_socket: hook.tcp_socket.as_ref(),
        grpc: None,
        sleep: hook.sleep.as_ref(),
    };
    handler.validate(errors, at, grace);
}

/// What a probe or a hook does; exactly one is to be given.
struct Handler<'a> {
    exec: Option<&'a ExecAction>,
    http_get: Option<&'a HTTPGetAction>,
    tcp_socket: Option<&'a TCPSocketAction>,
    grpc: Option<&'a GRPCAction>,
    sleep: Option<&'a SleepAction>,
}

impl Handler<'_> {
    fn validate(&self, errors: &mut FieldErrors, at: &FieldPath, grace: Option<i64>) {
        let mut given = 0;
        let mut only = |errors: &mut FieldErrors, at: &FieldPath| {
            given += 1;
            if given > 1 {
                errors.push(FieldError::forbidden(
                    at,
                    "may not specify more than 1 handler type",
                ));
            }
            given == 1
        };
        if let Some(exec) = self.exec {
            let at = at.child("exec");
            if only(errors, &at) && exec.command.as_deref().unwrap_or_default().is_empty() {
                errors.push(FieldError::required(&at.child("command"), ""));
            }
        }
        if let Some(http) = self.http_get {
            let at = at.child("httpGet");
            if only(errors, &at) {
                validate_http_get(errors, &at, http);
            }
        }
        if let Some(tcp) = self.tcp_socket {
            let at = at.child("tcpSocket");
            if only(errors, &at) {
                check::port(errors, &at.child("port"), &tcp.port);
            }
        }
        if let Some(grpc) = self.grpc {
            let at = at.child("grpc");
            if only(errors, &at) {
                check::port_number(errors, &at.child("port"), grpc.port);
            }
        }
        if let Some(sleep) = self.sleep {
            let at = at.child("sleep");
            if only(errors, &at) {
                validate_sleep(errors, &at, sleep, grace);
            }
        }
        if given == 0 {
            errors.push(FieldError::required(at, "must specify a handler type"));
        }
    }
}

fn validate_http_get(errors: &mut FieldErrors, at: &FieldPath, http: &HTTPGetAction) {
    if http.path.as_deref().unwrap_or_default().is_empty() {
        errors.push(FieldError::required(&at.child("path"), ""));
    }
    check::port(errors, &at.child("port"), &http.port);
    let scheme = http.scheme.as_deref().unwrap_or_default();
    check::optional_one_of(errors, &at.child("scheme"), Some(scheme), &["HTTP", "HTTPS"]);
    for header in http.http_headers.iter().flatten() {
        if !is_header_name(&header.name) {
            let detail = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', \
                          regex used for validation is '[-A-Za-z0-9]+')";
            errors.push(FieldError::invalid(
                &at.child("httpHeaders"),
                &header.name,
                detail,
            ));
        }
    }
}

fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn validate_sleep(errors: &mut FieldErrors, at: &FieldPath, sleep: &SleepAction, grace: Option<i64>) {
    if let Some(grace) = grace
        && !(0..=grace).contains(&sleep.seconds)
    {
        let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        errors.push(FieldError::invalid(at, sleep.seconds, detail));
    }
}
