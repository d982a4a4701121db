//! Runs orch pods on a Docker engine.
