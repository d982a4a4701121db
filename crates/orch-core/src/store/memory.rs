//! A store in memory.

/// Keeps everything in memory; for tests, and where nothing need outlive the process.
#[derive(Debug, Default)]
pub struct MemoryStore {}
/// How a [`MemoryStore`] behaves.
#[derive(Clone, Debug, Default)]
pub struct MemoryStoreOptions {}
