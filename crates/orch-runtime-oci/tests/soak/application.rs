//! The application of the soak: it brings each container through its life, and goes on where the one before it was
//! killed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::future::join_all;
use orch_core::runtime::{
    Attachment, ContainerId, ContainerState, LogOptions, LogStream, PodNetwork, Runtime, RuntimeError,
    SandboxConfig, SandboxId,
};
use orch_runtime_oci::{OciOptions, OciRuntime};
use parking_lot::Mutex;

use super::common::{PATIENCE, clear, command, ended, exit_code, zombies};
use super::plan::{Kind, Part};

/// How many containers are brought through at once.
const IN_FLIGHT: usize = 8;

/// What the image is called, where there is one.
pub(crate) const IMAGE: &str = "registry.example/soak:1";

/// What an application is started with.
pub(crate) struct Job {
    pub(crate) seed: u64,
    pub(crate) containers: usize,
    pub(crate) root: PathBuf,
    pub(crate) group: String,
    /// What applications before this have told.
    pub(crate) told: PathBuf,
    /// An image to run from.
    pub(crate) archive: Option<PathBuf>,
}

/// What was told of one container: the last of it counts, and the id.
#[derive(Clone, Debug, Default)]
struct Told {
    id: Option<ContainerId>,
    started: bool,
    removing: bool,
    removed: bool,
}

/// Tells whoever has started this, who remembers it. Once this returns it is told.
fn tell(words: &str) {
    let line = format!("{words}\n");
    // In one piece, and not through a buffer of this process's.
    std::io::stdout()
        .lock()
        .write_all(line.as_bytes())
        .expect("whoever has started this listens");
}

struct Application {
    job: Job,
    runtime: OciRuntime,
    told: BTreeMap<usize, Told>,
    /// Containers that were there when this began.
    found: BTreeSet<ContainerId>,
    next: AtomicUsize,
}

pub(crate) async fn run(job: Job) {
    tell("opening");
    let options = OciOptions::new(&job.root)
        .cgroup_parent(&job.group)
        .network(Arc::new(Alone::default()));
    let runtime = OciRuntime::open(options).await.expect("opening the runtime");
    if let Some(archive) = &job.archive
        && runtime
            .image(IMAGE)
            .await
            .expect("looking for an image")
            .is_none()
    {
        let imported = runtime.image_store().import(archive, None).await;
        imported.expect("importing an image");
    }
    let told = read(&job.told);
    let found = runtime
        .containers(&Default::default())
        .await
        .expect("listing containers");
    let application = Application {
        found: found.into_iter().map(|container| container.id).collect(),
        next: AtomicUsize::default(),
        job,
        runtime,
        told,
    };
    application.miss_nothing();
    join_all((0..IN_FLIGHT).map(|_| application.work())).await;
    application.end().await;
}

/// By container, what was told.
fn read(file: &Path) -> BTreeMap<usize, Told> {
    let mut all: BTreeMap<usize, Told> = BTreeMap::new();
    let text = fs::read_to_string(file).expect("what was told");
    for line in text.lines() {
        let mut words = line.split(' ');
        let (what, number) = (words.next(), words.next().and_then(|word| word.parse().ok()));
        let Some(number) = number else { continue };
        let told = all.entry(number).or_default();
        match what {
            Some("created") => told.id = words.next().map(|id| ContainerId(id.into())),
            Some("started") => told.started = true,
            Some("removing") => told.removing = true,
            Some("removed") => told.removed = true,
            _ => {}
        }
    }
    all
}

impl Application {
    fn told_of(&self, number: usize) -> Told {
        self.told.get(&number).cloned().unwrap_or_default()
    }

    /// What was told as made is there, and what was told as removed is not.
    fn miss_nothing(&self) {
        for (number, told) in &self.told {
            let Some(id) = &told.id else { continue };
            let is_there = self.found.contains(id);
            assert!(
                is_there || told.removing,
                "container {number}, {id}, was told as made and is lost"
            );
            assert!(
                !is_there || !told.removed,
                "container {number}, {id}, was told as removed and is there"
            );
        }
    }

