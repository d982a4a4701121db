//! The other kinds.

use orch_cluster::kinds::KINDS;
use serde_json::{Value, json};

use super::super::{Printer, plain};
use super::{cells, document, now, object, printer, row};

pub(super) fn check(api_version: &str, kind: &str, columns: &[&str], cases: &[(Value, &[&str])]) {
    for (rest, expected) in cases {
        let object = object(api_version, kind, rest);
        assert_eq!(cells(&object, columns), *expected, "{kind} {rest}");
    }
}

#[test]
fn every_kind_has_columns_of_its_own() {
    for row in KINDS.iter() {
        let printer = Printer::of(&row.resource, true);
        assert!(!std::ptr::eq(printer, &plain::OTHER), "{}", row.resource.kind);
        let names: Vec<_> = printer.columns.iter().map(|column| column.name).collect();
        assert!(names.contains(&"Name"), "{names:?}");
        let formats = printer.columns.iter().filter(|column| column.format == "name");
        assert_eq!(formats.count(), 1, "{names:?}");
    }
}

#[test]
fn deployments_say_how_far_they_are() {
    let columns = [
        "Name",
        "Ready",
        "Up-to-date",
        "Available",
        "Age",
        "Containers",
        "Images",
        "Selector",
    ];
    check(
        "apps/v1",
        "Deployment",
        &columns,
        &[
            (
                json!({
                    "spec": {
                        "replicas": 3,
                        "selector": {"matchLabels": {"tier": "b", "app": "web"},
                            "matchExpressions": [{"key": "env", "operator": "In", "values": ["x", "y"]}]},
                        "template": {"spec": {"containers": [
                            {"name": "c", "image": "nginx:1"}, {"name": "d", "image": "redis"},
                        ]}},
                    },
                    "status": {"readyReplicas": 2, "updatedReplicas": 1, "availableReplicas": 2, "replicas": 4},
                }),
                &[
                    "a",
                    "2/3",
                    "1",
                    "2",
                    "5m",
                    "c,d",
                    "nginx:1,redis",
                    "app=web,env in (x,y),tier=b",
                ],
            ),
            (json!({}), &["a", "0/1", "0", "0", "5m", "", "", ""]),
            (
                json!({"spec": {"replicas": 0, "selector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}}}),
                &["a", "0/0", "0", "0", "5m", "", "", "<invalid>"],
            ),
        ],
    );
}

#[test]
fn replica_sets_count_their_pods() {
    let columns = [
        "Name",
        "Desired",
        "Current",
        "Ready",
        "Age",
        "Containers",
        "Images",
        "Selector",
    ];
    check(
        "apps/v1",
        "ReplicaSet",
        &columns,
        &[
            (
                json!({
                    "spec": {
                        "replicas": 3, "selector": {"matchLabels": {"app": "web"}},
                        "template": {"spec": {"containers": [{"name": "c", "image": "nginx"}]}},
                    },
                    "status": {"replicas": 2, "readyReplicas": 1},
                }),
                &["a", "3", "2", "1", "5m", "c", "nginx", "app=web"],
            ),
            (json!({}), &["a", "1", "0", "0", "5m", "", "", "<none>"]),
            (
                json!({"spec": {"selector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}}}),
                &["a", "1", "0", "0", "5m", "", "", "<error>"],
            ),
        ],
    );
    let set = object("apps/v1", "ReplicaSet", &json!({}));
    assert_eq!(row(&set).cells[1], json!(1), "a number is one on the wire");
}

#[test]
fn nodes_say_whether_they_take_pods() {
    let ready = |status: &str| json!([{"type": "MemoryPressure", "status": "True"}, {"type": "Ready", "status": status}]);
    check(
        "v1",
        "Node",
        &["Name", "Status", "Roles", "Age", "Version"],
        &[
            (json!({}), &["a", "Unknown", "<none>", "5m", ""]),
            (
                json!({"status": {"conditions": ready("True"), "nodeInfo": {"kubeletVersion": "v1.33.0"}}}),
                &["a", "Ready", "<none>", "5m", "v1.33.0"],
            ),
            (
                json!({"spec": {"unschedulable": true}, "status": {"conditions": ready("Unknown")}}),
                &["a", "NotReady,SchedulingDisabled", "<none>", "5m", ""],
            ),
            (
                json!({"metadata": {"labels": {
                    "node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/": "x", "kubernetes.io/role": "control",
                    "other": "y",
                }}}),
                &["a", "Unknown", "control,worker", "5m", ""],
            ),
        ],
    );
    check(
        "v1",
        "Node",
        &[
            "Internal-IP",
            "External-IP",
            "OS-Image",
            "Kernel-Version",
            "Container-Runtime",
        ],
        &[
            (
                json!({}),
                &["<none>", "<none>", "<unknown>", "<unknown>", "<unknown>"],
            ),
            (
                json!({"status": {
                    "addresses": [
                        {"type": "Hostname", "address": "a"}, {"type": "InternalIP", "address": "10.0.0.1"},
                        {"type": "InternalIP", "address": "10.0.0.2"}, {"type": "ExternalIP", "address": "192.0.2.1"},
                    ],
                    "nodeInfo": {"osImage": "Debian", "kernelVersion": "6.1", "containerRuntimeVersion": "orch://1"},
                }}),
                &["10.0.0.1", "192.0.2.1", "Debian", "6.1", "orch://1"],
            ),
        ],
    );
}

#[test]
fn events_say_what_happened_to_what_and_when() {
    let columns = [
        "Last Seen",
        "Type",
        "Reason",
        "Object",
        "Subobject",
        "Source",
        "Message",
        "First Seen",
        "Count",
        "Name",
    ];
    check(
        "v1",
        "Event",
        &columns,
        &[
            (
                json!({
                    "type": "Warning", "reason": "BackOff", "message": " it fails\n", "count": 4,
                    "firstTimestamp": "2030-01-01T23:00:00Z", "lastTimestamp": "2030-01-01T23:59:00Z",
                    "involvedObject": {"kind": "Pod", "name": "web", "fieldPath": "spec.containers{c}"},
                    "source": {"component": "agent", "host": "n1"},
                }),
                &[
                    "60s",
                    "Warning",
                    "BackOff",
                    "pod/web",
                    "spec.containers{c}",
                    "agent, n1",
                    "it fails",
                    "60m",
                    "4",
                    "a",
                ],
            ),
            (
                json!({
                    "eventTime": "2030-01-01T23:58:00.123456Z", "firstTimestamp": null, "lastTimestamp": null,
                    "reportingComponent": "scheduler", "reportingInstance": "", "source": {},
                    "involvedObject": {"kind": "Node"},
                }),
                &["119s", "", "", "node", "", "scheduler", "", "119s", "1", "a"],
            ),
            (
                json!({
                    "eventTime": "2030-01-01T23:00:00.000000Z",
                    "series": {"count": 9, "lastObservedTime": "2030-01-01T23:59:50.000000Z"},
                    "reportingComponent": "scheduler", "reportingInstance": "s-1",
                    "involvedObject": {"kind": "Pod", "name": "web"},
                }),
                &[
                    "10s",
                    "",
                    "",
                    "pod/web",
                    "",
                    "scheduler, s-1",
                    "",
                    "60m",
                    "9",
                    "a",
                ],
            ),
            (
                json!({}),
                &["<unknown>", "", "", "", "", "", "", "<unknown>", "1", "a"],
            ),
        ],
    );
}

#[test]
fn plain_kinds_say_little() {
    check(
        "v1",
        "ConfigMap",
        &["Name", "Data", "Age"],
        &[
            (json!({}), &["a", "0", "5m"]),
            (
                json!({"data": {"a": "1", "b": "2"}, "binaryData": {"c": "AA=="}}),
                &["a", "3", "5m"],
            ),
            (json!({"data": null}), &["a", "0", "5m"]),
        ],
    );
    check(
        "v1",
        "Secret",
        &["Name", "Type", "Data", "Age"],
        &[(
            json!({"type": "Opaque", "data": {"a": "MQ=="}}),
            &["a", "Opaque", "1", "5m"],
        )],
    );
    check(
        "v1",
        "Namespace",
        &["Name", "Status", "Age"],
        &[
            (
                json!({"status": {"phase": "Terminating"}}),
                &["a", "Terminating", "5m"],
            ),
            (json!({}), &["a", "", "5m"]),
        ],
    );
    check(
        "coordination.k8s.io/v1",
        "Lease",
        &["Name", "Holder", "Age"],
        &[
            (json!({"spec": {"holderIdentity": "n1"}}), &["a", "n1", "5m"]),
            (json!({"spec": {}}), &["a", "", "5m"]),
        ],
    );
    check("batch/v1", "Job", &["Name", "Age"], &[(json!({}), &["a", "5m"])]);
}

#[test]
fn custom_kinds_say_when_they_were_made() {
    let cat = object("example.com/v1", "Cat", &json!({}));
    let printer = printer(&cat, false);
    let names: Vec<_> = printer.columns.iter().map(|one| (one.name, one.type_)).collect();
    assert_eq!(names, [("Name", "string"), ("Created At", "date")]);
    for (time, expected) in [
        (json!("2030-01-01T23:55:00Z"), json!("2030-01-01T23:55:00Z")),
        (json!("2030-01-01T23:55:00.75Z"), json!("2030-01-01T23:55:00Z")),
        (json!(null), json!(null)),
    ] {
        let mut cat = cat.clone();
        cat["metadata"]["creationTimestamp"] = time;
        assert_eq!(
            (printer.row)(&document(&cat), now()).cells,
            [json!("a"), expected]
        );
    }
    // One that is named as one of Kubernetes' is no such.
    let pod = object("v1", "Pod", &json!({}));
    assert!(std::ptr::eq(super::printer(&pod, false), &plain::CUSTOM));
}
