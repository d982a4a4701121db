//! PersistentVolumes.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::claim::{Capacity, UNSET, modes, phase};
use super::read::{self, List, Or, Text};
use super::{Column, Printer, age, or};

/// By which the class was told before there was a field for it.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    access_modes: List<Text>,
    capacity: Or<Capacity>,
    claim_ref: Option<Claim>,
    persistent_volume_reclaim_policy: Text,
    storage_class_name: Text,
    volume_attributes_class_name: Text,
    volume_mode: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Claim {
    name: Text,
    namespace: Text,
}

pub(super) static VOLUME: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("Capacity", "How large it is."),
        Column::text("Access Modes", "How it may be mounted."),
        Column::text("Reclaim Policy", "What becomes of it when its claim goes."),
        Column::text("Status", "Whether it is of a claim, or may become so."),
        Column::text("Claim", "The claim that it is of."),
        Column::text("StorageClass", "What kind of storage it is."),
        Column::text("VolumeAttributesClass", "Which attributes it has."),
        Column::text("Reason", "Why it is in that state."),
        Column::AGE,
        Column::text("VolumeMode", "Whether it is a file system or a device.").wide(),
    ],
    row: |volume, now| {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Status {
            reason: Text,
        }
        let spec: Spec = read::field(volume, "spec");
        let status: Status = read::field(volume, "status");
        let claim = spec
            .claim_ref
            .map(|claim| format!("{}/{}", *claim.namespace, *claim.name));
        let annotated: &BTreeMap<String, String> = &volume.meta().annotations;
        let class = annotated
            .get(CLASS_ANNOTATION)
            .unwrap_or(&spec.storage_class_name);
        let cells = vec![
            json!(volume.meta().name),
            json!(or(&spec.capacity.storage, "0")),
            json!(modes(&spec.access_modes)),
            json!(*spec.persistent_volume_reclaim_policy),
            json!(phase(volume)),
            json!(claim.unwrap_or_default()),
            json!(class),
            json!(or(&spec.volume_attributes_class_name, UNSET)),
            json!(*status.reason),
            json!(age::of(volume, now)),
            json!(or(&spec.volume_mode, UNSET)),
        ];
        cells.into()
    },
};
