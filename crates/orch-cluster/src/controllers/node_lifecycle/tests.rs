//! The node lifecycle's decisions, case by case.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Taint, Toleration};
use serde_json::{Value, json};

use super::*;

fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

fn later(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

fn node(conditions: Value, taints: Value, unschedulable: bool) -> NodeView {
    let value = json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "n1", "uid": "u", "creationTimestamp": "2026-06-01T11:00:00Z"},
        "spec": {"taints": taints, "unschedulable": unschedulable}, "status": {"conditions": conditions}});
    NodeView::from(&serde_json::from_value::<Node>(value).unwrap())
}

fn ready(status: &str) -> Value {
    json!([{"type": "Ready", "status": status, "lastHeartbeatTime": "2026-06-01T11:59:00Z"}])
}

#[test]
fn silence_is_counted_from_the_last_change_seen_here() {
    let node = node(ready("True"), json!([]), false);
    // The node's clock is an hour behind: no matter.
    let lease = Some(later(-3600));
    let first = Health::hear(None, lease, node.heartbeat(), now());
    assert_eq!(first.time_left(&node, later(30)).as_secs(), 10);
    let same = Health::hear(Some(first.clone()), lease, node.heartbeat(), later(30));
    assert_eq!(
        (&same, same.time_left(&node, later(41))),
        (&first, Duration::ZERO)
    );
    let renewed = Health::hear(
        Some(first.clone()),
        Some(later(-3590)),
        node.heartbeat(),
        later(30),
    );
    assert_eq!(renewed.time_left(&node, later(41)).as_secs(), 29);
    let status = Health::hear(Some(first), lease, Some(later(-3590)), later(30));
    assert_eq!(status.time_left(&node, later(41)).as_secs(), 29);
}

#[test]
fn a_node_that_never_reported_gets_the_longer_grace() {
    let new = node(json!([]), json!([]), false);
    let health = Health::hear(None, None, None, now());
    assert_eq!(health.time_left(&new, later(50)).as_secs(), 10);
    let conditions = overdue(&new, later(61)).unwrap();
    let reasons: Vec<_> = conditions
        .iter()
        .map(|c| (c.type_.as_str(), c.status.as_str(), c.reason.as_deref()))
        .collect();
    assert_eq!(reasons[0], ("Ready", "Unknown", Some("NodeStatusNeverUpdated")));
    assert_eq!(reasons.len(), 4);
}

#[test]
fn an_overdue_node_becomes_unknown_once() {
    let mut silent = node(ready("True"), json!([]), false);
    let conditions = overdue(&silent, now()).unwrap();
    let ready = conditions
        .iter()
        .find(|condition| condition.type_ == "Ready")
        .unwrap();
    assert_eq!(
        (ready.status.as_str(), ready.reason.as_deref()),
        ("Unknown", Some("NodeStatusUnknown"))
    );
    assert_eq!(
        ready.last_heartbeat_time,
        silent.conditions[0].last_heartbeat_time
    );
    silent.conditions = conditions;
    assert_eq!(overdue(&silent, later(60)), None);
}

#[test]
fn taints_follow_the_conditions() {
    let taint = |key: &str, effect: &str| json!({"key": key, "effect": effect});
    let dedicated = || taint("dedicated", "NoSchedule");
    let not_ready = "node.kubernetes.io/not-ready";
    let unreachable = "node.kubernetes.io/unreachable";
    let pressure = json!([{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "True"}]);
    // (conditions, present taints, cordoned, all down, taints afterwards; none for no change)
    type Case = (
        Value,
        Value,
        bool,
        bool,
        Option<Vec<(&'static str, &'static str)>>,
    );
    let table: [Case; 9] = [
        (ready("True"), json!([]), false, false, None),
        (ready("True"), json!([dedicated()]), false, false, None),
        (
            ready("False"),
            json!([]),
            false,
            false,
            Some(vec![(not_ready, "NoSchedule"), (not_ready, "NoExecute")]),
        ),
        (
            ready("Unknown"),
            json!([taint(not_ready, "NoExecute"), dedicated()]),
            false,
            false,
            Some(vec![
                ("dedicated", "NoSchedule"),
                (unreachable, "NoSchedule"),
                (unreachable, "NoExecute"),
            ]),
        ),
        (
            ready("Unknown"),
            json!([taint(unreachable, "NoExecute")]),
            false,
            true,
            Some(vec![(unreachable, "NoSchedule")]),
        ),
        (
            ready("True"),
            json!([taint(unreachable, "NoSchedule"), taint(unreachable, "NoExecute")]),
            false,
            false,
            Some(vec![]),
        ),
        (
            ready("True"),
            json!([]),
            true,
            false,
            Some(vec![("node.kubernetes.io/unschedulable", "NoSchedule")]),
        ),
        (
            pressure,
            json!([]),
            false,
            false,
            Some(vec![("node.kubernetes.io/disk-pressure", "NoSchedule")]),
        ),
        (json!([]), json!([]), false, false, None),
    ];
    for (conditions, present, cordoned, all_down, expected) in table {
        let node = node(conditions, present, cordoned);
        let got = taints(&node, || all_down, now());
        let got: Option<Vec<_>> = got.as_ref().map(|taints| {
            taints
                .iter()
                .map(|t| (t.key.as_str(), t.effect.as_str()))
                .collect()
        });
        assert_eq!(got, expected, "{node:?}");
    }
}

