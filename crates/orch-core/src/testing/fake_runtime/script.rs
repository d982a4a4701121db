//! What a test lets its fake containers and images do.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::runtime::{Container, ContainerConfig, Sandbox};
use crate::testing::runtime::Program;

/// Which containers a [`Behavior`] is for.
#[derive(Clone)]
#[non_exhaustive]
pub enum On {
    /// All.
    Any,
    /// Those of this image.
    Image(String),
    /// Those of this name within their pod.
    Container(String),
    /// Those the function accepts; see [`On::when`].
    When(Arc<Predicate>),
}

/// Chooses containers by sandbox and configuration.
pub type Predicate = dyn Fn(&Sandbox, &ContainerConfig) -> bool + Send + Sync;

impl On {
    /// Containers of this image.
    pub fn image(image: impl Into<String>) -> Self {
        Self::Image(image.into())
    }

    /// Containers of this name.
    pub fn container(name: impl Into<String>) -> Self {
        Self::Container(name.into())
    }

    /// Containers the function accepts.
    pub fn when(predicate: impl Fn(&Sandbox, &ContainerConfig) -> bool + Send + Sync + 'static) -> Self {
        Self::When(Arc::new(predicate))
    }

    pub(super) fn matches(&self, sandbox: &Sandbox, config: &ContainerConfig) -> bool {
        match self {
            Self::Any => true,
            Self::Image(image) => *image == config.image,
            Self::Container(name) => *name == config.name,
            Self::When(predicate) => predicate(sandbox, config),
        }
    }
}

impl fmt::Debug for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("Any"),
            Self::Image(image) => f.debug_tuple("Image").field(image).finish(),
            Self::Container(name) => f.debug_tuple("Container").field(name).finish(),
            Self::When(_) => f.write_str("When(..)"),
        }
    }
}

/// A command run in a fake container.
#[derive(Debug)]
#[non_exhaustive]
pub struct ExecCall<'a> {
    /// The container.
    pub container: &'a Container,
    /// The command.
    pub command: &'a [String],
    /// For how long the container has run.
    pub running_for: Duration,
    /// How many commands were run in this container before.
    pub nth: u32,
}

type ExecFn = dyn Fn(&ExecCall<'_>) -> Program + Send + Sync;

/// What a fake container uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time, in thousandths of one processor.
    pub cpu_millis: u64,
    /// Memory, in bytes.
    pub memory_bytes: u64,
}

/// What containers do. The default starts at once, runs until stopped, answers every command with success and
/// uses nothing.
///
/// ```
/// use std::time::Duration;
/// use orch_core::testing::fake_runtime::{Behavior, FakeRuntime, On};
/// use orch_core::testing::runtime::Program;
///
/// let runtime = FakeRuntime::new();
/// runtime.on(On::container("web"), Behavior::new().crash(3, 1).start_delay(Duration::from_millis(300)));
/// runtime.on(
///     On::image("slow-probe"),
///     Behavior::new().exec(|call| Program::new().exit(if call.running_for.as_secs() < 10 { 1 } else { 0 })),
/// );
/// ```
#[derive(Clone, Default)]
pub struct Behavior {
    pub(super) start_delay: Duration,
    pub(super) programs: Vec<Program>,
    repeats_last: bool,
    pub(super) exec: Option<Arc<ExecFn>>,
    pub(super) usage: Usage,
}

impl Behavior {
    /// The default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starting takes this long.
    #[must_use]
    pub fn start_delay(mut self, delay: Duration) -> Self {
        self.start_delay = delay;
        self
    }

    /// Runs this program. Called again: the program of the next attempt; the last is every further one's.
    #[must_use]
    pub fn run(mut self, program: Program) -> Self {
        self.programs.push(program);
        self.repeats_last = true;
        self
    }

    /// The first `times` attempts end with `code` at once; what follows is said next, or runs until stopped.
    #[must_use]
    pub fn crash(mut self, times: u32, code: i32) -> Self {
        (0..times).for_each(|_| self.programs.push(Program::new().exit(code)));
        self.repeats_last = false;
        self
    }

    /// Every attempt ends with `code` after this long.
    #[must_use]
    pub fn run_for(self, duration: Duration, code: i32) -> Self {
        self.run(Program::new().sleep(duration).exit(code))
    }

    /// What a command run inside does.
    #[must_use]
    pub fn exec(mut self, exec: impl Fn(&ExecCall<'_>) -> Program + Send + Sync + 'static) -> Self {
        self.exec = Some(Arc::new(exec));
        self
    }

    /// What each container uses; [`FakeRuntime::set_usage`](super::FakeRuntime::set_usage) changes one.
    #[must_use]
    pub fn usage(mut self, usage: Usage) -> Self {
        self.usage = usage;
        self
    }

    /// The program of an attempt; none: whatever the container does by itself.
    pub(super) fn program(&self, attempt: u32) -> Option<&Program> {
        let index = usize::try_from(attempt).unwrap_or(usize::MAX);
        match self.programs.get(index) {
            None if self.repeats_last => self.programs.last(),
            program => program,
        }
    }
}

impl fmt::Debug for Behavior {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Behavior")
            .field("start_delay", &self.start_delay)
            .field("programs", &self.programs)
            .field("usage", &self.usage)
            .finish_non_exhaustive()
    }
}

/// How an image is here and comes here. The default is present, and pulled at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageBehavior {
    pub(super) present: bool,
    pub(super) pull_delay: Duration,
    pub(super) failures: u32,
    pub(super) failure: Option<(String, bool)>,
    pub(super) user: String,
}

impl Default for ImageBehavior {
    fn default() -> Self {
        Self {
            present: true,
            pull_delay: Duration::ZERO,
            failures: 0,
            failure: None,
            user: String::new(),
        }
    }
}

impl ImageBehavior {
    /// Not present until pulled.
    pub fn absent() -> Self {
        Self {
            present: false,
            ..Self::default()
        }
    }

    /// Pulling takes this long.
    #[must_use]
    pub fn pull_delay(mut self, delay: Duration) -> Self {
        self.pull_delay = delay;
        self
    }

    /// The first `times` pulls fail for this reason (`u32::MAX`: all).
    #[must_use]
    pub fn pull_fails(mut self, times: u32, reason: impl Into<String>, retryable: bool) -> Self {
        self.failures = times;
        self.failure = Some((reason.into(), retryable));
        self
    }

    /// The user named in the image.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = user.into();
        self
    }
}
