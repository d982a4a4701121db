//! The process runtime: containers as plain child processes.
