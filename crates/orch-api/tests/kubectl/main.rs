//! kubectl, of every version that is on the machine, over a socket.

mod apply;
#[path = "../common/mod.rs"]
mod common;
mod create;
mod definitions;
mod delete;
mod drain;
mod edit;
mod logs;
mod read;
mod tokens;
mod verbs;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use orch_api::ServeApi;
use orch_api::listen::{Access, ApiListener};
use orch_cluster::cluster::Cluster;
use orch_core::testing::FakeRuntime;
use tempfile::TempDir;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};

/// The oldest and the newest of `kubectl` itself and those of one version each that may lie beside it; says so where there is none.
fn programs() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|dir| dir.join("kubectl"))
        .find(|file| file.is_file());
    let Some(found) = found.and_then(|file| file.canonicalize().ok()) else {
        common::skipped("needs kubectl");
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
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env("KUBECONFIG", &self.config)
            .envs(["HOME", "TMPDIR"].map(|name| (name, self.config.parent().unwrap())))
            .args(words)
            .kill_on_drop(true);
        command
    }

    async fn try_run(&self, words: &[&str]) -> (bool, String) {
        Self::said(&mut self.command(words)).await
    }

    /// The program as it goes on, and the lines that it writes.
    fn lines(&self, words: &str) -> (Child, Lines<BufReader<ChildStdout>>) {
        let words: Vec<_> = words.split(' ').collect();
        let mut child = self.command(&words).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        (child, lines)
    }

    /// Whether it did what it was to do, and what it said.
    async fn said(command: &mut Command) -> (bool, String) {
        let output = command.output().await.unwrap();
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

/// A cluster on a socket, and a kubectl that knows it.
struct Served {
    kubectl: Kubectl,
    api: common::Http,
    /// Where the kubeconfig is, and files for it may be.
    dir: TempDir,
    listener: ApiListener,
    cluster: Cluster,
}

impl Served {
    async fn to(program: PathBuf) -> Self {
        Self::running(program, FakeRuntime::new()).await
    }

    /// Of a cluster whose one node runs what this does.
    async fn running(program: PathBuf, runtime: FakeRuntime) -> Self {
        let (cluster, api) = common::reached(runtime).await;
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listener = ApiListener::start(socket, cluster.api(), Access::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config");
        std::fs::write(&config, listener.kubeconfig()).unwrap();
        Self {
            kubectl: Kubectl { program, config },
            api,
            dir,
            listener,
            cluster,
        }
    }

    /// A file beside the kubeconfig, by its path.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    async fn stop(self) {
        self.listener.stop().await;
        self.cluster.stop().await;
    }
}

/// Waits until a program says something, among its lines.
async fn says<R: AsyncBufRead + Unpin>(lines: &mut Lines<R>, expected: &str) {
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
