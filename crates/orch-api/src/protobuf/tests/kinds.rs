//! Whether the table is that of the kinds served.

use std::collections::{HashMap, HashSet};

use super::super::table::{self, Shape, Type};
use crate::schema::{Node, Schema, built_in, every_kind};

#[test]
fn the_table_has_the_fields_that_the_kinds_have() {
    let (kinds, messages) = table::all();
    let messages: HashMap<_, _> = messages.into_iter().collect();
    // Definitions of kinds are files, and those are sent as JSON or YAML.
    let sent = every_kind().filter(|(_, kind)| *kind != "CustomResourceDefinition");
    for (api_version, kind) in sent {
        assert!(table::kind(api_version, kind).is_some(), "{api_version} {kind}");
    }
    let (mut seen, mut missing) = (HashSet::new(), Vec::new());
    let mut open: Vec<(&str, Option<Schema>)> = kinds
        .iter()
        .map(|[version, kind, message]| (*message, built_in(version, kind).cloned()))
        .collect();
    while let Some((message, schema)) = open.pop() {
        if !seen.insert((message, schema.is_some())) {
            continue;
        }
        let mut names = HashSet::new();
        let mut fields = messages
            .get(message)
            .unwrap_or_else(|| panic!("{message}"))
            .clone();
        while let Some(field) = fields.pop() {
            let Some(name) = field.name else {
                let Type::Message(within) = field.type_ else {
                    panic!("{message}: {field:?}")
                };
                fields.extend(messages[within].iter().cloned());
                continue;
            };
            assert!(names.insert(name), "{message}.{name} is there twice");
            let child = schema.as_ref().and_then(|schema| schema.child(name));
            if let Some(child) = &child {
                let (node, is_message) = (child.node(), matches!(field.type_, Type::Message(_)));
                let fits = match field.shape {
                    Shape::List => matches!(node, Node::List(_)),
                    Shape::Map => matches!(node, Node::Map(_)),
                    Shape::One if is_message => {
                        matches!(node, Node::Struct(_) | Node::Untyped | Node::Map(_))
                    }
                    Shape::One if field.type_ == Type::Json => {
                        matches!(node, Node::Untyped | Node::Map(_) | Node::Struct(_))
                    }
                    Shape::One => matches!(node, Node::Scalar),
                };
                assert!(
                    fits,
                    "{message}.{name}: {:?} {:?} is no {child:?}",
                    field.shape, field.type_
                );
            }
            if let Type::Message(below) = field.type_ {
                let items = child.map(|child| match child.node() {
                    Node::List(list) => list.items.clone(),
                    Node::Map(map) => map.values.clone(),
                    _ => child,
                });
                open.push((below, items));
            }
        }
        if let Some(Node::Struct(of)) = schema.as_ref().map(Schema::node) {
            let absent = of
                .fields()
                .map(|(name, _)| name)
                .filter(|name| !names.contains(name));
            let absent = absent.filter(|name| !matches!(*name, "apiVersion" | "kind"));
            missing.extend(absent.map(|name| format!("{message}.{name}")));
        }
    }
    // Newer than the sources that the table is made of.
    missing.retain(|field| field != "core.v1.NodeSystemInfo.runningInUserNamespace");
    assert!(missing.is_empty(), "{missing:?}");
    assert!(seen.len() > 200, "{}", seen.len());
}
