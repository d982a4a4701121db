//! A container that was made before its state directory was moved, and starts after that: what names a place in the one that
//! was names it in the one that is.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::image::Base;
use crate::record::{ContainerDir, Plan};
use crate::spec;

/// Has the plan be one of where this container's directory is; returns where the state directory was, and is.
pub(super) fn follow(dir: &ContainerDir, plan: &mut Plan) -> Option<(PathBuf, PathBuf)> {
    let shared = plan.shared.beside(dir.kept());
    let root = |all: &Path| all.parent().map(Path::to_owned);
    let (from, to) = root(plan.shared.all()).zip(root(shared.all()))?;
    if from == to {
        return None;
    }
    plan.shared = shared;
    if let Base::Layers(layers) = &mut plan.base {
        // Images may have a directory of their own, which has stayed.
        for layer in layers {
            if let Ok(rest) = layer.strip_prefix(&from) {
                *layer = to.join(rest);
            }
        }
    }
    Some((from, to))
}

/// The same of the specification.
pub(super) fn follow_in(spec: &mut Value, plan: &Plan, (from, to): &(PathBuf, PathBuf)) {
    if let Some(mounts) = spec["mounts"].as_array_mut() {
        spec::follow(mounts, plan.base == Base::Host, (from, to));
    }
}
