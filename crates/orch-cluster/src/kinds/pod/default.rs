//! Fills what a pod's writer left out, as Kubernetes' `core/v1` defaults and its default admission plugins do.

use serde_json::Value;

use super::image::default_pull_policy;
use super::resources::qos_class_of;
use super::volume_default::default_volume;
use super::whole::default_whole;
use crate::kinds::raw::{
    self, Raw, child_mut, child_or_new, default_number, default_text, default_value, is_unset, items,
    items_mut, text,
};

/// The lists of a pod spec that hold containers.
const CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// How long a pod stays on a node that is not ready or cannot be reached, in seconds, unless it says otherwise
/// (Kubernetes' admission plugin DefaultTolerationSeconds).
pub const DEFAULT_TOLERATION_SECONDS: i64 = 300;

/// The taint of a node that is not ready.
pub const TAINT_NOT_READY: &str = "node.kubernetes.io/not-ready";
/// The taint of a node whose agent is not heard of.
pub const TAINT_UNREACHABLE: &str = "node.kubernetes.io/unreachable";

/// Fills a Pod: what a template gets ([`default_template`]), and what only a pod itself gets: requests from limits,
/// its containers' and its own, service links, host ports under host networking, tolerations of a lost node for
/// [`DEFAULT_TOLERATION_SECONDS`], and a priority.
///
/// ```
/// # use serde_json::json;
/// let mut pod = json!({"spec": {"containers": [{"name": "web", "image": "nginx"}]}});
/// orch_cluster::kinds::pod::default(pod.as_object_mut().unwrap());
/// assert_eq!(pod["spec"]["restartPolicy"], "Always");
/// assert_eq!(pod["spec"]["containers"][0]["imagePullPolicy"], "Always");
/// ```
pub fn default(pod: &mut Raw) {
    let Some(spec) = child_or_new(pod, "spec") else {
        return;
    };
    default_spec(spec);
    for list in ["containers", "initContainers"] {
        for container in items_mut(spec, list) {
            requests_from_limits(container);
        }
    }
    default_whole(spec);
    default_value(spec, "enableServiceLinks", true);
    if spec
        .get("terminationGracePeriodSeconds")
        .and_then(Value::as_i64)
        .is_some_and(|seconds| seconds < 0)
    {
        // Kubernetes once took a negative period for the shortest there is.
        spec.insert("terminationGracePeriodSeconds".to_owned(), 1.into());
    }
    if spec.get("hostNetwork") == Some(&Value::Bool(true)) {
        host_ports_from_container_ports(spec);
    }
    default_tolerations(spec);
    default_priority(spec);
    // The class follows from requests and limits, and is settled when a pod is created.
    let class = qos_class_of(spec).as_str();
    if let Some(status) = child_mut(pod, "status") {
        default_text(status, "qosClass", class);
    }
}

/// Fills a pod template (`spec.template` of a workload), which gets less than a pod does.
pub fn default_template(template: &mut Raw) {
    if let Some(spec) = child_or_new(template, "spec") {
        default_spec(spec);
    }
}

fn default_spec(spec: &mut Raw) {
    default_text(spec, "restartPolicy", "Always");
    default_text(spec, "dnsPolicy", "ClusterFirst");
    default_text(spec, "schedulerName", "default-scheduler");
    default_value(spec, "terminationGracePeriodSeconds", 30);
    default_value(spec, "securityContext", Raw::new());
    mirror_service_account(spec);
    raw::quantities_as_text(spec, "overhead");
    if let Some(resources) = child_mut(spec, "resources") {
        raw::quantities_as_text(resources, "limits");
        raw::quantities_as_text(resources, "requests");
    }
    for list in CONTAINER_LISTS {
        items_mut(spec, list).for_each(default_container);
    }
    items_mut(spec, "volumes").for_each(default_volume);
}

/// `serviceAccount` is the old name of `serviceAccountName`; readers of either find both.
fn mirror_service_account(spec: &mut Raw) {
    if text(spec, "serviceAccountName").is_empty() {
        let old = text(spec, "serviceAccount").to_owned();
        if old.is_empty() {
            return;
        }
        default_text(spec, "serviceAccountName", &old);
    }
    let name = text(spec, "serviceAccountName").to_owned();
    if !name.is_empty() && text(spec, "serviceAccount") != name {
        spec.insert("serviceAccount".to_owned(), Value::String(name));
    }
}

