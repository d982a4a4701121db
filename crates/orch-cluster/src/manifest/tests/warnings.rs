//! What has no effect is warned of.

use orch_core::object::{ApiResource, Scope};

use super::super::{Manifest, ManifestKinds};
use super::read;

fn warnings(text: &str) -> Vec<String> {
    read(text).warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn fields_without_effect_are_named_with_their_lines() {
    let told = warnings(
        "apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      hostIPC: false
      hostUsers: false
      dnsPolicy: ClusterFirst
      schedulerName: default-scheduler
      initContainers: []
      affinity:
        podAffinity: {}
        nodeAffinity: {}
      containers:
      - name: a
        terminationMessagePath: /dev/termination-log
      - name: b
        volumeDevices: [{name: v, devicePath: /dev/v}]
        livenessProbe:
          grpc: {port: 1}
        volumeMounts: [{name: v, mountPath: /v}]
      volumes:
      - name: v
        emptyDir: {}
      - name: w
        nfs: {server: s, path: /}
status: {replicas: 5}
",
    );
    let web = "(document 1, Deployment default/web): spec.template.spec";
    let no = "not implemented in this version; it is stored but has no effect here";
    let waits = "not implemented in this version; the pod will wait with CreateContainerConfigError";
    let expected = [
        format!("web.yaml:9 {web}.dnsPolicy: needs a cluster DNS, which the node's agent is told of (AgentConfig::cluster_dns); without one the machine's resolver is used"),
        format!("web.yaml:13 {web}.affinity.podAffinity: {no}"),
        format!("web.yaml:19 {web}.containers[1].volumeDevices: {waits}"),
        format!("web.yaml:21 {web}.containers[1].livenessProbe.grpc: {waits}"),
        format!("web.yaml:27 {web}.volumes[1].nfs: {waits}"),
        "web.yaml:28 (document 1, Deployment default/web): status: written by controllers alone; what a manifest says of it has no effect".to_owned(),
    ];
    assert_eq!(told, expected);
}

#[test]
fn an_object_given_twice_is_warned_of() {
    let told = warnings(
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n",
    );
    assert_eq!(
        told,
        [
            "web.yaml:8 (document 2, Namespace a): metadata.name: the object is given on line 3 too; the later one wins"
        ]
    );
}

#[test]
fn a_kind_of_ones_own_is_read_with_its_metadata_checked() {
    let kinds = ManifestKinds::empty().with_resource(ApiResource::new(
        "example.com",
        "v1",
        "Cat",
        "cats",
        Scope::Cluster,
    ));
    let good = "apiVersion: example.com/v1\nkind: Cat\nmetadata: {name: tom}\nspec: {lives: 9}\n";
    let manifest = Manifest::read("cats.yaml", good, &kinds).unwrap();
    assert_eq!(manifest.items[0].to_string(), "Cat tom");
    let bad = "apiVersion: example.com/v1\nkind: Cat\nmetadata: {name: tom, label: {}}\n";
    let errors = Manifest::read("cats.yaml", bad, &kinds).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "cats.yaml:3 (document 1, Cat tom): metadata.label: unknown field; did you mean \"labels\"?"
    );
}

/// The left column is what `kubectl label --local -f - a=b -o json` (1.33) makes of the right one.
#[test]
fn a_key_that_is_no_string_becomes_the_one_that_kubectl_makes_of_it_and_is_warned_of() {
    let keys = [
        ("true", "y"),
        ("false", "off"),
        ("420", "0644"),
        ("1", "1.0"),
        ("1.5", "1.50"),
        ("1000", "1e3"),
        ("1e+06", "1000000.0"),
        ("1.6777216e+07", "16777216.0"),
        ("12345678901", "1_23_45678901"),
        ("31", "0x1F"),
        ("1.2e+31", "12e30"),
        ("0.5", ".5"),
        ("1e-05", "0.00001"),
        ("-7", "-07"),
    ];
    for (key, written) in keys {
        let text = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: m\n  labels: {{a: b}}\ndata:\n  k: v\n  {written}: v\n"
        );
        let manifest = read(&text);
        let data = manifest.items[0].object()["data"].as_object().unwrap();
        assert_eq!(
            data.keys().filter(|key| *key != "k").collect::<Vec<_>>(),
            [key],
            "{written}"
        );
        let told: Vec<_> = manifest.warnings.iter().map(ToString::to_string).collect();
        let warning = format!(
            "web.yaml:8 (document 1, ConfigMap default/m): data.{key}: the key is written {written}, which YAML takes for {key}; in quotes it stays as it is"
        );
        assert_eq!(told, [warning], "{written}");
    }
}

#[test]
fn a_key_that_stays_as_it_is_written_is_not_warned_of() {
    for key in [
        "\"y\"",
        "'0644'",
        "!!str no",
        "true",
        "5",
        "-5",
        "1.5",
        "a",
        "2001-01-01",
        "yEs",
    ] {
        let text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m}}\ndata:\n  {key}: v\n");
        assert_eq!(warnings(&text), [] as [&str; 0], "{key}");
    }
}

#[test]
fn an_error_about_such_a_key_says_how_it_is_written() {
    let bad = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata:\n  n: [1]\n  off: x\non: x\n18446744073709551615: x\n";
    let errors = Manifest::read("web.yaml", bad, &ManifestKinds::builtin())
        .unwrap_err()
        .to_string();
    for words in [
        "web.yaml:5 (document 1, ConfigMap default/m): data.false: expected a string, got a list (the key is written n)",
        "web.yaml:6 (document 1, ConfigMap default/m): data.false: given twice, first on line 5 (the key is written off)",
        "web.yaml:7 (document 1, ConfigMap default/m): true: unknown field; allowed are ",
        "(the key is written on)",
        "web.yaml:8 (document 1, ConfigMap default/m): a key must be a string",
    ] {
        assert!(errors.contains(words), "{words:?} is missing in:\n{errors}");
    }
}
