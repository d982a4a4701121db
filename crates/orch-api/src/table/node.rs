//! Nodes.

use std::collections::BTreeSet;

use orch_core::object::Document;
use serde::Deserialize;
use serde_json::json;

use super::read::{self, Condition, List, Or, Text};
use super::{Column, NONE, Printer, UNKNOWN, age, or};

/// The label of a role is named by it, and has no value.
const ROLE_PREFIX: &str = "node-role.kubernetes.io/";

/// The label whose value is a role.
const ROLE: &str = "kubernetes.io/role";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    unschedulable: Or<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    conditions: List<Condition>,
    addresses: List<Address>,
    node_info: Or<Info>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Address {
    #[serde(rename = "type")]
    type_: Text,
    address: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Info {
    kubelet_version: Text,
    os_image: Text,
    kernel_version: Text,
    container_runtime_version: Text,
}

pub(super) static NODE: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("Status", "Whether it runs pods, and takes new ones."),
        Column::text("Roles", "What it is for, by its labels."),
        Column::AGE,
        Column::text("Version", "The version of what runs its pods."),
        Column::text("Internal-IP", "Its address within the cluster.").wide(),
        Column::text("External-IP", "Its address outside of the cluster.").wide(),
        Column::text("OS-Image", "Its operating system.").wide(),
        Column::text("Kernel-Version", "The version of its kernel.").wide(),
        Column::text("Container-Runtime", "What runs its containers, and its version.").wide(),
    ],
    row: |node, now| {
        let spec: Spec = read::field(node, "spec");
        let status: Status = read::field(node, "status");
        let info = &status.node_info;
        let address = |type_: &str| {
            let found = status.addresses.iter().find(|one| *one.type_ == type_);
            json!(found.map_or(NONE, |one| one.address.as_str()))
        };
        let cells = vec![
            json!(node.meta().name),
            json!(state(&spec, &status)),
            json!(roles(node)),
            json!(age::of(node, now)),
            json!(*info.kubelet_version),
            address("InternalIP"),
            address("ExternalIP"),
            json!(or(&info.os_image, UNKNOWN)),
            json!(or(&info.kernel_version, UNKNOWN)),
            json!(or(&info.container_runtime_version, UNKNOWN)),
        ];
        cells.into()
    },
};

fn state(spec: &Spec, status: &Status) -> String {
    let ready = match Condition::is_true(&status.conditions, "Ready") {
        Some(true) => "Ready",
        Some(false) => "NotReady",
        None => "Unknown",
    };
    let cordoned = if *spec.unschedulable {
        ",SchedulingDisabled"
    } else {
        ""
    };
    format!("{ready}{cordoned}")
}

/// By name, each once.
fn roles(node: &Document) -> String {
    let labels = node.meta().labels.iter();
    let roles: BTreeSet<&str> = labels
        .filter_map(|(key, value)| match key.strip_prefix(ROLE_PREFIX) {
            Some(role) => Some(role),
            None => (key == ROLE).then_some(value.as_str()),
        })
        .filter(|role| !role.is_empty())
        .collect();
    let roles: Vec<&str> = roles.into_iter().collect();
    or(&roles.join(","), NONE).to_owned()
}
