//! Ingresses, their classes, policies and addresses: what is filled in, what is refused, what may change.

use serde_json::{Value, json};

use crate::kinds::testkit::{created, refuses, replaces};

const GROUP: &str = "networking.k8s.io/v1";

fn object(kind: &str, name: &str, spec: Value) -> Value {
    let is_global = matches!(kind, "IngressClass" | "IPAddress" | "ServiceCIDR");
    let mut object = json!({"apiVersion": GROUP, "kind": kind, "metadata": {"name": name}, "spec": spec});
    if !is_global {
        object["metadata"]["namespace"] = json!("default");
    }
    object
}

#[test]
fn ingresses_that_are_wrong_are_refused() {
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let path = |path: Value| json!([{"http": {"paths": [path]}}]);
    let prefix = |text: &str| path(json!({"path": text, "pathType": "Prefix", "backend": backend}));
    let to = |backend: Value| path(json!({"path": "/", "pathType": "Exact", "backend": backend}));
    let host = |host: &str| json!([{"host": host}]);
    let mut ingress = object(
        "Ingress",
        "web",
        json!({"ingressClassName": "nginx", "rules": prefix("/"), "tls": [{"hosts": ["*.a.com"]}]}),
    );
    ingress["metadata"]["annotations"] = json!({"kubernetes.io/ingress.class": "nginx"});
    let at = "spec.rules[0].http.paths[0]";
    for (field, value, expected) in [
        (
            "rules",
            json!([]),
            "spec: Invalid value: null: either `defaultBackend` or `rules` must be specified".to_owned(),
        ),
        (
            "rules",
            prefix("a"),
            format!("{at}.path: Invalid value: \"a\": must be an absolute path"),
        ),
        (
            "rules",
            prefix("/a//b"),
            format!("{at}.path: Invalid value: \"/a//b\": must not contain '//'"),
        ),
        (
            "rules",
            prefix("/a/.."),
            format!("{at}.path: Invalid value: \"/a/..\": cannot end with '/..'"),
        ),
        (
            "rules",
            path(json!({"pathType": "Odd", "backend": backend})),
            format!(
                "{at}.pathType: Unsupported value: \"Odd\": supported values: \"Exact\", \"ImplementationSpecific\", \"Prefix\""
            ),
        ),
        (
            "rules",
            to(json!({})),
            format!("{at}.backend: Invalid value: \"\": resource or service backend is required"),
        ),
        (
            "rules",
            to(json!({"service": {"name": "web"}})),
            format!("{at}.backend: Required value: port name or number is required"),
        ),
        (
            "rules",
            to(json!({"service": {"name": "web", "port": {"name": "http", "number": 80}}})),
            format!("{at}.backend: Invalid value: \"\": cannot set both port name & port number"),
        ),
        (
            "rules",
            host("10.0.0.1"),
            "spec.rules[0].host: Invalid value: \"10.0.0.1\": must be a DNS name, not an IP address".to_owned(),
        ),
        (
            "rules",
            host("*.*.com"),
            "spec.rules[0].host: Invalid value: \"*.*.com\": a wildcard DNS-1123 subdomain must start with '*.', followed by a valid \
             DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric \
             character (e.g. '*.example.com', regex used for validation is \
             '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
                .to_owned(),
        ),
        (
            "ingressClassName",
            json!("other"),
            "annotations.kubernetes.io/ingress.class: Invalid value: \"nginx\": must match `ingressClassName` when both are specified"
                .to_owned(),
        ),
    ] {
        refuses(&ingress, &[(&format!("/spec/{field}"), value, &expected)]);
    }
    replaces(&ingress, &[("/spec/ingressClassName", json!("other"), "")]);
}

#[test]
fn the_controller_of_an_ingress_class_stays() {
    let parameters = json!({"kind": "Config", "name": "c"});
    let class = object(
        "IngressClass",
        "nginx",
        json!({"controller": "k8s.io/nginx", "parameters": parameters}),
    );
    let made = created(GROUP, class.clone()).unwrap();
    assert_eq!(made["spec"]["parameters"]["scope"], "Cluster");
    let at = "spec.parameters.namespace";
    refuses(
        &class,
        &[
            (
                "/spec/controller",
                json!("nginx"),
                "spec.controller: Invalid value: \"nginx\": must be a domain-prefixed path (such as \"acme.io/foo\")",
            ),
            ("/spec/controller", json!(""), "spec.controller: Required value"),
            (
                "/spec/parameters/scope",
                json!("Namespace"),
                &format!("{at}: Required value: `parameters.scope` is set to 'Namespace'"),
            ),
            (
                "/spec/parameters/namespace",
                json!("default"),
                &format!("{at}: Forbidden: `parameters.scope` is set to 'Cluster'"),
            ),
        ],
    );
    replaces(
        &class,
        &[
            ("/spec/parameters", json!(null), ""),
            (
                "/spec/controller",
                json!("k8s.io/other"),
                "spec.controller: Invalid value: \"k8s.io/other\": field is immutable",
            ),
        ],
    );
}

