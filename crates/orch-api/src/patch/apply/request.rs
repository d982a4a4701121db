//! One write to an object, and what it makes of who owns what.

use orch_core::object::{DEEPEST, depth};
use serde_json::{Map, Value, json};

use super::client_side;
use super::conflict::Conflicts;
use super::fieldset::FieldSet;
use super::managed::{Managed, ManagedError, Manager, Operation, Owned};
use super::object::{
    always_there, described, is_same_but_managed, listed, managed_fields, never_owned, with_managed,
    without_managed_fields,
};
use super::typed::{self, Comparison, Type};
use crate::schema::Schema;

/// A JSON object.
type Json = Map<String, Value>;

/// A write by a field manager.
///
/// ```
/// use orch_api::patch::apply::{FieldSet, Request};
/// use orch_api::schema::built_in;
/// use serde_json::json;
///
/// let ignored = FieldSet::new();
/// let request = |manager| Request {
///     schema: built_in("v1", "ConfigMap").unwrap(),
///     api_version: "v1",
///     manager,
///     subresource: "",
///     ignored: &ignored,
///     now: "2026-01-01T00:00:00Z",
/// };
/// let config = json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "a": "1", "b": "2" } });
/// let made = request("alice").apply(&serde_json::Map::new(), config.as_object().unwrap(), false).unwrap();
///
/// let other = json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "a": "3" } });
/// let refused = request("bob").apply(&made, other.as_object().unwrap(), false).unwrap_err();
/// assert_eq!(refused.to_string(), "Apply failed with 1 conflict: conflict with \"alice\": .data.a");
///
/// let forced = request("bob").apply(&made, other.as_object().unwrap(), true).unwrap();
/// assert_eq!(forced["data"], json!({ "a": "3", "b": "2" }));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The schema of the object's kind.
    pub schema: &'a Schema,
    /// The version in which the object is written.
    pub api_version: &'a str,
    /// The field manager's name; `unknown` if empty.
    pub manager: &'a str,
    /// The subresource that is written; empty for the object itself.
    pub subresource: &'a str,
    /// What this write cannot change, though the object has it: of a Deployment itself its status.
    pub ignored: &'a FieldSet,
    /// The present, as RFC 3339 has it, in seconds.
    pub now: &'a str,
}

/// Why something cannot be applied.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// Others own fields that would change.
    #[error("{0}")]
    Conflicts(Conflicts),
    /// What is applied does not fit its type.
    #[error("failed to create typed patch object ({object}): {}", listed(.faults))]
    Malformed {
        /// Which object: `default/web; apps/v1, Kind=Deployment`.
        object: String,
        /// What does not fit, each with its path.
        faults: Vec<String>,
    },
    /// What is applied, or the object, nests too deeply.
    #[error("the {what} nests more than {DEEPEST} levels of maps and lists")]
    TooDeep {
        /// The configuration or the object.
        what: &'static str,
    },
    /// What is applied says who owns what.
    #[error("metadata.managedFields must be nil")]
    ManagedFieldsGiven,
    /// Who owns what of the object cannot be read.
    #[error("failed to decode managed fields: {0}")]
    Managed(#[from] ManagedError),
}

