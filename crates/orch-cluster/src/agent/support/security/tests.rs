use orch_core::runtime::{Capabilities, Runtime};
use orch_core::testing::FakeRuntime;

use crate::agent::support::{Host, Support, support};
use crate::agent::support_tests::{HOST, pod};
use crate::agent::testkit::pod_with;

/// A kubelet without AppArmor admits a pod that says nothing, or wants none.
#[test]
fn where_there_is_no_apparmor_each_word_that_asks_for_it_is_refused_once() {
    let mut can = FakeRuntime::new().capabilities();
    can.app_armor = false;
    let mut pod = pod_with(
        r#"{"securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}},
            "initContainers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}],
            "containers": [{"name": "c", "image": "i"}, {"name": "d", "image": "i",
                "securityContext": {"appArmorProfile": {"type": "Unconfined"}}}]}"#,
    );
    let key = "container.apparmor.security.beta.kubernetes.io/c";
    pod.metadata.annotations = Some([(key.to_owned(), "localhost/web".to_owned())].into());
    let found = support(&pod, "able", &can, &HOST);
    let fields: Vec<_> = found
        .complaints
        .iter()
        .map(|told| told.field.to_string())
        .collect();
    let annotation = format!("metadata.annotations[{key}]");
    assert_eq!(fields, ["spec.securityContext.appArmorProfile", &annotation]);
    let quiet = pod_with(r#"{"containers": [{"name": "c", "image": "i"}]}"#);
    assert_eq!(support(&quiet, "able", &can, &HOST), Support::default());
}

#[test]
fn a_containers_own_user_counts_before_its_pods() {
    for (own, is_refused) in [("{}", true), (r#"{"runAsUser": 1000}"#, false)] {
        let pod = pod_with(&format!(
            r#"{{"securityContext": {{"runAsUser": 7}}, "containers": [
                {{"name": "c", "image": "host", "command": ["true"], "securityContext": {own}}}]}}"#
        ));
        let refusal = support(&pod, "bare", &Capabilities::default(), &HOST).refusal();
        assert_eq!(refusal.is_some(), is_refused, "{own}");
    }
}

#[test]
fn root_does_not_run_what_must_not_be_roots() {
    let root = Host { user: 0, ..HOST };
    let context = r#""securityContext": {"runAsNonRoot": true}"#;
    for (field, at) in [
        ("spec.", "spec.securityContext"),
        ("…", "spec.containers[0].securityContext"),
    ] {
        let pod = pod(field, context, "containers");
        let refusal = support(&pod, "bare", &Capabilities::default(), &root)
            .refusal()
            .unwrap();
        let told = format!("{at}.runAsNonRoot: the bare runtime runs containers as root here");
        assert!(refusal.message.starts_with(&told), "{}", refusal.message);
    }
}
