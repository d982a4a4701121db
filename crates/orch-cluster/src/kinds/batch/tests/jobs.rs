//! Jobs themselves.

use orch_core::client::KindRules;
use serde_json::{Value, json};

use crate::kinds::testkit::{created, document, raw, refuses, replaces, with};
use crate::kinds::{BuiltIn, find_kind};

fn job() -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "once", "namespace": "default", "uid": "u-1"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}},
    })
}

fn indexed() -> Value {
    let mut job = job();
    job["spec"]["completionMode"] = json!("Indexed");
    job["spec"]["completions"] = json!(5);
    job["spec"]["parallelism"] = json!(2);
    job
}

fn kind() -> &'static BuiltIn {
    find_kind("batch/v1", "Job").unwrap()
}

#[test]
fn a_job_is_filled_and_its_pods_are_known_by_labels_of_their_own() {
    let made = created("batch/v1", with(job(), "/status", json!({"succeeded": 1}))).unwrap();
    let labels = json!({
        "batch.kubernetes.io/controller-uid": "u-1", "batch.kubernetes.io/job-name": "once",
        "controller-uid": "u-1", "job-name": "once",
    });
    for (path, expected) in [
        ("/status", Value::Null),
        ("/metadata/labels", labels.clone()),
        ("/spec/template/metadata/labels", labels),
        (
            "/spec/selector",
            json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "u-1"}}),
        ),
        ("/spec/completions", json!(1)),
        ("/spec/parallelism", json!(1)),
        ("/spec/backoffLimit", json!(6)),
        ("/spec/completionMode", json!("NonIndexed")),
        ("/spec/suspend", json!(false)),
        ("/spec/manualSelector", json!(false)),
        ("/spec/podReplacementPolicy", json!("TerminatingOrFailed")),
        ("/spec/template/spec/dnsPolicy", json!("ClusterFirst")),
    ] {
        let found = made.pointer(path).cloned().unwrap_or_default();
        assert_eq!(found, expected, "{path}");
    }
    // A queue of work: how many must succeed is not said.
    let made = created("batch/v1", with(job(), "/spec/parallelism", json!(3))).unwrap();
    assert_eq!(made["spec"].get("completions"), None);
    let made = created(
        "batch/v1",
        with(indexed(), "/spec/backoffLimitPerIndex", json!(1)),
    )
    .unwrap();
    assert_eq!(made["spec"]["backoffLimit"], i32::MAX);
}

#[test]
fn who_brings_a_selector_says_so() {
    let mut own = job();
    own["spec"]["template"]["metadata"] = json!({"labels": {"app": "once"}});
    own["spec"]["selector"] = json!({"matchLabels": {"app": "once"}});
    let required = created("batch/v1", with(own.clone(), "/metadata/uid", json!(""))).unwrap_err();
    assert!(
        required.to_string().contains("metadata.uid: Required value"),
        "{required}"
    );
    own["spec"]["manualSelector"] = json!(true);
    let made = created("batch/v1", own.clone()).unwrap();
    assert_eq!(made["spec"]["selector"], own["spec"]["selector"]);
    assert_eq!(made["metadata"]["labels"], json!({"app": "once"}));
    refuses(
        &own,
        &[
            (
                "/spec/selector",
                json!({"matchLabels": {"app": "other"}}),
                "spec.template.metadata.labels: Invalid value: {\"app\":\"once\"}: `selector` does not match template `labels`",
            ),
            ("/spec/selector", json!(null), "spec.selector: Required value"),
        ],
    );
    let foreign = json!({"labels": {"job-name": "other"}});
    refuses(
        &job(),
        &[(
            "/spec/template/metadata",
            foreign,
            "spec.template.metadata.labels[job-name]: Invalid value: {\"batch.kubernetes.io/controller-uid\":\"u-1\",\
             \"batch.kubernetes.io/job-name\":\"once\",\"controller-uid\":\"u-1\",\"job-name\":\"other\"}: must be 'once'",
        )],
    );
}

