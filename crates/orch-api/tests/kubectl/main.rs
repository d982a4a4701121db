//! kubectl, of every version that is on the machine, over a socket.

#[path = "../common/mod.rs"]
mod common;
mod definitions;
mod drain;
mod verbs;

use std::path::{Path, PathBuf};

use orch_api::listen::{Access, ApiListener};
use orch_api::{ApiOptions, ServeApi};
use orch_cluster::cluster::Cluster;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;

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
        let (cluster, api) = common::cluster(ApiOptions::default()).await;
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

    async fn stop(self) {
        self.listener.stop().await;
        self.cluster.stop().await;
    }
}

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

/// The first of the versions that send protobuf, by the name of the program.
fn sends_protobuf(program: &Path) -> bool {
    let name = program
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let minor = name
        .rsplit('.')
        .next()
        .and_then(|minor| minor.parse::<u32>().ok());
    minor.is_some_and(|minor| minor >= 32)
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_makes_and_drains_in_protobuf() {
    let newest = programs().pop().filter(|program| sends_protobuf(program));
    let Some(program) = newest else {
        common::skipped("needs kubectl 1.32 or newer, as kubectl.1.32 beside kubectl");
        return;
    };
    let served = Served::to(program).await;
    let Served { kubectl, api, .. } = &served;
    for (words, object, path, expected) in [
        (
            "configmap web --from-literal=key=value",
            "cm/web",
            "{.data.key}",
            "value",
        ),
        (
            "secret generic s --from-literal=password=hunter2",
            "secret/s",
            "{.data.password} {.type}",
            "aHVudGVyMg== Opaque",
        ),
        ("namespace team", "namespace/team", "{.metadata.name}", "team"),
        (
            "serviceaccount bot",
            "serviceaccount/bot",
            "{.metadata.namespace}",
            "default",
        ),
        (
            "role reader --verb=get,list --resource=pods",
            "role/reader",
            "{.rules[0].verbs}",
            r#"["get","list"]"#,
        ),
        (
            "clusterrolebinding all --clusterrole=reader --user=u",
            "clusterrolebinding/all",
            "{.subjects[0].kind}",
            "User",
        ),
        (
            "deployment web --image=nginx --replicas=0 --port=80",
            "deployment/web",
            "{.spec.replicas} {.spec.strategy.type}",
            "0 RollingUpdate",
        ),
        (
            "poddisruptionbudget web --selector=app=web --min-available=50%",
            "pdb/web",
            "{.spec.minAvailable}",
            "50%",
        ),
        (
            "priorityclass high --value=1000",
            "priorityclass/high",
            "{.value}",
            "1000",
        ),
        (
            "service clusterip svc --tcp=80:8080",
            "service/svc",
            "{.spec.ports[0].targetPort}",
            "8080",
        ),
    ] {
        let said = kubectl.run(&format!("create {words}")).await;
        assert!(said.contains(" created\n"), "{words}: {said}");
        let path = format!("jsonpath={path}");
        let (_, found) = kubectl.try_run(&["get", object, "-o", &path]).await;
        assert_eq!(found, expected, "{words}");
    }
    let (is_done, said) = kubectl.try_run(&["create", "configmap", "web"]).await;
    assert!(!is_done && said.contains("already exists"), "{said}");

    // A pod that nobody makes anew: it is deleted, with options in protobuf.
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"nodeName": "node-1", "containers": [{"name": "c", "image": "i"}]},
    });
    let (code, made) = api.post("/api/v1/namespaces/default/pods", &pod).await;
    assert_eq!(code, 201, "{made}");
    let said = kubectl
        .run("drain node-1 --force --grace-period=1 --timeout=60s")
        .await;
    assert!(said.contains("node/node-1 drained\n"), "{said}");
    assert_eq!(kubectl.run("get pods -o name").await, "");
    served.stop().await;
}
