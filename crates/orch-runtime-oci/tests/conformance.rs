//! The published Runtime conformance suite, on this machine's kernel.

mod common;

orch_core::runtime_conformance!(match common::Oci::new() {
    Some(oci) => oci,
    None => return,
});
