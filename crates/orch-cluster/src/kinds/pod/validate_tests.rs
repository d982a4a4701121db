//! What Kubernetes refuses of a new pod, in its own words.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::{default, validate};

/// Puts `value` at `path` of a good pod (null takes away), fills defaults and says what is wrong.
fn wrong_with(path: &str, value: Value) -> Vec<String> {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "containers": [{"name": "web", "image": "nginx", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
            "volumes": [{"name": "v", "emptyDir": {}}],
        },
    });
    put(&mut pod, path, value);
    default(pod.as_object_mut().unwrap());
    let pod: Pod = serde_json::from_value(pod).unwrap();
    validate(&pod).iter().map(ToString::to_string).collect()
}

pub(super) fn put(object: &mut Value, path: &str, value: Value) {
    if path.is_empty() {
        return;
    }
    let mut at = object;
    for step in path[1..].split('/') {
        at = match step.parse::<usize>() {
            Ok(index) => {
                if !at.is_array() {
                    *at = json!([]);
                }
                let list = at.as_array_mut().unwrap();
                while list.len() <= index {
                    list.push(Value::Null);
                }
                &mut list[index]
            }
            Err(_) => {
                if !at.is_object() {
                    *at = json!({});
                }
                at.as_object_mut()
                    .unwrap()
                    .entry(step.replace("~1", "/"))
                    .or_insert(Value::Null)
            }
        };
    }
    *at = value;
}

#[test]
fn a_good_pod_is_good() {
    assert_eq!(wrong_with("", Value::Null), Vec::<String>::new());
    for (path, value) in [
        (
            "/spec/containers/0/resources",
            json!({"limits": {"cpu": "1", "example.com/gpu": 2}, "requests": {"cpu": "1"}}),
        ),
        (
            "/spec/containers/0/env",
            json!([{"name": "my.name", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]),
        ),
        (
            "/spec/containers/0/env",
            json!([{"name": "L", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}}]),
        ),
        (
            "/spec/initContainers",
            json!([{"name": "i", "image": "i", "restartPolicy": "Always", "livenessProbe": {"tcpSocket": {"port": 1}}}]),
        ),
        (
            "/spec/tolerations",
            json!([{"operator": "Exists"}, {"key": "a", "value": "b", "effect": "NoSchedule"}]),
        ),
        (
            "/spec/containers/0/lifecycle",
            json!({"preStop": {"sleep": {"seconds": 5}}}),
        ),
        (
            "/spec/securityContext/sysctls",
            json!([{"name": "net.core.somaxconn", "value": "1"}]),
        ),
    ] {
        assert_eq!(
            wrong_with(path, value.clone()),
            Vec::<String>::new(),
            "{path} {value}"
        );
    }
}

