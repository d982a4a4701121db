//! From text to objects: documents, lists, identity, kind.

use std::collections::HashMap;
use std::sync::Arc;

use orch_core::object::{ApiResource, FieldPath, Segment};
use serde_json::Value;

use super::item::describe;
use super::kinds::{Kind, ManifestKinds, slot};
use super::node::{Content, Entry, Node, Position};
use super::{Item, Limits, Manifest, ManifestError, ManifestErrors, ManifestWarning, Place, yaml};
use crate::strict::{Fault, no_string};

pub(super) fn read(
    file: &str,
    text: &str,
    kinds: &ManifestKinds,
    limits: &Limits,
) -> Result<Manifest, ManifestErrors> {
    let mut reading = Reading {
        file: file.into(),
        kinds,
        items: Vec::new(),
        errors: Vec::new(),
        invalid: Vec::new(),
        warnings: Vec::new(),
        seen: HashMap::new(),
    };
    let (documents, faults) = yaml::load(text, limits);
    for fault in faults {
        // The document may be broken off, but what it got to say of itself helps to find it.
        let whole = documents
            .iter()
            .find(|document| document.number == fault.document);
        let root = fault.fragment.as_ref().or(whole.map(|document| &document.root));
        let object = root.map(|root| reading.name(root)).unwrap_or_default();
        reading.errors.push(ManifestError {
            place: Place {
                file: reading.file.clone(),
                document: fault.document,
                object,
                position: fault.position,
                path: fault.path,
            },
            message: fault.message,
        });
    }
    for document in documents {
        reading.document(document.number, document.root);
    }
    let Reading {
        items,
        mut errors,
        invalid,
        mut warnings,
        ..
    } = reading;
    if errors.is_empty() {
        warnings.sort_by_key(|warning| warning.place.position);
        return Ok(Manifest { items, warnings });
    }
    errors.extend(invalid);
    errors.sort_by_key(|error| error.place.position);
    Err(ManifestErrors(errors))
}

struct Reading<'a> {
    file: Arc<str>,
    kinds: &'a ManifestKinds,
    items: Vec<Item>,
    errors: Vec<ManifestError>,
    /// What applying would refuse, to be told with the other errors if there are any.
    invalid: Vec<ManifestError>,
    warnings: Vec<ManifestWarning>,
    /// Where each object was given first, by what it is and its name.
    seen: HashMap<(String, String), Position>,
}

