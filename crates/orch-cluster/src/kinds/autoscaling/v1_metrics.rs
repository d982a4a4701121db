//! Metrics as annotations of autoscaling/v1 have them: the fields of autoscaling/v2, flat and by older names.

use serde_json::{Value, json};

use crate::kinds::raw::Raw;

/// What is said of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// What is aimed at.
    Target,
    /// What it is.
    Current,
}

/// A field: its name in v1, where it is in v2, and whether v1 always has it (a quantity, then, of zero).
type Field = (&'static str, &'static [&'static str], bool);

/// What the fields of a metric are called, by its type.
struct Names {
    type_: &'static str,
    /// The field that holds it.
    holder: &'static str,
    /// Of what is said of both what is aimed at and what is.
    both: &'static [Field],
    target: &'static [Field],
    current: &'static [Field],
}

const UTILIZATION: &str = "averageUtilization";

const OF_RESOURCE: (&[Field], &[Field]) = (
    &[
        ("targetAverageUtilization", &["target", UTILIZATION], false),
        ("targetAverageValue", &["target", "averageValue"], false),
    ],
    &[
        ("currentAverageUtilization", &["current", UTILIZATION], false),
        ("currentAverageValue", &["current", "averageValue"], true),
    ],
);

static NAMES: [Names; 5] = [
    Names {
        type_: "Resource",
        holder: "resource",
        both: &[("name", &["name"], false)],
        target: OF_RESOURCE.0,
        current: OF_RESOURCE.1,
    },
    Names {
        type_: "ContainerResource",
        holder: "containerResource",
        both: &[("name", &["name"], false), ("container", &["container"], false)],
        target: OF_RESOURCE.0,
        current: OF_RESOURCE.1,
    },
    Names {
        type_: "Pods",
        holder: "pods",
        both: &[
            ("metricName", &["metric", "name"], false),
            ("selector", &["metric", "selector"], false),
        ],
        target: &[("targetAverageValue", &["target", "averageValue"], true)],
        current: &[("currentAverageValue", &["current", "averageValue"], true)],
    },
    Names {
        type_: "Object",
        holder: "object",
        both: &[
            ("target", &["describedObject"], false),
            ("metricName", &["metric", "name"], false),
            ("selector", &["metric", "selector"], false),
        ],
        target: &[
            ("targetValue", &["target", "value"], true),
            ("averageValue", &["target", "averageValue"], false),
        ],
        current: &[
            ("currentValue", &["current", "value"], true),
            ("averageValue", &["current", "averageValue"], false),
        ],
    },
    Names {
        type_: "External",
        holder: "external",
        both: &[
            ("metricName", &["metric", "name"], false),
            ("metricSelector", &["metric", "selector"], false),
        ],
        target: &[
            ("targetValue", &["target", "value"], false),
            ("targetAverageValue", &["target", "averageValue"], false),
        ],
        current: &[
            ("currentValue", &["current", "value"], true),
            ("currentAverageValue", &["current", "averageValue"], false),
        ],
    },
];

impl Names {
    fn of(metric: &Value) -> Option<&'static Self> {
        NAMES.iter().find(|names| metric["type"] == names.type_)
    }

    fn fields(&self, of: Of) -> impl Iterator<Item = &'static Field> {
        let own = match of {
            Of::Target => self.target,
            Of::Current => self.current,
        };
        self.both.iter().chain(own)
    }
}

/// A metric of v2 as v1 has it; one of a type that there is not stays as it is, to be refused.
pub(super) fn to_v1(metric: &Value, of: Of) -> Value {
    let Some(names) = Names::of(metric) else {
        return metric.clone();
    };
    let source = &metric[names.holder];
    let mut flat = Raw::new();
    for (name, path, is_always) in names.fields(of) {
        match path.iter().fold(source, |value, field| &value[*field]) {
            Value::Null if *is_always => flat.insert((*name).to_owned(), "0".into()),
            Value::Null => None,
            value => flat.insert((*name).to_owned(), value.clone()),
        };
    }
    json!({"type": names.type_, names.holder: flat})
}

/// A metric of v1 as v2 has it.
pub(super) fn to_v2(metric: &Value, of: Of) -> Value {
    let Some(names) = Names::of(metric) else {
        return metric.clone();
    };
    let flat = &metric[names.holder];
    let mut source = json!({});
    for (name, path, _) in names.fields(of) {
        if !flat[*name].is_null() {
            let at = path.iter().fold(&mut source, |value, field| &mut value[*field]);
            *at = flat[*name].clone();
        }
    }
    if of == Of::Target {
        aim(&mut source["target"]);
    }
    json!({"type": names.type_, names.holder: source})
}

/// Says of a target of what type it is, which v1 leaves to what is given.
fn aim(target: &mut Value) {
    let is_given = |field: &str| !target[field].is_null();
    let (is_average, is_share) = (is_given("averageValue"), is_given(UTILIZATION));
    // A value that v1 must have and nobody has given.
    let is_filler = is_average && target["value"] == "0";
    let type_ = match is_given("value") && !is_filler {
        _ if is_share => "Utilization",
        true => "Value",
        false => "AverageValue",
    };
    target["type"] = type_.into();
    if let (true, Some(target)) = (is_filler, target.as_object_mut()) {
        target.remove("value");
    }
}
