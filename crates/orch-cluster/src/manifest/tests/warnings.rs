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
        format!("web.yaml:8 {web}.hostUsers: {no}"),
        format!("web.yaml:9 {web}.dnsPolicy: not implemented in this version; where the node's agent knows of no cluster DNS (AgentConfig::cluster_dns), the machine's resolver is used"),
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
