//! What there is is shown, in every form.

use serde_json::{Value, json};

use super::{Served, common, programs, says};

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_reads_changes_and_deletes() {
    for program in programs() {
        let served = Served::to(program).await;
        let Served { kubectl, api, .. } = &served;
        api.post(common::MAPS, &common::map("a", "1")).await;
        api.post(common::MAPS, &common::map("b", "1")).await;

        let kinds = kubectl.run("api-resources --no-headers").await;
        assert!(
            kinds.contains("deployments") && kinds.contains("apps/v1"),
            "{kinds}"
        );
        assert!(kubectl.run("api-versions").await.contains("apps/v1\n"));
        assert!(kubectl.run("version").await.contains("+orch-"));
        assert_eq!(
            kubectl.run("get cm -l app -o name").await,
            "configmap/a\nconfigmap/b\n"
        );
        assert_eq!(
            kubectl.run("get cm -l app --chunk-size=1 -o name").await,
            "configmap/a\nconfigmap/b\n"
        );
        assert_eq!(kubectl.run("get cm/a -o jsonpath={.data.key}").await, "1");
        let got: Value = serde_json::from_str(&kubectl.run("get cm a -o json").await).unwrap();
        assert_eq!(got["data"], json!({"key": "1"}));
        let table = kubectl.run("get cm -l app").await;
        let lines: Vec<Vec<_>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(lines[0], ["NAME", "DATA", "AGE"], "{table}");
        assert_eq!((lines.len(), &lines[1][..2]), (3, &["a", "1"][..]), "{table}");
        let wide = kubectl.run("get nodes -o wide").await;
        assert!(
            wide.starts_with("NAME     STATUS") && wide.contains("CONTAINER-RUNTIME"),
            "{wide}"
        );
        assert!(kubectl.run("get nodes -o yaml").await.contains("name: node-1"));
        kubectl.run("label cm a tier=web").await;
        kubectl.run("annotate cm a note=said").await;
        assert_eq!(kubectl.run("get cm -l tier=web -o name").await, "configmap/a\n");
        for (type_, change) in [
            ("merge", r#"{"data":{"key":"2"}}"#),
            ("strategic", r#"{"data":{"key":"3"}}"#),
            ("json", r#"[{"op":"replace","path":"/data/key","value":"4"}]"#),
        ] {
            let (is_done, said) = kubectl
                .try_run(&["patch", "cm", "a", "--type", type_, "-p", change])
                .await;
            assert!(is_done && said == "configmap/a patched\n", "{said}");
        }
        assert_eq!(kubectl.run("get cm/a -o jsonpath={.data.key}").await, "4");
        kubectl.run("cordon node-1").await;
        assert_eq!(
            kubectl
                .run("get node node-1 -o jsonpath={.spec.unschedulable}")
                .await,
            "true"
        );
        kubectl.run("uncordon node-1").await;
        assert!(kubectl.run("describe cm a").await.contains("tier=web"));
        assert!(
            kubectl
                .run("describe node node-1")
                .await
                .contains("Name:               node-1")
        );
        assert!(
            kubectl
                .run("delete cm a")
                .await
                .starts_with("configmap \"a\" deleted")
        );
        kubectl.run("delete cm -l app --wait").await;
        assert_eq!(kubectl.run("get cm -l app -o name").await, "");
        let (is_done, said) = kubectl.try_run(&["get", "cm", "a"]).await;
        assert_eq!(
            (is_done, said.as_str()),
            (
                false,
                "Error from server (NotFound): configmaps \"a\" not found\n"
            )
        );
        served.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_shows_what_is_chosen_in_every_form() {
    for program in programs() {
        let served = Served::to(program).await;
        let Served { kubectl, api, .. } = &served;
        kubectl.run("create namespace team").await;
        for (name, path, value) in [
            ("a", common::MAPS, "3"),
            ("b", common::MAPS, "2"),
            ("c", "/api/v1/namespaces/team/configmaps", "1"),
        ] {
            assert_eq!(api.post(path, &common::map(name, value)).await.0, 201);
        }
        for (words, expected) in [
            ("-A -l app -o name", "configmap/a\nconfigmap/b\nconfigmap/c\n"),
            (
                "-A -l app -o name --chunk-size=1",
                "configmap/a\nconfigmap/b\nconfigmap/c\n",
            ),
            ("-n team -o name -l app=c", "configmap/c\n"),
            ("-l app!=a,app -o name", "configmap/b\n"),
            ("-A --field-selector=metadata.name=c -o name", "configmap/c\n"),
            (
                "-A -l app --sort-by={.data.key} -o name",
                "configmap/c\nconfigmap/b\nconfigmap/a\n",
            ),
            (
                "-l app --no-headers -o custom-columns=N:.metadata.name,K:.data.key",
                "a     3\nb     2\n",
            ),
            (
                "-l app -o custom-columns=N:.metadata.name,K:.data.key",
                "N     K\na     3\nb     2\n",
            ),
            ("-l app -o jsonpath={.items[*].data.key}", "3 2"),
            ("-l app -o go-template={{range.items}}{{.data.key}}{{end}}", "32"),
            ("a b -o name", "configmap/a\nconfigmap/b\n"),
            ("-l app=none", "No resources found in default namespace.\n"),
        ] {
            assert_eq!(
                kubectl.run(&format!("get configmaps {words}")).await,
                expected,
                "{words}"
            );
        }
        kubectl.run("create deployment web --image=nginx").await;
        kubectl.run("rollout status deployment/web --timeout=60s").await;
        for (words, expected) in [
            (
                "deployment,replicaset -l app=web -o name",
                &["deployment.apps/web\n", "replicaset.apps/web-"][..],
            ),
            (
                "all",
                &["pod/web-", "deployment.apps/web", "replicaset.apps/web-"],
            ),
            (
                "deployment -o wide",
                &["UP-TO-DATE", "CONTAINERS", "SELECTOR", "app=web"],
            ),
            (
                "pods -o wide --show-labels",
                &["NOMINATED NODE", "LABELS", "node-1", "pod-template-hash="],
            ),
            ("pods -L app", &["APP\n", "web\n"]),
            (
                "deployment web --subresource=status -o yaml",
                &["readyReplicas: 1"],
            ),
            ("--raw /readyz", &["ok"]),
            ("--raw /api/v1/namespaces/default/pods?limit=1", &["PodList"]),
        ] {
            let found = kubectl.run(&format!("get {words}")).await;
            assert!(
                expected.iter().all(|part| found.contains(part)),
                "{words}: {found}"
            );
        }
        let (is_done, said) = kubectl
            .try_run(&["get", "pods", "--field-selector=spec.none=a"])
            .await;
        assert!(
            !is_done && said.contains("field label not supported: spec.none"),
            "{said}"
        );
        served.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_watches_and_waits() {
    for program in programs() {
        let served = Served::to(program).await;
        let Served { kubectl, api, .. } = &served;
        assert_eq!(api.post(common::MAPS, &common::map("a", "1")).await.0, 201);
        let (mut watcher, mut seen) = kubectl.lines("get configmaps -l app -w --output-watch-events");
        says(&mut seen, "ADDED").await;
        let (mut wide, mut rows) = kubectl.lines("get configmaps -l app -w");
        says(&mut rows, "a      1").await;
        kubectl.run("label configmap a more=yes").await;
        says(&mut seen, "MODIFIED").await;
        let (mut waiter, mut waited) = kubectl.lines("wait --for=delete configmap/a --timeout=60s");
        kubectl.run("create configmap b").await;
        kubectl.run("label configmap b app=b").await;
        says(&mut rows, "b      0").await;
        kubectl.run("delete configmap a").await;
        says(&mut seen, "DELETED").await;
        says(&mut waited, "configmap/a condition met").await;
        assert!(waiter.wait().await.unwrap().success());
        for watcher in [&mut watcher, &mut wide] {
            watcher.kill().await.unwrap();
        }

        kubectl.run("run web --image=nginx").await;
        for words in ["--for=condition=Ready", "--for=jsonpath={.status.phase}=Running"] {
            let said = kubectl.run(&format!("wait pod/web {words} --timeout=60s")).await;
            assert_eq!(said, "pod/web condition met\n");
        }
        let words = [
            "wait",
            "pod/web",
            "--for=condition=Ready=false",
            "--timeout=100ms",
        ];
        let (is_done, said) = kubectl.try_run(&words).await;
        assert_eq!(
            (is_done, &*said),
            (false, "error: timed out waiting for the condition on pods/web\n")
        );
        // Events are written a little after what they tell of.
        let (mut teller, mut told) = kubectl.lines("events --for pod/web --watch");
        says(&mut told, "Started container web").await;
        teller.kill().await.unwrap();
        for (words, expected) in [
            ("events --for pod/web", "Started container web"),
            ("events --for pod/web --types=Normal", "Created container"),
            ("events -A --types=Warning", "No events found"),
            ("get events --field-selector=involvedObject.name=web", "pod/web"),
            ("describe pod web", "Started container web"),
        ] {
            let found = kubectl.run(words).await;
            assert!(found.contains(expected), "{words}: {found}");
        }
        served.stop().await;
    }
}
