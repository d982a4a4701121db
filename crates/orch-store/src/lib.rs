//! A durable store for orch in one redb file.
