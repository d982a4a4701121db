//! Claims for volumes.

use orch_core::object::Document;
use serde::Deserialize;
use serde_json::json;

use super::read::{self, List, Or, Text};
use super::{Column, Printer, age, or};

/// What kubectl shows where nothing is said.
pub(super) const UNSET: &str = "<unset>";

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    volume_name: Text,
    storage_class_name: Text,
    volume_attributes_class_name: Text,
    volume_mode: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    capacity: Or<Capacity>,
    access_modes: List<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Capacity {
    pub(super) storage: Text,
}

pub(super) static CLAIM: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("Status", "Whether it has a volume."),
        Column::text("Volume", "The volume that it has."),
        Column::text("Capacity", "How large that is."),
        Column::text("Access Modes", "How that may be mounted."),
        Column::text("StorageClass", "What kind of storage is wanted."),
        Column::text("VolumeAttributesClass", "Which attributes it is to have."),
        Column::AGE,
        Column::text("VolumeMode", "Whether it is a file system or a device.").wide(),
    ],
    row: |claim, now| {
        let spec: Spec = read::field(claim, "spec");
        let status: Status = read::field(claim, "status");
        let is_bound = !spec.volume_name.is_empty();
        let of_volume = |value: String| json!(if is_bound { value } else { String::new() });
        let cells = vec![
            json!(claim.meta().name),
            json!(phase(claim)),
            json!(*spec.volume_name),
            of_volume(status.capacity.storage.to_string()),
            of_volume(modes(&status.access_modes)),
            json!(*spec.storage_class_name),
            json!(or(&spec.volume_attributes_class_name, UNSET)),
            json!(age::of(claim, now)),
            json!(or(&spec.volume_mode, UNSET)),
        ];
        cells.into()
    },
};

/// The phase of a claim or a volume.
pub(super) fn phase(object: &Document) -> String {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Status {
        phase: Text,
    }
    if object.meta().is_deleting() {
        return "Terminating".to_owned();
    }
    read::field::<Status>(object, "status").phase.0
}

/// How it may be mounted, in short; in Kubernetes' order, each way once.
pub(super) fn modes(given: &[Text]) -> String {
    let short = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let given = short
        .iter()
        .filter(|(mode, _)| given.iter().any(|one| **one == *mode));
    let given: Vec<_> = given.map(|(_, short)| *short).collect();
    given.join(",")
}