#[test]
fn network_policies_say_who_may_reach_whom() {
    let policy = object(
        "NetworkPolicy",
        "db",
        json!({"podSelector": {}, "egress": [{"ports": [{"port": 53}]}]}),
    );
    let made = created(GROUP, policy.clone()).unwrap();
    assert_eq!(made["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(made["spec"]["egress"][0]["ports"][0]["protocol"], "TCP");
    let made = created(GROUP, object("NetworkPolicy", "db", json!({"podSelector": {}}))).unwrap();
    assert_eq!(made["spec"]["policyTypes"], json!(["Ingress"]));
    let from = |peer: Value| json!([{"from": [peer]}]);
    let block = |cidr: &str, except: &[&str]| from(json!({"ipBlock": {"cidr": cidr, "except": except}}));
    let port = |port: Value| json!([{"ports": [port]}]);
    let at = "spec.ingress[0].from[0]";
    for (field, value, expected) in [
        (
            "ingress",
            from(json!({})),
            format!("{at}: Required value: must specify a peer"),
        ),
        (
            "ingress",
            from(json!({"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}})),
            format!("{at}: Forbidden: may not specify both ipBlock and another peer"),
        ),
        (
            "ingress",
            block("10.0.0.0", &[]),
            format!(
                "{at}.ipBlock.cidr: Invalid value: \"10.0.0.0\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
            ),
        ),
        (
            "ingress",
            block("10.0.0.0/8", &["10.1.0.0/16", "11.0.0.0/16"]),
            format!(
                "{at}.ipBlock.except[1]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`"
            ),
        ),
        (
            "ingress",
            block("fd00::/8", &["fd00::/8"]),
            format!("{at}.ipBlock.except[0]: Invalid value: \"fd00::/8\": must be a strict subset of `cidr`"),
        ),
        (
            "egress",
            port(json!({"port": "dns", "endPort": 60})),
            "spec.egress[0].ports[0].endPort: Invalid value: 60: may not be specified when `port` is non-numeric".to_owned(),
        ),
        (
            "egress",
            port(json!({"port": 60, "endPort": 50})),
            "spec.egress[0].ports[0].endPort: Invalid value: 50: must be greater than or equal to `port`".to_owned(),
        ),
        (
            "policyTypes",
            json!(["Both"]),
            "spec.policyTypes[0]: Unsupported value: \"Both\": supported values: \"Ingress\", \"Egress\"".to_owned(),
        ),
    ] {
        refuses(&policy, &[(&format!("/spec/{field}"), value, &expected)]);
    }
}

#[test]
fn an_address_is_named_by_itself_and_stays_whose_it_is() {
    let parent = json!({"resource": "services", "namespace": "default", "name": "web"});
    let address = |name: &str| object("IPAddress", name, json!({"parentRef": parent}));
    for name in ["10.0.0.1", "fd00::1"] {
        assert!(created(GROUP, address(name)).is_ok(), "{name}");
    }
    for (name, expected) in [
        (
            "web",
            "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        ),
        ("FD00::1", "must be in canonical form (\"fd00::1\")"),
        ("::ffff:10.0.0.1", "must not be an IPv4-mapped IPv6 address"),
    ] {
        let refused = created(GROUP, address(name)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!("metadata.name: Invalid value: {name:?}: {expected}")
        );
    }
    let address = address("10.0.0.1");
    refuses(
        &address,
        &[(
            "/spec/parentRef/resource",
            json!(""),
            "spec.parentRef.resource: Required value",
        )],
    );
    let other = json!({"resource": "services", "namespace": "default", "name": "other"});
    let refused = "spec.parentRef: Invalid value: {\"name\":\"other\",\"namespace\":\"default\",\"resource\":\"services\"}: field is \
                   immutable";
    replaces(&address, &[("/spec/parentRef", other, refused)]);
}

#[test]
fn a_range_of_addresses_may_get_another_family_beside_it() {
    let range = object("ServiceCIDR", "kubernetes", json!({"cidrs": ["10.96.0.0/16"]}));
    let families = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
    refuses(
        &range,
        &[
            (
                "/spec/cidrs",
                json!([]),
                "spec.cidrs: Required value: at least one CIDR required",
            ),
            (
                "/spec/cidrs",
                json!(["10.96.0.1/16"]),
                "spec.cidrs[0]: Invalid value: \"10.96.0.1/16\": must not have bits set beyond the prefix length",
            ),
            (
                "/spec/cidrs",
                json!(["FD00::/112"]),
                "spec.cidrs[0]: Invalid value: \"FD00::/112\": must be in canonical form (\"fd00::/112\")",
            ),
            (
                "/spec/cidrs",
                json!(["10.0.0.0/33"]),
                "spec.cidrs[0]: Invalid value: \"10.0.0.0/33\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
            ),
            (
                "/spec/cidrs",
                json!(["10.96.0.0/16", "10.97.0.0/16"]),
                &format!("spec.cidrs: Invalid value: [\"10.96.0.0/16\",\"10.97.0.0/16\"]: {families}"),
            ),
        ],
    );
    replaces(
        &range,
        &[
            ("/spec/cidrs", json!(["10.96.0.0/16", "fd00::/112"]), ""),
            (
                "/spec/cidrs",
                json!(["10.97.0.0/16"]),
                "spec.cidrs[0]: Invalid value: \"10.97.0.0/16\": field is immutable",
            ),
            (
                "/spec/cidrs",
                json!([]),
                "spec.cidrs: Invalid value: []: field is immutable",
            ),
        ],
    );
}
