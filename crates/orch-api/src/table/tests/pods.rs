//! Pods in the states that they go through.

use serde_json::{Value, json};

use super::{cells, object, row};

/// One with a container `c`, in this state.
fn with(status: &Value) -> Value {
    object(
        "v1",
        "Pod",
        &json!({"spec": {"containers": [{"name": "c"}]}, "status": status}),
    )
}

/// The status of one whose container is in a state.
fn of(phase: &str, ready: bool, restarts: i64, state: &Value) -> Value {
    json!({"phase": phase, "containerStatuses": [
        {"name": "c", "ready": ready, "restartCount": restarts, "state": state},
    ]})
}

/// One with init containers in these states, and two containers that wait for them.
fn initializing(inits: &Value, statuses: &Value) -> Value {
    let waits = json!({"waiting": {"reason": "PodInitializing"}});
    object(
        "v1",
        "Pod",
        &json!({
            "spec": {"containers": [{"name": "c"}, {"name": "d"}], "initContainers": inits},
            "status": {"phase": "Pending", "initContainerStatuses": statuses, "containerStatuses": [
                {"name": "c", "state": waits}, {"name": "d", "state": waits},
            ]},
        }),
    )
}

fn deleting(mut pod: Value) -> Value {
    pod["metadata"]["deletionTimestamp"] = json!("2030-01-01T23:59:00Z");
    pod
}

fn changed(mut pod: Value, path: &str, value: Value) -> Value {
    let (parent, field) = path.rsplit_once('/').unwrap();
    match pod.pointer_mut(parent).unwrap() {
        Value::Array(items) => items[field.parse::<usize>().unwrap()] = value,
        object => object[field] = value,
    }
    pod
}

fn check(cases: Vec<(&str, Value, [&str; 3])>) {
    for (what, pod, expected) in cases {
        assert_eq!(cells(&pod, &["Ready", "Status", "Restarts"]), expected, "{what}");
    }
}

#[test]
fn a_pod_is_as_its_containers_are() {
    let running = json!({"running": {"startedAt": "2030-01-01T23:56:00Z"}});
    let ended = |how: Value| json!({"terminated": how});
    let both = |one: &Value, other: &Value, is_ready: &str| {
        let pod = with(&json!({
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": is_ready}],
            "containerStatuses": [
                {"name": "c", "ready": true, "state": one}, {"name": "d", "state": other},
            ],
        }));
        changed(pod, "/spec/containers", json!([{"name": "c"}, {"name": "d"}]))
    };
    let completed = ended(json!({"exitCode": 0, "reason": "Completed"}));
    let crashing = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    let restarted = with(&of("Running", true, 2, &running));
    let last = json!({"terminated": {"exitCode": 1, "finishedAt": "2030-01-01T23:57:00Z"}});
    let restarted = changed(restarted, "/status/containerStatuses/0/lastState", last);
    let gated = json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"},
    ]});
    check(vec![
        ("nothing known", with(&json!({})), ["0/1", "", "0"]),
        (
            "not scheduled",
            with(&json!({"phase": "Pending"})),
            ["0/1", "Pending", "0"],
        ),
        ("gated", with(&gated), ["0/1", "SchedulingGated", "0"]),
        (
            "being made",
            with(&of(
                "Pending",
                false,
                0,
                &json!({"waiting": {"reason": "ContainerCreating"}}),
            )),
            ["0/1", "ContainerCreating", "0"],
        ),
        (
            "waiting without a reason",
            with(&of("Pending", false, 0, &json!({"waiting": {}}))),
            ["0/1", "Pending", "0"],
        ),
        (
            "running",
            with(&of("Running", true, 0, &running)),
            ["1/1", "Running", "0"],
        ),
        (
            "not ready",
            with(&of("Running", false, 0, &running)),
            ["0/1", "Running", "0"],
        ),
        (
            "crashing",
            with(&of("Running", false, 7, &crashing)),
            ["0/1", "CrashLoopBackOff", "7"],
        ),
        ("started again", restarted, ["1/1", "Running", "2 (3m ago)"]),
        (
            "ended well",
            with(&of("Succeeded", false, 0, &completed)),
            ["0/1", "Completed", "0"],
        ),
        (
            "failed",
            with(&of(
                "Failed",
                false,
                0,
                &ended(json!({"exitCode": 1, "reason": "Error"})),
            )),
            ["0/1", "Error", "0"],
        ),
        (
            "ended with a code alone",
            with(&of("Failed", false, 0, &ended(json!({"exitCode": 3})))),
            ["0/1", "ExitCode:3", "0"],
        ),
        (
            "ended by a signal",
            with(&of(
                "Failed",
                false,
                0,
                &ended(json!({"exitCode": 137, "signal": 9})),
            )),
            ["0/1", "Signal:9", "0"],
        ),
        (
            "evicted",
            with(&json!({"phase": "Failed", "reason": "Evicted"})),
            ["0/1", "Evicted", "0"],
        ),
        (
            "one of two ended, ready",
            both(&running, &completed, "True"),
            ["1/2", "Running", "0"],
        ),
        (
            "one of two ended, not ready",
            both(&running, &completed, "False"),
            ["1/2", "NotReady", "0"],
        ),
        (
            "the first trouble counts",
            both(&crashing, &completed, "False"),
            ["0/2", "CrashLoopBackOff", "0"],
        ),
        (
            "told to end",
            deleting(with(&of("Running", true, 0, &running))),
            ["1/1", "Terminating", "0"],
        ),
        (
            "told to end after it has",
            deleting(with(&of("Succeeded", false, 0, &completed))),
            ["0/1", "Completed", "0"],
        ),
        (
            "on a node that is lost",
            deleting(with(&json!({"phase": "Running", "reason": "NodeLost"}))),
            ["0/1", "Unknown", "0"],
        ),
    ]);
}

