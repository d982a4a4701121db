//! The published Runtime conformance suite against a real engine.

mod common;

orch_core::runtime_conformance!(match common::Docker::new() {
    Some(docker) => docker,
    None => return,
});
