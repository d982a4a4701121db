//! A runtime that runs nothing: containers in memory, scripted, under tokio's clock.

mod calls;
mod engine;
mod io;
mod machine;
mod pause;
mod runtime;
mod script;
mod state;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

pub use calls::{Call, CallRecord, CutOff, Fault};
pub use script::{Behavior, ExecCall, ImageBehavior, On, Predicate, Usage};

use self::calls::Injected;
use self::machine::{End, Pause};
use self::state::{ContainerRecord, State};
use crate::runtime::{
    Capabilities, Container, ContainerId, EventHub, RuntimeError, RuntimeEvent, Sandbox, SandboxConfig,
    SandboxId,
};

const NAME: &str = "fake";

/// How many calls are remembered.
const CALLS: usize = 10_000;

/// A [`Runtime`](crate::runtime::Runtime) for tests: it does in memory what its scripts say.
///
/// Unless told otherwise, every image is present, every container starts at once and runs until stopped.
/// Nothing takes time of its own, and what is told to take time takes tokio's, so that a test under
/// `start_paused` sees days pass. A container costs a few hundred bytes, and a task only while it sleeps.
///
/// Clones are the same runtime. [`sibling`](Self::sibling) makes another one, for another node, that obeys the
/// same scripts.
///
/// ```
/// use orch_core::runtime::{ContainerConfig, Runtime, SandboxConfig};
/// use orch_core::testing::fake_runtime::{Behavior, FakeRuntime, On};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), orch_core::runtime::RuntimeError> {
/// let runtime = FakeRuntime::new();
/// runtime.on(On::image("broken"), Behavior::new().crash(u32::MAX.min(5), 1));
///
/// let sandbox = runtime.run_sandbox(&SandboxConfig { uid: "pod-1".into(), ..Default::default() }).await?;
/// let config = ContainerConfig { name: "web".into(), image: "web:1".into(), ..Default::default() };
/// let web = runtime.create_container(&sandbox.id, &config).await?;
/// runtime.start_container(&web).await?;
/// assert!(runtime.container(&web).await?.state.is_running());
///
/// runtime.kill(&web, 137);
/// assert!(runtime.container(&web).await?.state.is_exited());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct FakeRuntime {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    capabilities: Capabilities,
    state: Mutex<State>,
    hub: EventHub,
}

/// What siblings have in common.
#[derive(Default)]
struct Shared {
    behaviors: RwLock<Vec<(On, Arc<Behavior>)>>,
    images: RwLock<HashMap<String, ImageBehavior>>,
    ids: AtomicU64,
    ips: AtomicU32,
}

impl Default for FakeRuntime {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeRuntime {
    /// One that can do everything.
    pub fn new() -> Self {
        Self::with_capabilities(Capabilities {
            images: true,
            sandbox_network: true,
            host_ports: true,
            mounts: true,
            resource_limits: true,
            memory_limit_min: 0,
            update_resources: true,
            hugepages: true,
            pause: true,
            pod_groups: true,
            user_namespaces: true,
            port_forward: true,
            security: true,
            app_armor: true,
            exec: true,
            attach: true,
            tty: true,
            survives_restart: true,
        })
    }

    /// One that declares these abilities.
    pub fn with_capabilities(capabilities: Capabilities) -> Self {
        Self::make(Arc::default(), capabilities)
    }

    /// Another machine, empty, with the same scripts and addresses from the same pool.
    #[must_use]
    pub fn sibling(&self) -> Self {
        Self::make(self.inner.shared.clone(), self.inner.capabilities.clone())
    }

    fn make(shared: Arc<Shared>, capabilities: Capabilities) -> Self {
        Self {
            inner: Arc::new(Inner {
                shared,
                capabilities,
                state: Mutex::default(),
                hub: EventHub::default(),
            }),
        }
    }

    /// Scripts containers created from now on, here and in siblings. Where several match, the last one said.
    pub fn on(&self, which: On, behavior: Behavior) {
        let behavior = Arc::new(behavior);
        self.inner.shared.behaviors.write().push((which, behavior));
    }

    /// Scripts an image, here and in siblings.
    pub fn on_image(&self, image: impl Into<String>, behavior: ImageBehavior) {
        self.inner.shared.images.write().insert(image.into(), behavior);
    }

    /// The next `times` calls of this kind go wrong. Faults of one kind come in the order injected.
    pub fn inject(&self, call: Call, fault: Fault, times: u32) {
        let left = times;
        self.inner
            .state
            .lock()
            .faults
            .push(Injected { call, fault, left });
    }

    /// Ends a running container with this code, as if by itself. Says whether it ran.
    pub fn kill(&self, id: &ContainerId, exit_code: i32) -> bool {
        self.inner.end(id, End::exit(exit_code))
    }

    /// Ends a running container as the kernel does when it exceeds its memory. Says whether it ran.
    pub fn kill_out_of_memory(&self, id: &ContainerId) -> bool {
        self.inner.end(id, End::OUT_OF_MEMORY)
    }

    /// Changes what a container uses from now on.
    pub fn set_usage(&self, id: &ContainerId, usage: Usage) {
        if let Some(record) = self.inner.state.lock().containers.get_mut(id) {
            record.set_usage(usage);
        }
    }

    /// Makes every call fail as unavailable, and ends the event streams. Containers run on.
    pub fn crash_engine(&self) {
        self.inner.state.lock().unavailable = Some("the engine has crashed".into());
        self.inner.hub.close();
    }

