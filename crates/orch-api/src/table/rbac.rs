//! Who has roles.

use serde::Deserialize;
use serde_json::json;

use super::read::{self, Text};
use super::{Column, Printer, age};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RoleRef {
    kind: Text,
    name: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Subject {
    kind: Text,
    name: Text,
    namespace: Text,
}

/// RoleBindings and ClusterRoleBindings.
pub(super) static BINDING: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("Role", "The kind and name of the role that is given."),
        Column::AGE,
        Column::text("Users", "The users who have it.").wide(),
        Column::text("Groups", "The groups that have it.").wide(),
        Column::text("ServiceAccounts", "The service accounts that have it.").wide(),
    ],
    row: |binding, now| {
        let role: RoleRef = read::field(binding, "roleRef");
        let subjects: Vec<Subject> = read::field(binding, "subjects");
        let of = |kind: &str| {
            let those = subjects.iter().filter(|subject| *subject.kind == kind);
            let names = those.map(|subject| match subject.namespace.as_str() {
                "" => subject.name.to_string(),
                namespace => format!("{namespace}/{}", *subject.name),
            });
            json!(names.collect::<Vec<_>>().join(", "))
        };
        let cells = vec![
            json!(binding.meta().name),
            json!(format!("{}/{}", *role.kind, *role.name)),
            json!(age::of(binding, now)),
            of("User"),
            of("Group"),
            of("ServiceAccount"),
        ];
        cells.into()
    },
};
