//! The form in which the objects of different runs are compared.

use serde_json::{Map, Value};

use crate::object::Document;

/// What of the metadata differs between runs that are equally good.
const VARYING: [&str; 7] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "managedFields",
    "selfLink",
];

/// An object without what varies, on one line.
pub(super) fn normal(document: &Document) -> Option<String> {
    let mut object = document.to_raw().ok()?;
    if let Some(Value::Object(meta)) = object.get_mut("metadata") {
        VARYING.iter().for_each(|field| drop(meta.remove(*field)));
        if let Some(base) = meta.get("generateName").cloned() {
            meta.insert("name".to_owned(), base);
        }
        if let Some(Value::Array(owners)) = meta.get_mut("ownerReferences") {
            owners
                .iter_mut()
                .filter_map(Value::as_object_mut)
                .for_each(|owner| drop(owner.remove("uid")));
        }
    }
    without_times(&mut object);
    serde_json::to_string(&object).ok()
}

/// Takes away what is called a time: `lastTransitionTime`, `renewTime`, `startedAt`.
fn without_times(object: &mut Map<String, Value>) {
    object.retain(|name, value| {
        let is_time = name.ends_with("Time") || name.ends_with("Timestamp") || name.ends_with("At");
        if is_time
            && value
                .as_str()
                .is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok())
        {
            return false;
        }
        visit(value);
        true
    });
}

fn visit(value: &mut Value) {
    match value {
        Value::Object(object) => without_times(object),
        Value::Array(items) => items.iter_mut().for_each(visit),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Revision;

    #[test]
    fn what_varies_is_left_out_and_all_else_stays() {
        let object = serde_json::json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "web-x7k2p", "generateName": "web-", "uid": "u", "namespace": "n",
                "creationTimestamp": "2030-01-01T00:00:00Z", "ownerReferences": [{"name": "web", "uid": "v"}]},
            "status": {"startedAt": "2030-01-01T00:00:01.5Z", "readyAt": "soon",
                "conditions": [{"type": "Ready", "lastTransitionTime": "2030-01-01T00:00:02Z"}]},
        });
        let document =
            Document::from_stored(serde_json::to_vec(&object).unwrap().into(), Revision::new(4)).unwrap();
        let normal: Value = serde_json::from_str(&normal(&document).unwrap()).unwrap();
        let expected = serde_json::json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "web-", "generateName": "web-", "namespace": "n", "ownerReferences": [{"name": "web"}]},
            "status": {"readyAt": "soon", "conditions": [{"type": "Ready"}]},
        });
        assert_eq!(normal, expected);
    }
}
