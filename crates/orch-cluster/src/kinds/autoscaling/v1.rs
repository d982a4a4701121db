//! Autoscalers in autoscaling/v1, which knows one target, the use of processor time: all else stands in annotations, as in
//! Kubernetes (`pkg/apis/autoscaling/v1/conversion.go`).

use serde_json::{Map, Value, json};

use super::v1_metrics::{Of, to_v1, to_v2};
use crate::kinds::raw::{Raw, child_mut, child_or_new};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";

/// Makes an autoscaler of autoscaling/v1 one of autoscaling/v2; an annotation that cannot be read says nothing.
pub(in crate::kinds) fn to_stored(autoscaler: &mut Raw) {
    autoscaler.insert("apiVersion".to_owned(), "autoscaling/v2".into());
    let [metrics, behavior, current, conditions] =
        [METRICS, BEHAVIOR, CURRENT_METRICS, CONDITIONS].map(|name| take_annotation(autoscaler, name));
    if let Some(spec) = child_mut(autoscaler, "spec") {
        spec.remove("metrics");
        spec.remove("behavior");
        let mut all = list_to_v2(metrics, Of::Target);
        if let Some(percentage) = given(spec.remove("targetCPUUtilizationPercentage")) {
            let target = json!({"type": "Utilization", "averageUtilization": percentage});
            all.push(json!({"type": "Resource", "resource": {"name": "cpu", "target": target}}));
        }
        insert_list(spec, "metrics", all);
        if let Some(behavior @ Value::Object(_)) = behavior.map(|mut behavior| {
            rename(&mut behavior, char::to_ascii_lowercase);
            behavior
        }) {
            spec.insert("behavior".to_owned(), behavior);
        }
    }
    if let Some(status) = child_mut(autoscaler, "status") {
        status.remove("currentMetrics");
        status.remove("conditions");
        let percentage = given(status.remove("currentCPUUtilizationPercentage"));
        // The annotation knows more.
        let all = match (current, percentage) {
            (current @ Some(_), _) => list_to_v2(current, Of::Current),
            (None, Some(percentage)) => {
                let current = json!({"averageUtilization": percentage});
                vec![json!({"type": "Resource", "resource": {"name": "cpu", "current": current}})]
            }
            (None, None) => Vec::new(),
        };
        insert_list(status, "currentMetrics", all);
        if let Some(conditions @ Value::Array(_)) = conditions {
            status.insert("conditions".to_owned(), conditions);
        }
    }
}

/// Makes an autoscaler of autoscaling/v2 one of autoscaling/v1.
pub(in crate::kinds) fn from_stored(autoscaler: &mut Raw) {
    autoscaler.insert("apiVersion".to_owned(), "autoscaling/v1".into());
    let mut annotations = Map::new();
    let mut annotate = |name: &str, value: &Value| {
        let is_empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        if !is_empty {
            annotations.insert(name.to_owned(), value.to_string().into());
        }
    };
    if let Some(spec) = child_mut(autoscaler, "spec") {
        let metrics = list(spec.remove("metrics"));
        let (of_cpu, others): (Vec<Value>, Vec<Value>) = metrics.into_iter().partition(|metric| {
            is_of_cpu(metric) && !metric["resource"]["target"]["averageUtilization"].is_null()
        });
        if let Some(metric) = of_cpu.first() {
            let percentage = metric["resource"]["target"]["averageUtilization"].clone();
            spec.insert("targetCPUUtilizationPercentage".to_owned(), percentage);
        }
        annotate(
            METRICS,
            &others.iter().map(|metric| to_v1(metric, Of::Target)).collect(),
        );
        let mut behavior = spec.remove("behavior").unwrap_or_default();
        // Kubernetes writes here what its own types are called.
        rename(&mut behavior, char::to_ascii_uppercase);
        annotate(BEHAVIOR, &behavior);
    }
    if let Some(status) = child_mut(autoscaler, "status") {
        let metrics = list(status.remove("currentMetrics"));
        let of_cpu = metrics.iter().filter(|metric| is_of_cpu(metric));
        let use_ = |metric: &Value| given(Some(metric["resource"]["current"]["averageUtilization"].clone()));
        if let Some(percentage) = of_cpu.filter_map(use_).next_back() {
            status.insert("currentCPUUtilizationPercentage".to_owned(), percentage);
        }
        annotate(
            CURRENT_METRICS,
            &metrics.iter().map(|metric| to_v1(metric, Of::Current)).collect(),
        );
        annotate(CONDITIONS, &status.remove("conditions").unwrap_or_default());
    }
    if annotations.is_empty() {
        return;
    }
    let own = child_or_new(autoscaler, "metadata").and_then(|metadata| child_or_new(metadata, "annotations"));
    if let Some(own) = own {
        own.extend(annotations);
    }
}

fn given(value: Option<Value>) -> Option<Value> {
    value.filter(|value| !value.is_null())
}

fn list(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

fn list_to_v2(metrics: Option<Value>, of: Of) -> Vec<Value> {
    list(metrics).iter().map(|metric| to_v2(metric, of)).collect()
}

fn insert_list(into: &mut Raw, field: &str, items: Vec<Value>) {
    if !items.is_empty() {
        into.insert(field.to_owned(), items.into());
    }
}

fn is_of_cpu(metric: &Value) -> bool {
    metric["type"] == "Resource" && metric["resource"]["name"] == "cpu"
}

/// Takes an annotation that holds JSON out of an object.
fn take_annotation(object: &mut Raw, name: &str) -> Option<Value> {
    let metadata = child_mut(object, "metadata")?;
    let annotations = child_mut(metadata, "annotations")?;
    let value = annotations.remove(name);
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
    serde_json::from_str(value?.as_str()?).ok()
}

/// Changes the first letter of the names of all fields.
fn rename(value: &mut Value, letter: fn(&char) -> char) {
    match value {
        Value::Object(fields) => {
            for (name, mut value) in std::mem::take(fields) {
                rename(&mut value, letter);
                let mut letters = name.chars();
                let first = letters.next().map(|first| letter(&first));
                // What Go writes for what is not there.
                if !value.is_null() {
                    fields.insert(first.into_iter().chain(letters).collect(), value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, letter)),
        _ => {}
    }
}
