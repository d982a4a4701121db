//! The memory store against what only it promises: its bounds.
