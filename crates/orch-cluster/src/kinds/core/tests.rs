//! Services, their endpoints and accounts: what is filled in, what is refused.

use serde_json::{Value, json};

use crate::kinds::testkit::{created, refuses, with};

fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
    })
}

#[test]
fn services_are_filled_by_their_type() {
    for (path, value, expected) in [
        (
            "/spec/type",
            json!(null),
            json!({
                "selector": {"app": "web"}, "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
                "ports": [{"port": 80, "targetPort": 80, "protocol": "TCP"}],
            }),
        ),
        (
            "/spec",
            json!({"type": "LoadBalancer", "sessionAffinity": "ClientIP", "ports": [{"port": 80, "targetPort": "http", "protocol": "UDP"}]}),
            json!({
                "type": "LoadBalancer", "sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}},
                "internalTrafficPolicy": "Cluster", "externalTrafficPolicy": "Cluster", "allocateLoadBalancerNodePorts": true,
                "ports": [{"port": 80, "targetPort": "http", "protocol": "UDP"}],
            }),
        ),
        (
            "/spec",
            json!({"type": "ExternalName", "externalName": "example.com."}),
            json!({"type": "ExternalName", "externalName": "example.com.", "sessionAffinity": "None"}),
        ),
        (
            "/spec",
            json!({"clusterIP": "None"}),
            json!({
                "clusterIP": "None", "clusterIPs": ["None"], "type": "ClusterIP", "sessionAffinity": "None",
                "internalTrafficPolicy": "Cluster",
            }),
        ),
    ] {
        let made = created("v1", with(service(), path, value.clone())).unwrap();
        assert_eq!(made["spec"], expected, "{path} {value}");
    }
}

#[test]
fn services_that_are_wrong_are_refused() {
    let port = |fields: Value| json!([fields]);
    refuses(
        &service(),
        &[
            ("/spec/ports", json!([]), "spec.ports: Required value"),
            (
                "/spec/ports",
                port(json!({"port": 0, "targetPort": 1})),
                "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
            ),
            (
                "/spec/ports",
                json!([{"port": 80}, {"port": 81, "name": "b"}]),
                "spec.ports[0].name: Required value",
            ),
            (
                "/spec/ports",
                json!([{"port": 80, "name": "a"}, {"port": 81, "name": "a"}]),
                "spec.ports[1].name: Duplicate value: \"a\"",
            ),
            (
                "/spec/ports",
                json!([{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]),
                "spec.ports[1]: Duplicate value: {\"port\":80,\"protocol\":\"TCP\"}",
            ),
            (
                "/spec/ports",
                port(json!({"port": 80, "protocol": "HTTP"})),
                "spec.ports[0].protocol: Unsupported value: \"HTTP\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
            ),
            (
                "/spec/ports",
                port(json!({"port": 80, "nodePort": 30000})),
                "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
            ),
            (
                "/spec/type",
                json!("Clusterip"),
                "spec.type: Unsupported value: \"Clusterip\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\"",
            ),
            (
                "/spec/type",
                json!("ExternalName"),
                "spec.externalName: Required value",
            ),
            (
                "/spec",
                json!({"type": "NodePort", "clusterIP": "None", "ports": [{"port": 80}]}),
                "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services",
            ),
            (
                "/spec/externalTrafficPolicy",
                json!("Local"),
                "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible services",
            ),
            (
                "/spec/loadBalancerClass",
                json!("a/b"),
                "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
            ),
            (
                "/spec/clusterIP",
                json!("10.0.0"),
                "spec.clusterIPs[0]: Invalid value: \"10.0.0\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            ),
        ],
    );
    let named = created("v1", with(service(), "/metadata/name", json!("1web"))).unwrap_err();
    assert!(
        named
            .to_string()
            .starts_with("metadata.name: Invalid value: \"1web\": a DNS-1035 label"),
        "{named}"
    );
}

#[test]
fn endpoints_name_machines_that_can_be_reached() {
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "web", "namespace": "default"},
        "subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}],
    });
    assert_eq!(
        created("v1", endpoints.clone()).unwrap()["subsets"][0]["ports"][0]["protocol"],
        "TCP"
    );
    let address = |ip: &str| json!([{"addresses": [{"ip": ip}]}]);
    refuses(
        &endpoints,
        &[
            (
                "/subsets",
                json!([{}]),
                "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`",
            ),
            (
                "/subsets",
                address("127.0.0.1"),
                "subsets[0].addresses[0].ip: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
            ),
            (
                "/subsets",
                address("fe80::1"),
                "subsets[0].addresses[0].ip: Invalid value: \"fe80::1\": may not be in the link-local range (169.254.0.0/16, fe80::/10)",
            ),
            (
                "/subsets",
                address("web"),
                "subsets[0].addresses[0].ip: Invalid value: \"web\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            ),
        ],
    );
}
