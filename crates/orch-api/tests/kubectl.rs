//! kubectl, of every version that is on the machine, over a socket.

mod common;

use std::path::{Path, PathBuf};

use orch_api::listen::{Access, ApiListener};
use orch_api::{ApiOptions, ServeApi};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;

/// The programs, `kubectl` itself and those of one version each that may lie beside it.
fn programs() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|dir| dir.join("kubectl"))
        .find(|file| file.is_file());
    let Some(found) = found.and_then(|file| file.canonicalize().ok()) else {
        return Vec::new();
    };
    let beside = found.parent().unwrap_or(Path::new("/")).read_dir();
    let versions = beside
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with("kubectl."))
        });
    let mut versions: Vec<_> = versions.collect();
    versions.sort();
    // The oldest, and the newest.
    let newest = versions.pop();
    let oldest = (!versions.is_empty()).then(|| versions.swap_remove(0));
    match (oldest, newest) {
        (None, None) => vec![found],
        some => [some.0, some.1].into_iter().flatten().collect(),
    }
}

struct Kubectl {
    program: PathBuf,
    config: PathBuf,
}

impl Kubectl {
    async fn try_run(&self, words: &[&str]) -> (bool, String) {
        let mut command = Command::new(&self.program);
        command
            .env("KUBECONFIG", &self.config)
            .env("HOME", self.config.parent().unwrap());
        let output = command.args(words).kill_on_drop(true).output().await.unwrap();
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        (output.status.success(), said)
    }

    async fn run(&self, words: &str) -> String {
        let words: Vec<_> = words.split(' ').collect();
        let (is_done, said) = self.try_run(&words).await;
        assert!(is_done, "{} {words:?}: {said}", self.program.display());
        said
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_reads_changes_and_deletes() {
    let programs = programs();
    if programs.is_empty() {
        common::skipped("needs kubectl");
        return;
    }
    for program in programs {
        let (cluster, api) = common::cluster(ApiOptions::default()).await;
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listener = ApiListener::start(socket, cluster.api(), Access::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config");
        std::fs::write(&config, listener.kubeconfig()).unwrap();
        let kubectl = Kubectl { program, config };
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
        listener.stop().await;
        cluster.stop().await;
    }
}