impl Reading<'_> {
    /// Takes a document: an object, or a list of objects.
    fn document(&mut self, number: usize, root: Node) {
        let list_kind = root.text("kind").and_then(|kind| kind.strip_suffix("List"));
        let is_list = root.entry("items").is_some() && list_kind.is_some();
        let Some(item_kind) = list_kind.filter(|_| is_list).map(str::to_owned) else {
            self.object(number, root);
            return;
        };
        let api_version = root.text("apiVersion").unwrap_or_default().to_owned();
        let Content::Map(entries) = root.content else {
            return;
        };
        for entry in entries {
            match (entry.key.as_str(), entry.value.content) {
                ("items", Content::List(items)) => {
                    for item in items {
                        self.document(number, with_kind(item, &api_version, &item_kind));
                    }
                }
                ("items", Content::Scalar(Value::Null)) => {}
                ("items", _) => self.error(
                    number,
                    String::new(),
                    entry.position,
                    "items".into(),
                    "expected a list of objects".to_owned(),
                ),
                _ => {}
            }
        }
    }

    fn object(&mut self, number: usize, root: Node) {
        let Content::Map(_) = root.content else {
            let message = "expected an object with apiVersion, kind and metadata".to_owned();
            self.error(number, String::new(), root.position, FieldPath::root(), message);
            return;
        };
        let name = self.name(&root);
        let (api_version, kind_name) = (root.text("apiVersion"), root.text("kind"));
        let known = api_version.zip(kind_name).map(|(api_version, kind)| {
            let known = self.kinds.kind(api_version, kind);
            known.ok_or_else(|| self.kinds.unknown(api_version, kind))
        });
        let mut value = root.to_value();
        let mut faults = identity(&value);
        let mut found: Option<&Kind> = None;
        match known {
            None => {}
            Some(Err(fault)) => faults.push(fault),
            Some(Ok(kind)) => {
                let checked = kind.check(&value);
                for Fault { path, message } in kind.validate(&value, &checked) {
                    if !faults.iter().any(|known| known.path == path) {
                        let error = self.fault(number, name.clone(), root.locate(&path), path, message);
                        self.invalid.push(error);
                    }
                }
                for fault in checked.faults {
                    if !faults.iter().any(|known| known.path == fault.path) {
                        faults.push(fault);
                    }
                }
                for (path, rewritten) in checked.rewrites {
                    if let Some(slot) = slot(&mut value, &path) {
                        *slot = rewritten;
                    }
                }
                found = Some(kind);
            }
        }
        let faulty = !faults.is_empty();
        for Fault { path, mut message } in faults {
            if let Some(written) = root.written(&path) {
                message.push_str(&format!(" ({written})"));
            }
            self.error(number, name.clone(), root.locate(&path), path, message);
        }
        if let (Some(kind), false, Value::Object(object)) = (found, faulty, value) {
            let item = Item {
                file: self.file.clone(),
                document: number,
                root,
                resource: kind.resource.clone(),
                object,
            };
            self.warn(kind, &item);
            self.items.push(item);
        }
    }

    fn warn(&mut self, kind: &Kind, item: &Item) {
        let object = Value::Object(item.object.clone());
        for field in &kind.unimplemented {
            for path in field.found_in(&object) {
                self.warnings.push(ManifestWarning {
                    place: item.place(&path),
                    message: field.message(),
                });
            }
        }
        for (path, written) in item.root.rewritten_keys(&FieldPath::root()) {
            let segments = path.segments();
            let Some(Segment::Field(key) | Segment::Key(key)) = segments.last() else {
                continue;
            };
            self.warnings.push(ManifestWarning {
                place: item.place(&path),
                message: format!(
                    "the key is written {written}, which YAML takes for {key}; in quotes it stays as it is"
                ),
            });
        }
        if item
            .object
            .get("status")
            .and_then(Value::as_object)
            .is_some_and(|status| !status.is_empty())
        {
            self.warnings.push(ManifestWarning {
                place: item.place(&"status".into()),
                message: "written by controllers alone; what a manifest says of it has no effect".to_owned(),
            });
        }
        let identity = (kind.resource.group_resource().into_owned(), item.to_string());
        let position = item.locate(&FieldPath::new("metadata").child("name"));
        if let Some(first) = self.seen.insert(identity, position) {
            self.warnings.push(ManifestWarning {
                place: item.place(&FieldPath::new("metadata").child("name")),
                message: format!(
                    "the object is given on line {} too; the later one wins",
                    first.line
                ),
            });
        }
    }

    fn error(
        &mut self,
        document: usize,
        object: String,
        position: Position,
        path: FieldPath,
        message: String,
    ) {
        let error = self.fault(document, object, position, path, message);
        self.errors.push(error);
    }

    fn fault(
        &self,
        document: usize,
        object: String,
        position: Position,
        path: FieldPath,
        message: String,
    ) -> ManifestError {
        ManifestError {
            place: Place {
                file: self.file.clone(),
                document,
                object,
                position,
                path,
            },
            message,
        }
    }

    fn name(&self, root: &Node) -> String {
        let resource: Option<&ApiResource> = root
            .text("apiVersion")
            .zip(root.text("kind"))
            .and_then(|(api_version, kind)| self.kinds.resource(api_version, kind));
        describe(root, resource)
    }
}

/// What every object must say of itself.
fn identity(value: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut require = |path: FieldPath, found: Option<&Value>, example: &str| {
        let message = match found {
            Some(Value::String(text)) if !text.is_empty() => return,
            None | Some(Value::Null | Value::String(_)) => format!("required, but not given; {example}"),
            Some(other) => no_string(other),
        };
        faults.push(Fault { path, message });
    };
    require(
        "apiVersion".into(),
        value.get("apiVersion"),
        "such as v1 or apps/v1",
    );
    require("kind".into(), value.get("kind"), "such as Deployment");
    let metadata = value.get("metadata").unwrap_or(&Value::Null);
    match metadata {
        Value::Null | Value::Object(_) => {
            let meta = FieldPath::new("metadata");
            let generated = metadata.get("generateName").is_some_and(|base| !base.is_null());
            if generated && metadata.get("name").is_none() {
                // Applied again it would be another object.
                faults.push(Fault {
                    path: meta.child("generateName"),
                    message: "what is applied needs a name of its own; give metadata.name instead".to_owned(),
                });
            } else {
                require(meta.child("name"), metadata.get("name"), "such as web");
            }
        }
        _ => faults.push(Fault {
            path: "metadata".into(),
            message: "expected an object".to_owned(),
        }),
    }
    faults
}

/// The items of a typed list need not say what they are.
fn with_kind(mut item: Node, api_version: &str, kind: &str) -> Node {
    let position = item.position;
    if let Content::Map(entries) = &mut item.content
        && !kind.is_empty()
    {
        for (key, text) in [("apiVersion", api_version), ("kind", kind)] {
            if !entries.iter().any(|entry| entry.key == key) {
                entries.push(Entry {
                    key: key.to_owned(),
                    written: None,
                    position,
                    value: Node::new(position, Content::Scalar(text.into())),
                });
            }
        }
    }
    item
}
