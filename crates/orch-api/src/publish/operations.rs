//! What may be asked of a kind: its paths, and at each the methods with their parameters.

use orch_core::object::ApiResource;
use serde_json::{Map, Value, json};

use super::v3::TYPES;
use crate::input;
use crate::resources::{self, Served};
use crate::route::GroupVersion;
use crate::unstored::Unstored;

/// A parameter behind the question mark: its name, its type, and what it says.
type Parameter = (&'static str, &'static str, &'static str);

const LISTING: [Parameter; 10] = [
    (
        "allowWatchBookmarks",
        "boolean",
        "Whether a watch is told how far it is now and then.",
    ),
    (
        "continue",
        "string",
        "Where to go on, as the last page of a list has it.",
    ),
    ("fieldSelector", "string", "Only objects with these fields."),
    ("labelSelector", "string", "Only objects with these labels."),
    ("limit", "integer", "The most objects of a page."),
    (
        "resourceVersion",
        "string",
        "Which version of the collection is asked for.",
    ),
    (
        "resourceVersionMatch",
        "string",
        "How that is meant: NotOlderThan or Exact.",
    ),
    (
        "sendInitialEvents",
        "boolean",
        "Whether a watch begins with what there is.",
    ),
    (
        "timeoutSeconds",
        "integer",
        "When the request ends whatever else.",
    ),
    ("watch", "boolean", "Tell what changes, from that version on."),
];

const DRY_RUN: Parameter = ("dryRun", "string", "All: try, and write nothing.");

const WRITING: [Parameter; 3] = [
    DRY_RUN,
    (
        "fieldManager",
        "string",
        "Who writes, as metadata.managedFields is to name them.",
    ),
    (
        "fieldValidation",
        "string",
        "What becomes of fields that are unknown or given twice: Ignore drops them, Warn says so too, Strict refuses the request.",
    ),
];

const FORCING: Parameter = (
    "force",
    "boolean",
    "Server-side apply takes fields over from others.",
);

const DELETING: [Parameter; 3] = [
    DRY_RUN,
    ("gracePeriodSeconds", "integer", "How long it may take to end."),
    (
        "propagationPolicy",
        "string",
        "What becomes of what it owns: Orphan, Background or Foreground.",
    ),
];

/// Adds the paths of a kind, whose objects and lists are of these types.
pub(super) fn add(paths: &mut Map<String, Value>, served: &Served, name: &str, list: &str) {
    let resource = &served.resource;
    let maker = Maker {
        resource,
        patches: input::patches(served.is_built_in()),
        of: GroupVersion::new(&resource.group, &resource.version),
    };
    let root = format!("/{}", maker.of.path());
    let everywhere = format!("{root}/{}", resource.plural);
    let why_unstored = served.why_unstored();
    let collection = if why_unstored == Some(Unstored::Review) && resource.is_namespaced() {
        format!("{root}/namespaces/{{namespace}}/{}", resource.plural)
    } else if resource.is_namespaced() {
        let get = maker.one("list", "ForAllNamespaces", &LISTING, None, list);
        paths.insert(everywhere, maker.item(json!({"get": get}), false, false));
        format!("{root}/namespaces/{{namespace}}/{}", resource.plural)
    } else {
        everywhere
    };
    let methods = json!({
        "get": maker.one("list", "", &LISTING, None, list),
        "post": maker.one("post", "", &WRITING, Some("*/*"), name),
        "delete": maker.one("deletecollection", "", &[&DELETING[..], &LISTING].concat(), None, ""),
    });
    if why_unstored == Some(Unstored::Review) {
        let methods = json!({"post": maker.one("post", "", &WRITING, Some("*/*"), name)});
        paths.insert(collection, maker.item(methods, resource.is_namespaced(), false));
        return;
    }
    if why_unstored == Some(Unstored::Metrics) {
        let get = maker.one("list", "", &LISTING, None, list);
        paths.insert(
            collection.clone(),
            maker.item(json!({"get": get}), resource.is_namespaced(), false),
        );
        let get = maker.one("get", "", &[], None, name);
        let item = maker.item(json!({"get": get}), resource.is_namespaced(), true);
        paths.insert(format!("{collection}/{{name}}"), item);
        return;
    }
    let of_one = format!("{collection}/{{name}}");
    paths.insert(collection, maker.item(methods, resource.is_namespaced(), false));
    let mut methods = maker.changing("", name);
    methods["delete"] = maker.one("delete", "", &DELETING, None, "");
    paths.insert(
        of_one.clone(),
        maker.item(methods, resource.is_namespaced(), true),
    );
    for (part, _, verbs) in served.all_parts() {
        let of_part = title(part);
        let methods = match verbs {
            ["create"] => json!({"post": maker.one("post", &of_part, &WRITING, Some("*/*"), "")}),
            ["get"] => json!({"get": maker.one("get", &of_part, &[], None, "")}),
            ["update"] => json!({"put": maker.one("put", &of_part, &WRITING, Some("*/*"), name)}),
            // Of a version that this document need not have.
            _ if resources::version_of_part(part).is_some() => maker.changing(&of_part, ""),
            _ => maker.changing(&of_part, name),
        };
        let item = maker.item(methods, resource.is_namespaced(), true);
        paths.insert(format!("{of_one}/{part}"), item);
    }
}

/// Makes what is said of one kind.
struct Maker<'a> {
    resource: &'a ApiResource,
    /// The forms of patches that it takes.
    patches: &'static [&'static str],
    of: GroupVersion,
}

