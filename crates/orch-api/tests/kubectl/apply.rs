//! Files are applied, from the client's side and the server's.

use serde_json::{Value, json};

use super::{Served, programs};

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_applies_on_the_servers_side() {
    for program in programs() {
        let served = Served::to(program).await;
        let Served { kubectl, dir, .. } = &served;
        let file = |name: &str, value: &str| {
            let map = format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{key: \"{value}\"}}\n"
            );
            let path = dir.path().join(format!("{name}-{value}.yaml"));
            std::fs::write(&path, map).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let value = async |name: &str| {
            kubectl
                .run(&format!("get cm/{name} -o jsonpath={{.data.key}}"))
                .await
        };
        let owners = async |name: &str| {
            let path = "jsonpath={range .metadata.managedFields[*]}{.manager}/{.operation},{end}";
            let words = ["get", "cm", name, "--show-managed-fields", "-o", path];
            kubectl.try_run(&words).await.1
        };
        let apply = "apply --server-side";
        let (one, two) = (file("a", "1"), file("a", "2"));
        let said = kubectl.run(&format!("{apply} -f {one}")).await;
        assert_eq!(said, "configmap/a serverside-applied\n");
        let version = "get cm/a -o jsonpath={.metadata.resourceVersion}";
        let before = kubectl.run(version).await;
        kubectl.run(&format!("{apply} -f {one}")).await;
        assert_eq!(
            kubectl.run(version).await,
            before,
            "the same again changes nothing"
        );
        let other = format!("{apply} --field-manager=other -f {two}");
        let (is_done, said) = kubectl.try_run(&other.split(' ').collect::<Vec<_>>()).await;
        assert!(
            !is_done && said.contains("conflict with \"kubectl\": .data.key"),
            "{said}"
        );
        assert!(
            said.contains("--force-conflicts"),
            "kubectl knows what it is: {said}"
        );
        let (differs, said) = kubectl.try_run(&["diff", "--server-side", "-f", &two]).await;
        assert!(
            !differs && said.contains("-  key: \"1\"") && said.contains("+  key: \"2\""),
            "{said}"
        );
        assert_eq!(value("a").await, "1", "a diff writes nothing");
        kubectl.run(&format!("{other} --force-conflicts")).await;
        assert_eq!(
            (value("a").await, owners("a").await),
            ("2".into(), "other/Apply,".into())
        );

        // From the client's side to the server's, by another name than kubectl's own too.
        let (first, second) = (file("b", "1"), file("b", "2"));
        kubectl.run(&format!("apply -f {first}")).await;
        assert_eq!(owners("b").await, "kubectl-client-side-apply/Update,");
        kubectl.run(&format!("{apply} -f {second}")).await;
        assert_eq!(value("b").await, "2");
        let found = owners("b").await;
        assert!(
            found.contains(",kubectl/Apply,") && !found.contains("client-side"),
            "{found}"
        );
        // And back: the annotation has followed.
        kubectl.run(&format!("apply -f {first}")).await;
        assert_eq!(value("b").await, "1");
        served.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_explains_applies_compares_and_scales() {
    for program in programs() {
        let served = Served::to(program).await;
        let Served {
            kubectl, api, dir, ..
        } = &served;
        let file = dir.path().join("web.json");
        let write = |change: &dyn Fn(&mut Value)| {
            let mut web = json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
                "spec": {
                    "replicas": 2,
                    "selector": {"matchLabels": {"app": "web"}},
                    "template": {
                        "metadata": {"labels": {"app": "web"}},
                        "spec": {"containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]},
                    },
                },
            });
            change(&mut web);
            std::fs::write(&file, web.to_string()).unwrap();
        };
        let apply = format!("apply -f {}", file.display());
        write(&|_| {});
        assert_eq!(kubectl.run(&apply).await, "deployment.apps/web created\n");
        assert_eq!(kubectl.run(&apply).await, "deployment.apps/web unchanged\n");

        // Of a list of named items one is changed, and the other taken out.
        write(&|web| web["spec"]["template"]["spec"]["containers"] = json!([{"name": "b", "image": "j"}]));
        let diff = format!("diff -f {}", file.display());
        let (is_same, difference) = kubectl.try_run(&diff.split(' ').collect::<Vec<_>>()).await;
        assert!(
            !is_same && difference.contains("+      - image: j\n"),
            "{difference}"
        );
        assert_eq!(kubectl.run(&apply).await, "deployment.apps/web configured\n");
        let path = "/apis/apps/v1/namespaces/default/deployments/web";
        let (_, web) = api.get(path).await;
        let containers = web["spec"]["template"]["spec"]["containers"].as_array().unwrap();
        assert_eq!(containers.len(), 1, "{containers:?}");
        assert_eq!(containers[0]["image"], "j");

        write(&|web| web["spec"]["replica"] = json!(3));
        let (is_done, said) = kubectl.try_run(&apply.split(' ').collect::<Vec<_>>()).await;
        let words = "strict decoding error: unknown field \"spec.replica\"";
        assert!(!is_done && said.contains(words), "{said}");

        assert_eq!(
            kubectl.run("scale deployment web --replicas=5").await,
            "deployment.apps/web scaled\n"
        );
        let scaled = kubectl
            .run("scale deployment web --replicas=3 --current-replicas=5")
            .await;
        assert_eq!(scaled, "deployment.apps/web scaled\n");
        assert_eq!(api.get(path).await.1["spec"]["replicas"], 3);

        let explained = kubectl.run("explain pod.spec.containers").await;
        assert!(
            explained.contains("List of containers belonging to the pod.")
                && explained.contains("volumeMounts"),
            "{explained}"
        );
        let recursive = kubectl.run("explain deployments --recursive").await;
        assert!(recursive.contains("progressDeadlineSeconds"), "{recursive}");
        served.stop().await;
    }
}
