//! What Kubernetes refuses of a new pod, in its own words.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::{default, validate};

/// Puts `value` at `path` of a good pod (null takes away), fills defaults and says what is wrong.
pub(super) fn wrong_with(path: &str, value: Value) -> Vec<String> {
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
pub(super) fn expect(cases: &[(&str, Value, &str)]) {
    for (path, value, message) in cases {
        assert_eq!(wrong_with(path, value.clone()), [*message], "{path} {value}");
    }
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
            "/spec/securityContext",
            json!({"appArmorProfile": {"type": "Localhost", "localhostProfile": " web"}}),
            "spec.securityContext.appArmorProfile.localhostProfile: Invalid value: \" web\": must not be padded with \
             whitespace",
        ),
        (
            "/spec/containers/0/securityContext",
            json!({"appArmorProfile": {"type": "Localhost", "localhostProfile": ""}}),
            "spec.containers[0].securityContext.appArmorProfile.localhostProfile: Required value: must be set when \
             AppArmor type is Localhost",
        ),
        (
            "/spec/securityContext",
            json!({"appArmorProfile": {"type": "Localhost"}}),
            "spec.securityContext.appArmorProfile.localhostProfile: Required value: must be set when AppArmor type is \
             Localhost",
        ),
        (
            "/spec/securityContext",
            json!({"appArmorProfile": {"type": ""}}),
            "spec.securityContext.appArmorProfile.type: Required value: type is required when appArmorProfile is set",
        ),
        (
            "/spec/containers/0/securityContext",
            json!({"appArmorProfile": {"type": "localhost", "localhostProfile": "web"}}),
            "spec.containers[0].securityContext.appArmorProfile.type: Unsupported value: \"localhost\": supported \
             values: \"Localhost\", \"RuntimeDefault\", \"Unconfined\"",
        ),
        (
            "/spec/securityContext",
            json!({"appArmorProfile": {"type": "RuntimeDefault", "localhostProfile": ""}}),
            "spec.securityContext.appArmorProfile.localhostProfile: Invalid value: \"\": can only be set when AppArmor \
             type is Localhost",
        ),
        (
            "/spec/securityContext",
            json!({"appArmorProfile": {"type": "Localhost", "localhostProfile": "x".repeat(4096)}}),
            "spec.securityContext.appArmorProfile.localhostProfile: Too long: may not be more than 4095 bytes",
        ),
        (
            "/spec/containers/0/securityContext",
            json!({"appArmorProfile": {"type": "Unconfined", "localhostProfile": "web"}}),
            "spec.containers[0].securityContext.appArmorProfile.localhostProfile: Invalid value: \"web\": can only be set \
             when AppArmor type is Localhost",
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
fn an_apparmor_profiles_name_is_told_of_its_padding_and_of_its_length_at_once() {
    let at = "spec.securityContext.appArmorProfile.localhostProfile";
    let name = format!(" {}", "x".repeat(4095));
    let of = |name: &str| json!({"appArmorProfile": {"type": "Localhost", "localhostProfile": name}});
    assert_eq!(
        wrong_with("/spec/securityContext", of(&name)),
        [
            format!("{at}: Invalid value: {name:?}: must not be padded with whitespace"),
            format!("{at}: Too long: may not be more than 4095 bytes"),
        ]
    );
    assert_eq!(
        wrong_with("/spec/securityContext", of(name.trim())),
        [] as [&str; 0]
    );
}

#[test]
fn all_of_proc_is_seen_in_pods_with_users_of_their_own_alone() {
    let unmasked = json!([{"name": "a", "image": "a", "securityContext": {"procMount": "Unmasked"}}]);
    let spec = |users: bool| json!({"hostUsers": users, "containers": unmasked});
    let expected = "spec.containers[0].securityContext.procMount: Invalid value: \"Unmasked\": `hostUsers` must be false \
                    to use `Unmasked`";
    assert_eq!(wrong_with("/spec", spec(true)), [expected]);
    assert_eq!(wrong_with("/spec", spec(false)), [] as [&str; 0]);
}

#[test]
fn a_pod_with_users_of_its_own_shares_none_of_the_machines_namespaces() {
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        let spec = |users: bool| json!({"hostUsers": users, field: true, "containers": [{"name": "a", "image": "a"}]});
        let expected = format!("spec.{field}: Forbidden: when `hostUsers` is false");
        assert_eq!(wrong_with("/spec", spec(false)), [expected]);
        assert_eq!(wrong_with("/spec", spec(true)), [] as [&str; 0], "{field}");
    }
}

#[test]
fn every_error_is_told_at_once() {
    let wrong = wrong_with(
        "/spec/containers/0",
        json!({"name": "A", "image": "", "ports": [{"containerPort": 0}]}),
    );
    assert_eq!(wrong.len(), 3, "{wrong:?}");
}
