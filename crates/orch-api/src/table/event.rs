//! Events, whether written as they always were or as `events.k8s.io` has them.

use serde::Deserialize;
use serde_json::json;

use super::read::{self, Or, Text, Time};
use super::{Column, Printer, age, or};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Involved {
    kind: Text,
    name: Text,
    field_path: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Source {
    component: Text,
    host: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Series {
    count: Or<i64>,
    last_observed_time: Time,
}

pub(super) static EVENT: Printer = Printer {
    columns: &[
        Column::text("Last Seen", "How long ago it last happened."),
        Column::text("Type", "Whether it is usual or a warning."),
        Column::text("Reason", "What happened, in a word."),
        Column::text("Object", "What it happened to."),
        Column::text("Subobject", "The part of the object that it happened to.").wide(),
        Column::text("Source", "Who tells it.").wide(),
        Column::text("Message", "What happened."),
        Column::text("First Seen", "How long ago it first happened.").wide(),
        Column::text("Count", "How often it has happened.").wide(),
        Column::NAME.wide(),
    ],
    row: |event, now| {
        let text = |field: &str| read::field::<String>(event, field);
        let time = |field: &str| read::field::<Time>(event, field).get();
        let involved: Involved = read::field(event, "involvedObject");
        let series: Option<Series> = read::field(event, "series");
        let first = time("firstTimestamp").or_else(|| time("eventTime"));
        let (last, count) = match &series {
            Some(series) => (series.last_observed_time.get(), *series.count),
            // One that is written as in events.k8s.io does not count what happened once.
            None => (
                time("lastTimestamp").or(first),
                read::field::<i64>(event, "count").max(1),
            ),
        };
        let kind = involved.kind.to_lowercase();
        let object = match involved.name.as_str() {
            "" => kind,
            name => format!("{kind}/{name}"),
        };
        let source: Source = read::field(event, "source");
        let component = or(&source.component, &text("reportingComponent")).to_owned();
        let source = match or(&source.host, &text("reportingInstance")) {
            "" => component,
            host => format!("{component}, {host}"),
        };
        let cells = vec![
            json!(age::since(last, now)),
            json!(text("type")),
            json!(text("reason")),
            json!(object),
            json!(*involved.field_path),
            json!(source),
            json!(text("message").trim()),
            json!(age::since(first, now)),
            json!(count),
            json!(event.meta().name),
        ];
        cells.into()
    },
};
