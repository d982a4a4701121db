//! Objects are deleted, and what they own with them or not.

use super::{Served, common, programs};

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_deletes_what_it_is_told_to() {
    for program in programs() {
        let served = Served::to(program).await;
        let Served { kubectl, api, .. } = &served;
        for name in ["a", "b", "c"] {
            assert_eq!(api.post(common::MAPS, &common::map(name, "1")).await.0, 201);
        }
        let file = served.file("a.json", &common::map("a", "1").to_string());
        for (words, expected) in [
            ("configmap a --dry-run=server", "configmap \"a\" deleted"),
            ("configmap none --ignore-not-found", ""),
            (&*format!("-f {file}"), "configmap \"a\" deleted"),
            (
                "configmap --field-selector=metadata.name=b",
                "configmap \"b\" deleted",
            ),
            ("configmap -l app=c", "configmap \"c\" deleted"),
        ] {
            let said = kubectl.run(&format!("delete {words}")).await;
            assert!(
                said.starts_with(expected) && said.is_empty() == expected.is_empty(),
                "{words}: {said}"
            );
        }
        assert_eq!(kubectl.run("get configmap -l app -o name").await, "");

        for (words, expected) in [
            ("pod web --now", "pod \"web\" deleted"),
            ("pod web --grace-period=1 --wait=false", "pod \"web\" deleted"),
            ("pod web --grace-period=0 --force", "pod \"web\" force deleted"),
            ("pods --all --grace-period=1", "pod \"web\" deleted"),
        ] {
            kubectl.run("run web --image=i").await;
            kubectl
                .run("wait pod/web --for=condition=Ready --timeout=60s")
                .await;
            let said = kubectl.run(&format!("delete {words}")).await;
            assert!(said.contains(expected), "{words}: {said}");
            kubectl.run("wait pod/web --for=delete --timeout=60s").await;
        }
        kubectl.run("create namespace team").await;
        kubectl.run("create configmap a -n team").await;
        kubectl.run("delete namespace team --timeout=60s").await;
        assert_eq!(kubectl.run("get configmap -n team -o name").await, "");
        served.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_deletes_what_is_owned_or_leaves_it() {
    for program in programs() {
        let served = Served::to(program).await;
        let Served { kubectl, .. } = &served;
        let make = async || {
            kubectl.run("create deployment web --image=i").await;
            kubectl.run("rollout status deployment/web --timeout=60s").await;
        };
        make().await;
        kubectl
            .run("delete deployment web --cascade=orphan --timeout=60s")
            .await;
        let set = kubectl.run("get replicaset -l app=web -o name").await;
        assert!(set.starts_with("replicaset.apps/web-"), "it was left: {set}");
        let owners = "get replicaset -l app=web -o jsonpath={.items[*].metadata.ownerReferences}";
        assert_eq!(kubectl.run(owners).await, "");

        // It is taken on by the next of that name.
        make().await;
        assert!(kubectl.run(owners).await.contains("\"kind\":\"Deployment\""));
        assert_eq!(kubectl.run("get replicaset -l app=web -o name").await, set);
        kubectl
            .run("delete deployment web --cascade=foreground --timeout=60s")
            .await;
        assert_eq!(
            kubectl.run("get replicaset,pods -l app=web -o name").await,
            "",
            "it was the last to go"
        );

        make().await;
        kubectl
            .run("delete deployment web --cascade=background --timeout=60s")
            .await;
        kubectl
            .run("wait replicaset,pods -l app=web --for=delete --timeout=60s")
            .await;
        served.stop().await;
    }
}
