//! The kinds of which there is little to show.

use std::collections::BTreeMap;

use jiff::Timestamp;
use orch_core::object::Document;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::read::{self, Keys, Or, Text};
use super::{Column, Printer, Row, age};

pub(super) static CONFIG_MAP: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("Data", "How many keys it has."),
        Column::AGE,
    ],
    row: |map, now| {
        let keys = |field| read::field::<Keys>(map, field).len();
        named(map, now, [json!(keys("data") + keys("binaryData"))])
    },
};

pub(super) static SECRET: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("Type", "What it is for."),
        Column::text("Data", "How many keys it has."),
        Column::AGE,
    ],
    row: |secret, now| {
        let type_: String = read::field(secret, "type");
        let keys: Keys = read::field(secret, "data");
        named(secret, now, [json!(type_), json!(keys.len())])
    },
};

pub(super) static NAMESPACE: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("Status", "Whether it is in use or being emptied."),
        Column::AGE,
    ],
    row: |namespace, now| {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Status {
            phase: Text,
        }
        let status: Status = read::field(namespace, "status");
        named(namespace, now, [json!(*status.phase)])
    },
};

pub(super) static LEASE: Printer = Printer {
    columns: &[Column::NAME, Column::text("Holder", "Who has it."), Column::AGE],
    row: |lease, now| {
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct Spec {
            holder_identity: Text,
        }
        let spec: Spec = read::field(lease, "spec");
        named(lease, now, [json!(*spec.holder_identity)])
    },
};

/// Of kinds of Kubernetes that have no columns of their own here.
pub(super) static OTHER: Printer = Printer {
    columns: &[Column::NAME, Column::AGE],
    row: |object, now| named(object, now, []),
};

/// Of the embedding program's kinds, and of definitions.
pub(super) static CUSTOM: Printer = Printer {
    columns: &[
        Column::NAME,
        Column {
            type_: "date",
            ..Column::text("Created At", "When it was created.")
        },
    ],
    row: created,
};

pub(super) static SERVICE_ACCOUNT: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("Secrets", "How many secrets its pods may mount."),
        Column::AGE,
    ],
    row: |account, now| {
        let secrets: Vec<IgnoredAny> = read::field(account, "secrets");
        named(account, now, [json!(secrets.len())])
    },
};

/// Of configurations of webhooks, mutating and validating.
pub(super) static WEBHOOKS: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::number("Webhooks", "How many webhooks it has."),
        Column::AGE,
    ],
    row: |configuration, now| {
        let webhooks: Vec<IgnoredAny> = read::field(configuration, "webhooks");
        named(configuration, now, [json!(webhooks.len())])
    },
};

pub(super) static PRIORITY_CLASS: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text(
            "Value",
            "How much its pods matter: the more, the sooner they are placed.",
        ),
        Column::text("Global-Default", "Whether it is that of pods that name none."),
        Column::AGE,
        Column::text("PreemptionPolicy", "Whether its pods may displace others."),
    ],
    row: |class, now| {
        let is_default: bool = read::field(class, "globalDefault");
        let policy: String = read::field(class, "preemptionPolicy");
        let mut row = named(
            class,
            now,
            [json!(read::field::<i64>(class, "value")), json!(is_default)],
        );
        row.cells.push(json!(policy));
        row
    },
};

pub(super) static DISRUPTION_BUDGET: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("Min Available", "How many of the pods must be there."),
        Column::text("Max Unavailable", "How many of the pods may be gone."),
        Column::number("Allowed Disruptions", "How many may be evicted now."),
        Column::AGE,
    ],
    row: |budget, now| {
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct Spec {
            min_available: Value,
            max_unavailable: Value,
        }
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct Status {
            disruptions_allowed: Or<i64>,
        }
        let spec: Spec = read::field(budget, "spec");
        let status: Status = read::field(budget, "status");
        let shown = |value: &Value| match value {
            Value::String(text) => json!(text),
            Value::Number(number) => json!(number.to_string()),
            _ => json!("N/A"),
        };
        let between = [
            shown(&spec.min_available),
            shown(&spec.max_unavailable),
            json!(*status.disruptions_allowed),
        ];
        named(budget, now, between)
    },
};

/// Of kinds of Kubernetes' own that have no columns of their own there either.
pub(super) static CREATED: Printer = Printer {
    columns: CUSTOM.columns,
    row: created,
};

pub(super) static QUOTA: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("Request", "How much is used of what may be, limits apart."),
        Column::text("Limit", "How much of the limits is given away."),
        Column::AGE,
    ],
    row: |quota, now| {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Status {
            hard: Or<BTreeMap<String, Text>>,
            used: Or<BTreeMap<String, Text>>,
        }
        let status: Status = read::field(quota, "status");
        let (mut requests, mut limits) = (Vec::new(), Vec::new());
        for (name, hard) in status.hard.iter() {
            let used = status.used.get(name).map_or("0", |used| used.as_str());
            let list = match name.starts_with("limits.") {
                true => &mut limits,
                false => &mut requests,
            };
            list.push(format!("{name}: {used}/{}", **hard));
        }
        named(quota, now, [json!(requests.join(", ")), json!(limits.join(", "))])
    },
};

pub(super) static RUNTIME_CLASS: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("Handler", "What runs its pods."),
        Column::AGE,
    ],
    row: |class, now| {
        let handler: String = read::field(class, "handler");
        named(class, now, [json!(handler)])
    },
};

/// Its name, and when it was created.
pub(super) fn created(object: &Document, _: Timestamp) -> Row {
    let meta = object.meta();
    // To the second, as Kubernetes writes times of objects.
    let created = meta
        .creation_timestamp
        .and_then(|time| Timestamp::from_second(time.as_second()).ok());
    Row::from(vec![json!(meta.name), json!(created)])
}

/// Its name, what there is to say, and its age.
pub(super) fn named<const N: usize>(document: &Document, now: Timestamp, between: [Value; N]) -> Row {
    let mut cells = Vec::with_capacity(N + 2);
    cells.push(json!(document.meta().name));
    cells.extend(between);
    cells.push(json!(age::of(document, now)));
    cells.into()
}