#[test]
fn jobs_that_are_wrong_are_refused() {
    let policy = |rule: Value| json!({"rules": [rule]});
    let codes = |values: Value| {
        policy(json!({"action": "FailJob", "onExitCodes": {"operator": "In", "values": values}}))
    };
    refuses(
        &job(),
        &[
            (
                "/spec/completions",
                json!(-1),
                "spec.completions: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                "/spec/template/spec/restartPolicy",
                json!("Always"),
                "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"",
            ),
            (
                "/spec/template/spec/restartPolicy",
                json!(null),
                "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"",
            ),
            (
                "/spec/completionMode",
                json!("Odd"),
                "spec.completionMode: Unsupported value: \"Odd\": supported values: \"NonIndexed\", \"Indexed\"",
            ),
            (
                "/spec/backoffLimitPerIndex",
                json!(1),
                "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode",
            ),
            (
                "/spec/managedBy",
                json!("me"),
                "spec.managedBy: Invalid value: \"me\": must be a domain-prefixed path (such as \"acme.io/foo\")",
            ),
            (
                "/spec/podReplacementPolicy",
                json!("Never"),
                "spec.podReplacementPolicy: Unsupported value: \"Never\": supported values: \"Failed\", \"TerminatingOrFailed\"",
            ),
            (
                "/spec/podFailurePolicy",
                policy(json!({"action": "Ignore"})),
                "spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required",
            ),
            (
                "/spec/podFailurePolicy",
                codes(json!([0])),
                "spec.podFailurePolicy.rules[0].onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator",
            ),
            (
                "/spec/podFailurePolicy",
                codes(json!([2, 1])),
                "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [2,1]: must be ordered",
            ),
            (
                "/spec/podFailurePolicy",
                codes(json!([1, 1])),
                "spec.podFailurePolicy.rules[0].onExitCodes.values[1]: Duplicate value: 1",
            ),
            (
                "/spec/podFailurePolicy",
                policy(json!({"action": "FailIndex", "onPodConditions": [{"type": "DisruptionTarget"}]})),
                "spec.podFailurePolicy.rules[0].action: Invalid value: \"FailIndex\": requires the backoffLimitPerIndex to be set",
            ),
            (
                "/spec/successPolicy",
                json!({"rules": []}),
                "spec.successPolicy: Invalid value: {\"rules\":[]}: requires indexed completion mode",
            ),
        ],
    );
    let success = |rule: Value| json!({"rules": [rule]});
    refuses(
        &indexed(),
        &[
            (
                "/spec/completions",
                json!(null),
                "spec.completions: Required value: when completion mode is Indexed",
            ),
            (
                "/spec/parallelism",
                json!(100_001),
                "spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when completion mode is Indexed",
            ),
            (
                "/spec/maxFailedIndexes",
                json!(1),
                "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
            ),
            (
                "/spec/successPolicy",
                success(json!({"succeededIndexes": "3-1"})),
                "spec.successPolicy.rules[0].succeededIndexes: Invalid value: \"3-1\": error parsing succeededIndexes: \
                 non-increasing order, previous: 3, current: 1",
            ),
            (
                "/spec/successPolicy",
                success(json!({"succeededIndexes": "0,5"})),
                "spec.successPolicy.rules[0].succeededIndexes: Invalid value: \"0,5\": error parsing succeededIndexes: \
                 too large index: \"5\"",
            ),
            (
                "/spec/successPolicy",
                success(json!({"succeededIndexes": "0-1,4", "succeededCount": 4})),
                "spec.successPolicy.rules[0].succeededCount: Invalid value: 4: must be less than or equal to 3 (the number of \
                 indexes in the specified succeededIndexes field)",
            ),
            (
                "/metadata/name",
                json!("o".repeat(62)),
                &format!(
                    "metadata.name: Invalid value: \"{0}\": will not able to create pod with invalid DNS label: {0}-4",
                    "o".repeat(62)
                ),
            ),
        ],
    );
}

#[test]
fn what_a_job_runs_stays() {
    let immutable =
        |field: &str, value: &str| format!("spec.{field}: Invalid value: {value}: field is immutable");
    replaces(
        &job(),
        &[
            ("/spec/parallelism", json!(4), ""),
            ("/spec/suspend", json!(true), ""),
            ("/spec/completions", json!(2), &immutable("completions", "2")),
            (
                "/spec/managedBy",
                json!("a.io/b"),
                &immutable("managedBy", "\"a.io/b\""),
            ),
        ],
    );
    let changed = |job: &Value, path: &str, value: Value| {
        let old = created("batch/v1", job.clone()).unwrap();
        let new = with(old.clone(), path, value);
        let (new, old) = (raw(new), raw(old));
        let errors = kind().validate_update(&document(&new), &document(&old));
        errors
            .iter()
            .map(|error| error.path.to_string())
            .collect::<Vec<_>>()
    };
    let selector = json!({"disk": "fast"});
    assert_eq!(
        changed(&job(), "/spec/template/spec/nodeSelector", selector.clone()),
        ["spec.template"]
    );
    // What clients in Go send back of it is the same to them.
    for (path, same) in [
        ("tolerations", json!([])),
        ("nodeSelector", json!({})),
        ("hostNetwork", json!(false)),
    ] {
        let path = format!("/spec/template/spec/{path}");
        assert_eq!(changed(&job(), &path, same), [""; 0], "{path}");
    }
    // Where the pods of a Job may run is open for as long as it has not begun.
    let suspended = with(job(), "/spec/suspend", json!(true));
    for (path, value, refused) in [
        ("/spec/template/spec/nodeSelector", selector, false),
        (
            "/spec/template/spec/affinity",
            json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}),
            false,
        ),
        ("/spec/template/spec/hostNetwork", json!(true), true),
    ] {
        let errors = changed(&suspended, path, value);
        assert_eq!(!errors.is_empty(), refused, "{path} {errors:?}");
    }
    let both = |count: i32| {
        let mut job = created("batch/v1", indexed()).unwrap()["spec"].clone();
        job["completions"] = json!(count);
        job["parallelism"] = json!(4);
        job
    };
    let tandem = "spec.completions: Invalid value: 3: can only be modified in tandem with spec.parallelism";
    replaces(&indexed(), &[("/spec", both(4), ""), ("/spec", both(3), tandem)]);
}

#[test]
fn names_that_are_no_labels_are_warned_of() {
    let warned = |name: &str| kind().create_warnings(&raw(with(job(), "/metadata/name", json!(name))));
    assert_eq!(warned("once").len(), 1, "that nothing acts on it");
    let told = warned("a.b");
    assert!(
        told[0].starts_with("metadata.name: this is used in Pod names and hostnames")
            && told[0].ends_with("[must not contain dots]"),
        "{told:?}"
    );
}
