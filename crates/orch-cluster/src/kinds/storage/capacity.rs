//! CSIStorageCapacities: their defaults, and what Kubernetes refuses of them.

use k8s_openapi::api::storage::v1::CSIStorageCapacity;
use orch_core::object::names;
use orch_core::object::{FieldErrors, FieldPath};

use crate::kinds::check;
use crate::kinds::core::positive;
use crate::kinds::meta::{self, NameRule};
use crate::kinds::raw::{Raw, quantity_as_text};

/// Writes its amounts as Kubernetes stores them.
pub(super) fn default(capacity: &mut Raw) {
    for field in ["capacity", "maximumVolumeSize"] {
        if let Some(amount) = capacity.get_mut(field) {
            quantity_as_text(amount);
        }
    }
}

pub(super) fn validate(capacity: &CSIStorageCapacity) -> FieldErrors {
    let mut errors = meta::validate(&capacity.metadata, true, NameRule::Subdomain);
    let at = FieldPath::new("nodeTopology");
    check::label_selector(&mut errors, &at, capacity.node_topology.as_ref());
    let class = &capacity.storage_class_name;
    let at = FieldPath::new("storageClassName");
    check::format(&mut errors, &at, class, names::dns_subdomain(class));
    for (field, amount) in [
        ("capacity", &capacity.capacity),
        ("maximumVolumeSize", &capacity.maximum_volume_size),
    ] {
        if let Some(amount) = amount {
            positive(&mut errors, &FieldPath::new(field), &amount.0, true);
        }
    }
    errors
}

/// Validates a CSIStorageCapacity that replaces `old`: it stays of the same class and nodes.
pub(super) fn validate_update(new: &CSIStorageCapacity, old: &CSIStorageCapacity) -> FieldErrors {
    let mut errors = validate(new);
    let at = FieldPath::new("nodeTopology");
    check::immutable(&mut errors, &at, &new.node_topology, &old.node_topology);
    let at = FieldPath::new("storageClassName");
    let (new, old) = (&new.storage_class_name, &old.storage_class_name);
    check::immutable(&mut errors, &at, new, old);
    errors
}
