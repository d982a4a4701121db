//! The published suite, on a store in a file.

use orch_core::store::Store;
use orch_store::{RedbStore, RedbStoreOptions};

async fn open() -> impl Store {
    let directory = tempfile::tempdir().expect("a directory");
    RedbStore::open(directory.path().join("state.redb")).expect("a new store")
    // The directory is removed here, and the open file lives on without a name.
}

orch_core::store_conformance!(open);

/// With a checkpoint every few commits, so that reads meet the file, what is on its way there, and what is not, in
/// all proportions; and with large commits that go straight into the file.
mod with_a_journal_of_2000_bytes {
    use super::*;

    async fn open() -> impl Store {
        let directory = tempfile::tempdir().expect("a directory");
        RedbStoreOptions::new()
            .journal_bytes(2_000)
            .open(directory.path().join("state.redb"))
            .expect("a new store")
    }

    orch_core::store_conformance!(open);
}

/// Where all is done in the calls of those who ask, as simulations have it.
#[cfg(feature = "testing")]
mod on_a_simulated_disk {
    use orch_store::SimulatedDisk;

    use super::*;

    async fn open() -> impl Store {
        let options = RedbStoreOptions::new().journal_bytes(20_000);
        SimulatedDisk::new(7)
            .options(options)
            .open()
            .expect("a new store")
    }

    orch_core::store_conformance!(open);
}
