//! The record of who wrote what is kept in the writes that are made with it, and in no others.

use serde_json::{Value, json};

use super::*;
use crate::object::{ObjectKey, RawObject};

/// Writes down who wrote, and how many fields it saw before and after; the second is no change that counts.
#[derive(Debug)]
struct Counts(&'static str);

impl FieldManager for Counts {
    fn record(&self, old: Option<&RawObject>, new: &mut RawObject) -> Result<(), ApiError> {
        if self.0 == "nobody" {
            return Err(ApiError::BadRequest("nobody writes".to_owned()));
        }
        let (before, after) = (old.map_or(0, RawObject::len), new.len());
        let seen = json!([{ "manager": self.0, "before": before, "after": after }]);
        new["metadata"]["managedFields"] = seen;
        Ok(())
    }

    fn settle(&self, old: &RawObject, new: &mut RawObject) {
        let who = |object: &RawObject| object["metadata"]["managedFields"][0]["manager"].clone();
        if who(old) == who(new) {
            new["metadata"]["managedFields"] = old["metadata"]["managedFields"].clone();
        }
    }
}

fn by(name: &'static str) -> WriteParams {
    WriteParams::default().field_manager(Arc::new(Counts(name)))
}

fn seen(written: &Written) -> Value {
    let record = written.document.record().expect("there is a record");
    serde_json::from_str::<Value>(record).unwrap()[0].clone()
}

#[tokio::test]
async fn the_record_is_kept_in_each_kind_of_write_and_only_if_asked_for() {
    let client = client();
    let cats = client.api::<Cat>("default");
    let made = cats.create_with(&cat("tom", 9), &by("alice")).await.unwrap();
    let expected = json!({ "manager": "alice", "before": 0, "after": 4 });
    assert_eq!(seen(&made), expected);

    let backend = client.backend();
    let target = Target {
        resource: Arc::new(Cat::resource()),
        key: ObjectKey::new(Some("default"), "tom"),
    };
    let asleep = Patch::Merge(json!({ "status": { "asleep": true } }));
    let merged = Patch::Merge(json!({ "spec": { "lives": 8 } }));
    let sleepy: json_patch::Patch = serde_json::from_value(json!([
        { "op": "replace", "path": "/status/asleep", "value": false },
        { "op": "remove", "path": "/metadata/managedFields" },
    ]))
    .unwrap();
    for (part, patch, who, fields, changed) in [
        (Part::Whole, &merged, "bob", (4, 4), true),
        (Part::Status, &asleep, "carol", (4, 5), true),
        (Part::Status, &Patch::Json(sleepy), "dave", (5, 5), true),
        // The same again is no write, though the record would be another.
        (Part::Whole, &merged, "dave", (5, 5), false),
    ] {
        let written = backend.patch(&target, part, patch, &by(who)).await.unwrap();
        let expected = json!({ "manager": who, "before": fields.0, "after": fields.1 });
        assert_eq!((seen(&written), written.changed), (expected, changed), "{who}");
    }
    let unrecorded = WriteParams::default();
    let stays = backend.patch(&target, Part::Status, &asleep, &unrecorded).await;
    assert_eq!(seen(&stays.unwrap())["manager"], "dave");
    let refused = backend.patch(&target, Part::Status, &asleep, &by("nobody")).await;
    assert_eq!(refused.unwrap_err().to_string(), "bad request: nobody writes");
    // Who reads the status and writes it back writes nothing, and another who does takes it over.
    let status = json!({ "metadata": { "name": "tom" }, "status": { "asleep": true } });
    let status = status.as_object().unwrap();
    for (who, changed) in [("dave", false), ("erin", true)] {
        let again = backend
            .update(&target, Part::Status, status.clone(), &by(who))
            .await;
        let again = again.unwrap();
        assert_eq!((&seen(&again)["manager"], again.changed), (&json!(who), changed));
    }
}
