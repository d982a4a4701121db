//! Classes of storage, and what drivers of volumes say of themselves.

use jiff::Timestamp;
use orch_core::object::Document;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::claim::UNSET;
use super::plain::named;
use super::read::{self, List, Or, Text};
use super::{Column, NONE, Printer, Row, or};

/// By any of which a class of storage is the one of claims that name none.
const DEFAULT_CLASS: [&str; 2] = [
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
];

const DEFAULT_ATTRIBUTES: [&str; 1] = ["volumeattributesclass.alpha.kubernetes.io/is-default-class"];

pub(super) static CLASS: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("Provisioner", "Which driver makes its volumes."),
        Column::text("ReclaimPolicy", "What becomes of them when their claims go."),
        Column::text("VolumeBindingMode", "When they are made."),
        Column::text("AllowVolumeExpansion", "Whether they may grow."),
        Column::AGE,
    ],
    row: |class, now| {
        let field = |name, unset: &str| or(&read::field::<String>(class, name), unset).to_owned();
        let between = [
            json!(field("provisioner", "")),
            json!(field("reclaimPolicy", "Delete")),
            json!(field("volumeBindingMode", "Immediate")),
            json!(read::field::<bool>(class, "allowVolumeExpansion")),
        ];
        with_default(class, &DEFAULT_CLASS, named(class, now, between))
    },
};

pub(super) static ATTRIBUTES: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("DriverName", "Which driver gives volumes these attributes."),
        Column::AGE,
    ],
    row: |class, now| {
        let driver: String = read::field(class, "driverName");
        let row = named(class, now, [json!(driver)]);
        with_default(class, &DEFAULT_ATTRIBUTES, row)
    },
};

/// The row of a class, whose name says if it is the one of those that name none.
fn with_default(class: &Document, annotations: &[&str], mut row: Row) -> Row {
    let meta = class.meta();
    let is_set = |annotation: &&str| {
        meta.annotations
            .get(*annotation)
            .is_some_and(|value| value == "true")
    };
    if annotations.iter().any(is_set) {
        row.cells[0] = json!(format!("{} (default)", meta.name));
    }
    row
}

pub(super) static ATTACHMENT: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("Attacher", "Which driver attaches the volume."),
        Column::text("PV", "The volume."),
        Column::text("Node", "To which node."),
        Column::boolean("Attached", "Whether it is attached."),
        Column::AGE,
    ],
    row: attachment,
};

fn attachment(attachment: &Document, now: Timestamp) -> Row {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Spec {
        attacher: Text,
        node_name: Text,
        source: Or<Source>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Source {
        persistent_volume_name: Text,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Status {
        attached: Or<bool>,
    }
    let spec: Spec = read::field(attachment, "spec");
    let status: Status = read::field(attachment, "status");
    let between = [
        json!(*spec.attacher),
        json!(*spec.source.persistent_volume_name),
        json!(*spec.node_name),
        json!(*status.attached),
    ];
    named(attachment, now, between)
}

pub(super) static DRIVER: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::boolean("AttachRequired", "Whether its volumes are attached to nodes."),
        Column::boolean("PodInfoOnMount", "Whether it is told for which pod it mounts."),
        Column::boolean("StorageCapacity", "Whether it says how much room it has."),
        Column::text("TokenRequests", "For whom the tokens are that it gets of pods."),
        Column::boolean("RequiresRepublish", "Whether it is to mount again and again."),
        Column::text("Modes", "How long its volumes last."),
        Column::AGE,
    ],
    row: driver,
};

fn driver(driver: &Document, now: Timestamp) -> Row {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Spec {
        attach_required: Option<bool>,
        pod_info_on_mount: Or<bool>,
        requires_republish: Or<bool>,
        storage_capacity: Or<bool>,
        token_requests: Option<Vec<Token>>,
        volume_lifecycle_modes: List<String>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Token {
        audience: Text,
    }
    let spec: Spec = read::field(driver, "spec");
    let audiences = spec.token_requests.map(|requests| {
        let audiences: Vec<_> = requests.iter().map(|request| request.audience.as_str()).collect();
        audiences.join(",")
    });
    let between = [
        json!(spec.attach_required.unwrap_or(true)),
        json!(*spec.pod_info_on_mount),
        json!(*spec.storage_capacity),
        json!(audiences.as_deref().unwrap_or(UNSET)),
        json!(*spec.requires_republish),
        json!(or(&spec.volume_lifecycle_modes.join(","), NONE)),
    ];
    named(driver, now, between)
}

pub(super) static NODE: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::number("Drivers", "How many drivers there are on the node."),
        Column::AGE,
    ],
    row: |node, now| {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Spec {
            drivers: List<IgnoredAny>,
        }
        let spec: Spec = read::field(node, "spec");
        named(node, now, [json!(spec.drivers.len())])
    },
};

pub(super) static CAPACITY: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("StorageClassName", "Of which class volumes can be made."),
        Column::text("Capacity", "How much room there is for them."),
    ],
    row: |capacity, _| {
        let class: String = read::field(capacity, "storageClassName");
        let room: String = read::field(capacity, "capacity");
        let name = json!(capacity.meta().name);
        vec![name, json!(class), json!(or(&room, UNSET))].into()
    },
};
