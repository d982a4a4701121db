//! What an unreadable manifest is told.

use orch_core::object::{FieldError, FieldErrors, FieldPath};

use super::super::{Limits, Manifest, ManifestKinds};
use super::{errors, read};

#[test]
fn every_fault_of_every_document_is_told_at_once() {
    let told = errors(
        r#"apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: three
  selektor:
    matchLabels: {app: web}
  template:
    spec:
      containers:
      - name: 5
        image: web
        image: again
        ports:
        - containerPort: "80"
        - containerPort: 99999999999
        env: {A: B}
        resources: {limits: {memory: 1GB}}
---
apiVersion: v1
kind: Pod
metadata: {name: broken
---
apiVersion: extensions/v1beta1
kind: Deployment
metadata: {name: old, labels: {a: 1, b: true}}
---
kind: Deploymnt
apiVersion: apps/v1
metadata: {}
"#,
    );
    let web = "(document 1, Deployment default/web): spec";
    let expected = [
        format!("web.yaml:5 {web}.selector: Required value"),
        format!(r#"web.yaml:6 {web}.replicas: expected an integer, got "three""#),
        format!(r#"web.yaml:7 {web}.selektor: unknown field; did you mean "selector"?"#),
        format!("web.yaml:9 {web}.template.metadata.labels: Invalid value: {{}}: `selector` does not match"),
        format!("web.yaml:12 {web}.template.spec.containers[0].name: expected a string, got 5; put it in quotes to make it one"),
        format!("web.yaml:14 {web}.template.spec.containers[0].image: given twice, first on line 13"),
        format!(r#"web.yaml:16 {web}.template.spec.containers[0].ports[0].containerPort: expected an integer, got the string "80"; leave the quotes out to make it one"#),
        format!("web.yaml:17 {web}.template.spec.containers[0].ports[1].containerPort: expected an integer from -2147483648 to 2147483647, got 99999999999"),
        format!("web.yaml:18 {web}.template.spec.containers[0].env: expected a list, got an object"),
        format!(r#"web.yaml:19 {web}.template.spec.containers[0].resources.limits.memory: Invalid value: "1GB": unknown suffix "GB""#),
        "web.yaml:23 (document 2, Pod default/broken): metadata: not valid YAML: ".to_owned(),
        r#"web.yaml:25 (document 3, Deployment old): apiVersion: kind "Deployment" is not known in "extensions/v1beta1"; allowed is apps/v1"#.to_owned(),
        r#"web.yaml:29 (document 4, Deploymnt): kind: unknown kind "Deploymnt"; did you mean "Deployment"?"#.to_owned(),
        "web.yaml:31 (document 4, Deploymnt): metadata.name: required, but not given; such as web".to_owned(),
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (message, start) in told.iter().zip(expected) {
        assert!(message.starts_with(&start), "{message}\n{start}");
    }
}

#[test]
fn what_is_no_object_is_refused_with_what_is_needed() {
    let cases = [
        (
            "- a\n",
            "web.yaml:1 (document 1): expected an object with apiVersion, kind and metadata",
        ),
        ("just text\n", "web.yaml:1 (document 1): expected an object"),
        (
            "kind: Pod\nmetadata: {name: a}\n",
            "web.yaml:1 (document 1, Pod a): apiVersion: required, but not given; such as v1 or apps/v1",
        ),
        (
            "apiVersion: v1\nmetadata: {name: a}\n",
            "web.yaml:1 (document 1, a): kind: required, but not given",
        ),
        (
            "apiVersion: 1\nkind: Pod\nmetadata: {name: a}\n",
            "web.yaml:1 (document 1, Pod a): apiVersion: expected a string",
        ),
        (
            "apiVersion: v1\nkind: Pod\n",
            "web.yaml:1 (document 1, Pod): metadata.name: required",
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: []\n",
            "web.yaml:3 (document 1, Pod): metadata: expected an object",
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: ''}\n",
            "web.yaml:3 (document 1, Pod): metadata.name: required",
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: 5}\n",
            "web.yaml:3 (document 1, Pod): metadata.name: expected a string",
        ),
        (
            "apiVersion: v1\nkind: List\nitems: 5\n",
            "web.yaml:3 (document 1): items: expected a list of objects",
        ),
        (
            "apiVersion: v1\nkind: List\nitems: [5]\n",
            "web.yaml:3 (document 1): expected an object",
        ),
        (
            "apiVersion: a/v1\nkind: Cat\nmetadata: {name: a}\n",
            "web.yaml:2 (document 1, Cat a): kind: unknown kind \"Cat\" in \"a/v1\"; known are MutatingWebhookConfiguration (admissionregistration.k8s.io/v1), ValidatingAdmissionPolicy (admissionregistration.k8s.io/v1), ValidatingAdmissionPolicyBinding (admissionregistration.k8s.io/v1), ValidatingWebhookConfiguration (admissionregistration.k8s.io/v1), CustomResourceDefinition (apiextensions.k8s.io/v1), ControllerRevision (apps/v1), DaemonSet (apps/v1), Deployment (apps/v1), ReplicaSet (apps/v1), StatefulSet (apps/v1), ",
        ),
        (
            "a: &x [*x]\n",
            "web.yaml:1 (document 1): a[0]: this alias refers to the value that it is part of",
        ),
        ("a: *y\n", "web.yaml:1 (document 1): a: not valid YAML: "),
        (
            "a: !!binary eA==\n",
            "web.yaml:1 (document 1): a: tag !!binary is not supported",
        ),
        (
            "a: !mine x\n",
            "web.yaml:1 (document 1): a: tag !mine is not supported",
        ),
        ("a: !!set {x}\n", "web.yaml:1 (document 1): a: tag"),
        (
            "a: .inf\n",
            "web.yaml:1 (document 1): a: .inf: JSON has no such number",
        ),
        ("? [a]\n: b\n", "web.yaml:1 (document 1): a key must be a string"),
        (
            "a: {<<: 5}\n",
            "web.yaml:1 (document 1): a: '<<' takes an object or a list of objects",
        ),
        ("a:\n\t- b\n", "web.yaml:2 (document 1): a: not valid YAML: "),
    ];
    for (text, start) in cases {
        let told = errors(text);
        assert!(
            told.iter().any(|message| message.starts_with(start)),
            "{text:?}: {told:#?}"
        );
    }
}

#[test]
fn a_scalar_that_means_something_else_is_told_as_it_is_written() {
    let told =
        errors("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  a: y\n  b: 0644\n  c: 5\n");
    let start = "(document 1, ConfigMap default/c): data";
    let end = "put it in quotes to make it one";
    let expected = [
        format!("web.yaml:5 {start}.a: expected a string, got true; {end} (it is written y)"),
        format!("web.yaml:6 {start}.b: expected a string, got 420; {end} (it is written 0644)"),
        format!("web.yaml:7 {start}.c: expected a string, got 5; {end}"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_name_is_given_and_not_generated() {
    let spec = "spec: {containers: [{name: a, image: i}]}\n";
    let told = errors(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  labels: {{a: b}}\n  generateName: a-\n{spec}"
    ));
    assert_eq!(
        told,
        [
            "web.yaml:5 (document 1, Pod default/a-): metadata.generateName: what is applied needs a name of its own; give \
             metadata.name instead"
        ]
    );
    let manifest = read(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{generateName: a-, name: b}}\n{spec}"
    ));
    assert_eq!(manifest.items[0].name(), "b");
}

#[test]
fn a_value_that_is_no_string_hides_nothing_of_what_else_is_wrong_around_it() {
    let told = errors(
        r#"apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {a: 1, "bad key!": x}
spec:
  selector: {matchLabels: {app: 1}}
  template:
    metadata:
      labels: {app: true, x: "bad value!"}
    spec: {nodeSelector: {"no no": 5}, containers: [{name: a, image: i}]}
"#,
    );
    let web = "(document 1, Deployment default/web)";
    let expected = [
        format!("web.yaml:5 {web}: metadata.labels: Invalid value: \"bad key!\": "),
        format!("web.yaml:5 {web}: metadata.labels.a: expected a string, got 1; put it in quotes"),
        format!("web.yaml:7 {web}: spec.selector.matchLabels.app: expected a string, got 1"),
        // Kubernetes leaves `metadata` out there.
        format!("web.yaml:8 {web}: spec.template.labels: Invalid value: \"bad value!\": "),
        format!("web.yaml:10 {web}: spec.template.metadata.labels: Invalid value: "),
        format!("web.yaml:10 {web}: spec.template.metadata.labels.app: expected a string, got true"),
        format!("web.yaml:11 {web}: spec.template.spec.nodeSelector: Invalid value: \"no no\": "),
        format!("web.yaml:11 {web}: spec.template.spec.nodeSelector.no no: expected a string, got 5"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for start in expected {
        assert!(
            told.iter().any(|told| told.starts_with(&start)),
            "{start}\n{told:#?}"
        );
    }
}

#[test]
fn secrets_are_not_shown() {
    let told = errors(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata:\n  a: 'not base64: hunter2'\n  b: 12345\nstringData:\n  c: 67890\n",
    );
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(
        told[0].contains("data.a: expected base64, got a string"),
        "{told:#?}"
    );
    for message in told {
        assert!(
            !["hunter2", "12345", "67890"]
                .iter()
                .any(|secret| message.contains(secret)),
            "{message}"
        );
        assert!(message.contains("not shown"), "{message}");
    }
}

#[test]
fn a_file_past_a_limit_is_refused() {
    let kinds = ManifestKinds::builtin();
    let limits = Limits {
        bytes: 1000,
        documents: 2,
        depth: 5,
        values: 50,
    };
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n";
    let bomb = "a: &a [x, x, x]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\nd: [*c, *c, *c]\n";
    let cases = [
        (
            "x".repeat(1001),
            "web.yaml:1 (document 1): 1001 bytes; allowed are at most 1000",
        ),
        (
            [namespace; 3].join("---\n"),
            "web.yaml:9 (document 3): more than 2 documents",
        ),
        (
            "a: [[[[[]]]]]".to_owned(),
            "web.yaml:1 (document 1): a[0][0][0][0]: nested deeper than 5 levels",
        ),
        (
            "a: &a [[[[]]]]\nb: [*a]".to_owned(),
            "web.yaml:2 (document 1): b[0]: nested deeper than 5 levels",
        ),
        ("[x,".repeat(200), "web.yaml:1 (document 1): "),
        (
            format!("[{}]", "x,".repeat(60)),
            "web.yaml:1 (document 1): [49]: more than 50 values",
        ),
        (bomb.to_owned(), "web.yaml:3 (document 1): c"),
    ];
    for (text, start) in cases {
        let errors = Manifest::read_within("web.yaml", &text, &kinds, &limits).unwrap_err();
        let told = errors.to_string();
        assert!(
            errors.iter().any(|error| error.to_string().starts_with(start)),
            "{told}"
        );
    }
    let just_fits = format!("{namespace}---\n{namespace}---\n---\n");
    assert!(Manifest::read_within("web.yaml", &just_fits, &kinds, &limits).is_ok());
}

#[test]
fn a_billion_laughs_are_refused_at_once() {
    let mut text = "l0: &l0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..30 {
        let aliases = vec![format!("*l{}", level - 1); 10].join(", ");
        text.push_str(&format!("l{level}: &l{level} [{aliases}]\n"));
    }
    let told = errors(&text);
    assert!(told[0].contains("values with all aliases resolved"), "{told:#?}");
}

#[test]
fn what_admission_finds_is_told_with_its_line() {
    let manifest =
        read("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: -1\n");
    let spec = FieldPath::new("spec");
    let errors: FieldErrors = [
        FieldError::invalid(&spec.child("replicas"), -1, "must be greater than or equal to 0"),
        FieldError::required(&spec.child("selector"), ""),
    ]
    .into_iter()
    .collect();
    assert_eq!(
        manifest.items[0].errors(&errors).to_string(),
        "web.yaml:5 (document 1, Deployment default/web): spec.replicas: Invalid value: -1: must be greater than or \
         equal to 0\nweb.yaml:4 (document 1, Deployment default/web): spec.selector: Required value"
    );
}
