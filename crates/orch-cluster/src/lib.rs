//! Kubernetes behaviour on orch-core.