#[test]
fn init_containers_come_first() {
    let two = json!([{"name": "i"}, {"name": "j"}]);
    let sidecar = json!([{"name": "s", "restartPolicy": "Always"}, {"name": "j"}]);
    let done = json!({"name": "i", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}});
    let second = |state: Value| json!([done, {"name": "j", "restartCount": 1, "state": state}]);
    let serving = json!({
        "name": "s", "ready": true, "started": true, "restartCount": 2, "state": {"running": {}},
        "lastState": {"terminated": {"finishedAt": "2030-01-01T23:59:00Z"}},
    });
    let j_runs = json!({"name": "j", "state": {"running": {}}});
    let j_done = json!({"name": "j", "restartCount": 4, "state": {"terminated": {"exitCode": 0}}});
    let all_run = changed(
        initializing(&sidecar, &json!([serving, j_done])),
        "/status/containerStatuses",
        json!([
            {"name": "c", "ready": true, "restartCount": 1, "state": {"running": {}}},
            {"name": "d", "ready": true, "state": {"running": {}}},
        ]),
    );
    let all_run = changed(all_run, "/status/phase", json!("Running"));
    // A sidecar that is started again does not make the pod begin anew.
    let again = json!({"name": "s", "started": false, "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}});
    let restarting = changed(all_run.clone(), "/status/initContainerStatuses/0", again);
    let restarting = changed(
        restarting,
        "/status/conditions",
        json!([{"type": "Initialized", "status": "True"}]),
    );
    check(vec![
        (
            "the first runs",
            initializing(
                &two,
                &json!([{"name": "i", "state": {"running": {}}}, {"name": "j"}]),
            ),
            ["0/2", "Init:0/2", "0"],
        ),
        (
            "the second runs",
            initializing(&two, &second(json!({"running": {}}))),
            ["0/2", "Init:1/2", "1"],
        ),
        (
            "the second waits for its turn",
            initializing(&two, &second(json!({"waiting": {"reason": "PodInitializing"}}))),
            ["0/2", "Init:1/2", "1"],
        ),
        (
            "the second has no image",
            initializing(&two, &second(json!({"waiting": {"reason": "ImagePullBackOff"}}))),
            ["0/2", "Init:ImagePullBackOff", "1"],
        ),
        (
            "the second failed",
            initializing(
                &two,
                &second(json!({"terminated": {"exitCode": 1, "reason": "Error"}})),
            ),
            ["0/2", "Init:Error", "1"],
        ),
        (
            "the second failed with a code",
            initializing(&two, &second(json!({"terminated": {"exitCode": 5}}))),
            ["0/2", "Init:ExitCode:5", "1"],
        ),
        (
            "the second was killed",
            initializing(
                &two,
                &second(json!({"terminated": {"exitCode": 137, "signal": 9}})),
            ),
            ["0/2", "Init:Signal:9", "1"],
        ),
        (
            "a sidecar serves, the second runs",
            initializing(&sidecar, &json!([serving, j_runs])),
            ["1/3", "Init:1/2", "2 (60s ago)"],
        ),
        // What init containers that are done were started again is no longer told.
        ("all run", all_run, ["3/3", "Running", "3 (60s ago)"]),
        (
            "a sidecar is started again",
            restarting,
            ["2/3", "Init:CrashLoopBackOff", "4"],
        ),
    ]);
}

#[test]
fn wide_columns_say_where_a_pod_is() {
    let columns = ["IP", "Node", "Nominated Node", "Readiness Gates"];
    let pod = with(&json!({}));
    assert_eq!(cells(&pod, &columns), ["<none>"; 4]);
    let pod = object(
        "v1",
        "Pod",
        &json!({
            "spec": {"nodeName": "n1", "readinessGates": [
                {"conditionType": "a"}, {"conditionType": "b"}, {"conditionType": "c"},
            ]},
            "status": {
                "podIP": "10.0.0.9", "podIPs": [{"ip": "10.0.0.9"}, {"ip": "fd00::9"}], "nominatedNodeName": "n2",
                "conditions": [{"type": "a", "status": "True"}, {"type": "b", "status": "False"}],
            },
        }),
    );
    assert_eq!(cells(&pod, &columns), ["10.0.0.9", "n1", "n2", "1/3"]);
}

#[test]
fn the_row_of_a_pod_says_that_it_has_ended() {
    for (phase, ended) in [
        ("Running", None),
        ("Succeeded", Some("Succeeded")),
        ("Failed", Some("Failed")),
    ] {
        assert_eq!(row(&with(&json!({"phase": phase}))).ended, ended);
    }
}

#[test]
fn what_is_not_as_a_pod_has_it_does_not_keep_it_out_of_a_list() {
    for odd in [
        json!({"spec": null, "status": null}),
        json!({"spec": {"containers": null}, "status": {"containerStatuses": null, "phase": null}}),
        json!({"spec": [], "status": 7}),
        json!({"status": {"containerStatuses": [{"state": {"terminated": "yes"}}]}}),
    ] {
        let pod = object("v1", "Pod", &odd);
        assert_eq!(
            cells(&pod, &["Name", "Ready", "Status", "Restarts", "Age"]),
            ["a", "0/0", "", "0", "5m"],
            "{odd}"
        );
    }
    let time = json!({"terminated": {"finishedAt": "yesterday"}});
    let pod = changed(
        with(&of("Running", true, 2, &json!({"running": {}}))),
        "/status/containerStatuses/0/lastState",
        time,
    );
    assert_eq!(cells(&pod, &["Restarts"]), ["2"]);
}
