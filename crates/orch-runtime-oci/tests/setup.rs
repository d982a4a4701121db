//! Setting it up wrongly is an error, and says what to do.

mod common;

use orch_core::runtime::RuntimeError;
use orch_runtime_oci::{OciOptions, OciRuntime, init};

async fn refused(options: OciOptions) -> String {
    match OciRuntime::open(options).await {
        Err(RuntimeError::InvalidConfig { field, reason }) if field == "shim" => reason,
        Err(error) => panic!("another error: {error}"),
        Ok(_) => panic!("it opened"),
    }
}

// One test, for what `init` notes is the process's.
#[tokio::test]
async fn without_a_shim_it_does_not_open() {
    if !common::possible() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let options = || OciOptions::new(dir.path().join("state"));
    // With the feature there always is one.
    if cfg!(not(feature = "auto-shim")) {
        let reason = refused(options()).await;
        assert!(reason.contains("init() first thing in main"), "{reason}");
        // Too late: tests run on threads.
        init();
        let reason = refused(options()).await;
        assert!(reason.contains("threads already"), "{reason}");
    }
    for (program, expected) in [
        ("/no/such/program", "No such file"),
        ("/bin/true", "says \"\""),
        ("/bin/echo", "says \"--probe\""),
    ] {
        let reason = refused(options().shim(program)).await;
        assert!(reason.contains(program) && reason.contains(expected), "{reason}");
    }
    assert!(!dir.path().join("state").exists(), "nothing was made");
    drop(OciRuntime::open(options().shim(common::SHIM)).await.unwrap());
}
