//! What makes pods: Deployments and ReplicaSets.

use orch_core::object::LabelSelector;
use serde::Deserialize;
use serde_json::{Value, json};

use super::read::{self, Or, WorkloadSpec};
use super::{Column, NONE, Printer, age, or};

const CONTAINERS: Column = Column::text("Containers", "The names of the containers of its pods.").wide();
const IMAGES: Column = Column::text("Images", "The images of the containers of its pods.").wide();
const SELECTOR: Column = Column::text("Selector", "Which pods are its own.").wide();

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
        let status: Status = read::field(set, "status");
        let selector = spec.selector.clone().unwrap_or_default().to_selector();
        let selector = selector.map_or_else(
            |_| "<error>".to_owned(),
            |selector| or(&selector.to_string(), NONE).to_owned(),
        );
        let mut cells = vec![
            json!(set.meta().name),
            json!(wanted(&spec)),
            json!(*status.replicas),
            json!(*status.ready_replicas),
            json!(age::of(set, now)),
        ];
        cells.extend(wide(&spec, selector));
        cells.into()
    },
};

/// One where nothing is said.
fn wanted(spec: &WorkloadSpec) -> i64 {
    spec.replicas.unwrap_or(1)
}

fn wide(spec: &WorkloadSpec, selector: String) -> [Value; 3] {
    let containers = &spec.template.spec.containers;
    let names: Vec<_> = containers.iter().map(|one| one.name.as_str()).collect();
    let images: Vec<_> = containers.iter().map(|one| one.image.as_str()).collect();
    [json!(names.join(",")), json!(images.join(",")), json!(selector)]
}
