//! The machines that nodes run on, and what containers there suffer from.

use std::collections::BTreeMap;
use std::sync::Arc;

use orch_core::runtime::ContainerId;
use orch_core::testing::FakeRuntime;
use orch_core::testing::fake_runtime::{Behavior, On};
use orch_core::testing::runtime::Program;
use parking_lot::Mutex;
use tokio::time::Instant;

/// The machines of a simulated cluster: each outlives the agents that run on it.
#[derive(Clone)]
pub struct Machines {
    all: Arc<Vec<Machine>>,
    sick: Arc<Sick>,
}

/// One of them.
#[derive(Clone)]
pub struct Machine {
    /// The node's name, which is its agent's component, too.
    pub name: Arc<str>,
    /// What runs there.
    pub runtime: FakeRuntime,
}

/// Until when commands fail in a container.
type Sick = Mutex<BTreeMap<ContainerId, Instant>>;

impl Machines {
    /// So many, `node-1`, `node-2` and so on, which obey the same scripts: what is said of containers or an image to the
    /// runtime of one is said to all.
    pub fn new(count: usize) -> Self {
        let sick = Arc::new(Sick::default());
        let first = FakeRuntime::new();
        let others = std::iter::repeat_with(|| first.sibling()).take(count.saturating_sub(1));
        let runtimes = std::iter::once(first.clone()).chain(others).take(count);
        let machines = runtimes.zip(1..).map(|(runtime, number)| Machine {
            name: format!("node-{number}").into(),
            runtime,
        });
        let told = sick.clone();
        first.on(
            On::Any,
            Behavior::new().exec(move |call| {
                let is_sick = told
                    .lock()
                    .get(&call.container.id)
                    .is_some_and(|until| *until > Instant::now());
                Program::new().exit(i32::from(is_sick))
            }),
        );
        Self {
            all: Arc::new(machines.collect()),
            sick,
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Machine> {
        self.all.iter()
    }

    /// The one of this name.
    pub fn named(&self, name: &str) -> Option<&Machine> {
        self.iter().find(|machine| *machine.name == *name)
    }

    /// Where to script what containers do and how images come, on all machines; see
    /// [`FakeRuntime::on`] and [`FakeRuntime::on_image`].
    ///
    /// # Panics
    ///
    /// If there is no machine.
    pub fn scripts(&self) -> &FakeRuntime {
        &self.all[0].runtime
    }

    /// The commands that are run in a container fail until then, those of its probes among them. A container that obeys
    /// another script does not fall sick: of several scripts the last counts, whole.
    pub fn sicken(&self, container: &ContainerId, until: Instant) {
        self.sick.lock().insert(container.clone(), until);
    }
}
