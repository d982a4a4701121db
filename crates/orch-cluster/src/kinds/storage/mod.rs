//! The kinds of storage.k8s.io/v1, which nothing acts on yet: classes of storage, and what drivers of volumes say of themselves.

mod attachment;
mod capacity;
mod class;
mod driver;
mod node;

#[cfg(test)]
mod driver_tests;
#[cfg(test)]
mod tests;

use k8s_openapi::api::storage::v1::{
    CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment, VolumeAttachmentStatus,
};

use super::table::{BuiltIn, one, status, stored, two, without_status};

pub(super) fn rows() -> Vec<BuiltIn> {
    let mut rows = vec![
        BuiltIn {
            short_names: &["sc"],
            default: class::default,
            ..stored::<StorageClass>(
                "storageclass",
                |new| one::<StorageClass>(new, class::validate),
                |new, old| two::<StorageClass>(new, old, class::validate_update),
            )
        },
        BuiltIn {
            has_status: true,
            prepare_create: without_status,
            default: attachment::default,
            validate_status: |new, _| {
                status(new, |new: &VolumeAttachmentStatus| {
                    attachment::validate_status(new)
                })
            },
            ..stored::<VolumeAttachment>(
                "volumeattachment",
                |new| one::<VolumeAttachment>(new, attachment::validate),
                |new, old| two::<VolumeAttachment>(new, old, attachment::validate_update),
            )
        },
        BuiltIn {
            default: driver::default,
            ..stored::<CSIDriver>(
                "csidriver",
                |new| one::<CSIDriver>(new, driver::validate),
                |new, old| two::<CSIDriver>(new, old, driver::validate_update),
            )
        },
        stored::<CSINode>(
            "csinode",
            |new| one::<CSINode>(new, node::validate),
            |new, old| two::<CSINode>(new, old, node::validate_update),
        ),
        BuiltIn {
            default: capacity::default,
            ..stored::<CSIStorageCapacity>(
                "csistoragecapacity",
                |new| one::<CSIStorageCapacity>(new, capacity::validate),
                |new, old| two::<CSIStorageCapacity>(new, old, capacity::validate_update),
            )
        },
    ];
    rows.extend(since_1_34());
    rows
}

k8s_openapi::k8s_if_ge_1_34! {
    mod attributes;

    fn since_1_34() -> Vec<BuiltIn> {
        attributes::rows()
    }
}
k8s_openapi::k8s_if_le_1_33! {
    fn since_1_34() -> Vec<BuiltIn> {
        Vec::new()
    }
}
