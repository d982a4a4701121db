//! Whole manifests: what they hold, what is wrong with them and where.

pub(crate) mod coverage;
mod errors;
mod random;
mod values;
mod warnings;

use serde_json::Value;

use super::{Manifest, ManifestKinds};

fn read(text: &str) -> Manifest {
    Manifest::read("web.yaml", text, &ManifestKinds::builtin()).unwrap_or_else(|errors| panic!("{errors}"))
}

fn errors(text: &str) -> Vec<String> {
    match Manifest::read("web.yaml", text, &ManifestKinds::builtin()) {
        Ok(manifest) => panic!("accepted: {:?}", manifest.items),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

/// The `data` of a ConfigMap as it is read.
fn data(text: &str) -> Value {
    let head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n";
    read(&format!("{head}{text}")).items[0].object()["data"].clone()
}
