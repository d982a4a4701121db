//! What makes pods: Deployments, ReplicaSets, ReplicationControllers, StatefulSets, DaemonSets; and templates, theirs or alone.

use std::collections::BTreeMap;

use jiff::Timestamp;
use orch_core::object::{Document, LabelSelector};
use serde::Deserialize;
use serde_json::{Value, json};

use super::read::{self, Or, Template, Text, WorkloadSpec};
use super::{Column, NONE, Printer, Row, age, or};

pub(super) const CONTAINERS: Column =
    Column::text("Containers", "The names of the containers of its pods.").wide();
pub(super) const IMAGES: Column = Column::text("Images", "The images of the containers of its pods.").wide();
pub(super) const SELECTOR: Column = Column::text("Selector", "Which pods are its own.").wide();

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    replicas: Or<i64>,
    ready_replicas: Or<i64>,
    updated_replicas: Or<i64>,
    available_replicas: Or<i64>,
}

pub(super) static DEPLOYMENT: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("Ready", "How many pods are ready, of how many wanted."),
        Column::text("Up-to-date", "How many pods are of the newest template."),
        Column::text("Available", "How many pods have been ready for long enough."),
        Column::AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    row: |deployment, now| {
        let spec: WorkloadSpec = read::field(deployment, "spec");
        let status: Status = read::field(deployment, "status");
        // No selector chooses nothing, which is written as nothing too.
        let selector = spec.selector.as_ref().map(LabelSelector::to_selector);
        let selector = selector.map_or_else(String::new, |selector| {
            selector.map_or_else(|_| "<invalid>".to_owned(), |selector| selector.to_string())
        });
        let mut cells = vec![
            json!(deployment.meta().name),
            json!(format!("{}/{}", *status.ready_replicas, wanted(&spec))),
            json!(*status.updated_replicas),
            json!(*status.available_replicas),
            json!(age::of(deployment, now)),
        ];
        cells.extend(wide(&spec, selector));
        cells.into()
    },
};

pub(super) static REPLICA_SET: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::number("Desired", "How many pods are wanted."),
        Column::number("Current", "How many pods there are."),
        Column::number("Ready", "How many pods are ready."),
        Column::AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    row: |set, now| {
        let spec: WorkloadSpec = read::field(set, "spec");
        let selector = selector_of(&spec);
        replicas(set, now, &spec, selector)
    },
};

/// As that of a ReplicaSet, but its selector is nothing but labels.
pub(super) static REPLICATION_CONTROLLER: Printer = Printer {
    columns: REPLICA_SET.columns,
    row: |controller, now| {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Spec {
            replicas: Option<i64>,
            selector: Or<BTreeMap<String, Text>>,
            template: Or<Template>,
        }
        let spec: Spec = read::field(controller, "spec");
        let selector = labels(&spec.selector);
        let spec = WorkloadSpec {
            replicas: spec.replicas,
            selector: None,
            template: spec.template,
        };
        replicas(controller, now, &spec, selector)
    },
};

/// Of templates that stand alone.
pub(super) static POD_TEMPLATE: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("Containers", "The names of the containers of its pods."),
        Column::text("Images", "The images of the containers of its pods."),
        Column::text("Pod Labels", "The labels of its pods."),
    ],
    row: |object, _| {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Metadata {
            labels: Or<BTreeMap<String, Text>>,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Labelled {
            metadata: Or<Metadata>,
        }
        let spec = WorkloadSpec {
            template: read::field(object, "template"),
            ..WorkloadSpec::default()
        };
        let of_pods: Labelled = read::field(object, "template");
        let mut cells = vec![json!(object.meta().name)];
        cells.extend(wide(&spec, labels(&of_pods.metadata.labels)));
        cells.into()
    },
};

