//! The published suite, on a store in a file.

use orch_core::store::Store;
use orch_store::RedbStore;

async fn open() -> impl Store {
    let directory = tempfile::tempdir().expect("a directory");
    RedbStore::open(directory.path().join("state.redb")).expect("a new store")
    // The directory is removed here, and the open file lives on without a name.
}

orch_core::store_conformance!(open);