impl Maker<'_> {
    /// How an object, or a part of it, is read and written.
    fn changing(&self, part: &str, type_: &str) -> Value {
        let patching = [&WRITING[..], &[FORCING]].concat();
        let mut patch = self.one("patch", part, &patching, Some("*/*"), type_);
        let forms: Map<String, Value> = self
            .patches
            .iter()
            .map(|form| ((*form).to_owned(), json!({"schema": {"type": "object"}})))
            .collect();
        patch["requestBody"]["content"] = forms.into();
        json!({
            "get": self.one("get", part, &[], None, type_),
            "put": self.one("put", part, &WRITING, Some("*/*"), type_),
            "patch": patch,
        })
    }

    /// An operation: what it does, to which part, and what it takes and gives. No type: anything.
    fn one(
        &self,
        action: &str,
        part: &str,
        parameters: &[Parameter],
        takes: Option<&str>,
        gives: &str,
    ) -> Value {
        let of = |name: &str| match name {
            "" => json!({}),
            name => json!({"schema": {"$ref": format!("{TYPES}{name}")}}),
        };
        let parameters: Vec<Value> = parameters
            .iter()
            .map(|(name, type_, description)| {
                json!({
                    "name": name,
                    "in": "query",
                    "description": description,
                    "schema": {"type": type_, "uniqueItems": true},
                })
            })
            .collect();
        let resource = self.resource;
        let verb = match action {
            "post" => "create",
            "put" => "replace",
            "get" => "read",
            other => other,
        };
        let scope = if resource.is_namespaced() && part != "ForAllNamespaces" {
            "Namespaced"
        } else {
            ""
        };
        let group = match self.of.group.split('.').next() {
            None | Some("") => "Core".to_owned(),
            Some(group) => title(group),
        };
        let version = title(&self.of.version);
        let mut operation = json!({
            "operationId": format!("{verb}{group}{version}{scope}{}{part}", resource.kind),
            "parameters": parameters,
            "responses": {"200": {"description": "OK", "content": {"application/json": of(gives)}}},
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": {
                "group": self.of.group, "kind": resource.kind, "version": self.of.version,
            },
        });
        if let Some(form) = takes {
            operation["requestBody"] = json!({"content": {form: of(gives)}, "required": true});
        }
        operation
    }

    /// A path: its methods, and what of it is for the caller to fill in.
    fn item(&self, mut methods: Value, in_namespace: bool, named: bool) -> Value {
        let filled = |name: &str, what: &str| json!({"name": name, "in": "path", "required": true, "description": what, "schema": {"type": "string"}});
        let mut parameters = Vec::new();
        if named {
            parameters.push(filled("name", "The object's name."));
        }
        if in_namespace {
            parameters.push(filled("namespace", "The namespace that it is in."));
        }
        methods["parameters"] = parameters.into();
        methods
    }
}

/// With a capital.
fn title(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
