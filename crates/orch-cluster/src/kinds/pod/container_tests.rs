//! What Kubernetes refuses of a container, in its own words.

use serde_json::json;

use super::validate_tests::{expect, wrong_with};

#[test]
fn containers_are_checked() {
    expect(&[
        (
            "/spec/containers/0/name",
            json!(""),
            "spec.containers[0].name: Required value",
        ),
        (
            "/spec/containers/0/image",
            json!(""),
            "spec.containers[0].image: Required value",
        ),
        (
            "/spec/containers/0/image",
            json!("nginx "),
            "spec.containers[0].image: Invalid value: \"nginx \": must not have leading or trailing whitespace",
        ),
        (
            "/spec/containers/1",
            json!({"name": "web", "image": "i"}),
            "spec.containers[1].name: Duplicate value: \"web\"",
        ),
        (
            "/spec/initContainers",
            json!([{"name": "web", "image": "i"}]),
            "spec.initContainers[0].name: Duplicate value: \"web\"",
        ),
        (
            "/spec/initContainers",
            json!([{"name": "i", "image": "i", "livenessProbe": {"exec": {"command": ["true"]}}}]),
            "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without \
             restartPolicy=Always",
        ),
        (
            "/spec/containers/0/imagePullPolicy",
            json!("Sometimes"),
            "spec.containers[0].imagePullPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \
             \"IfNotPresent\", \"Never\"",
        ),
        (
            "/spec/containers/0/ports",
            json!([{"containerPort": 70000}]),
            "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
        (
            "/spec/containers/0/ports",
            json!([{"name": "a", "containerPort": 1}, {"name": "a", "containerPort": 2}]),
            "spec.containers[0].ports[1].name: Duplicate value: \"a\"",
        ),
        (
            "/spec/containers/0/ports",
            json!([{"containerPort": 1, "hostPort": 80}, {"containerPort": 2, "hostPort": 80}]),
            "spec.containers[0].ports[1].hostPort: Duplicate value: \"TCP//80\"",
        ),
        (
            "/spec/containers/0/ports",
            json!([{"containerPort": 1, "protocol": "ICMP"}]),
            "spec.containers[0].ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"SCTP\", \"TCP\", \
             \"UDP\"",
        ),
        ("/spec/containers", json!([]), "spec.containers: Required value"),
    ]);
}

#[test]
fn probes_and_hooks_are_checked() {
    expect(&[
        (
            "/spec/containers/0/livenessProbe",
            json!({}),
            "spec.containers[0].livenessProbe: Required value: must specify a handler type",
        ),
        (
            "/spec/containers/0/livenessProbe",
            json!({"exec": {"command": ["a"]}, "tcpSocket": {"port": 1}}),
            "spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
        ),
        (
            "/spec/containers/0/livenessProbe",
            json!({"exec": {"command": ["a"]}, "successThreshold": 2}),
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ),
        (
            "/spec/containers/0/readinessProbe",
            json!({"httpGet": {"port": 0}}),
            "spec.containers[0].readinessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive",
        ),
        (
            "/spec/containers/0/readinessProbe",
            json!({"httpGet": {"port": 80, "scheme": "FTP"}}),
            "spec.containers[0].readinessProbe.httpGet.scheme: Unsupported value: \"FTP\": supported values: \
             \"HTTP\", \"HTTPS\"",
        ),
        (
            "/spec/containers/0/readinessProbe",
            json!({"exec": {"command": []}}),
            "spec.containers[0].readinessProbe.exec.command: Required value",
        ),
        (
            "/spec/containers/0/readinessProbe",
            json!({"exec": {"command": ["a"]}, "initialDelaySeconds": -1}),
            "spec.containers[0].readinessProbe.initialDelaySeconds: Invalid value: -1: must be greater than or equal \
             to 0",
        ),
        (
            "/spec/containers/0/readinessProbe",
            json!({"exec": {"command": ["a"]}, "terminationGracePeriodSeconds": 3}),
            "spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 3: must not be set for \
             readinessProbes",
        ),
        (
            "/spec/containers/0/lifecycle",
            json!({"preStop": {"sleep": {"seconds": 31}}}),
            "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than \
             terminationGracePeriodSeconds (30)",
        ),
    ]);
}

#[test]
fn environments_are_checked() {
    let at = "/spec/containers/0/env";
    expect(&[
        (
            at,
            json!([{"name": ""}]),
            "spec.containers[0].env[0].name: Required value",
        ),
        (
            at,
            json!([{"name": "A", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]),
            "spec.containers[0].env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
        ),
        (
            at,
            json!([{"name": "A", "valueFrom": {}}]),
            "spec.containers[0].env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, \
             `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
        ),
        (
            at,
            json!([{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.phase"}}}]),
            "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"status.phase\": supported \
             values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \
             \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\"",
        ),
        (
            at,
            json!([{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nope"}}}]),
            "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.nope\": error converting \
             fieldPath: field label not supported: spec.nope",
        ),
        (
            at,
            json!([{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": ""}}}]),
            "spec.containers[0].env[0].valueFrom.configMapKeyRef.key: Required value",
        ),
        (
            "/spec/containers/0/envFrom",
            json!([{}]),
            "spec.containers[0].envFrom[0]: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`",
        ),
        (
            at,
            json!([{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "10m"}}}]),
            "spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid value: \"limits.cpu\": only \
             divisor's values 1m and 1 are supported with the cpu resource",
        ),
    ]);
}

#[test]
fn resources_are_checked() {
    let at = "/spec/containers/0/resources";
    expect(&[
        (
            at,
            json!({"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}),
            "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
        ),
        (
            at,
            json!({"requests": {"memory": "-1Gi"}}),
            "spec.containers[0].resources.requests[memory]: Invalid value: \"-1Gi\": must be greater than or equal to 0",
        ),
        (
            at,
            json!({"requests": {"example.com/gpu": 1}}),
            "spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources",
        ),
        (
            at,
            json!({"limits": {"example.com/gpu": "1"}, "requests": {"example.com/gpu": "2"}}),
            "spec.containers[0].resources.requests: Invalid value: \"2\": must be equal to example.com/gpu limit of 1",
        ),
        (
            at,
            json!({"limits": {"hugepages-2Mi": "2Mi"}}),
            "spec.containers[0].resources: Forbidden: HugePages require cpu or memory",
        ),
        (
            at,
            json!({"requests": {"pods": "2"}}),
            "spec.containers[0].resources.requests[pods]: Invalid value: \"pods\": must be a standard resource for \
             containers",
        ),
    ]);
    // The requests that a limit is taken for are wrong with it.
    for (name, amount) in [
        ("hugepages-2Mi", "3Mi"),
        ("hugepages-big", "2Mi"),
        ("hugepages-0", "2Mi"),
    ] {
        let expected = ["limits", "requests"].map(|list| {
            format!(
                "spec.containers[0].resources.{list}[{name}]: Invalid value: \"{amount}\": {amount} is not positive integer \
                 multiple of {name}"
            )
        });
        let resources = json!({"limits": {"cpu": "1", (name): amount}});
        assert_eq!(wrong_with(at, resources), expected, "{name}");
    }
    let halves = wrong_with(at, json!({"limits": {"example.com/gpu": "500m"}}));
    assert_eq!(halves.len(), 2, "the request follows the limit: {halves:?}");
    assert!(
        halves[0].ends_with("[example.com/gpu]: Invalid value: \"500m\": must be an integer"),
        "{}",
        halves[0]
    );
    let unknown = wrong_with(at, json!({"requests": {"ram": "2"}}));
    assert_eq!(unknown.len(), 2);
    assert!(
        unknown[0].ends_with("must be a standard resource type or fully qualified"),
        "{}",
        unknown[0]
    );
    let malformed = wrong_with(at, json!({"requests": {"cpu": "much"}}));
    assert_eq!(malformed.len(), 1);
    assert!(malformed[0].starts_with("spec.containers[0].resources.requests[cpu]: Invalid value: \"much\""));
}

#[test]
fn volumes_and_mounts_are_checked() {
    expect(&[
        (
            "/spec/containers/0/volumeMounts/0/name",
            json!("other"),
            "spec.containers[0].volumeMounts[0].name: Not found: \"other\"",
        ),
        (
            "/spec/containers/0/volumeMounts/0/mountPath",
            json!(""),
            "spec.containers[0].volumeMounts[0].mountPath: Required value",
        ),
        (
            "/spec/containers/0/volumeMounts/1",
            json!({"name": "v", "mountPath": "/v"}),
            "spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/v\": must be unique",
        ),
        (
            "/spec/containers/0/volumeMounts/0/subPath",
            json!("a/../b"),
            "spec.containers[0].volumeMounts[0].subPath: Invalid value: \"a/../b\": must not contain '..'",
        ),
        (
            "/spec/volumes/1",
            json!({"name": "v", "emptyDir": {}}),
            "spec.volumes[1].name: Duplicate value: \"v\"",
        ),
        (
            "/spec/volumes/1",
            json!({"name": "w", "emptyDir": {}, "hostPath": {"path": "/"}}),
            "spec.volumes[1].hostPath: Forbidden: may not specify more than 1 volume type",
        ),
        (
            "/spec/volumes/1",
            json!({"name": "w", "novel": {}}),
            "spec.volumes[1]: Required value: must specify a volume type",
        ),
        (
            "/spec/volumes/1",
            json!({"name": "w", "configMap": {"name": "c", "items": [{"key": "k", "path": "/abs"}]}}),
            "spec.volumes[1].configMap.items[0].path: Invalid value: \"/abs\": must be a relative path",
        ),
        (
            "/spec/volumes/1",
            json!({"name": "w", "secret": {"secretName": "s", "defaultMode": 512}}),
            "spec.volumes[1].secret.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), \
             both inclusive",
        ),
        (
            "/spec/volumes/1",
            json!({"name": "w", "hostPath": {"path": "/x", "type": "Thing"}}),
            "spec.volumes[1].hostPath.type: Unsupported value: \"Thing\": supported values: \"\", \"BlockDevice\", \
             \"CharDevice\", \"Directory\", \"DirectoryOrCreate\", \"File\", \"FileOrCreate\", \"Socket\"",
        ),
    ]);
}
