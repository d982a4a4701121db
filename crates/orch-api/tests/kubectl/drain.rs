//! Nodes are emptied as budgets allow.

use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::{Served, programs, says};

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_drains_as_budgets_allow() {
    for program in programs() {
        let served = Served::to(program).await;
        let Served { kubectl, .. } = &served;
        kubectl.run("create deployment web --image=i").await;
        kubectl
            .run("create poddisruptionbudget web --selector=app=web --min-available=1")
            .await;
        kubectl
            .run("wait pdb/web --for=jsonpath={.status.currentHealthy}=1 --timeout=60s")
            .await;
        let mut drain = kubectl
            .command(&["drain", "node-1", "--grace-period=1", "--timeout=60s"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(drain.stderr.take().unwrap()).lines();
        says(
            &mut said,
            "Cannot evict pod as it would violate the pod's disruption budget.",
        )
        .await;
        // The pod that comes in its place waits for a node.
        let patch = r#"{"spec":{"minAvailable":0}}"#;
        kubectl
            .run(&format!("patch pdb web --type=merge -p {patch}"))
            .await;
        assert!(drain.wait().await.unwrap().success());
        let running = kubectl
            .run("get pods --field-selector=spec.nodeName=node-1 -o name")
            .await;
        assert_eq!(running, "");
        served.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_drains_pods_that_nobody_makes_anew_only_where_it_is_told_to() {
    for program in programs() {
        let served = Served::to(program).await;
        let Served { kubectl, .. } = &served;
        kubectl.run("run p --image=i").await;
        kubectl
            .run("wait --for=condition=Ready pod/p --timeout=60s")
            .await;
        let (is_done, said) = kubectl.try_run(&["drain", "node-1", "--timeout=60s"]).await;
        assert!(
            !is_done && said.contains("(use --force to override): default/p"),
            "{said}"
        );
        // From version 1.32 on the options of a deletion come in protobuf.
        for way in [
            "--force --grace-period=1",
            "--force --grace-period=1 --disable-eviction",
        ] {
            let said = kubectl.run(&format!("drain node-1 {way} --timeout=60s")).await;
            assert!(said.contains("node/node-1 drained\n"), "{way}: {said}");
            assert_eq!(kubectl.run("get pods -o name").await, "");
            kubectl.run("uncordon node-1").await;
            kubectl.run("run p --image=i").await;
            kubectl
                .run("wait --for=condition=Ready pod/p --timeout=60s")
                .await;
        }
        served.stop().await;
    }
}
