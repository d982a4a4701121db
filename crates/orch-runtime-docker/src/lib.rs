//! Runs orch pods on a Docker engine, through bollard.
//!
//! [`DockerRuntime`] is a [`Runtime`](orch_core::runtime::Runtime) on any engine that speaks Docker's API from
//! 1.41 on: Docker 20.10 to 29, and Podman's socket as far as it goes. A sandbox is a container that does
//! nothing and holds the pod's network; the pod's containers join it. Everything the runtime knows is in
//! labels of the engine's containers, so it survives the death of the program that made them, and programs
//! under different [scopes](DockerOptions::scope) do not see each other.
//!
//! The engine may be absent, restart and change version at any time: calls fail with
//! [`RuntimeError::Unavailable`](orch_core::runtime::RuntimeError::Unavailable), events resume with a
//! [`Relist`](orch_core::runtime::RuntimeEvent::Relist), and
//! [`status`](orch_core::runtime::Runtime::status) says in a sentence what is wrong and what to do.

mod container;
mod driver;
mod engine;
mod events;
mod exec;
mod frames;
mod image;
mod known;
mod labels;
mod listing;
mod logs;
mod options;
mod pause;
mod pausing;
mod ports;
mod process;
mod runtime;
mod sandbox;
mod session;
mod spec;
mod state;
mod stats;

pub use options::DockerOptions;
pub use runtime::DockerRuntime;

/// What this runtime is called in container ids (`docker://…`) and logs.
const NAME: &str = "docker";
