//! What makes a schema structural: every field that it speaks of has one type, said in one place
//! (KEP-1904, apiextensions' `ValidateStructural`).

use orch_core::object::{FieldError, FieldErrors, FieldPath};

use crate::custom::schema::node::{Additional, Node, Type, Values};

/// Adds what keeps a schema from being structural.
pub(super) fn check(root: &Node, at: &FieldPath, errors: &mut FieldErrors) {
    Checker { errors }.outer(root, Level::Root, at);
    Checker { errors }.complete(&root.values, Some(root), at, at);
}

#[derive(Clone, Copy, PartialEq)]
enum Level {
    Root,
    Item,
    Field,
}

struct Checker<'a> {
    errors: &'a mut FieldErrors,
}

impl Checker<'_> {
    fn required(&mut self, at: &FieldPath, keyword: &'static str, detail: &str) {
        self.errors.push(FieldError::required(&at.child(keyword), detail));
    }

    fn forbidden(&mut self, at: &FieldPath, keyword: &'static str, detail: &str) {
        self.errors
            .push(FieldError::forbidden(&at.child(keyword), detail));
    }

    /// A schema that is in no junctor.
    fn outer(&mut self, node: &Node, level: Level, at: &FieldPath) {
        if node.kind == Some(Type::Array) && node.items.is_none() {
            self.required(at, "items", "must be specified");
        }
        if let Some(items) = &node.items {
            self.outer(items, Level::Item, &at.child("items"));
        }
        for (name, field) in &node.properties {
            self.outer(field, Level::Field, &at.child("properties").key(name.clone()));
        }
        if node.additional.is_some() && level == Level::Root {
            self.forbidden(at, "additionalProperties", "must not be used at the root");
        }
        if let Some(Additional::Schema(additional)) = &node.additional {
            self.outer(additional, Level::Field, &at.child("additionalProperties"));
        }
        self.extensions(node, at);
        self.kind(node, level, at);
        let first_is_int_or_string =
            matches!(node.values.all_of.first(), Some(first) if first.values.any_of_int_or_string);
        self.values(
            &node.values,
            node.values.any_of_int_or_string,
            first_is_int_or_string,
            at,
        );
        self.meta(node, level, at);
    }

    fn extensions(&mut self, node: &Node, at: &FieldPath) {
        for (keyword, is_set) in [
            ("x-kubernetes-preserve-unknown-fields", node.preserves_unknown),
            ("x-kubernetes-embedded-resource", node.is_embedded),
        ] {
            if node.is_int_or_string && is_set {
                let detail = "must be false if x-kubernetes-int-or-string is true";
                let error = FieldError::invalid(&at.child(keyword), true, detail);
                self.errors.push(error);
            }
        }
        if !node.is_embedded {
            return;
        }
        if node.additional.is_some() {
            let detail = "must not be used if x-kubernetes-embedded-resource is set";
            self.forbidden(at, "additionalProperties", detail);
        }
        if !node.preserves_unknown && node.properties.is_empty() {
            let detail = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
            self.required(at, "properties", detail);
        }
    }

    fn kind(&mut self, node: &Node, level: Level, at: &FieldPath) {
        let invalid = |kind: Type, detail| FieldError::invalid(&at.child("type"), kind.word(), detail);
        let embedded = "must be object if x-kubernetes-embedded-resource is true";
        match node.kind {
            Some(Type::Object) => {}
            Some(other) => {
                if node.is_embedded {
                    self.errors.push(invalid(other, embedded));
                }
                if level == Level::Root {
                    self.errors.push(invalid(other, "must be object at the root"));
                }
            }
            None if node.is_embedded => self.required(at, "type", embedded),
            None if node.is_int_or_string || node.preserves_unknown => {}
            None => {
                let detail = match level {
                    Level::Root => "must not be empty at the root",
                    Level::Item => "must not be empty for specified array items",
                    Level::Field => "must not be empty for specified object fields",
                };
                self.required(at, "type", detail);
            }
        }
    }

    /// What every object has.
    fn meta(&mut self, node: &Node, level: Level, at: &FieldPath) {
        let is_object = level == Level::Root || node.is_embedded;
        for (name, kind) in [
            ("kind", Type::String),
            ("apiVersion", Type::String),
            ("metadata", Type::Object),
        ] {
            let Some(field) = node.properties.get(name) else {
                continue;
            };
            let path = at.child("properties").key(name);
            if is_object && field.kind != Some(kind) {
                let detail = format!("must be {}", kind.word());
                let shown = field.kind.map_or("", Type::word);
                let error = FieldError::invalid(&path.child("type"), shown, detail);
                self.errors.push(error);
            }
        }
    }

    fn values(&mut self, values: &Values, skip_any_of: bool, skip_first_any_of: bool, at: &FieldPath) {
        let any_of = if skip_any_of { &[][..] } else { &values.any_of };
        for (index, case) in any_of.iter().enumerate() {
            self.inner(case, false, &at.child("anyOf").index(index));
        }
        for (index, case) in values.all_of.iter().enumerate() {
            let skip_any_of = skip_first_any_of && index == 0;
            self.inner(case, skip_any_of, &at.child("allOf").index(index));
        }
        for (index, case) in values.one_of.iter().enumerate() {
            self.inner(case, false, &at.child("oneOf").index(index));
        }
        if let Some(not) = &values.not {
            self.inner(not, false, &at.child("not"));
        }
    }

    /// A schema in a junctor, which may say nothing of how values are made up.
    fn inner(&mut self, node: &Node, skip_any_of: bool, at: &FieldPath) {
        self.values(&node.values, skip_any_of, false, at);
        if let Some(items) = &node.items {
            self.inner(items, false, &at.child("items"));
        }
        for (name, field) in &node.properties {
            self.inner(field, false, &at.child("properties").key(name.clone()));
        }
        let (empty, unset, off) = (
            "must be empty to be structural",
            "must be undefined to be structural",
            "must be false to be structural",
        );
        let has_others = !matches!(node.additional, None | Some(Additional::Any(false)));
        for (keyword, is_set, detail) in [
            ("type", node.kind.is_some(), empty),
            ("additionalProperties", has_others, unset),
            ("default", node.default.is_some(), unset),
            ("title", node.titled, empty),
            ("description", node.described, empty),
            ("nullable", node.nullable, off),
            (
                "x-kubernetes-preserve-unknown-fields",
                node.preserves_unknown,
                off,
            ),
            ("x-kubernetes-embedded-resource", node.is_embedded, off),
            ("x-kubernetes-int-or-string", node.is_int_or_string, off),
            (
                "x-kubernetes-list-map-keys",
                !node.list_map_keys.is_empty(),
                empty,
            ),
            ("x-kubernetes-list-type", node.list_type.is_some(), unset),
            ("x-kubernetes-map-type", node.map_type.is_some(), unset),
            ("x-kubernetes-validations", !node.written_rules.is_empty(), empty),
        ] {
            if is_set {
                self.forbidden(at, keyword, detail);
            }
        }
        if node.properties.contains_key("metadata") {
            let path = at.child("properties").key("metadata");
            let error = FieldError::forbidden(&path, "must not be specified in a nested context");
            self.errors.push(error);
        }
    }

    /// All that the root's junctors speak of must be specified outside of them. Those of other schemas Kubernetes does
    /// not look at.
    fn complete(&mut self, values: &Values, outer: Option<&Node>, at: &FieldPath, inner_at: &FieldPath) {
        let junctors = [
            ("allOf", &values.all_of),
            ("anyOf", &values.any_of),
            ("oneOf", &values.one_of),
        ];
        if let Some(not) = &values.not {
            self.complete_inner(not, outer, at, &inner_at.child("not"));
        }
        for (junctor, cases) in junctors {
            for (index, case) in cases.iter().enumerate() {
                self.complete_inner(case, outer, at, &inner_at.child(junctor).index(index));
            }
        }
    }

    fn complete_inner(&mut self, inner: &Node, outer: Option<&Node>, at: &FieldPath, inner_at: &FieldPath) {
        let Some(outer) = outer else {
            let detail = format!("because it is defined in {inner_at}");
            self.errors.push(FieldError::required(at, detail));
            return;
        };
        self.complete(&inner.values, Some(outer), at, inner_at);
        if let Some(items) = &inner.items {
            let outer = outer.items.as_deref();
            self.complete_inner(items, outer, &at.child("items"), &inner_at.child("items"));
        }
        for (name, field) in &inner.properties {
            let path = |at: &FieldPath| at.child("properties").key(name.clone());
            self.complete_inner(field, outer.properties.get(name), &path(at), &path(inner_at));
        }
    }
}
