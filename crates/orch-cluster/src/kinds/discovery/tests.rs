//! EndpointSlices: what is filled in, what is refused.

use serde_json::{Value, json};

use crate::kinds::testkit::{created, refuses, replaces, with};

fn slice() -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "web-1", "namespace": "default"},
        "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"], "deprecatedTopology": {"a": "b"}}],
        "ports": [{"port": 80}],
    })
}

#[test]
fn a_slice_is_filled_and_says_where_its_endpoints_are_in_new_fields() {
    let made = created("discovery.k8s.io/v1", slice()).unwrap();
    assert_eq!(
        made["ports"],
        json!([{"port": 80, "name": "", "protocol": "TCP"}])
    );
    assert_eq!(made["endpoints"], json!([{"addresses": ["10.0.0.1"]}]));
}

#[test]
fn slices_that_are_wrong_are_refused() {
    let endpoint = |endpoint: Value| json!([endpoint]);
    let zones: Vec<_> = (0..9).map(|zone| json!({"name": zone.to_string()})).collect();
    refuses(
        &slice(),
        &[
            (
                "/addressType",
                json!("IP"),
                "addressType: Unsupported value: \"IP\": supported values: \"FQDN\", \"IPv4\", \"IPv6\"",
            ),
            (
                "/endpoints",
                endpoint(json!({"addresses": []})),
                "endpoints[0].addresses: Required value: must contain at least 1 address",
            ),
            (
                "/endpoints",
                endpoint(json!({"addresses": ["fd00::1"]})),
                "endpoints[0].addresses[0]: Invalid value: \"fd00::1\": must be an IPv4 address",
            ),
            (
                "/endpoints",
                endpoint(json!({"addresses": ["127.0.0.1"]})),
                "endpoints[0].addresses[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
            ),
            (
                "/endpoints",
                endpoint(json!({"addresses": ["10.0.0.1"], "hostname": "a.b"})),
                "endpoints[0].hostname: Invalid value: \"a.b\": must not contain dots",
            ),
            (
                "/endpoints",
                endpoint(json!({"addresses": ["10.0.0.1"], "hints": {"forZones": zones}})),
                "endpoints[0].hints.forZones: Too many: 9: must have at most 8 items",
            ),
            (
                "/endpoints",
                endpoint(
                    json!({"addresses": ["10.0.0.1"], "hints": {"forNodes": [{"name": "a"}, {"name": "a"}]}}),
                ),
                "endpoints[0].hints.forNodes[1].name: Duplicate value: \"a\"",
            ),
            (
                "/ports",
                json!([{"name": "a"}, {"name": "a"}]),
                "ports[1].name: Duplicate value: \"a\"",
            ),
            (
                "/ports",
                json!([{"protocol": "ICMP"}]),
                "ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
            ),
        ],
    );
    let mut named = with(slice(), "/addressType", json!("FQDN"));
    named["endpoints"] = json!([{"addresses": ["db.example.com."]}]);
    refuses(
        &named,
        &[(
            "/endpoints",
            endpoint(json!({"addresses": ["db"]})),
            "endpoints[0].addresses[0]: Invalid value: \"db\": should be a domain with at least two segments separated by dots",
        )],
    );
    let old_type = "endpoints[0].addresses[0]: Invalid value: \"10.0.0.1\": must be an IPv6 address; \
                    addressType: Invalid value: \"IPv6\": field is immutable";
    replaces(&slice(), &[("/addressType", json!("IPv6"), old_type)]);
}
