//! The engine, registry and images the tests run against, or a word on why there are none.
#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod script;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use orch_core::random::Random;
use orch_core::runtime::{ContainerConfig, Runtime, SandboxConfig, SandboxFilter};
use orch_core::testing::runtime::Harness;
use orch_runtime_docker::{DockerOptions, DockerRuntime};

/// A small image with a shell, made by `scripts/engine image`.
pub(crate) const BUSYBOX: &str = "orch-test/busybox:latest";

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Says why a test did nothing. Where `ORCH_REQUIRE_ENGINE` is set it fails instead, so that checks on a machine
/// that is meant to have all cannot pass for want of it.
pub(crate) fn skipped(why: &str) {
    skip(why, std::env::var_os("ORCH_REQUIRE_ENGINE").is_some());
}

pub(crate) fn skip(why: &str, required: bool) {
    assert!(!required, "ORCH_REQUIRE_ENGINE is set, and {why}");
    // Not by a macro, whose output the test harness keeps to itself.
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// The words of a command's output; none if it fails.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

pub(crate) fn docker(arguments: &[&str]) -> Option<String> {
    output(Command::new("docker").args(arguments))
}

/// Whether an engine with the test image answers; says so once if not.
pub(crate) fn engine() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    let found =
        *FOUND.get_or_init(|| docker(&["image", "inspect", "--format", "{{.Id}}", BUSYBOX]).is_some());
    if !found {
        skipped(&format!(
            "no Docker engine with the image {BUSYBOX} answers; `scripts/engine up` brings one up"
        ));
    }
    found
}

/// A scope that no other test uses; what is left in it is removed at the end.
pub(crate) struct Scope {
    pub(crate) name: String,
    random: Random,
}

impl Scope {
    /// None where there is no engine.
    pub(crate) fn new() -> Option<Self> {
        engine().then(|| {
            let random = Random::from_os();
            Self {
                name: format!("test-{}", random.name_suffix(8)),
                random,
            }
        })
    }

    pub(crate) fn options(&self) -> DockerOptions {
        DockerOptions::default().scope(&self.name)
    }

    pub(crate) fn runtime(&self) -> DockerRuntime {
        DockerRuntime::new(self.options()).expect("good options")
    }

    pub(crate) fn pod(&self, name: &str) -> SandboxConfig {
        SandboxConfig {
            name: name.into(),
            namespace: "default".into(),
            uid: self.random.uuid(),
            hostname: name.into(),
            ..SandboxConfig::default()
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let label = format!("label=orch.scope={}", self.name);
        let Some(left) = docker(&["ps", "-aq", "--filter", &label]) else {
            return;
        };
        let left: Vec<&str> = left.split_whitespace().collect();
        if !left.is_empty() {
            docker(&[&["rm", "-f"], &left[..]].concat());
        }
    }
}

/// A container that runs a shell script.
pub(crate) fn shell(script: &str) -> ContainerConfig {
    ContainerConfig {
        name: "main".into(),
        image: BUSYBOX.into(),
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        ..ContainerConfig::default()
    }
}

/// Removes all pods of a runtime.
pub(crate) async fn clean(runtime: &dyn Runtime) {
    for sandbox in runtime
        .sandboxes(&SandboxFilter::default())
        .await
        .expect("listing")
    {
        runtime.remove_sandbox(&sandbox.id).await.expect("removing");
    }
}

/// Looks until something is so; fails after [`PATIENCE`].
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, so: impl Fn() -> F) {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// For the conformance suite.
pub(crate) struct Docker(Scope);

impl Docker {
    pub(crate) fn new() -> Option<Self> {
        Scope::new().map(Self)
    }
}

#[async_trait::async_trait]
impl Harness for Docker {
    async fn open(&self) -> Arc<dyn Runtime> {
        Arc::new(self.0.runtime())
    }

    fn image(&self) -> String {
        BUSYBOX.into()
    }

    fn missing_image(&self) -> Option<String> {
        // Nothing listens on port 1.
        Some("127.0.0.1:1/none/such:1".into())
    }

    fn pullable_image(&self) -> Option<String> {
        static IMAGE: OnceLock<Option<(Registry, String)>> = OnceLock::new();
        let image = IMAGE.get_or_init(|| {
            let registry = Registry::start(false)?;
            let name = registry.push("conformance/busybox:1");
            Some((registry, name))
        });
        image.as_ref().map(|(_, name)| name.clone())
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }
}

/// A real registry on the loopback interface, where engines allow plain HTTP.
pub(crate) struct Registry {
    _service: Service,
    port: u16,
    directory: tempfile::TempDir,
}

impl Registry {
    pub(crate) const USER: &str = "orch";
    /// Its encoding has characters in which base64's two alphabets differ.
    pub(crate) const PASSWORD: &str = "secret??>>~~";

    /// None, with a word on why, where there is no `docker-registry`.
    pub(crate) fn start(with_password: bool) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().display();
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .expect("a port")
            .port();
        let mut config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {root}/data}}}}\n\
             http: {{addr: \"127.0.0.1:{port}\"}}\n"
        );
        if with_password {
            // bcrypt of the password above.
            let line = "orch:$2y$05$OUTr1vF7IlaPCkIFLfxBf.pxvQ1E8izG8I8X5Y2Iq.pbVQNiHuZ9a\n";
            std::fs::write(directory.path().join("users"), line).expect("writing");
            config += &format!("auth: {{htpasswd: {{realm: test, path: {root}/users}}}}\n");
        }
        let path = directory.path().join("config.yml");
        std::fs::write(&path, config).expect("writing");
        if output(Command::new("docker-registry").arg("--version")).is_none() {
            skipped("there is no docker-registry on this machine (Debian's docker-registry)");
            return None;
        }
        let log = std::fs::File::create(directory.path().join("log")).expect("writing");
        let path = path.display().to_string();
        let service = Service::start(&["docker-registry", "serve", &path], log);
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = || std::fs::read_to_string(directory.path().join("log")).unwrap_or_default();
            assert!(
                begun.elapsed() < PATIENCE,
                "the registry did not come up: {}",
                log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self {
            _service: service,
            port,
            directory,
        })
    }

    /// The test image's name there, once it is pushed and no more present here.
    pub(crate) fn push(&self, path: &str) -> String {
        let registry = format!("127.0.0.1:{}", self.port);
        let name = format!("{registry}/{path}");
        let home = self.directory.path().join("docker");
        let config = |arguments: &[&str]| {
            output(Command::new("docker").env("DOCKER_CONFIG", &home).args(arguments))
                .unwrap_or_else(|| panic!("docker {arguments:?}"))
        };
        std::fs::create_dir_all(&home).expect("a directory");
        let login = serde_json::json!({ "auths": { registry: { "auth": base64() } } });
        std::fs::write(home.join("config.json"), login.to_string()).expect("writing");
        // An image of its own: other tests use the test image itself.
        let container = config(&["create", BUSYBOX]);
        let label = format!("LABEL pushed={name}");
        config(&["commit", "--change", &label, &container, &name]);
        config(&["rm", &container]);
        config(&["push", "-q", &name]);
        config(&["rmi", &name]);
        name
    }
}

