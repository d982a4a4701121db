//! Services that are replaced: what they keep, and what goes with their type.

use serde_json::{Value, json};

use crate::kinds::testkit::{created, replaced, replaces, with};

fn service(spec: &Value) -> Value {
    let service =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"}});
    with(service, "/spec", spec.clone())
}

/// The fields of `spec` that `of` has; null for what is gone.
fn fields(spec: &Value, of: &Value) -> Value {
    of.as_object()
        .unwrap()
        .keys()
        .map(|key| (key.clone(), spec[key].clone()))
        .collect()
}

#[test]
fn what_a_service_was_given_need_not_be_repeated() {
    let balanced = json!({
        "type": "LoadBalancer", "clusterIP": "10.0.0.1", "externalTrafficPolicy": "Local", "healthCheckNodePort": 31000,
        "ports": [{"name": "a", "port": 80, "nodePort": 30080}, {"name": "b", "port": 81, "nodePort": 30081}],
    });
    for (new, expected) in [
        (
            json!({"type": "NodePort", "ports": [{"name": "b", "port": 82}, {"name": "c", "port": 83}]}),
            json!({
                "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "healthCheckNodePort": null,
                "ports": [
                    {"name": "b", "port": 82, "targetPort": 82, "protocol": "TCP", "nodePort": 30081},
                    {"name": "c", "port": 83, "targetPort": 83, "protocol": "TCP"},
                ],
            }),
        ),
        (
            json!({
                "type": "LoadBalancer", "externalTrafficPolicy": "Local",
                "ports": [{"name": "a", "port": 80}, {"name": "c", "port": 83, "nodePort": 30080}],
            }),
            json!({
                "healthCheckNodePort": 31000,
                "ports": [
                    {"name": "a", "port": 80, "targetPort": 80, "protocol": "TCP"},
                    {"name": "c", "port": 83, "targetPort": 83, "protocol": "TCP", "nodePort": 30080},
                ],
            }),
        ),
        (
            json!({"ports": [{"name": "a", "port": 80}]}),
            json!({
                "type": "ClusterIP", "clusterIP": "10.0.0.1",
                "ports": [{"name": "a", "port": 80, "targetPort": 80, "protocol": "TCP"}],
            }),
        ),
    ] {
        let old = created("v1", service(&balanced)).unwrap();
        let made = replaced(&old, service(&new));
        assert_eq!(fields(&made["spec"], &expected), expected, "{new}");
    }
}

#[test]
fn what_only_another_type_has_goes_with_the_type() {
    let balanced = json!({
        "type": "LoadBalancer", "clusterIP": "10.0.0.1", "loadBalancerClass": "a.b/c", "externalTrafficPolicy": "Local",
        "healthCheckNodePort": 31000, "ports": [{"port": 80, "nodePort": 30080}],
    });
    let old = created("v1", service(&balanced)).unwrap();
    for (kind, expected) in [
        (
            "NodePort",
            json!({
                "clusterIP": "10.0.0.1", "externalTrafficPolicy": "Local", "healthCheckNodePort": null, "loadBalancerClass": null,
                "allocateLoadBalancerNodePorts": null,
                "ports": [{"port": 80, "targetPort": 80, "protocol": "TCP", "nodePort": 30080}],
            }),
        ),
        (
            "ClusterIP",
            json!({
                "clusterIP": "10.0.0.1", "externalTrafficPolicy": null, "healthCheckNodePort": null,
                "allocateLoadBalancerNodePorts": null, "ports": [{"port": 80, "targetPort": 80, "protocol": "TCP"}],
            }),
        ),
        (
            "ExternalName",
            json!({"clusterIP": null, "clusterIPs": null, "externalTrafficPolicy": null}),
        ),
    ] {
        let mut new = with(old.clone(), "/spec/type", json!(kind));
        if kind == "ExternalName" {
            new = with(new, "/spec/externalName", json!("example.com"));
        }
        let made = replaced(&old, new);
        assert_eq!(fields(&made["spec"], &expected), expected, "{kind}");
    }
}

#[test]
fn what_the_writer_gives_anew_is_refused_and_not_dropped() {
    let exposed =
        json!({"type": "NodePort", "clusterIP": "10.0.0.1", "ports": [{"port": 80, "nodePort": 30080}]});
    replaces(
        &service(&exposed),
        &[
            (
                "/spec",
                json!({"type": "ClusterIP", "ports": [{"port": 80, "nodePort": 30081}]}),
                "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
            ),
            (
                "/spec",
                json!({"type": "ExternalName", "externalName": "example.com", "clusterIP": "10.0.0.2"}),
                "spec.clusterIPs: Forbidden: may not be set for ExternalName services",
            ),
            (
                "/spec",
                json!({"clusterIP": "10.0.0.2", "ports": [{"port": 80}]}),
                "spec.clusterIPs[0]: Invalid value: [\"10.0.0.2\"]: may not change once set",
            ),
            (
                "/spec",
                json!({"type": "ExternalName", "externalName": "example.com"}),
                "",
            ),
        ],
    );
}
