//! Roles and bindings: what is filled in, what is refused.

use serde_json::{Value, json};

use crate::kinds::testkit::{created, refuses, replaces};

const API: &str = "rbac.authorization.k8s.io/v1";

fn role(kind: &str) -> Value {
    let mut role = json!({
        "apiVersion": API, "kind": kind, "metadata": {"name": "system:reader"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
    });
    if kind == "Role" {
        role["metadata"]["namespace"] = json!("default");
    }
    role
}

fn binding(kind: &str) -> Value {
    let mut binding = json!({
        "apiVersion": API, "kind": kind, "metadata": {"name": "readers"},
        "roleRef": {"kind": "ClusterRole", "name": "system:reader"},
        "subjects": [{"kind": "User", "name": "ann"}, {"kind": "ServiceAccount", "name": "bot", "namespace": "default"}],
    });
    if kind == "RoleBinding" {
        binding["metadata"]["namespace"] = json!("default");
    }
    binding
}

#[test]
fn a_rule_says_what_may_be_done_to_what() {
    for kind in ["Role", "ClusterRole"] {
        refuses(
            &role(kind),
            &[
                (
                    "/rules/0/verbs",
                    json!([]),
                    "rules[0].verbs: Required value: verbs must contain at least one value",
                ),
                (
                    "/rules/0/apiGroups",
                    json!([]),
                    "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
                ),
                (
                    "/rules/0/resources",
                    json!([]),
                    "rules[0].resources: Required value: resource rules must supply at least one resource",
                ),
            ],
        );
    }
    let urls = json!([{"nonResourceURLs": ["/healthz"], "verbs": ["get"]}]);
    let mut cluster = role("ClusterRole");
    cluster["rules"] = urls.clone();
    created(API, cluster).unwrap();
    refuses(
        &role("Role"),
        &[(
            "/rules",
            urls,
            "rules[0].nonResourceURLs: Invalid value: [\"/healthz\"]: namespaced rules cannot apply to non-resource URLs",
        )],
    );
    refuses(
        &role("ClusterRole"),
        &[(
            "/aggregationRule",
            json!({}),
            "aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil",
        )],
    );
}

#[test]
fn a_binding_gives_a_role_to_somebody() {
    let made = created(API, binding("RoleBinding")).unwrap();
    let group = "rbac.authorization.k8s.io";
    assert_eq!(made["roleRef"]["apiGroup"], group);
    assert_eq!(made["subjects"][0]["apiGroup"], group);
    assert_eq!(made["subjects"][1].get("apiGroup"), None);
    for kind in ["RoleBinding", "ClusterRoleBinding"] {
        refuses(
            &binding(kind),
            &[
                ("/roleRef/name", json!(""), "roleRef.name: Required value"),
                (
                    "/subjects/0/kind",
                    json!("Robot"),
                    "subjects[0].kind: Unsupported value: \"Robot\": supported values: \"Group\", \"ServiceAccount\", \"User\"",
                ),
                ("/subjects/0/name", json!(""), "subjects[0].name: Required value"),
            ],
        );
        let role = json!({"apiGroup": group, "kind": "ClusterRole", "name": "other"});
        let refusal = "roleRef: Invalid value: {\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"ClusterRole\",\
                       \"name\":\"other\"}: cannot change roleRef";
        replaces(
            &binding(kind),
            &[("/subjects", json!([]), ""), ("/roleRef", role, refusal)],
        );
    }
    refuses(
        &binding("ClusterRoleBinding"),
        &[
            (
                "/roleRef/kind",
                json!("Role"),
                "roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\"",
            ),
            (
                "/subjects/1/namespace",
                json!(""),
                "subjects[1].namespace: Required value",
            ),
        ],
    );
}