#[test]
fn a_taint_that_stays_keeps_its_time() {
    let key = "node.kubernetes.io/unreachable";
    let present = json!([{"key": key, "effect": "NoExecute", "timeAdded": "2026-06-01T11:00:00Z"}]);
    let got = taints(&node(ready("Unknown"), present, false), || false, now()).unwrap();
    assert_eq!(
        got[0].time_added.as_ref().unwrap().0.to_string(),
        "2026-06-01T11:00:00Z"
    );
}

#[test]
fn a_users_taint_that_evicts_says_since_when_and_keeps_it() {
    let present =
        json!([{"key": "dedicated", "effect": "NoExecute"}, {"key": "gpu", "effect": "NoSchedule"}]);
    let mut node = node(ready("True"), present, false);
    let got = taints(&node, || false, now()).unwrap();
    let times: Vec<_> = got
        .iter()
        .map(|taint| taint.time_added.as_ref().map(|time| time.0))
        .collect();
    assert_eq!(times, [Some(now()), None]);
    node.taints = got;
    assert_eq!(taints(&node, || false, later(60)), None);
}

#[test]
fn the_other_nodes_are_asked_after_only_when_this_one_is_not_ready() {
    let asked = std::cell::Cell::new(0);
    let all_down = || {
        asked.set(asked.get() + 1);
        false
    };
    taints(&node(ready("True"), json!([]), true), all_down, now());
    assert_eq!(asked.get(), 0);
    taints(&node(ready("False"), json!([]), true), all_down, now());
    assert_eq!(asked.get(), 1);
}

#[test]
fn a_pod_leaves_when_its_tolerations_run_out() {
    let unreachable = |added: i64| Taint {
        key: "node.kubernetes.io/unreachable".to_owned(),
        effect: "NoExecute".to_owned(),
        time_added: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(later(added))),
        value: None,
    };
    let dedicated = Taint {
        key: "dedicated".to_owned(),
        effect: "NoExecute".to_owned(),
        value: Some("db".to_owned()),
        time_added: None,
    };
    let schedule = Taint {
        effect: "NoSchedule".to_owned(),
        ..dedicated.clone()
    };
    let key = "node.kubernetes.io/unreachable";
    let default =
        || json!([{"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}]);
    let in_ = |seconds| Eviction::In(Duration::from_secs(seconds));
    let table = [
        (vec![], json!([]), Eviction::Never),
        (vec![schedule], json!([]), Eviction::Never),
        (vec![unreachable(0)], json!([]), in_(0)),
        (vec![unreachable(0)], default(), in_(300)),
        (vec![unreachable(-100)], default(), in_(200)),
        (vec![unreachable(-400)], default(), in_(0)),
        (
            vec![unreachable(-400)],
            json!([{"operator": "Exists"}]),
            Eviction::Never,
        ),
        (vec![unreachable(0), dedicated.clone()], default(), in_(0)),
        (
            vec![dedicated.clone()],
            json!([{"key": "dedicated", "value": "db"}]),
            Eviction::Never,
        ),
        (
            vec![dedicated.clone()],
            json!([{"key": "dedicated", "operator": "Equal", "value": "web"}]),
            in_(0),
        ),
        (
            vec![dedicated.clone()],
            json!([{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}]),
            in_(0),
        ),
        (
            vec![unreachable(0)],
            json!([{"key": key, "operator": "Exists", "tolerationSeconds": 30},
                   {"key": key, "operator": "Exists", "tolerationSeconds": 60}]),
            in_(30),
        ),
        (
            vec![unreachable(0)],
            json!([{"key": key, "operator": "Exists", "tolerationSeconds": -1}]),
            in_(0),
        ),
    ];
    for (taints, tolerations, expected) in table {
        let tolerations: Vec<Toleration> = serde_json::from_value(tolerations).unwrap();
        assert_eq!(
            eviction(&taints, &tolerations, now()),
            expected,
            "{taints:?} {tolerations:?}"
        );
    }
}
