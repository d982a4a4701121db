//! Who writes: the field manager of a request, and the record it keeps in `metadata.managedFields`.
//!
//! As kube-apiserver does it (`apiserver/pkg/endpoints/handlers`, `apimachinery/pkg/util/managedfields`): each write by HTTP is recorded
//! within it, once the object is filled in and before admission may change it.

use orch_core::client::{ApiError, FieldManager};
use orch_core::object::{DEEPEST, RawObject, depth};
use orch_core::time;
use serde_json::{Value, json};

use crate::fields::Mind;
use crate::patch::apply::{ApplyError, FieldSet, Request, is_same_but};
use crate::query::FIELD_MANAGER_BYTES;
use crate::resources::Served;
use crate::schema::Schema;

/// One who writes to an object, or to a subresource of it.
#[derive(Debug)]
pub(crate) struct Writer {
    schema: Schema,
    api_version: String,
    manager: String,
    subresource: String,
    mind: Option<Mind>,
}

impl Writer {
    pub(crate) fn new(served: &Served, manager: String, subresource: Option<&str>) -> Self {
        let stored = &served.stored;
        Self {
            api_version: stored.api_version().into_owned(),
            mind: None,
            schema: served.schema(),
            manager,
            subresource: subresource.unwrap_or_default().to_owned(),
        }
    }

    /// Minds fields that the kind does not have, and those that were given twice.
    pub(crate) fn minding(self, mind: Option<Mind>) -> Self {
        Self { mind, ..self }
    }

    /// What there was of those, for who is to be warned.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.mind.as_ref().map(Mind::warnings).unwrap_or_default()
    }

    /// What a configuration makes of an object.
    pub(crate) fn apply(
        &self,
        live: &RawObject,
        config: &RawObject,
        ignored: &FieldSet,
        force: bool,
    ) -> Result<RawObject, ApplyError> {
        self.request(ignored, &now()).apply(live, config, force)
    }

    fn request<'a>(&'a self, ignored: &'a FieldSet, now: &'a str) -> Request<'a> {
        Request {
            schema: &self.schema,
            api_version: &self.api_version,
            manager: &self.manager,
            subresource: &self.subresource,
            ignored,
            now,
        }
    }
}

/// Who writes in another way than by applying owns what changes.
impl FieldManager for Writer {
    fn receive(&self, object: &mut RawObject) -> Result<(), ApiError> {
        self.mind
            .as_ref()
            .map_or(Ok(()), |mind| mind.drop_unknown(object))
    }

    fn record(&self, old: Option<&RawObject>, new: &mut RawObject) -> Result<(), ApiError> {
        /// Levels above `managedFields`: the object and its metadata.
        const ABOVE: usize = 2;
        let (nothing, ignored, now) = (RawObject::new(), FieldSet::new(), now());
        let request = self.request(&ignored, &now);
        *new = request.update(old.unwrap_or(&nothing), std::mem::take(new));
        if let Some(Value::Object(metadata)) = new.get_mut("metadata")
            && let Some(record) = metadata.get("managedFields")
            && depth(record, DEEPEST) > DEEPEST - ABOVE - 1
        {
            // Rather no record than no write, as in Kubernetes: it nests a few levels deeper than what it is of.
            metadata.remove("managedFields");
        }
        Ok(())
    }

    fn settle(&self, old: &RawObject, new: &mut RawObject) {
        keep_times(old, new);
    }
}

/// Who applied has recorded it already.
#[derive(Debug)]
pub(crate) struct Applied;

impl FieldManager for Applied {
    fn record(&self, _: Option<&RawObject>, _: &mut RawObject) -> Result<(), ApiError> {
        Ok(())
    }

    fn settle(&self, old: &RawObject, new: &mut RawObject) {
        keep_times(old, new);
    }
}

/// The name of who does not give one: the first part of `User-Agent`, up to a slash, of so many bytes as a name may have.
pub(crate) fn of_agent(agent: &str) -> String {
    let mut name = String::new();
    let first = agent.split('/').next().unwrap_or_default();
    for letter in first.chars().filter(|letter| !letter.is_control()) {
        if name.len() + letter.len_utf8() > FIELD_MANAGER_BYTES {
            break;
        }
        name.push(letter);
    }
    name
}

/// The present, to the second.
fn now() -> String {
    let now = time::now();
    jiff::Timestamp::from_second(now.as_second())
        .unwrap_or(now)
        .to_string()
}

/// Leaves the record as it was if nothing but times in it differs, whatever filling in, admission and normal forms made of the object
/// since (`IgnoreManagedFieldsTimestampsTransformer`).
fn keep_times(old: &RawObject, new: &mut RawObject) {
    let (Some(Value::Object(was)), Some(Value::Object(is))) = (old.get("metadata"), new.get("metadata"))
    else {
        return;
    };
    let (Some(Value::Array(before)), Some(Value::Array(after))) =
        (was.get("managedFields"), is.get("managedFields"))
    else {
        return;
    };
    if before == after || !is_same_but("managedFields", is, was) || !is_same_but("metadata", new, old) {
        return;
    }
    if timeless(before) == timeless(after) {
        let before = Value::Array(before.clone());
        new["metadata"]["managedFields"] = before;
    }
}

/// The entries of a record without their times, in an order that is not that of the times.
fn timeless(entries: &[Value]) -> Vec<(String, Value)> {
    let without = |entry: &Value| {
        let mut entry = entry.clone();
        if let Value::Object(entry) = &mut entry {
            entry.remove("time");
        }
        let of = ["manager", "operation", "apiVersion", "subresource"].map(|part| &entry[part]);
        (json!(of).to_string(), entry)
    };
    let mut entries: Vec<_> = entries.iter().map(without).collect();
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    entries
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_gives_no_name_has_that_of_the_program() {
        for (agent, expected) in [
            ("kubectl/v1.33.1 (linux/amd64) kubernetes/8adc0f0", "kubectl"),
            ("", ""),
            ("a\u{1}b\tc", "abc"),
            ("/x", ""),
        ] {
            assert_eq!(of_agent(agent), expected, "{agent:?}");
        }
        let long = "é".repeat(100);
        assert_eq!(of_agent(&long).len(), FIELD_MANAGER_BYTES);
    }

    #[test]
    fn times_are_kept_where_nothing_else_differs() {
        let object = |time: &str, fields: &str, data: &str| {
            let entries = json!([
                { "manager": "alice", "time": "2026-01-01T00:00:01Z", "fieldsV1": { "f:data": {} } },
                { "manager": "bob", "time": time, "fieldsV1": { fields: {} } },
            ]);
            let object = json!({ "metadata": { "name": "a", "managedFields": entries }, "data": data });
            object.as_object().unwrap().clone()
        };
        let old = object("2026-01-01T00:00:02Z", "f:x", "1");
        for (new, is_kept) in [
            (object("2026-01-01T00:00:09Z", "f:x", "1"), true),
            (object("2026-01-01T00:00:09Z", "f:y", "1"), false),
            (object("2026-01-01T00:00:09Z", "f:x", "2"), false),
        ] {
            let mut settled = new.clone();
            keep_times(&old, &mut settled);
            assert_eq!(settled, if is_kept { old.clone() } else { new });
        }
        let mut turned = object("2026-01-01T00:00:00Z", "f:x", "1");
        if let Some(Value::Array(entries)) = turned["metadata"].get_mut("managedFields") {
            entries.reverse();
        }
        keep_times(&old, &mut turned);
        assert_eq!(turned, old, "their order is that of the times");
    }
}