pub(super) static STATEFUL_SET: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("Ready", "How many pods are ready, of how many wanted."),
        Column::AGE,
        CONTAINERS,
        IMAGES,
    ],
    row: |set, now| {
        let spec: WorkloadSpec = read::field(set, "spec");
        let status: Status = read::field(set, "status");
        let mut cells = vec![
            json!(set.meta().name),
            json!(format!("{}/{}", *status.ready_replicas, wanted(&spec))),
            json!(age::of(set, now)),
        ];
        let [containers, images, _] = wide(&spec, String::new());
        cells.extend([containers, images]);
        cells.into()
    },
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DaemonStatus {
    desired_number_scheduled: Or<i64>,
    current_number_scheduled: Or<i64>,
    number_ready: Or<i64>,
    updated_number_scheduled: Or<i64>,
    number_available: Or<i64>,
}

pub(super) static DAEMON_SET: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::number("Desired", "How many nodes are to have a pod of it."),
        Column::number("Current", "How many of them have one."),
        Column::number("Ready", "How many have one that is ready."),
        Column::number("Up-to-date", "How many have one of the newest template."),
        Column::number(
            "Available",
            "How many have one that has been ready for long enough.",
        ),
        Column::text("Node Selector", "Which nodes they are."),
        Column::AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    row: |set, now| {
        let spec: WorkloadSpec = read::field(set, "spec");
        let status: DaemonStatus = read::field(set, "status");
        let mut cells = vec![
            json!(set.meta().name),
            json!(*status.desired_number_scheduled),
            json!(*status.current_number_scheduled),
            json!(*status.number_ready),
            json!(*status.updated_number_scheduled),
            json!(*status.number_available),
            json!(labels(&spec.template.spec.node_selector)),
            json!(age::of(set, now)),
        ];
        cells.extend(wide(&spec, selector_of(&spec)));
        cells.into()
    },
};

pub(super) static REVISION: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("Controller", "Whose template it was."),
        Column::text("Revision", "Which of its templates."),
        Column::AGE,
    ],
    row: |revision, now| {
        let controller = revision.meta().controller().map(|owner| {
            let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
            let dot = if group.is_empty() { "" } else { "." };
            format!("{}{dot}{group}/{}", owner.kind.to_lowercase(), owner.name)
        });
        let cells = vec![
            json!(revision.meta().name),
            json!(controller.as_deref().unwrap_or(NONE)),
            json!(read::field::<i64>(revision, "revision").to_string()),
            json!(age::of(revision, now)),
        ];
        cells.into()
    },
};

fn replicas(object: &Document, now: Timestamp, spec: &WorkloadSpec, selector: String) -> Row {
    let status: Status = read::field(object, "status");
    let mut cells = vec![
        json!(object.meta().name),
        json!(wanted(spec)),
        json!(*status.replicas),
        json!(*status.ready_replicas),
        json!(age::of(object, now)),
    ];
    cells.extend(wide(spec, selector));
    cells.into()
}

/// Labels as kubectl shows them; `<none>` where there are none.
fn labels(labels: &BTreeMap<String, Text>) -> String {
    let pairs: Vec<_> = labels
        .iter()
        .map(|(key, value)| format!("{key}={}", **value))
        .collect();
    or(&pairs.join(","), NONE).to_owned()
}

/// What a selector chooses; `<none>` where it is empty.
pub(super) fn selector_of(spec: &WorkloadSpec) -> String {
    let selector = spec.selector.clone().unwrap_or_default().to_selector();
    selector.map_or_else(
        |_| "<error>".to_owned(),
        |selector| or(&selector.to_string(), NONE).to_owned(),
    )
}

/// One where nothing is said.
fn wanted(spec: &WorkloadSpec) -> i64 {
    spec.replicas.unwrap_or(1)
}

pub(super) fn wide(spec: &WorkloadSpec, selector: String) -> [Value; 3] {
    let containers = &spec.template.spec.containers;
    let names: Vec<_> = containers.iter().map(|one| one.name.as_str()).collect();
    let images: Vec<_> = containers.iter().map(|one| one.image.as_str()).collect();
    [json!(names.join(",")), json!(images.join(",")), json!(selector)]
}
