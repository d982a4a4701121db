//! CSINodes: what Kubernetes refuses of them.

use std::collections::{BTreeSet, HashMap};

use k8s_openapi::api::storage::v1::{CSINode, CSINodeDriver};
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use crate::kinds::check;
use crate::kinds::core::validate_driver_name;
use crate::kinds::meta::{self, NameRule};
use crate::kinds::pod::volume::required;

/// The longest name that a driver may have for a node.
const NODE_ID_LIMIT: usize = 256;

pub(super) fn validate(node: &CSINode) -> FieldErrors {
    let mut errors = meta::validate(&node.metadata, false, NameRule::Subdomain);
    let mut drivers = BTreeSet::new();
    for (index, driver) in node.spec.drivers.iter().enumerate() {
        let at = drivers_at().index(index);
        validate_driver(&mut errors, &at, driver);
        if !drivers.insert(&driver.name) {
            errors.push(FieldError::duplicate(&at.child("name"), &driver.name));
        }
    }
    errors
}

/// Validates a CSINode that replaces `old`: drivers come and go, and of those that stay the room alone may change.
pub(super) fn validate_update(new: &CSINode, old: &CSINode) -> FieldErrors {
    let mut errors = validate(new);
    let before: HashMap<&str, &CSINodeDriver> =
        old.spec.drivers.iter().map(|old| (&*old.name, old)).collect();
    for new in &new.spec.drivers {
        if let Some(old) = before.get(&*new.name) {
            let allowed = CSINodeDriver {
                allocatable: new.allocatable.clone(),
                ..(*old).clone()
            };
            check::immutable(&mut errors, &drivers_at(), new, &allowed);
        }
    }
    errors
}

fn drivers_at() -> FieldPath {
    FieldPath::new("spec").child("drivers")
}

fn validate_driver(errors: &mut FieldErrors, at: &FieldPath, driver: &CSINodeDriver) {
    validate_driver_name(errors, &at.child("name"), &driver.name);
    let id_at = at.child("nodeID");
    required(errors, &id_at, &driver.node_id);
    if driver.node_id.len() > NODE_ID_LIMIT {
        let detail = format!("must be {NODE_ID_LIMIT} characters or less");
        errors.push(FieldError::invalid(&id_at, &driver.node_id, detail));
    }
    let count = driver.allocatable.as_ref().and_then(|room| room.count);
    let count_at = at.child("allocatable").child("count");
    check::non_negative(errors, &count_at, count.map(i64::from));
    let mut keys = BTreeSet::new();
    for key in driver.topology_keys.iter().flatten() {
        required(errors, at, key);
        if !keys.insert(key) {
            errors.push(FieldError::duplicate(at, key));
        }
        check::label_key(errors, at, key);
    }
}
