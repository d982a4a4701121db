use orch_core::object::{Document, FieldPath};
use serde_json::{Value, json};

use super::validate_tests::{put, wrong_with};
use super::{
    app_armor_of, create_warnings, default, prepare_create, template_warnings, validate_new, validate_update,
};

const KEY: &str = "container.apparmor.security.beta.kubernetes.io/main";
const DEPRECATED: &str = "metadata.annotations[container.apparmor.security.beta.kubernetes.io/main]: deprecated since \
                          v1.30; use the \"appArmorProfile\" field instead";

fn profile(kind: &str) -> Value {
    match kind.strip_prefix("Localhost/") {
        Some(name) => json!({"type": "Localhost", "localhostProfile": name}),
        None if kind.is_empty() => Value::Null,
        None => json!({"type": kind}),
    }
}

/// A pod as it is sent: what its annotation says, its container's field, and its own.
fn pod(annotation: &str, own: &str, of_pod: &str) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "namespace": "default", "annotations": {KEY: annotation}},
        "spec": {"containers": [{"name": "main", "image": "i"}]},
    });
    if !own.is_empty() {
        put(
            &mut pod,
            "/spec/containers/0/securityContext",
            json!({"appArmorProfile": profile(own)}),
        );
    }
    if !of_pod.is_empty() {
        put(
            &mut pod,
            "/spec/securityContext",
            json!({"appArmorProfile": profile(of_pod)}),
        );
    }
    pod
}

fn created(mut pod: Value) -> Value {
    let raw = pod.as_object_mut().unwrap();
    prepare_create(raw);
    default(raw);
    pod
}

fn refusal(created: &Value) -> String {
    validate_new(&Document::from_raw(created.as_object().unwrap()).unwrap()).to_string()
}

#[test]
fn an_annotation_of_a_new_pod_is_copied_to_a_container_without_a_field() {
    for (annotation, own, of_pod, copied, is_warned_of) in [
        ("runtime/default", "", "", "RuntimeDefault", true),
        ("unconfined", "", "", "Unconfined", true),
        ("localhost/a/b", "", "", "Localhost/a/b", true),
        ("unconfined", "", "RuntimeDefault", "Unconfined", true),
        // The pod's field says so already.
        ("unconfined", "", "Unconfined", "", false),
        ("localhost/web", "Localhost/web", "", "Localhost/web", false),
        // They say nothing that could be.
        ("", "", "", "", true),
        ("localhost/", "", "", "", true),
        ("localhost/ web", "", "", "", true),
    ] {
        let sent = pod(annotation, own, of_pod);
        let warned = create_warnings(sent.as_object().unwrap());
        let expected: &[&str] = if is_warned_of { &[DEPRECATED] } else { &[] };
        assert_eq!(warned, expected, "{annotation}");
        let made = created(sent);
        let field = &made["spec"]["containers"][0]["securityContext"]["appArmorProfile"];
        assert_eq!(*field, profile(copied), "{annotation}");
        assert_eq!(refusal(&made), "[]", "{annotation}");
    }
    let mut windows = pod("unconfined", "", "");
    put(&mut windows, "/spec/os", json!({"name": "windows"}));
    assert_eq!(
        created(windows)["spec"]["containers"][0]["securityContext"],
        Value::Null
    );
}

#[test]
fn an_annotation_that_says_something_else_than_the_field_is_refused() {
    let at = "spec.containers[0].securityContext.appArmorProfile";
    for (annotation, own, of_pod, field, what) in [
        ("unconfined", "RuntimeDefault", "", "type", "type"),
        ("runtime/default", "Unconfined", "", "type", "type"),
        ("runtime/default", "Localhost/web", "", "type", "type"),
        ("localhost/db", "Localhost/web", "", "localhostProfile", "profile"),
        // What could not be copied stands against the pod's field.
        ("localhost/", "", "Unconfined", "type", "type"),
    ] {
        let made = created(pod(annotation, own, of_pod));
        let expected = format!("{at}.{field}: Forbidden: apparmor {what} in annotation and field must match");
        // A spec that is known to be good is not good with every annotation.
        let mut without = made.clone();
        put(&mut without, "/metadata/annotations", json!({}));
        assert_eq!(refusal(&without), "[]");
        assert_eq!(refusal(&made), expected, "{annotation}");
    }
}

