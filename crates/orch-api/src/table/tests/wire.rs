//! Tables as they are written.

use serde_json::{Value, json};

use super::super::{Include, Layout, Table, write_metadata};
use super::{document, now, object, printer, resource};
use crate::resources::Served;

fn table(of: &Value, include: Include) -> Table {
    Table {
        served: Served::embedded(resource(of)),
        layout: Layout::Known(printer(of, true)),
        include,
    }
}

fn parsed(out: &[u8]) -> Value {
    serde_json::from_slice(out).unwrap_or_else(|error| panic!("{error}: {out:?}"))
}

#[test]
fn a_list_is_a_table_with_a_row_for_each_object() {
    let map = object(
        "v1",
        "ConfigMap",
        &json!({"data": {"k": "v"}, "metadata": {"resourceVersion": "7", "labels": {"l": "1"}}}),
    );
    let metadata =
        json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": map["metadata"]});
    for (include, expected) in [
        (Include::None, json!(null)),
        (Include::Metadata, metadata.clone()),
        (Include::Object, map.clone()),
    ] {
        let meta = json!({"resourceVersion": "9", "continue": "there"});
        let items = [document(&map), document(&map)];
        let out = parsed(&table(&map, include).of_list(&meta, &items, now()));
        let row = json!({"cells": ["a", 1, "5m"], "object": expected});
        assert_eq!(out["rows"], json!([row, row]), "{include:?}");
        assert_eq!(
            (&out["kind"], &out["apiVersion"], &out["metadata"]),
            (&json!("Table"), &json!("meta.k8s.io/v1"), &meta)
        );
        let columns = out["columnDefinitions"].as_array().unwrap();
        assert_eq!(columns.len(), 3);
        let name = json!({
            "name": "Name", "type": "string", "format": "name", "description": "What the object is called.", "priority": 0,
        });
        assert_eq!(columns[0], name);
    }
    let out = table(&map, Include::None).of_list(&json!({}), &[], now());
    assert_eq!(parsed(&out)["rows"], json!([]));
    let mut out = Vec::new();
    write_metadata(&document(&map), &mut out);
    assert_eq!(parsed(&out), metadata);
}

#[test]
fn one_object_is_a_table_of_its_version() {
    let pod = object(
        "v1",
        "Pod",
        &json!({"metadata": {"resourceVersion": "7"}, "status": {"phase": "Failed"}}),
    );
    for has_columns in [true, false] {
        let mut out = Vec::new();
        table(&pod, Include::None).write_one(&document(&pod), has_columns, now(), &mut out);
        let out = parsed(&out);
        assert_eq!(out["metadata"], json!({"resourceVersion": "7"}));
        assert_eq!(out["columnDefinitions"].is_array(), has_columns);
        let condition = &out["rows"][0]["conditions"][0];
        assert_eq!(
            (&condition["type"], &condition["status"], &condition["reason"]),
            (&json!("Completed"), &json!("True"), &json!("Failed"))
        );
        assert_eq!(out["rows"].as_array().unwrap().len(), 1);
    }
    let wide = printer(&pod, true).columns;
    let priorities: Vec<_> = wide.iter().map(|column| column.priority).collect();
    assert_eq!(priorities, [0, 0, 0, 0, 0, 1, 1, 1, 1]);
}