    async fn work(&self) {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.job.containers {
                return;
            }
            let told = self.told_of(number);
            if told.removed {
                continue;
            }
            let part = Part::of(self.job.seed, number);
            let whole = tokio::time::timeout(2 * PATIENCE, self.bring_through(&part, &told)).await;
            assert!(
                whole.is_ok(),
                "container {number} is not through after {:?}",
                2 * PATIENCE
            );
        }
    }

    async fn bring_through(&self, part: &Part, told: &Told) {
        let number = part.number;
        let config = part.sandbox();
        if !told.removing {
            let sandbox = self
                .runtime
                .run_sandbox(&config)
                .await
                .expect("running a sandbox");
            let image = self.job.archive.as_ref().map(|_| IMAGE);
            let created = self
                .runtime
                .create_container(&sandbox.id, &part.config(image))
                .await;
            let id = created.expect("creating a container");
            match &told.id {
                Some(before) => assert_eq!(*before, id, "container {number} was made twice"),
                None => tell(&format!("created {number} {id}")),
            }
            self.run_to_its_end(part, told, &id).await;
            tell(&format!("removing {number}"));
        }
        let pods = self
            .runtime
            .sandboxes(&Default::default())
            .await
            .expect("listing sandboxes");
        let pod = pods.iter().find(|pod| pod.uid == config.uid);
        let containers = self
            .runtime
            .containers(&Default::default())
            .await
            .expect("listing containers");
        for container in containers {
            if Part::number_of(&container.name) == Some(number) {
                assert_eq!(pod.map(|pod| &pod.id), Some(&container.sandbox), "it has its pod");
                // A pod takes its containers with it.
                if !part.is_alone() || number.is_multiple_of(2) {
                    let removed = self.runtime.remove_container(&container.id).await;
                    removed.expect("removing a container");
                }
            }
        }
        if let (Some(pod), true) = (pod, part.is_alone()) {
            self.runtime
                .remove_sandbox(&pod.id)
                .await
                .expect("removing a sandbox");
        }
        tell(&format!("removed {number}"));
    }

    /// Starts it, if that was not done, does with it what is to be done, and looks how it ended.
    async fn run_to_its_end(&self, part: &Part, told: &Told, id: &ContainerId) {
        let number = part.number;
        if told.started {
            let state = self
                .runtime
                .container(id)
                .await
                .expect("looking at a container")
                .state;
            let goes_on = state.is_running() || exit_code(&state) == Some(part.exit_code());
            assert!(goes_on, "container {number} was started before, and is {state:?}");
        } else {
            match self.runtime.start_container(id).await {
                // Before this application, which nobody was told.
                Err(RuntimeError::Ended { .. }) if self.found.contains(id) => {}
                started => started.unwrap_or_else(|error| panic!("starting container {number}: {error}")),
            }
            tell(&format!("started {number}"));
        }
        match part.kind {
            Kind::Ends { .. } => {}
            Kind::Stopped { .. } => self.stop(id, PATIENCE).await,
            Kind::Commanded { .. } => {
                self.command(part, id).await;
                self.stop(id, PATIENCE).await;
            }
            Kind::Killed => self.stop(id, Duration::from_millis(number as u64 % 2)).await,
        }
        let following = self.log(id, number.is_multiple_of(2)).await;
        let state = ended(&self.runtime, id).await;
        let right = matches!(&state, ContainerState::Exited { exit_code, started_at: Some(_), .. }
            if *exit_code == Some(part.exit_code()));
        assert!(right, "container {number}, of {:?}, is {state:?}", part.kind);
        for log in [following, self.log(id, false).await] {
            // What is followed from before its end is whole, too.
            let expected = (part.output(), part.errors());
            assert!(
                log == expected,
                "container {number} wrote {expected:?} and its log has {log:?}"
            );
        }
        tell(&format!("ended {number}"));
    }

    /// Asks it to end, once it listens to that.
    async fn stop(&self, id: &ContainerId, grace: Duration) {
        let hearing = async {
            let options = LogOptions {
                follow: true,
                ..LogOptions::default()
            };
            let mut log = self.runtime.logs(id, &options).await.expect("reading a log");
            log.next()
                .await
                .expect("it writes that it is ready")
                .expect("reading a log");
        };
        let heard = tokio::time::timeout(PATIENCE, hearing).await;
        heard.expect("it becomes ready");
        self.runtime
            .stop_container(id, grace)
            .await
            .expect("stopping a container");
    }

    async fn command(&self, part: &Part, id: &ContainerId) {
        let request = command(&format!("echo in {part}; echo beside >&2; exit 3"));
        match self.runtime.exec(id, &request).await {
            Ok(output) => {
                let said = (output.exit_code, &*output.stdout, &*output.stderr);
                let expected = format!("in {part}\n");
                assert_eq!(said, (3, expected.as_bytes(), &b"beside\n"[..]));
            }
            // It was asked to end before.
            Err(RuntimeError::NotRunning { .. }) if self.found.contains(id) => {}
            Err(error) => panic!("a command in container {part}: {error}"),
        }
    }

    /// What it has written to each stream.
    async fn log(&self, id: &ContainerId, follow: bool) -> (String, String) {
        if !follow {
            ended(&self.runtime, id).await;
        }
        let options = LogOptions {
            follow,
            ..LogOptions::default()
        };
        let mut log = self.runtime.logs(id, &options).await.expect("reading a log");
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        while let Some(chunk) = log.next().await {
            let chunk = chunk.expect("reading a log");
            match chunk.stream {
                LogStream::Stdout => output.extend_from_slice(&chunk.data),
                _ => errors.extend_from_slice(&chunk.data),
            }
        }
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (text(output), text(errors))
    }

    /// Nothing is needed any more.
    async fn end(self) {
        clear(&self.runtime).await;
        let left = self
            .runtime
            .containers(&Default::default())
            .await
            .expect("listing containers");
        assert!(left.is_empty(), "{left:?}");
        if self.job.archive.is_some() {
            let removed = self.runtime.remove_image(IMAGE).await;
            removed.expect("no container holds the image");
        }
        drop(self.runtime);
        let begin = std::time::Instant::now();
        while !zombies().is_empty() {
            assert!(begin.elapsed() < PATIENCE, "{:?}", zombies());
            std::thread::sleep(Duration::from_millis(10));
        }
        tell("done");
    }
}

/// A network for pods that connects them to nothing: each has a namespace, and an address that nobody has set.
#[derive(Default)]
struct Alone(Mutex<u16>);

#[async_trait]
impl PodNetwork for Alone {
    fn name(&self) -> &'static str {
        "alone"
    }

    async fn attach(
        &self,
        _: &SandboxId,
        namespace: &Path,
        _: &SandboxConfig,
    ) -> Result<Attachment, RuntimeError> {
        assert!(namespace.exists());
        let mut last = self.0.lock();
        *last = last.wrapping_add(1);
        let [high, low] = last.to_be_bytes();
        Ok(Attachment {
            ips: vec![IpAddr::V4(Ipv4Addr::new(10, 0, high, low))],
        })
    }

    async fn detach(&self, _: &SandboxId, _: Option<&Path>) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn retain(&self, _: &[SandboxId]) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn status(&self) -> Result<(), String> {
        Ok(())
    }
}
