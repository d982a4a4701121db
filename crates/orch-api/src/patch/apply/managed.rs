//! Who owns what: `metadata.managedFields`.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value, json};

use super::fieldset::{FieldSet, FieldSetError};

/// Someone who owns fields. Who applies is the same in every version; who updates is another in each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Manager {
    /// The field manager's name.
    pub name: String,
    /// What it did to own them.
    pub operation: Operation,
    /// The version in which it updated; empty for who applied.
    pub api_version: String,
    /// The subresource through which it did so; empty for the object itself.
    pub subresource: String,
}

/// What a manager did to own fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// It applied them, and owns what it says.
    Apply,
    /// It wrote them in another way, and owns what it changed.
    Update,
}

/// What a manager owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The version that the fields are of.
    pub api_version: String,
    /// When the manager last changed something.
    pub time: Option<String>,
    /// The fields.
    pub fields: FieldSet,
}

/// All managers of an object, and what they own.
///
/// ```
/// use orch_api::patch::apply::Managed;
/// use serde_json::json;
///
/// let entries = json!([{
///     "manager": "kubectl", "operation": "Apply", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z",
///     "fieldsType": "FieldsV1", "fieldsV1": { "f:data": { "f:key": {} } },
/// }]);
/// let managed = Managed::from_json(&entries).unwrap();
/// assert_eq!(managed.0.values().next().unwrap().fields.paths(), [".data.key"]);
/// assert_eq!(managed.to_json(), entries);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Managed(pub BTreeMap<Manager, Owned>);

/// Why `managedFields` cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("metadata.managedFields[{index}]: {problem}")]
pub struct ManagedError {
    /// Which entry.
    pub index: usize,
    /// What is wrong with it.
    pub problem: ManagedProblem,
}

/// What is wrong with an entry of `managedFields`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManagedProblem {
    /// The operation is none.
    #[error("operation must be `Apply` or `Update`")]
    Operation,
    /// The version is missing.
    #[error("apiVersion must not be empty")]
    ApiVersion,
    /// The fields are of a type that is not known.
    #[error("fieldsType must be `FieldsV1`")]
    FieldsType,
    /// The fields mean nothing.
    #[error("fieldsV1: {0}")]
    Fields(#[from] FieldSetError),
}

/// Who updates an object that has more of such managers loses the oldest, whose fields then are [`ANCIENT`]'s.
pub(super) const MOST_UPDATERS: usize = 10;

/// Whose the fields of the oldest updates are.
const ANCIENT: &str = "ancient-changes";

impl Managed {
    /// Reads `managedFields`; nothing, or a null, is no managers.
    pub fn from_json(entries: &Value) -> Result<Self, ManagedError> {
        let mut managed = Self::default();
        for (index, entry) in entries.as_array().into_iter().flatten().enumerate() {
            let (manager, owned) = read(entry).map_err(|problem| ManagedError { index, problem })?;
            managed.0.insert(manager, owned);
        }
        Ok(managed)
    }

    /// What one who applies owns, read alone.
    pub(super) fn applied(entries: &Value, manager: &Manager) -> Option<Owned> {
        let is = |entry: &Value, name: &str, wanted: &str| match entry.get(name) {
            None => wanted.is_empty(),
            Some(found) => found == wanted,
        };
        let mut of_manager = entries.as_array()?.iter().filter(|entry| {
            is(entry, "operation", "Apply")
                && is(entry, "manager", &manager.name)
                && is(entry, "subresource", &manager.subresource)
        });
        // Of several the last counts, as in `from_json`.
        read(of_manager.next_back()?).ok().map(|(_, owned)| owned)
    }

    /// The wire form: who applied first, then by time and name.
    pub fn to_json(&self) -> Value {
        let mut entries: Vec<(&Manager, &Owned)> = self.0.iter().collect();
        entries.sort_by_key(|(manager, owned)| {
            (
                manager.operation,
                &owned.time,
                &manager.name,
                &owned.api_version,
                &manager.subresource,
            )
        });
        entries
            .into_iter()
            .map(|(manager, owned)| write(manager, owned))
            .collect()
    }

