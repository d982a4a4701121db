//! Objects are edited, replaced, granted, and applied as whole sets.

use serde_json::json;

use super::{Kubectl, Served, common, programs};

/// What is at a path of an object.
async fn at(kubectl: &Kubectl, object: &str, path: &str) -> String {
    kubectl.run(&format!("get {object} -o jsonpath={path}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_edits_and_replaces() {
    for program in programs() {
        let served = Served::to(program).await;
        let Served { kubectl, api, .. } = &served;
        assert_eq!(api.post(common::MAPS, &common::map("a", "before")).await.0, 201);
        let edit = async |words: &[&str], editor: &str| {
            Kubectl::said(kubectl.command(words).env("KUBE_EDITOR", editor)).await
        };
        let (is_done, said) = edit(&["edit", "configmap", "a"], "sed -i s/before/after/").await;
        assert_eq!((is_done, &*said), (true, "configmap/a edited\n"));
        assert_eq!(at(kubectl, "cm/a", "{.data.key}").await, "after");
        let (is_done, said) = edit(&["edit", "configmap", "a"], "true").await;
        assert_eq!((is_done, &*said), (true, "Edit cancelled, no changes made.\n"));
        kubectl.run("create deployment web --image=i").await;
        let (is_done, said) = edit(
            &["edit", "deployment", "web"],
            "sed -i 's/replicas: 1/replicas: -1/'",
        )
        .await;
        assert!(
            !is_done && said.contains("deployments.apps \"web\" is invalid"),
            "{said}"
        );

        let file = served.file("a.json", &common::map("a", "replaced").to_string());
        assert_eq!(
            kubectl.run(&format!("replace -f {file}")).await,
            "configmap/a replaced\n"
        );
        assert_eq!(at(kubectl, "cm/a", "{.data.key}").await, "replaced");
        let uid = at(kubectl, "cm/a", "{.metadata.uid}").await;
        let said = kubectl.run(&format!("replace --force -f {file}")).await;
        assert!(said.ends_with("configmap/a replaced\n"), "{said}");
        assert_ne!(at(kubectl, "cm/a", "{.metadata.uid}").await, uid, "it is another");
        let mut old = common::map("a", "late");
        old["metadata"]["resourceVersion"] = json!("1");
        let file = served.file("a.json", &old.to_string());
        let (is_done, said) = kubectl.try_run(&["replace", "-f", &file]).await;
        assert!(
            !is_done && said.contains("the object has been modified"),
            "{said}"
        );
        served.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_applies_sets_and_prunes_what_is_no_longer_of_them() {
    for program in programs() {
        let served = Served::to(program).await;
        let Served { kubectl, dir, .. } = &served;
        let map = |name: &str| {
            let mut map = common::map(name, "1");
            map["metadata"]["labels"]["app"] = json!("set");
            map.to_string()
        };
        let both = served.file("both.json", &(map("a") + &map("b")));
        let one = served.file("one.json", &map("a"));
        let prune = "--prune -l app=set --prune-allowlist=core/v1/ConfigMap";
        kubectl.run(&format!("apply -f {both} {prune}")).await;
        let said = kubectl.run(&format!("apply -f {one} {prune}")).await;
        assert!(
            said.contains("configmap/a unchanged\n") && said.contains("configmap/b pruned\n"),
            "{said}"
        );
        assert_eq!(kubectl.run("get configmap -l app -o name").await, "configmap/a\n");

        // By the set that an object of its own keeps.
        let by_set = async |file: &str| {
            let words = ["apply", "-f", file, "--prune", "--applyset=mine", "-n", "default"];
            Kubectl::said(kubectl.command(&words).env("KUBECTL_APPLYSET", "true")).await
        };
        let (is_done, said) = by_set(&both).await;
        assert!(is_done, "{said}");
        let (is_done, said) = by_set(&one).await;
        assert!(is_done && said.contains("configmap/b pruned"), "{said}");
        assert_eq!(kubectl.run("get configmap -l app -o name").await, "configmap/a\n");

        let last = kubectl
            .run(&format!("apply view-last-applied -f {one} -o json"))
            .await;
        assert!(last.contains("\"key\": \"1\""), "{last}");

        served.file(
            "kustomization.yaml",
            "namePrefix: k-\nresources: [one.json]\nconfigMapGenerator:\n- {name: made, literals: [a=b]}\n",
        );
        let said = kubectl.run(&format!("apply -k {}", dir.path().display())).await;
        assert!(
            said.contains("configmap/k-a created\n") && said.contains("configmap/k-made-"),
            "{said}"
        );
        let said = kubectl.run(&format!("delete -k {}", dir.path().display())).await;
        assert!(said.contains("configmap \"k-a\" deleted"), "{said}");
        served.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_grants_certificates_and_turns_back_to_a_revision() {
    /// A request in PEM, as base64: no more of it than its outline.
    const REQUEST: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUE0d0J3SUJBREFBTUFBd0FBTUJBQT09Ci0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo=";
    for program in programs() {
        let served = Served::to(program).await;
        let Served { kubectl, .. } = &served;
        for (verb, condition) in [("approve", "Approved"), ("deny", "Denied")] {
            let request = json!({
                "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": verb},
                "spec": {"request": REQUEST, "signerName": "example.com/people", "usages": ["client auth"]},
            });
            let file = served.file("request.json", &request.to_string());
            kubectl.run(&format!("create -f {file}")).await;
            kubectl.run(&format!("certificate {verb} {verb}")).await;
            assert_eq!(
                at(kubectl, &format!("csr/{verb}"), "{.status.conditions[*].type}").await,
                condition
            );
        }

        kubectl.run("create deployment web --image=i:1").await;
        for image in ["i:2", "i:3"] {
            kubectl.run(&format!("set image deployment/web i={image}")).await;
            kubectl.run("rollout status deployment/web --timeout=60s").await;
        }
        kubectl
            .run("annotate deployment/web kubernetes.io/change-cause=third")
            .await;
        let image = "{.spec.template.spec.containers[0].image}";
        for (words, expected) in [
            ("history deployment/web --revision=2", "i:2"),
            (
                "undo deployment/web --to-revision=2 --dry-run=server",
                "rolled back (server dry run)",
            ),
            (
                "undo deployment/web --to-revision=2",
                "deployment.apps/web rolled back",
            ),
        ] {
            let said = kubectl.run(&format!("rollout {words}")).await;
            assert!(said.contains(expected), "{words}: {said}");
        }
        assert_eq!(at(kubectl, "deployment/web", image).await, "i:2");
        let (is_done, said) = kubectl
            .try_run(&["rollout", "undo", "deployment/web", "--to-revision=9"])
            .await;
        assert!(
            !is_done && said.contains("unable to find specified revision 9 in history"),
            "{said}"
        );
        served.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_resizes_pods() {
    for program in programs() {
        let served = Served::to(program).await;
        let Served { kubectl, .. } = &served;
        // Those before 1.32 know no such subresource.
        if kubectl.run("patch --help").await.contains("resize") {
            let limited = served.file(
                "pod.json",
                &json!({
                    "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
                    "spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "100m"}}}]},
                })
                .to_string(),
            );
            kubectl.run(&format!("apply -f {limited}")).await;
            let given = "{.status.containerStatuses[0].resources.requests.cpu}";
            let until = async |cpu: &str| {
                kubectl
                    .run(&format!(
                        "wait pod/web --timeout=60s --for=jsonpath={given}={cpu}"
                    ))
                    .await
            };
            until("100m").await;
            let patch = r#"{"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"200m"}}}]}}"#;
            let said = kubectl
                .run(&format!("patch pod web --subresource resize --patch {patch}"))
                .await;
            assert_eq!(said, "pod/web patched\n");
            until("200m").await;
        }
        served.stop().await;
    }
}
