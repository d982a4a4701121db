//! What a pod's writer should know though it is allowed, as Kubernetes' `pkg/api/pod/warnings.go` words it.

use orch_core::object::{FieldPath, Quantity};
use serde_json::Value;

use super::app_armor;
use crate::kinds::raw::{Raw, child, items, text};

/// Warns about a pod that is to be created, as it was sent.
pub(crate) fn create_warnings(pod: &Raw) -> Vec<String> {
    app_armor::warnings(pod, None)
}

/// Warns about a template, which stands at `at`.
pub(crate) fn template_warnings(template: &Raw, at: &FieldPath) -> Vec<String> {
    let mut told = app_armor::warnings(template, Some(at));
    told.extend(
        child(template, "spec")
            .into_iter()
            .flat_map(|spec| warnings(spec, &at.child("spec"))),
    );
    told
}

/// Warns about the spec of a pod or of a template, which stands at `at`.
pub(crate) fn warnings(spec: &Raw, at: &FieldPath) -> Vec<String> {
    let mut warnings = Vec::new();
    for list in ["initContainers", "containers"] {
        for (index, container) in items(spec, list).enumerate() {
            // Most containers give no cause, so the path is made for those that do.
            let at = || at.child(list).index(index);
            hidden_variables(&mut warnings, container, at);
            duplicate_ports(&mut warnings, container, at);
            fractional_bytes(&mut warnings, container, at);
        }
    }
    warnings
}

fn hidden_variables(warnings: &mut Vec<String>, container: &Raw, at: impl Fn() -> FieldPath) {
    for (index, variable) in items(container, "env").enumerate() {
        let name = text(variable, "name");
        if items(container, "env")
            .take(index)
            .any(|before| text(before, "name") == name)
        {
            let at = at().child("env").index(index);
            warnings.push(format!(
                "{at}: hides previous definition of {name:?}, which may be dropped when using apply"
            ));
        }
    }
}

fn duplicate_ports(warnings: &mut Vec<String>, container: &Raw, at: impl Fn() -> FieldPath) {
    let number = |port: &Raw, field| port.get(field).and_then(Value::as_i64).unwrap_or_default();
    let key = |port: &Raw| {
        let numbers = (number(port, "containerPort"), number(port, "hostPort"));
        (
            numbers,
            text(port, "protocol").to_owned(),
            text(port, "hostIP").to_owned(),
        )
    };
    for (index, port) in items(container, "ports").enumerate() {
        if let Some(first) = items(container, "ports")
            .take(index)
            .position(|before| key(before) == key(port))
        {
            let at = at().child("ports");
            let (this, first) = (at.index(index), at.index(first));
            warnings.push(format!("{this}: duplicate port definition with {first}"));
        }
    }
}

/// `memory: 100m` asks for a tenth of a byte, and was meant as `100M`.
fn fractional_bytes(warnings: &mut Vec<String>, container: &Raw, at: impl Fn() -> FieldPath) {
    let Some(resources) = child(container, "resources") else {
        return;
    };
    for list in ["limits", "requests"] {
        let Some(amounts) = child(resources, list) else {
            continue;
        };
        for (name, amount) in amounts {
            let is_bytes = matches!(name.as_str(), "memory" | "ephemeral-storage");
            let amount = amount
                .as_str()
                .filter(|amount| is_bytes && amount.ends_with(['m', 'u', 'n']));
            let parsed = amount.and_then(|amount| amount.parse::<Quantity>().ok());
            if let (Some(amount), Some(parsed)) = (amount, parsed)
                && parsed.milli_value() % 1000 != 0
            {
                let at = at().child("resources").child(list).key(name.clone());
                warnings.push(format!(
                    "{at}: fractional byte value {amount:?} is invalid, must be an integer"
                ));
            }
        }
    }
}