    /// What all own together.
    pub(super) fn all(&self) -> FieldSet {
        self.0
            .values()
            .fold(FieldSet::new(), |all, owned| all.union(&owned.fields))
    }

    /// Forgets those who own nothing.
    pub(super) fn forget_empty(&mut self) {
        self.0.retain(|_, owned| !owned.fields.is_empty());
    }

    /// Joins the oldest who updated until there are few enough, by version.
    pub(super) fn cap(&mut self) {
        let updaters = self
            .0
            .iter()
            .filter(|(manager, _)| manager.operation == Operation::Update);
        let mut oldest: Vec<(Option<String>, Manager)> = updaters
            .map(|(manager, owned)| (owned.time.clone(), manager.clone()))
            .collect();
        oldest.sort();
        let mut count = oldest.len();
        let mut first: BTreeMap<String, Manager> = BTreeMap::new();
        for (_, manager) in oldest {
            if count <= MOST_UPDATERS {
                return;
            }
            let version = manager.api_version.clone();
            let bucket = Manager {
                name: ANCIENT.to_owned(),
                operation: Operation::Update,
                api_version: version.clone(),
                subresource: String::new(),
            };
            // One alone stays who it is.
            let Some(before) = first.get(&version) else {
                first.insert(version, manager);
                continue;
            };
            if let Some(owned) = self.0.remove(before) {
                self.join(&bucket, owned);
            }
            if let Some(owned) = self.0.remove(&manager) {
                self.join(&bucket, owned);
            }
            first.insert(version, bucket);
            count -= 1;
        }
    }

    /// Gives a manager fields beside those that it has.
    pub(super) fn join(&mut self, manager: &Manager, more: Owned) {
        let fields = match self.0.get(manager) {
            Some(owned) => owned.fields.union(&more.fields),
            None => more.fields,
        };
        self.0.insert(manager.clone(), Owned { fields, ..more });
    }
}

fn read(entry: &Value) -> Result<(Manager, Owned), ManagedProblem> {
    let text = |name: &str| {
        entry
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let operation = match &*text("operation") {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        _ => return Err(ManagedProblem::Operation),
    };
    let api_version = text("apiVersion");
    if api_version.is_empty() {
        return Err(ManagedProblem::ApiVersion);
    }
    if text("fieldsType") != "FieldsV1" {
        return Err(ManagedProblem::FieldsType);
    }
    let fields = match entry.get("fieldsV1") {
        None | Some(Value::Null) => FieldSet::new(),
        Some(fields) => FieldSet::from_json(fields)?,
    };
    let manager = Manager {
        name: text("manager"),
        operation,
        api_version: if operation == Operation::Apply {
            String::new()
        } else {
            api_version.clone()
        },
        subresource: text("subresource"),
    };
    let time = entry.get("time").and_then(Value::as_str).map(str::to_owned);
    Ok((
        manager,
        Owned {
            api_version,
            time,
            fields,
        },
    ))
}

fn write(manager: &Manager, owned: &Owned) -> Value {
    let mut entry = Map::new();
    let texts = [
        ("manager", &manager.name),
        ("apiVersion", &owned.api_version),
        ("subresource", &manager.subresource),
    ];
    for (name, text) in texts {
        if !text.is_empty() {
            entry.insert(name.to_owned(), json!(text));
        }
    }
    if let Some(time) = &owned.time {
        entry.insert("time".to_owned(), json!(time));
    }
    let operation = match manager.operation {
        Operation::Apply => "Apply",
        Operation::Update => "Update",
    };
    entry.insert("operation".to_owned(), json!(operation));
    entry.insert("fieldsType".to_owned(), json!("FieldsV1"));
    entry.insert("fieldsV1".to_owned(), owned.fields.to_json());
    Value::Object(entry)
}

/// As Kubernetes names a manager in a conflict: `"kubectl"`, `"kube-controller-manager" with subresource
/// "status" using apps/v1`.
impl fmt::Display for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.name)?;
        if !self.subresource.is_empty() {
            write!(f, " with subresource {:?}", self.subresource)?;
        }
        match self.operation {
            Operation::Apply => Ok(()),
            Operation::Update => write!(f, " using {}", self.api_version),
        }
    }
}