impl Request<'_> {
    /// Applies a configuration to an object, which has no fields if it is to be created; with `force` takes
    /// what others own.
    ///
    /// What this manager applied before and does not now is removed, unless another owns it.
    pub fn apply(&self, live: &Json, config: &Json, force: bool) -> Result<Json, ApplyError> {
        for (of, what) in [(config, "configuration"), (live, "object")] {
            if too_deep(of) {
                return Err(ApplyError::TooDeep { what });
            }
        }
        if !managed_fields(config).is_null() {
            return Err(ApplyError::ManagedFieldsGiven);
        }
        let of = Type::of(self.schema);
        let config = Value::Object(config.clone());
        let faults = typed::validate(&of, &config);
        if !faults.is_empty() {
            return Err(ApplyError::Malformed {
                object: described(&config),
                faults,
            });
        }
        if self.is_in_force(&of, live, &config) {
            return Ok(live.clone());
        }
        self.apply_whole(&of, live, &config, force)
    }

    /// Whether it is applied already: this manager owns what the configuration says and nothing else, and all of it is so. What is
    /// applied again and again, as controllers do, mostly is. kubectl also keeps an annotation.
    pub(super) fn is_in_force(&self, of: &Type, live: &Json, config: &Value) -> bool {
        if client_side::is_followed(self) {
            return false;
        }
        let own = Managed::applied(managed_fields(live), &self.identity(Operation::Apply));
        let Some(own) = own.filter(|own| own.api_version == self.api_version) else {
            return false;
        };
        let fields = typed::fields_of(of, config).recursive_difference(self.ignored);
        if fields.difference(never_owned()) != own.fields {
            return false;
        }
        let live = Value::Object(without_managed_fields(live.clone()));
        typed::without_nulls(of, typed::merge(of, &live, config)) == live
    }

    /// Applies it, whatever there is.
    pub(super) fn apply_whole(
        &self,
        of: &Type,
        live: &Json,
        config: &Value,
        force: bool,
    ) -> Result<Json, ApplyError> {
        let mut managed = Managed::from_json(managed_fields(live))?;
        let live = Value::Object(without_managed_fields(live.clone()));
        if managed.0.is_empty() {
            // Whatever is there is someone's.
            let before = Request {
                manager: "before-first-apply",
                ..*self
            };
            before.track(&Value::Object(Json::new()), &live, &mut managed);
        }
        let (object, managed) = match self.merge(of, &live, config, managed.clone(), force) {
            Err(conflicts) => {
                let rest = match client_side::allowed(self, of, &live) {
                    Some(allowed) => conflicts.without(&allowed),
                    None => Some(conflicts),
                };
                if let Some(rest) = rest {
                    return Err(ApplyError::Conflicts(rest));
                }
                self.merge(of, &live, config, managed, true)
                    .map_err(ApplyError::Conflicts)?
            }
            Ok(merged) => merged,
        };
        let Value::Object(mut object) = object else {
            return Ok(Json::new());
        };
        client_side::follow(self, &mut object, config);
        let object = with_managed(object, &managed);
        // Who owns a field is written a few levels deeper than the field.
        let what = "object with who owns what of it";
        if too_deep(&object) {
            Err(ApplyError::TooDeep { what })
        } else {
            Ok(object)
        }
    }

    /// Says who owns what of an object that was written in another way: `live` is what it was, without fields
    /// if it was just created, and `new` what it is to be. Who wrote owns what changed.
    pub fn update(&self, live: &Json, new: Json) -> Json {
        let given = managed_fields(&new);
        // An empty list, or one empty entry, asks to forget who owns what.
        let resets = given == &json!([]) || given == &json!([{}]);
        let owned = managed_fields(live);
        if !resets && (given.is_null() || given == owned) && is_same_but_managed(live, &new) {
            // Who changes nothing comes to own nothing: there is nothing to read and write anew.
            return live.clone();
        }
        let theirs = if self.subresource.is_empty() && !resets {
            Managed::from_json(given).ok()
        } else {
            None
        };
        // Who does not know of it, and left it out, is not to remove it.
        let theirs = theirs.filter(|managed| !managed.0.is_empty());
        let mut managed = match theirs {
            Some(managed) => managed,
            None if resets && self.subresource.is_empty() => Managed::default(),
            None => Managed::from_json(owned).unwrap_or_default(),
        };
        let (before, new) = (without_managed_fields(live.clone()), without_managed_fields(new));
        if managed.0.is_empty() && !live.is_empty() {
            return new;
        }
        let new = Value::Object(new);
        self.track(&Value::Object(before), &new, &mut managed);
        managed.cap();
        match new {
            Value::Object(new) => with_managed(new, &managed),
            _ => Json::new(),
        }
    }

    fn identity(&self, operation: Operation) -> Manager {
        Manager {
            name: if self.manager.is_empty() {
                "unknown"
            } else {
                self.manager
            }
            .to_owned(),
            operation,
            api_version: if operation == Operation::Apply {
                String::new()
            } else {
                self.api_version.to_owned()
            },
            subresource: self.subresource.to_owned(),
        }
    }

    /// What is applied merged into what there is, with what this manager does not say any more removed.
    fn merge(
        &self,
        of: &Type,
        live: &Value,
        config: &Value,
        mut managed: Managed,
        force: bool,
    ) -> Result<(Value, Managed), Conflicts> {
        let identity = self.identity(Operation::Apply);
        let merged = typed::merge(of, live, config);
        let fields = typed::fields_of(of, config).recursive_difference(self.ignored);
        let last = managed.0.get(&identity).cloned();
        let time = last.as_ref().and_then(|last| last.time.clone());
        let owned = Owned {
            api_version: self.api_version.to_owned(),
            time,
            fields,
        };
        managed.0.insert(identity.clone(), owned);
        let object = match last {
            Some(last) if !last.fields.is_empty() => self.prune(of, &merged, &managed.all(), &last.fields),
            _ => merged,
        };
        let differs = typed::compare(of, live, &object).without(self.ignored);
        take(&mut managed, &differs, Some(&identity), force)?;
        // Nulls were values that are applied; once they are, they are as good as nothing.
        let object = typed::without_nulls(of, object);
        if let Some(owned) = managed.0.get_mut(&identity) {
            owned.fields = owned.fields.difference(never_owned());
            if object != *live {
                owned.time = Some(self.now.to_owned());
            }
        }
        managed.forget_empty();
        Ok((object, managed))
    }

    /// Removes what this manager owned last, but for what anyone owns now, and what it owned nothing of.
    fn prune(&self, of: &Type, merged: &Value, all: &FieldSet, last: &FieldSet) -> Value {
        let named = |fields: &FieldSet| typed::with_named_fields(fields, self.schema);
        let empty = || Value::Object(Json::new());
        let (last, all, before) = (named(last), named(all), named(&typed::fields_of(of, merged)));
        let fields_of = |value: &Value| named(&typed::fields_of(of, value));
        let pruned = typed::remove(of, merged, &last).unwrap_or_else(empty);
        let unowned = before.difference(&fields_of(&pruned).union(&all));
        let pruned = typed::remove(of, merged, &unowned).unwrap_or_else(empty);
        let gone = before.difference(&fields_of(&pruned)).intersection(&last);
        typed::remove(of, merged, &gone).unwrap_or_else(empty)
    }

    /// Gives who writes all that differs.
    fn track(&self, live: &Value, new: &Value, managed: &mut Managed) {
        let created = live.as_object().is_some_and(Json::is_empty);
        let created = created.then(|| always_there(self.schema, new));
        let live = created.as_ref().unwrap_or(live);
        let differs = typed::compare(&Type::of(self.schema), live, new).without(self.ignored);
        // Who writes takes what changes, so there are no conflicts.
        let _ = take(managed, &differs, None, true);
        let fields = differs.modified.union(&differs.added).difference(never_owned());
        if !fields.is_empty() {
            let time = Some(self.now.to_owned());
            let owned = Owned {
                api_version: self.api_version.to_owned(),
                time,
                fields,
            };
            managed.join(&self.identity(Operation::Update), owned);
        }
    }
}

fn too_deep(object: &Json) -> bool {
    object.values().any(|value| depth(value, DEEPEST) >= DEEPEST)
}

/// Takes what differs from all others who own it; refuses that unless forced.
fn take(
    managed: &mut Managed,
    differs: &Comparison,
    own: Option<&Manager>,
    force: bool,
) -> Result<(), Conflicts> {
    let changed = differs.modified.union(&differs.added);
    let others = managed.0.iter().filter(|(manager, _)| Some(*manager) != own);
    let conflicts = others.map(|(manager, owned)| (manager.clone(), owned.fields.intersection(&changed)));
    let conflicts: Vec<_> = conflicts.filter(|(_, fields)| !fields.is_empty()).collect();
    if !force && !conflicts.is_empty() {
        return Err(Conflicts(conflicts));
    }
    for (manager, owned) in &mut managed.0 {
        if Some(manager) != own {
            owned.fields = owned.fields.difference(&changed).difference(&differs.removed);
        }
    }
    managed.forget_empty();
    Ok(())
}
