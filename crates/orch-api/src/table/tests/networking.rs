//! What leads to pods, runs to an end or scales them: kinds that nothing acts on yet.

use serde_json::{Value, json};

use super::kinds::check;

const NETWORKING: &str = "networking.k8s.io/v1";

#[test]
fn jobs_say_how_far_they_are() {
    let columns = [
        "Name",
        "Status",
        "Completions",
        "Duration",
        "Age",
        "Containers",
        "Images",
        "Selector",
    ];
    let is = |kind: &str| json!([{"type": kind, "status": "True"}]);
    let template = json!({"spec": {"containers": [{"name": "c", "image": "i"}]}});
    let spec = json!({"completions": 3, "selector": {"matchLabels": {"a": "b"}}, "template": template});
    let done = json!({"succeeded": 3, "startTime": "2030-01-01T23:56:00Z", "completionTime": "2030-01-01T23:56:30Z",
        "conditions": is("Complete")});
    let row = |status, completions, duration| [status, completions, duration];
    check(
        "batch/v1",
        "Job",
        &columns,
        &[(
            json!({"spec": spec, "status": done}),
            &["a", "Complete", "3/3", "30s", "5m", "c", "i", "a=b"],
        )],
    );
    let begun = json!({"succeeded": 1, "startTime": "2030-01-01T23:56:00Z"});
    for (rest, expected) in [
        (
            json!({"spec": {"parallelism": 3}, "status": begun}),
            row("Running", "1/1 of 3", "4m"),
        ),
        (json!({"spec": {"parallelism": 1}}), row("Running", "0/1", "")),
        (
            json!({"status": {"conditions": is("Failed")}}),
            row("Failed", "0/1", ""),
        ),
        (
            json!({"status": {"conditions": is("Suspended")}}),
            row("Suspended", "0/1", ""),
        ),
        (
            json!({"metadata": {"deletionTimestamp": "2030-01-01T23:59:00Z"}, "status": {"conditions": is("Suspended")}}),
            row("Terminating", "0/1", ""),
        ),
    ] {
        check(
            "batch/v1",
            "Job",
            &["Status", "Completions", "Duration"],
            &[(rest, &expected)],
        );
    }
    let columns = [
        "Name",
        "Schedule",
        "Timezone",
        "Suspend",
        "Active",
        "Last Schedule",
        "Age",
        "Containers",
        "Images",
        "Selector",
    ];
    let spec = json!({"schedule": "@daily", "timeZone": "UTC", "suspend": false, "jobTemplate": {"spec": {"template": template}}});
    let status = json!({"active": [{}], "lastScheduleTime": "2030-01-01T23:59:00Z"});
    check(
        "batch/v1",
        "CronJob",
        &columns,
        &[
            (
                json!({"spec": spec, "status": status}),
                &[
                    "a", "@daily", "UTC", "False", "1", "60s", "5m", "c", "i", "<none>",
                ],
            ),
            (
                json!({"spec": {"schedule": "* * * * *"}}),
                &[
                    "a",
                    "* * * * *",
                    "<none>",
                    "<unset>",
                    "0",
                    "<none>",
                    "5m",
                    "",
                    "",
                    "<none>",
                ],
            ),
        ],
    );
}

#[test]
fn autoscalers_say_what_they_aim_for() {
    let columns = [
        "Name",
        "Reference",
        "Targets",
        "MinPods",
        "MaxPods",
        "Replicas",
        "Age",
    ];
    let resource = |target: Value| json!({"type": "Resource", "resource": {"name": "cpu", "target": target}});
    let external =
        |target: Value| json!({"type": "External", "external": {"metric": {"name": "q"}, "target": target}});
    let spec = |metrics: Value| json!({"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 5, "metrics": metrics});
    let current =
        json!([{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 10}}}]);
    check(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        &columns,
        &[(
            json!({"spec": spec(json!([resource(json!({"averageUtilization": 80}))])),
                "status": {"currentReplicas": 2, "currentMetrics": current}}),
            &["a", "Deployment/web", "cpu: 10%/80%", "<unset>", "5", "2", "5m"],
        )],
    );
    for (metrics, expected) in [
        (json!([]), "<none>"),
        (json!([resource(json!({}))]), "cpu: <unknown>/<auto>"),
        (
            json!([resource(json!({"averageValue": "1Gi"}))]),
            "cpu: <unknown>/1Gi",
        ),
        (json!([external(json!({"value": "5"}))]), "<unknown>/5"),
        (
            json!([external(json!({"averageValue": "5"}))]),
            "<unknown>/5 (avg)",
        ),
        (
            json!([{"type": "Pods", "pods": {"target": {"averageValue": "7"}}}, {"type": "Odd"}, {}, {}]),
            "<unknown>/7, <unknown type> + 2 more...",
        ),
    ] {
        let object = json!({"spec": spec(metrics)});
        check(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            &["Targets"],
            &[(object, &[expected])],
        );
    }
}