    /// As [`crash_engine`](Self::crash_engine), and every container is killed.
    pub fn crash_machine(&self) {
        self.crash_engine();
        let mut state = self.inner.state.lock();
        for record in state.containers.values_mut() {
            record.end(End::KILLED);
        }
    }

    /// Makes calls work again.
    pub fn restart_engine(&self) {
        self.inner.state.lock().unavailable = None;
    }

    /// The calls so far, oldest first; the last 10,000.
    pub fn calls(&self) -> Vec<CallRecord> {
        self.inner.state.lock().calls.iter().cloned().collect()
    }

    /// How many of the remembered calls are of this kind.
    pub fn count(&self, call: Call) -> usize {
        let state = self.inner.state.lock();
        state.calls.iter().filter(|record| record.call == call).count()
    }

    /// The containers that calls have ended while they ran, in order, without the first `from`; of the last 10,000.
    pub fn cut_off(&self, from: usize) -> Vec<CutOff> {
        let state = self.inner.state.lock();
        let skip = from.saturating_sub(state.forgotten);
        state.cut_off.iter().skip(skip).cloned().collect()
    }

    /// The containers that run now, oldest first.
    pub fn running(&self) -> Vec<Container> {
        let state = self.inner.state.lock();
        let records = state.containers.values().filter(|record| record.is_running());
        records.map(|record| record.container.clone()).collect()
    }

    /// The sandboxes that are there now, oldest first.
    pub fn present(&self) -> Vec<Sandbox> {
        let state = self.inner.state.lock();
        state
            .sandboxes
            .values()
            .map(|record| record.sandbox.clone())
            .collect()
    }

    /// How a sandbox that is there was asked for.
    pub fn asked_for(&self, id: &SandboxId) -> Option<SandboxConfig> {
        let state = self.inner.state.lock();
        state.sandboxes.get(id).map(|record| record.config.clone())
    }

    /// What is there, for the end of a test that expects nothing: a line for each sandbox and container.
    pub fn leaks(&self) -> Vec<String> {
        let state = self.inner.state.lock();
        let sandboxes = state.sandboxes.values().map(|record| {
            let sandbox = &record.sandbox;
            format!(
                "sandbox {} of pod {}/{}",
                sandbox.id, sandbox.namespace, sandbox.name
            )
        });
        let containers = state.containers.values().map(|record| {
            let container = &record.container;
            format!(
                "container {} ({}) in sandbox {}",
                container.id, container.name, container.sandbox
            )
        });
        sandboxes.chain(containers).collect()
    }
}

impl fmt::Debug for FakeRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.inner.state.lock();
        f.debug_struct("FakeRuntime")
            .field("sandboxes", &state.sandboxes.len())
            .field("containers", &state.containers.len())
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn next_id(&self, prefix: &str) -> String {
        // Padded, so that ids sort by age.
        format!(
            "{prefix}{:08}",
            self.shared.ids.fetch_add(1, Ordering::Relaxed) + 1
        )
    }

    fn next_ip(&self, config: &SandboxConfig) -> Vec<IpAddr> {
        if config.host_network || !self.capabilities.sandbox_network {
            return Vec::new();
        }
        let number = self.shared.ips.fetch_add(1, Ordering::Relaxed) + 1;
        let [_, a, b, c] = number.to_be_bytes();
        vec![IpAddr::V4(Ipv4Addr::new(10, a, b, c))]
    }

    fn container_changed(&self, record: &ContainerRecord) {
        self.hub.send(&RuntimeEvent::Container {
            id: record.container.id.clone(),
            sandbox: record.container.sandbox.clone(),
            pod_uid: record.container.pod_uid.clone(),
        });
    }

    fn sandbox_changed(&self, id: &SandboxId, pod_uid: &str) {
        self.hub.send(&RuntimeEvent::Sandbox {
            id: id.clone(),
            pod_uid: pod_uid.to_owned(),
        });
    }

    fn end(&self, id: &ContainerId, end: End) -> bool {
        let mut state = self.state.lock();
        match state.containers.get_mut(id) {
            Some(record) if record.is_running() => {
                record.end(end);
                self.container_changed(record);
                true
            }
            _ => false,
        }
    }

    /// Does what a pause asks for, until the machine ends, waits or sleeps.
    fn settle(self: &Arc<Self>, record: &mut ContainerRecord, pause: Pause) {
        match pause {
            Pause::Wait | Pause::Input => {}
            Pause::Ended(end) => {
                record.end(end);
                self.container_changed(record);
            }
            Pause::Sleep(duration) => {
                let (inner, id) = (Arc::downgrade(self), record.container.id.clone());
                record.due = Some(tokio::time::Instant::now() + duration);
                let timer = tokio::spawn(async move {
                    tokio::time::sleep(duration).await;
                    let Some(inner) = inner.upgrade() else { return };
                    let mut state = inner.state.lock();
                    let Some(record) = state.containers.get_mut(&id).filter(|record| record.is_running())
                    else {
                        return;
                    };
                    let pause = record.proceed(|machine, emit| machine.run(emit));
                    inner.settle(record, pause);
                });
                record.timer = Some(timer.abort_handle());
            }
        }
    }
}

/// What there is no such of.
fn not_found(what: &str, id: &impl fmt::Display) -> RuntimeError {
    RuntimeError::NotFound {
        what: format!("{what} {id}"),
    }
}
