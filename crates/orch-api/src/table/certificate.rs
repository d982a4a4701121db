//! Requests for certificates.

use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::json;

use super::read::{self, Condition, List, Text};
use super::{Column, NONE, Printer, age, or};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    expiration_seconds: Option<i64>,
    signer_name: Text,
    username: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    certificate: Text,
    conditions: List<Condition>,
}

pub(super) static REQUEST: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::AGE,
        Column::text("SignerName", "Who is to sign it."),
        Column::text("Requestor", "Who asks for it."),
        Column::text("RequestedDuration", "For how long it is to be good."),
        Column::text("Condition", "What has become of it."),
    ],
    row: |request, now| {
        let spec: Spec = read::field(request, "spec");
        let status: Status = read::field(request, "status");
        let duration = spec
            .expiration_seconds
            .map(SignedDuration::from_secs)
            .map(age::human);
        let cells = vec![
            json!(request.meta().name),
            json!(age::of(request, now)),
            json!(or(&spec.signer_name, NONE)),
            json!(*spec.username),
            json!(duration.as_deref().unwrap_or(NONE)),
            json!(state(&status)),
        ];
        cells.into()
    },
};

fn state(status: &Status) -> String {
    let is = |type_| {
        status
            .conditions
            .iter()
            .any(|condition| *condition.type_ == type_)
    };
    let mut states = vec![match (is("Denied"), is("Approved")) {
        (true, _) => "Denied",
        (false, true) => "Approved",
        (false, false) => "Pending",
    }];
    if is("Failed") {
        states.push("Failed");
    }
    if !status.certificate.is_empty() {
        states.push("Issued");
    }
    states.join(",")
}
