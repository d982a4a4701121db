//! No text makes the reader panic, and what it accepts is what was written.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{Limits, Manifest, ManifestKinds};

const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata: &m
  name: web
  labels: {app: web}
spec:
  replicas: 3
  template:
    metadata: {<<: *m}
    spec:
      containers:
      - name: c
        image: \"i\"
        command: [sh, -c, |
          echo
        ]
        resources: {limits: {cpu: 500m}}
";

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z0-9:#\\-{}\\[\\],&*!|>'\"% \n\té]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z .#:é]{1,5}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "([ \\-a-c:{}\\[\\],&*!|>'\"%#?\n\t0-9~<.]|---\n|kind: Pod\n|<<: |é){0,60}") {
        let _ = Manifest::read("f", &text, &ManifestKinds::builtin());
    }

    #[test]
    fn no_damage_to_a_manifest_makes_the_reader_panic(
        cuts in prop::collection::vec((0..DEPLOYMENT.len(), 0usize..6, "[ \\-a:{}\\[\\],&*!|>\n0]{0,3}"), 1..5),
    ) {
        let mut text = DEPLOYMENT.to_owned();
        for (at, length, new) in cuts {
            let start = at.min(text.len());
            let end = (start + length).min(text.len());
            text.replace_range(start..end, &new);
        }
        if let Err(errors) = Manifest::read("f", &text, &ManifestKinds::builtin()) {
            prop_assert!(errors.len() > 0);
            let lines = text.lines().count() as u32 + 1;
            for error in &errors {
                prop_assert!((1..=lines).contains(&error.place.position.line), "{error}");
            }
        }
    }

    #[test]
    fn any_value_in_any_place_of_a_pod_is_accepted_or_located(
        value in json_value(), place in prop::sample::select(vec!["spec", "metadata", "containers", "env", "resources"]),
    ) {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
            "spec": {"containers": [{"name": "c", "env": [], "resources": {}}]},
        });
        match place {
            "spec" | "metadata" => pod[place] = value,
            "containers" => pod["spec"]["containers"] = value,
            other => pod["spec"]["containers"][0][other] = value,
        }
        let text = serde_json::to_string_pretty(&pod).unwrap();
        if let Err(errors) = Manifest::read("f", &text, &ManifestKinds::builtin()) {
            let lines = text.lines().count() as u32;
            for error in &errors {
                prop_assert!((1..=lines).contains(&error.place.position.line), "{error}");
            }
        }
    }

    #[test]
    fn strings_written_as_json_are_read_as_they_are(data in prop::collection::btree_map("[a-z]{1,4}", any::<String>(), 0..5), ascii in any::<bool>()) {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data});
        let mut text = serde_json::to_string(&object).unwrap();
        if ascii {
            let halves = |c: char| c.encode_utf16(&mut [0; 2]).iter().map(|half| format!("\\u{half:04x}")).collect::<String>();
            text = text.chars().map(|c| if c.is_ascii() { c.to_string() } else { halves(c) }).collect();
        }
        let manifest = Manifest::read("f", &text, &ManifestKinds::builtin()).map_err(|errors| {
            TestCaseError::fail(format!("{text}\n{errors}"))
        })?;
        let read: BTreeMap<String, String> = serde_json::from_value(manifest.items[0].object()["data"].clone()).unwrap();
        prop_assert_eq!(read, data);
    }

    #[test]
    fn small_limits_hold(text in "([\\[\\]{}:,a&*\n -]){0,60}") {
        let limits = Limits { bytes: 50, documents: 1, depth: 3, values: 10 };
        if let Ok(manifest) = Manifest::read_within("f", &text, &ManifestKinds::empty(), &limits) {
            prop_assert!(manifest.items.is_empty());
        }
    }
}
