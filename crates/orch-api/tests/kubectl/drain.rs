//! Nodes are emptied as budgets allow.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{ChildStderr, Command};

use super::{Served, programs};

/// What a program says on standard error, line by line.
type Said = tokio::io::Lines<BufReader<ChildStderr>>;

async fn says(lines: &mut Said, expected: &str) {
    let heard = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(expected) {
                return;
            }
        }
        panic!("it ended, and did not say {expected:?}");
    };
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, heard).await.expect(expected);
}

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
        let mut drain = Command::new(&kubectl.program)
            .env("KUBECONFIG", &kubectl.config)
            .args(["drain", "node-1", "--grace-period=1", "--timeout=60s"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
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
