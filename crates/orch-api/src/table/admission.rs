//! Policies of admission and their bindings.

use orch_core::object::LabelSelector;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::read::{self, Or, Text};
use super::{Column, Printer, plain};

const UNSET: &str = "<unset>";

pub(super) static POLICY: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::number("Validations", "How many validations it has."),
        Column::text("ParamKind", "Which kind its parameters are of."),
        Column::AGE,
    ],
    row: |policy, now| {
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct Spec {
            validations: Or<Vec<IgnoredAny>>,
            param_kind: Option<ParamKind>,
        }
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct ParamKind {
            api_version: Text,
            kind: Text,
        }
        let spec: Spec = read::field(policy, "spec");
        let kind = spec.param_kind.map_or_else(
            || UNSET.to_owned(),
            |param| format!("{}/{}", *param.api_version, *param.kind),
        );
        plain::named(policy, now, [json!(spec.validations.len()), json!(kind)])
    },
};

pub(super) static BINDING: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("PolicyName", "Which policy it turns on."),
        Column::text("ParamRef", "Which parameters the policy is given."),
        Column::AGE,
    ],
    row: |binding, now| {
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct Spec {
            policy_name: Text,
            param_ref: Option<ParamRef>,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct ParamRef {
            name: Text,
            namespace: Text,
            selector: Option<LabelSelector>,
        }
        let spec: Spec = read::field(binding, "spec");
        let reference = spec.param_ref.unwrap_or_default();
        let parameter = match (reference.namespace.as_str(), reference.name.as_str()) {
            ("", "") => reference
                .selector
                .and_then(|selector| selector.to_selector().ok())
                .map_or_else(|| UNSET.to_owned(), |selector| selector.to_string()),
            ("", name) => name.to_owned(),
            (namespace, name) => format!("{namespace}/{name}"),
        };
        plain::named(binding, now, [json!(*spec.policy_name), json!(parameter)])
    },
};