fn default_container(container: &mut Raw) {
    if text(container, "imagePullPolicy").is_empty() {
        let policy = default_pull_policy(text(container, "image"));
        default_text(container, "imagePullPolicy", policy);
    }
    default_text(container, "terminationMessagePath", "/dev/termination-log");
    default_text(container, "terminationMessagePolicy", "File");
    for port in items_mut(container, "ports") {
        default_text(port, "protocol", "TCP");
    }
    for variable in items_mut(container, "env") {
        if let Some(from) = child_mut(variable, "valueFrom") {
            default_field_reference(from);
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = child_mut(container, probe) {
            default_probe(probe);
        }
    }
    if let Some(lifecycle) = child_mut(container, "lifecycle") {
        for hook in ["postStart", "preStop"] {
            if let Some(handler) = child_mut(lifecycle, hook) {
                default_http_get(handler);
            }
        }
    }
    if let Some(resources) = child_mut(container, "resources") {
        raw::quantities_as_text(resources, "limits");
        raw::quantities_as_text(resources, "requests");
    }
}

/// Fills the reference to a pod's own field or resource in an environment variable or a downward API file.
pub(super) fn default_field_reference(source: &mut Raw) {
    if let Some(field) = child_mut(source, "fieldRef") {
        default_text(field, "apiVersion", "v1");
    }
    if let Some(divisor) =
        child_mut(source, "resourceFieldRef").and_then(|resource| resource.get_mut("divisor"))
    {
        raw::quantity_as_text(divisor);
    }
}

fn default_probe(probe: &mut Raw) {
    default_number(probe, "timeoutSeconds", 1);
    default_number(probe, "periodSeconds", 10);
    default_number(probe, "successThreshold", 1);
    default_number(probe, "failureThreshold", 3);
    default_http_get(probe);
    if let Some(grpc) = child_mut(probe, "grpc") {
        default_value(grpc, "service", "");
    }
}

fn default_http_get(handler: &mut Raw) {
    if let Some(http) = child_mut(handler, "httpGet") {
        default_text(http, "path", "/");
        default_text(http, "scheme", "HTTP");
    }
}

/// A container that has a limit and no request for a resource asks for the limit.
fn requests_from_limits(container: &mut Raw) {
    let Some(resources) = child_mut(container, "resources") else {
        return;
    };
    let Some(limits) = raw::child(resources, "limits") else {
        return;
    };
    let requests = raw::child(resources, "requests");
    let missing: Vec<(String, Value)> = limits
        .iter()
        .filter(|(name, _)| requests.is_none_or(|requests| is_unset(requests, name)))
        .map(|(name, quantity)| (name.clone(), quantity.clone()))
        .collect();
    if missing.is_empty() {
        return;
    }
    if let Some(requests) = child_or_new(resources, "requests") {
        requests.extend(missing);
    }
}

fn host_ports_from_container_ports(spec: &mut Raw) {
    for list in ["containers", "initContainers"] {
        for container in items_mut(spec, list) {
            for port in items_mut(container, "ports") {
                if let Some(number) = port.get("containerPort").and_then(Value::as_i64) {
                    default_number(port, "hostPort", number);
                }
            }
        }
    }
}

fn default_tolerations(spec: &mut Raw) {
    let tolerated = |taint: &str| {
        items(spec, "tolerations").any(|toleration| {
            matches!(text(toleration, "key"), key if key.is_empty() || key == taint)
                && matches!(text(toleration, "effect"), "" | "NoExecute")
        })
    };
    let missing: Vec<Value> = [TAINT_NOT_READY, TAINT_UNREACHABLE]
        .into_iter()
        .filter(|taint| !tolerated(taint))
        .map(|taint| {
            serde_json::json!({
                "key": taint,
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": DEFAULT_TOLERATION_SECONDS,
            })
        })
        .collect();
    if missing.is_empty() {
        return;
    }
    default_value(spec, "tolerations", Vec::<Value>::new());
    if let Some(tolerations) = spec.get_mut("tolerations").and_then(Value::as_array_mut) {
        tolerations.extend(missing);
    }
}

/// The two priority classes that every Kubernetes cluster has, and zero for the rest.
///
/// A priority in the manifest is kept: there is no PriorityClass kind to take another from.
fn default_priority(spec: &mut Raw) {
    if is_unset(spec, "priority") {
        let priority: i64 = match text(spec, "priorityClassName") {
            "system-cluster-critical" => 2_000_000_000,
            "system-node-critical" => 2_000_001_000,
            _ => 0,
        };
        spec.insert("priority".to_owned(), priority.into());
    }
    default_text(spec, "preemptionPolicy", "PreemptLowerPriority");
}
