//! How the status of a Job may change.

use orch_core::client::KindRules;
use serde_json::{Value, json};

use crate::kinds::find_kind;
use crate::kinds::testkit::{document, raw};

const START: &str = "2030-01-01T00:00:00Z";
const END: &str = "2030-01-01T00:01:00Z";

fn refusals(spec: Value, old: Value, new: &Value) -> Vec<String> {
    let mut job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once", "namespace": "default"},
        "spec": {"template": {}}, "status": old,
    });
    for (field, value) in spec.as_object().unwrap() {
        job["spec"][field] = value.clone();
    }
    let kind = find_kind("batch/v1", "Job").unwrap();
    let errors = kind.validate_status(new.to_string().as_bytes(), &document(&raw(job)));
    errors.iter().map(ToString::to_string).collect()
}

fn conditions(types: &[&str]) -> Value {
    let conditions = types.iter().map(|kind| json!({"type": kind, "status": "True"}));
    conditions.collect()
}

#[test]
fn a_job_that_has_ended_stays_so() {
    let done = json!({"startTime": START, "completionTime": END, "succeeded": 1, "conditions": conditions(&["Complete"])});
    let running = json!({"startTime": START, "active": 1});
    assert_eq!(refusals(json!({}), running.clone(), &done), [""; 0]);
    assert_eq!(refusals(json!({}), done.clone(), &done), [""; 0]);
    for (new, expected) in [
        (
            json!({"startTime": START, "succeeded": 1}),
            vec!["status.conditions: Invalid value: cannot disable the terminal Complete=True condition"],
        ),
        (
            json!({"startTime": START, "completionTime": END, "conditions": conditions(&["Complete"])}),
            vec!["status.succeeded: Invalid value: null: cannot decrease the succeeded counter"],
        ),
        (
            json!({"startTime": START, "completionTime": START, "succeeded": 1, "conditions": conditions(&["Complete"])}),
            vec![
                "status.completionTime: Invalid value: \"2030-01-01T00:00:00Z\": completionTime cannot be mutated",
            ],
        ),
    ] {
        assert_eq!(refusals(json!({}), done.clone(), &new), expected, "{new}");
    }
}

#[test]
fn what_a_status_says_agrees_with_itself() {
    let finished = |rest: Value| {
        let mut status =
            json!({"startTime": START, "completionTime": END, "conditions": conditions(&["Complete"])});
        for (field, value) in rest.as_object().unwrap() {
            status[field] = value.clone();
        }
        status
    };
    let indexed = json!({"completionMode": "Indexed", "completions": 5, "backoffLimitPerIndex": 1});
    for (spec, new, expected) in [
        (
            json!({}),
            finished(json!({"active": 1})),
            "status.active: Invalid value: 1: active>0 is invalid for finished job",
        ),
        (
            json!({}),
            finished(json!({"startTime": null})),
            "status.startTime: Required value: startTime is required for finished job",
        ),
        (
            json!({}),
            finished(json!({"completionTime": null})),
            "status.completionTime: Required value: completionTime is required for Complete jobs",
        ),
        (
            json!({}),
            finished(json!({"conditions": conditions(&["Complete", "Failed"])})),
            "status.conditions: Invalid value: cannot set Complete=True and Failed=true conditions",
        ),
        (
            json!({}),
            finished(json!({"uncountedTerminatedPods": {"failed": ["u"]}})),
            "status.uncountedTerminatedPods: Invalid value: {\"failed\":[\"u\"]}: uncountedTerminatedPods needs to be empty for \
             finished job",
        ),
        (
            json!({}),
            json!({"completionTime": END}),
            "status.completionTime: Invalid value: \"2030-01-01T00:01:00Z\": cannot set completionTime when there is no Complete=True \
             condition",
        ),
        (
            json!({}),
            json!({"completedIndexes": "1"}),
            "status.completedIndexes: Invalid value: \"1\": cannot set non-empty completedIndexes when non-indexed completion mode",
        ),
        (
            json!({}),
            json!({"failed": -1}),
            "status.failed: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            indexed.clone(),
            json!({"completedIndexes": "1-x"}),
            "status.completedIndexes: Invalid value: \"1-x\": error parsing completedIndexes: cannot convert string to integer for \
             index: \"x\"",
        ),
        (
            indexed,
            json!({"completedIndexes": "0,2-4", "failedIndexes": "1,3"}),
            "status.failedIndexes: Invalid value: \"1,3\": failedIndexes and completedIndexes overlap at index: 3",
        ),
        (
            json!({"successPolicy": {"rules": []}}),
            finished(json!({})),
            "status.conditions: Invalid value: cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True",
        ),
    ] {
        let refused = refusals(spec, json!({}), &new);
        assert_eq!(refused.first().map(String::as_str), Some(expected), "{new}");
    }
}