#[test]
fn an_annotation_names_a_container_and_a_profile() {
    let key = |name: &str| format!("container.apparmor.security.beta.kubernetes.io/{name}");
    let wrong = wrong_with(
        "/metadata/annotations",
        json!({key("web"): "docker-default", key("wep"): "unconfined"}),
    );
    assert_eq!(
        wrong,
        [
            format!(
                "metadata.annotations[{}]: Invalid value: \"docker-default\": invalid AppArmor profile name: \
                 \"docker-default\"",
                key("web")
            ),
            format!(
                "metadata.annotations[{}]: Invalid value: \"wep\": container not found",
                key("wep")
            ),
        ]
    );
}

#[test]
fn annotations_of_a_template_are_judged_and_warned_of_where_no_field_speaks() {
    let at = FieldPath::new("spec").child("template");
    for (own, of_pod, is_warned_of) in [
        ("", "", true),
        ("RuntimeDefault", "", false),
        ("", "RuntimeDefault", false),
    ] {
        let template = pod("runtime/default", own, of_pod);
        let warned = template_warnings(template.as_object().unwrap(), &at);
        let expected = is_warned_of.then(|| format!("spec.template.{DEPRECATED}"));
        assert_eq!(warned, Vec::from_iter(expected), "{own} {of_pod}");
    }
    for (annotation, of_pod, expected) in [
        ("runtime/default", "RuntimeDefault", "[]"),
        (
            "unconfined",
            "RuntimeDefault",
            "spec.template.spec.containers[0].securityContext.appArmorProfile.type: Forbidden: apparmor type in \
             annotation and field must match",
        ),
        (
            "x",
            "",
            "spec.template.annotations[container.apparmor.security.beta.kubernetes.io/main]: Invalid value: \"x\": \
             invalid AppArmor profile name: \"x\"",
        ),
    ] {
        let mut template = pod(annotation, "", of_pod);
        put(&mut template, "/metadata/labels", json!({"app": "a"}));
        let mut set = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "default"},
            "spec": {"selector": {"matchLabels": {"app": "a"}},
                     "template": {"metadata": template["metadata"], "spec": template["spec"]}},
        });
        let rules = crate::kinds::find_kind("apps/v1", "Deployment").unwrap();
        orch_core::client::KindRules::default(&rules, set.as_object_mut().unwrap());
        let document = Document::from_raw(set.as_object().unwrap()).unwrap();
        let errors = orch_core::client::KindRules::validate(&rules, &document);
        assert_eq!(errors.to_string(), expected, "{annotation}");
    }
}

#[test]
fn annotations_of_a_pod_stay_as_they_are() {
    let of = |annotations: Value| {
        let mut pod = created(pod("unconfined", "", ""));
        put(&mut pod, "/metadata/annotations", annotations);
        serde_json::from_value(pod).unwrap()
    };
    let other = "example.com/owner";
    for (new, expected) in [
        (json!({KEY: "unconfined", other: "me"}), None),
        (
            json!({KEY: "runtime/default"}),
            Some("may not remove or update AppArmor annotations"),
        ),
        (json!({}), Some("may not remove or update AppArmor annotations")),
    ] {
        let errors = validate_update(&of(new.clone()), &of(json!({KEY: "unconfined"})));
        let expected = expected.map(|why| format!("metadata.annotations[{KEY}]: Forbidden: {why}"));
        assert_eq!(errors.to_string(), expected.unwrap_or("[]".into()), "{new}");
    }
    let errors = validate_update(&of(json!({KEY: "unconfined"})), &of(json!({})));
    assert_eq!(
        errors.to_string(),
        format!("metadata.annotations[{KEY}]: Forbidden: may not add AppArmor annotations")
    );
}

#[test]
fn of_a_pod_that_was_not_created_here_the_annotation_counts_before_the_pods_field() {
    for (annotation, own, of_pod, expected) in [
        (
            "unconfined",
            "Localhost/web",
            "",
            "spec.containers[0].securityContext.appArmorProfile Localhost/web",
        ),
        (
            "localhost/db",
            "",
            "Unconfined",
            &*format!("metadata.annotations[{KEY}] Localhost/db"),
        ),
        (
            "localhost/",
            "",
            "Unconfined",
            "spec.securityContext.appArmorProfile Unconfined",
        ),
        ("", "", "", ""),
    ] {
        let pod: k8s_openapi::api::core::v1::Pod =
            serde_json::from_value(pod(annotation, own, of_pod)).unwrap();
        let container = &pod.spec.as_ref().unwrap().containers[0];
        let at = FieldPath::new("spec").child("containers").index(0);
        let counts = app_armor_of(&pod, container, &at).map(|(profile, at)| {
            let name = profile.localhost_profile.iter().map(|name| format!("/{name}"));
            format!("{at} {}{}", profile.type_, name.collect::<String>())
        });
        assert_eq!(counts.unwrap_or_default(), expected, "{annotation}");
    }
}
