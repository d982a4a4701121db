//! Autoscalers of the number of pods.

use serde::Deserialize;
use serde_json::{Value, json};

use super::read::{self, List, Or, Text};
use super::{Column, NONE, Printer, UNKNOWN, plain};

/// How many metrics are named.
const NAMED: usize = 2;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    scale_target_ref: Or<Target>,
    metrics: List<Value>,
    min_replicas: Option<i64>,
    max_replicas: Or<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Target {
    kind: Text,
    name: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    current_metrics: List<Value>,
    current_replicas: Or<i64>,
}

pub(super) static AUTOSCALER: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("Reference", "What is scaled."),
        Column::text("Targets", "What is aimed for, and what it is now."),
        Column::text("MinPods", "How many pods there are at least."),
        Column::text("MaxPods", "How many pods there are at most."),
        Column::text("Replicas", "How many pods there are."),
        Column::AGE,
    ],
    row: |autoscaler, now| {
        let spec: Spec = read::field(autoscaler, "spec");
        let status: Status = read::field(autoscaler, "status");
        let target = &spec.scale_target_ref;
        let least = spec.min_replicas.map(|least| least.to_string());
        let between = [
            json!(format!("{}/{}", *target.kind, *target.name)),
            json!(targets(&spec.metrics, &status.current_metrics)),
            json!(least.as_deref().unwrap_or("<unset>")),
            json!(*spec.max_replicas),
            json!(*status.current_replicas),
        ];
        plain::named(autoscaler, now, between)
    },
};

fn targets(metrics: &[Value], current: &[Value]) -> String {
    if metrics.is_empty() {
        return NONE.to_owned();
    }
    let shown = metrics.iter().take(NAMED).enumerate();
    let shown: Vec<_> = shown
        .map(|(index, metric)| target(metric, current.get(index).unwrap_or(&Value::Null)))
        .collect();
    let more = match metrics.len() - shown.len() {
        0 => String::new(),
        more => format!(" + {more} more..."),
    };
    format!("{}{more}", shown.join(", "))
}

/// What is aimed for of one metric: `cpu: 10%/80%`.
fn target(metric: &Value, current: &Value) -> String {
    let (field, is_use) = match metric["type"].as_str() {
        Some("External") => ("external", false),
        Some("Object") => ("object", false),
        Some("Pods") => ("pods", false),
        Some("Resource") => ("resource", true),
        Some("ContainerResource") => ("containerResource", true),
        _ => return "<unknown type>".to_owned(),
    };
    let (source, current) = (&metric[field], &current[field]["current"]);
    let wanted = &source["target"];
    let amount = |of: &Value, field: &str, unknown: &str| match &of[field] {
        Value::String(amount) => amount.clone(),
        Value::Number(amount) => amount.to_string(),
        _ => unknown.to_owned(),
    };
    let both = |field: &str| {
        format!(
            "{}/{}",
            amount(current, field, UNKNOWN),
            amount(wanted, field, "")
        )
    };
    let is_average = !wanted["averageValue"].is_null();
    if is_use {
        let name = source["name"].as_str().unwrap_or_default();
        if is_average {
            return format!("{name}: {}", both("averageValue"));
        }
        let share = |of: &Value, unknown: &str| match of["averageUtilization"].as_i64() {
            Some(share) => format!("{share}%"),
            None => unknown.to_owned(),
        };
        return format!("{name}: {}/{}", share(current, UNKNOWN), share(wanted, "<auto>"));
    }
    match (field, is_average) {
        ("pods", _) => both("averageValue"),
        (_, true) => format!("{} (avg)", both("averageValue")),
        (_, false) => both("value"),
    }
}
