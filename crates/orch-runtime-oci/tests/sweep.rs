//! What the tests are themselves sure of: one that fails leaves nothing on the machine.

mod common;

use std::sync::mpsc;

use common::{Oci, config, open, pods, processes, start};
use orch_core::runtime::Runtime;

#[test]
fn a_test_that_fails_leaves_neither_processes_nor_mounts() {
    if !common::possible() {
        return;
    }
    let (tell, told) = mpsc::channel();
    let failing = std::thread::spawn(move || {
        let tokio = tokio::runtime::Runtime::new().unwrap();
        tokio.block_on(async {
            let oci = Oci::new().expect("it is possible");
            let runtime = open(&oci).await;
            let id = start(&runtime, &config("still", "sleep 3600")).await;
            runtime.pause(&id).await.unwrap();
            let sandbox = pods::run(&runtime, &pods::pod("more")).await;
            pods::idle(&runtime, &sandbox, "main").await;
            let (shim, init) = processes(&oci, &id);
            tell.send((oci.root(), oci.group().to_owned(), [shim, init]))
                .unwrap();
            panic!("so does a test");
        });
    });
    assert!(failing.join().is_err());
    let (root, group, processes) = told.recv().unwrap();
    // With what it had mounted it could not be removed.
    assert!(!root.exists(), "{}", root.display());
    let groups = common::groups_called(&group);
    assert!(groups.is_empty(), "{groups:?}");
    for pid in processes {
        // One that nobody has waited for yet has no memory, and so no command line.
        let line = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
        assert!(line.is_empty(), "{pid:?}");
    }
}
