//! One object of a manifest.

use std::sync::Arc;

use orch_core::object::{ApiResource, FieldErrors, FieldPath};
use serde_json::{Map, Value};

use super::node::Node;
use super::{ManifestError, ManifestErrors, Place, Position};

/// One object of a manifest, of a known kind and well formed, with the place of everything in it.
#[derive(Clone, Debug)]
pub struct Item {
    pub(super) file: Arc<str>,
    pub(super) document: usize,
    pub(super) root: Node,
    pub(super) resource: ApiResource,
    pub(super) object: Map<String, Value>,
}

impl Item {
    /// What kind it is.
    pub fn resource(&self) -> &ApiResource {
        &self.resource
    }

    /// The object, with everything that its writer gave.
    pub fn object(&self) -> &Map<String, Value> {
        &self.object
    }

    /// The object, for whoever stores it.
    pub fn into_object(self) -> Map<String, Value> {
        self.object
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.metadata("name").unwrap_or_default()
    }

    /// The namespace it names, if any.
    pub fn namespace(&self) -> Option<&str> {
        self.metadata("namespace")
            .filter(|namespace| !namespace.is_empty())
    }

    /// Which document of the file it is from; those that hold something count from 1.
    pub fn document(&self) -> usize {
        self.document
    }

    /// Where a field is; if it is absent, where the nearest thing around it is.
    pub fn locate(&self, path: &FieldPath) -> Position {
        self.root.locate(path)
    }

    /// A field's place, for messages.
    pub fn place(&self, path: &FieldPath) -> Place {
        Place {
            file: self.file.clone(),
            document: self.document,
            object: self.to_string(),
            position: self.locate(path),
            path: path.clone(),
        }
    }

    /// What admission found wrong with it, with file, document and line.
    pub fn errors(&self, errors: &FieldErrors) -> ManifestErrors {
        let located = |error: &orch_core::object::FieldError| ManifestError {
            place: self.place(&error.path),
            message: error.body(),
        };
        ManifestErrors(errors.iter().map(located).collect())
    }

    fn metadata(&self, field: &str) -> Option<&str> {
        self.object.get("metadata")?.get(field)?.as_str()
    }
}

/// Kind, namespace and name: `Deployment default/web`.
impl std::fmt::Display for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&describe(&self.root, Some(&self.resource)))
    }
}

/// What messages call an object that may not be whole.
pub(super) fn describe(root: &Node, resource: Option<&ApiResource>) -> String {
    let metadata = root.entry("metadata").map(|entry| &entry.value);
    let text = |key| metadata.and_then(|metadata| metadata.text(key));
    let kind = root.text("kind").unwrap_or_default();
    let name = text("name").or_else(|| text("generateName")).unwrap_or_default();
    let namespace = match (text("namespace"), resource) {
        // One that has no place there is no part of its name.
        (Some(_), Some(resource)) if !resource.is_namespaced() => None,
        (Some(namespace), _) => Some(namespace),
        (None, Some(resource)) if resource.is_namespaced() => Some("default"),
        _ => None,
    };
    match (kind, name, namespace) {
        ("", "", _) => String::new(),
        (kind, "", _) => kind.to_owned(),
        (kind, name, Some(namespace)) => format!("{kind} {namespace}/{name}").trim_start().to_owned(),
        (kind, name, None) => format!("{kind} {name}").trim_start().to_owned(),
    }
}