#[test]
fn metadata_is_checked() {
    expect(&[
        (
            "/metadata/name",
            json!(""),
            "metadata.name: Required value: name or generateName is required",
        ),
        (
            "/metadata/name",
            json!("Web_1"),
            "metadata.name: Invalid value: \"Web_1\": a lowercase RFC 1123 subdomain must consist of lower case \
             alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
             'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        ),
        (
            "/metadata/namespace",
            Value::Null,
            "metadata.namespace: Required value",
        ),
        (
            "/metadata/finalizers",
            json!(["mine"]),
            "metadata.finalizers: Invalid value: \"mine\": name is neither a standard finalizer name nor is it \
             fully qualified",
        ),
        (
            "/metadata/ownerReferences",
            json!([{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": ""}]),
            "metadata.ownerReferences.uid: Invalid value: \"\": uid must not be empty",
        ),
        (
            "/metadata/annotations",
            json!({"big": "x".repeat(256 * 1024)}),
            "metadata.annotations: Too long: may not be more than 262144 bytes",
        ),
    ]);
}

/// Each case is wrong in exactly the ways given.
fn expect(cases: &[(&str, Value, &str)]) {
    for (path, value, message) in cases {
        assert_eq!(wrong_with(path, value.clone()), [*message], "{path} {value}");
    }
}

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

#[test]
fn placement_is_checked() {
    let required =
        "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    let in_errors =
        "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
    let cases = [
        (
            json!([]),
            format!("{in_errors}: Required value: must have at least one node selector term"),
        ),
        (
            json!([{"matchExpressions": [{"key": "a", "operator": "In"}]}]),
            format!(
                "{in_errors}[0].matchExpressions[0].values: Required value: must be specified when `operator` is \
                 'In' or 'NotIn'"
            ),
        ),
        (
            json!([{"matchExpressions": [{"key": "a", "operator": "Near", "values": ["b"]}]}]),
            format!(
                "{in_errors}[0].matchExpressions[0].operator: Invalid value: \"Near\": not a valid selector operator"
            ),
        ),
        (
            json!([{"matchFields": [{"key": "spec.x", "operator": "In", "values": ["b"]}]}]),
            format!(
                "{in_errors}[0].matchFields[0].key: Invalid value: \"spec.x\": not a valid field selector key"
            ),
        ),
    ];
    for (value, message) in cases {
        assert_eq!(wrong_with(required, value.clone()), [message], "{value}");
    }
    expect(&[
        (
            "/spec/tolerations",
            json!([{"key": "a", "operator": "Like"}]),
            "spec.tolerations[0].operator: Unsupported value: \"Like\": supported values: \"Equal\", \"Exists\"",
        ),
        (
            "/spec/tolerations",
            json!([{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 3}]),
            "spec.tolerations[0].effect: Invalid value: \"NoSchedule\": effect must be 'NoExecute' when \
             `tolerationSeconds` is set",
        ),
        (
            "/spec/tolerations",
            json!([{"value": "a"}]),
            "spec.tolerations[0].operator: Invalid value: \"\": operator must be Exists when `key` is empty, which \
             means \"match all values and all keys\"",
        ),
        (
            "/spec/topologySpreadConstraints",
            json!([{"maxSkew": 0, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]),
            "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
        ),
        (
            "/spec/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution",
            json!([{"weight": 101, "podAffinityTerm": {"topologyKey": "zone"}}]),
            "spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: \
             101: must be in the range 1-100",
        ),
    ]);
}

#[test]
fn the_rest_of_the_spec_is_checked() {
    expect(&[
        (
            "/spec/restartPolicy",
            json!("Maybe"),
            "spec.restartPolicy: Unsupported value: \"Maybe\": supported values: \"Always\", \"OnFailure\", \"Never\"",
        ),
        (
            "/spec/dnsPolicy",
            json!("None"),
            "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None",
        ),
        (
            "/spec/activeDeadlineSeconds",
            json!(0),
            "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
        ),
        (
            "/spec/ephemeralContainers",
            json!([{"name": "e", "image": "e"}]),
            "spec.ephemeralContainers: Forbidden: cannot be set on create",
        ),
        (
            "/spec/securityContext/runAsUser",
            json!(-1),
            "spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
        ),
        (
            "/spec/hostAliases",
            json!([{"ip": "x", "hostnames": ["a"]}]),
            "spec.hostAliases[0].ip: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or \
             2001:db8::ffff)",
        ),
        (
            "/spec/containers/0/securityContext",
            json!({"seccompProfile": {"type": "Localhost"}}),
            "spec.containers[0].securityContext.seccompProfile.localhostProfile: Required value: must be set when \
             seccomp type is Localhost",
        ),
        (
            "/spec",
            json!({"hostNetwork": true, "containers": [
                {"name": "a", "image": "a", "ports": [{"containerPort": 1, "hostPort": 2}]},
            ]}),
            "spec.containers[0].ports[0].containerPort: Invalid value: 1: must match `hostPort` when `hostNetwork` is \
             true",
        ),
    ]);
}

#[test]
fn every_error_is_told_at_once() {
    let wrong = wrong_with(
        "/spec/containers/0",
        json!({"name": "A", "image": "", "ports": [{"containerPort": 0}]}),
    );
    assert_eq!(wrong.len(), 3, "{wrong:?}");
}
