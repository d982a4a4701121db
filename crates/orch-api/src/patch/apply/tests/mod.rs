//! Server-side apply, by tables and properties.

mod applies;
mod fieldsets;
mod lists;
mod migration;
mod properties;
mod updates;

use serde_json::{Map, Value, json};

use super::typed::Type;
use super::{ApplyError, FieldSet, Managed, Request};
use crate::schema::{Schema, built_in};

fn is_in_force(request: &Request<'_>, live: &Map<String, Value>, config: &Map<String, Value>) -> bool {
    request.is_in_force(&Type::of(request.schema), live, &Value::Object(config.clone()))
}

/// An object, and the writes to it.
struct World {
    schema: Schema,
    api_version: &'static str,
    object: Map<String, Value>,
    /// Seconds of the present.
    now: u32,
}

impl World {
    fn new(api_version: &'static str, kind: &'static str) -> Self {
        let schema = built_in(api_version, kind).expect("the kind is built in").clone();
        Self {
            schema,
            api_version,
            object: Map::new(),
            now: 0,
        }
    }

    /// An object of which nothing is known.
    fn untyped() -> Self {
        Self {
            schema: Schema::untyped(),
            api_version: "v1",
            object: Map::new(),
            now: 0,
        }
    }

    fn request<T>(&mut self, manager: &str, write: impl FnOnce(&Request<'_>, &Map<String, Value>) -> T) -> T {
        self.now += 1;
        let now = format!("2026-01-01T00:00:{:02}Z", self.now);
        let ignored = FieldSet::new();
        let (manager, subresource) = manager.split_once('/').unwrap_or((manager, ""));
        let request = Request {
            schema: &self.schema,
            api_version: self.api_version,
            manager,
            subresource,
            ignored: &ignored,
            now: &now,
        };
        write(&request, &self.object)
    }

    fn try_apply(&mut self, manager: &str, config: Value, force: bool) -> Result<(), ApplyError> {
        let config = config.as_object().expect("an object").clone();
        self.object = self.request(manager, |request, live| {
            if is_in_force(request, live, &config) {
                // The short way ends where the whole one does.
                let (of, config) = (Type::of(request.schema), Value::Object(config.clone()));
                assert_eq!(request.apply_whole(&of, live, &config, force).as_ref(), Ok(live));
            }
            request.apply(live, &config, force)
        })?;
        Ok(())
    }

    /// Whether nothing would be done.
    fn is_in_force(&mut self, manager: &str, config: &Value) -> bool {
        let config = config.as_object().expect("an object").clone();
        self.request(manager, |request, live| is_in_force(request, live, &config))
    }

    #[track_caller]
    fn apply(&mut self, manager: &str, config: Value) -> &mut Self {
        self.try_apply(manager, config, false)
            .expect("there are no conflicts");
        self
    }

    #[track_caller]
    fn force(&mut self, manager: &str, config: Value) -> &mut Self {
        self.try_apply(manager, config, true)
            .expect("conflicts do not matter");
        self
    }

    #[track_caller]
    fn refuse(&mut self, manager: &str, config: Value, message: &str) -> &mut Self {
        let before = self.object.clone();
        let error = self.try_apply(manager, config, false).expect_err(message);
        assert_eq!(error.to_string(), message);
        assert_eq!(self.object, before);
        self
    }

    /// Writes an object in another way: `change` makes it of what it was.
    fn update(&mut self, manager: &str, change: impl FnOnce(&mut Value)) -> &mut Self {
        let mut new = Value::Object(self.object.clone());
        change(&mut new);
        let new = new.as_object().expect("an object").clone();
        self.object = self.request(manager, |request, live| request.update(live, new));
        self
    }

    /// The object without who owns what.
    fn bare(&self) -> Value {
        let mut bare = Value::Object(self.object.clone());
        if let Some(Value::Object(metadata)) = bare.get_mut("metadata") {
            metadata.remove("managedFields");
        }
        bare
    }

    #[track_caller]
    fn holds(&mut self, expected: &Value) -> &mut Self {
        let mut bare = self.bare();
        if bare.get("metadata") == Some(&json!({})) {
            bare.as_object_mut().expect("an object").remove("metadata");
        }
        assert_eq!(bare, *expected);
        self
    }

    fn managed(&self) -> Managed {
        let fields = self
            .object
            .get("metadata")
            .and_then(|metadata| metadata.get("managedFields"));
        Managed::from_json(fields.unwrap_or(&Value::Null)).expect("it was written by us")
    }

    /// Who owns what, a manager a line: `alice: .spec.replicas`.
    fn owners(&self) -> Vec<String> {
        let managed = self.managed();
        let lines = managed
            .0
            .iter()
            .map(|(manager, owned)| format!("{manager}: {}", owned.fields.paths().join(" ")));
        lines.collect()
    }

    #[track_caller]
    fn owned(&mut self, expected: &[&str]) -> &mut Self {
        assert_eq!(self.owners(), expected);
        self
    }
}

fn config_map() -> World {
    World::new("v1", "ConfigMap")
}

fn data(data: Value) -> Value {
    json!({ "data": data })
}