#[test]
fn ways_into_the_cluster_say_where_they_lead() {
    let columns = ["Name", "Class", "Hosts", "Address", "Ports", "Age"];
    let rules =
        |hosts: &[&str]| json!({"rules": hosts.iter().map(|host| json!({"host": host})).collect::<Vec<_>>()});
    let points = json!([{"hostname": "lb.example"}, {"ip": "192.0.2.1"}, {"ip": "192.0.2.1"}]);
    check(
        NETWORKING,
        "Ingress",
        &columns,
        &[
            (
                json!({"spec": {"ingressClassName": "nginx", "tls": [{}]}, "status": {"loadBalancer": {"ingress": points}}}),
                &["a", "nginx", "*", "192.0.2.1,lb.example", "80, 443", "5m"],
            ),
            (
                json!({"spec": rules(&["a", "", "b"])}),
                &["a", "<none>", "a,b", "", "80", "5m"],
            ),
            (
                json!({"spec": rules(&["a", "b", "c", "d", "e"])}),
                &["a", "<none>", "a,b,c + 2 more...", "", "80", "5m"],
            ),
        ],
    );
    check(
        NETWORKING,
        "IngressClass",
        &["Name", "Controller", "Parameters", "Age"],
        &[
            (
                json!({"spec": {"controller": "a.io/b", "parameters": {"apiGroup": "a.io", "kind": "K", "name": "n"}}}),
                &["a", "a.io/b", "K.a.io/n", "5m"],
            ),
            (
                json!({"spec": {"controller": "a.io/b"}}),
                &["a", "a.io/b", "<none>", "5m"],
            ),
        ],
    );
    check(
        NETWORKING,
        "NetworkPolicy",
        &["Name", "Pod-Selector", "Age"],
        &[
            (
                json!({"spec": {"podSelector": {"matchLabels": {"a": "b"}}}}),
                &["a", "a=b", "5m"],
            ),
            (json!({}), &["a", "<none>", "5m"]),
        ],
    );
}

#[test]
fn addresses_say_whose_they_are() {
    let parent = |group: &str, namespace: &str| json!({"spec": {"parentRef": {"group": group, "resource": "services", "namespace": namespace, "name": "web"}}});
    check(
        NETWORKING,
        "IPAddress",
        &["Name", "ParentRef"],
        &[
            (parent("", "default"), &["a", "services/default/web"]),
            (parent("A.io", ""), &["a", "services.a.io/web"]),
            (json!({}), &["a", "<none>"]),
        ],
    );
    check(
        NETWORKING,
        "ServiceCIDR",
        &["Name", "CIDRs", "Age"],
        &[(
            json!({"spec": {"cidrs": ["10.0.0.0/8", "fd00::/8"]}}),
            &["a", "10.0.0.0/8,fd00::/8", "5m"],
        )],
    );
    let addresses: Vec<_> = (1..5)
        .map(|n| json!({"addresses": [format!("10.0.0.{n}")]}))
        .collect();
    check(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        &["Name", "AddressType", "Ports", "Endpoints", "Age"],
        &[
            (
                json!({"addressType": "IPv4", "ports": [{"port": 80, "name": "http"}, {"name": "dns"}, {}], "endpoints": addresses}),
                &[
                    "a",
                    "IPv4",
                    "80,dns,*",
                    "10.0.0.1,10.0.0.2,10.0.0.3 + 1 more...",
                    "5m",
                ],
            ),
            (
                json!({"addressType": "IPv6"}),
                &["a", "IPv6", "<unset>", "<unset>", "5m"],
            ),
        ],
    );
}
