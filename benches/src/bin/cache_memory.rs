//! How much memory a cache of 1,000,000 objects of a small kind takes: what the process grew by, and what of it
//! is the memory store's.

#![allow(clippy::print_stdout, reason = "what it measures is what it prints")]

use std::sync::Arc;

use orch_benches::{Counter, fill, status_of};
use orch_core::cache::Cache;
use orch_core::client::Client;
use orch_core::store::MemoryStore;

const OBJECTS: usize = 1_000_000;

#[tokio::main]
async fn main() {
    let resident = || status_of("self", "VmRSS") / 1024;
    let client = Client::new(Arc::new(MemoryStore::new()));
    let before = resident();
    fill(&client, OBJECTS).await;
    let stored = resident();
    let cache: Cache<Counter> = Cache::builder(&client).start();
    cache.synced().await;
    let cached = resident();
    assert_eq!(cache.len(), OBJECTS);
    println!("{OBJECTS} objects in the memory store: {} MiB", stored - before);
    println!(
        "{OBJECTS} objects in the cache:        {} MiB more",
        cached - stored
    );
    println!(
        "peak of the whole process:          {} MiB",
        status_of("self", "VmHWM") / 1024
    );
}