/// `orch:secret??>>~~`
fn base64() -> &'static str {
    "b3JjaDpzZWNyZXQ/Pz4+fn4="
}

/// A program that ends with the test process, however that ends.
struct Service(Child);

impl Service {
    fn start(command: &[&str], log: std::fs::File) -> Self {
        // The shell waits for the end of its input, which comes when nobody holds the other side any more.
        let script = "\"$@\" & child=$!; read -r _; kill $child 2>/dev/null; wait $child";
        let child = Command::new("sh")
            .args(["-c", script, "sh"])
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("a shell");
        Self(child)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// An engine of the test's own, to be killed and started again.
pub(crate) struct OwnEngine {
    service: Option<Service>,
    directory: tempfile::TempDir,
    live_restore: bool,
}

impl OwnEngine {
    /// None, with a word on why, where none can be started.
    pub(crate) fn start(live_restore: bool) -> Option<Self> {
        if !engine() {
            return None;
        }
        let root = output(Command::new("id").arg("-u")).is_some_and(|id| id == "0");
        let can = |program: &str| output(Command::new(program).arg("--version")).is_some();
        if !root || !can("dockerd") || !can("unshare") {
            skipped("an engine of the test's own needs root, dockerd and unshare");
            return None;
        }
        let directory = tempfile::Builder::new()
            .prefix("orch-engine-")
            .tempdir()
            .expect("a directory");
        let mut engine = Self {
            service: None,
            directory,
            live_restore,
        };
        engine.up();
        let load = format!("docker save {BUSYBOX} | docker -H {} load -q", engine.host());
        output(Command::new("sh").args(["-c", &load])).expect("loading the test image");
        Some(engine)
    }

    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("docker.sock")
    }

    pub(crate) fn up(&mut self) {
        let path = |name: &str| self.directory.path().join(name);
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(path("log"))
            .expect("a log");
        let text = |name: &str| path(name).display().to_string();
        let (host, data, run, pid) = (self.host(), text("data"), text("run"), text("pid"));
        // On a network of its own: on the machine's, two engines would fight over one bridge.
        let mut command = vec!["unshare", "--net", "dockerd", "--bridge", "none"];
        command.extend(["--iptables=false", "--ip6tables=false", "--host", &host]);
        command.extend(["--data-root", &data, "--exec-root", &run, "--pidfile", &pid]);
        if self.live_restore {
            command.push("--live-restore");
        }
        self.service = Some(Service::start(&command, log));
        let begun = Instant::now();
        while output(Command::new("docker").args(["-H", &self.host(), "version"])).is_none() {
            let log = || std::fs::read_to_string(path("log")).unwrap_or_default();
            assert!(
                begun.elapsed() < PATIENCE * 2,
                "dockerd did not come up: {}",
                log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// As a crash would.
    pub(crate) fn kill(&mut self) {
        if let Some(service) = self.service.take() {
            let pid = self.directory.path().join("pid");
            let number = std::fs::read_to_string(&pid).expect("dockerd writes its process id");
            output(Command::new("kill").args(["-9", number.trim()])).expect("killing dockerd");
            drop(service);
            std::fs::remove_file(pid).expect("the file is there");
            // Its containerd dies with it. Where nobody reaps that one, the next would think it alive.
            let _ = std::fs::remove_file(self.directory.path().join("run/containerd/containerd.pid"));
        }
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        if self.service.is_none() {
            self.up();
        }
        let host = self.host();
        let remove = format!("docker -H {host} ps -aq | xargs -r docker -H {host} rm -f");
        output(Command::new("sh").args(["-c", &remove]));
        self.service = None;
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
        let under = self.directory.path().display().to_string();
        for mount in mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)) {
            if mount.starts_with(&under) {
                output(Command::new("umount").args(["-l", mount]));
            }
        }
    }
}
