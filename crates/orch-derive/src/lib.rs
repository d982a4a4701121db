//! `#[derive(Object)]` for orch-core.
