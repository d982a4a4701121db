//! Setting it up wrongly is an error, and says what to do.

mod common;

use std::process::Command;
use std::time::Duration;

use common::{Oci, clear, config, ended, exit_code, start};
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
        assert!(reason.contains("name the program orch-oci-shim"), "{reason}");
    }
    for (options, field, expected) in [
        (
            OciOptions::new("state"),
            "root",
            "\"state\": must be an absolute path",
        ),
        (OciOptions::new("/etc/passwd"), "root", "\"/etc/passwd\": "),
        (
            options().start_timeout(Duration::ZERO),
            "start_timeout",
            "0s: must be more",
        ),
    ] {
        match OciRuntime::open(options.shim(common::SHIM)).await {
            Err(RuntimeError::InvalidConfig { field: found, reason }) => {
                assert!(
                    found == field && reason.starts_with(expected),
                    "{found}: {reason}"
                );
            }
            Err(error) => panic!("another error: {error}"),
            Ok(_) => panic!("{field}: it opened"),
        }
    }
    let two = options().shim(common::SHIM).cgroup_parent("a/b");
    match OciRuntime::open(two).await {
        Err(RuntimeError::InvalidConfig { field, reason }) => assert!(
            field == "cgroup_parent" && reason.starts_with("\"a/b\": must be the name of one control group"),
            "{reason}"
        ),
        other => panic!("{:?}", other.err()),
    }
    assert!(!dir.path().join("state").exists(), "nothing was made");
    let open = || OciRuntime::open(options().shim(common::SHIM));
    let first = open().await.unwrap();
    match open().await {
        Err(RuntimeError::Unavailable { reason, .. }) => {
            assert!(
                reason.contains("has") && reason.contains("close that first"),
                "{reason}"
            );
        }
        other => panic!("{:?}", other.err()),
    }
    drop(first);
}

#[tokio::test]
async fn a_script_that_goes_on_as_the_shim_is_one() {
    let Some(oci) = Oci::new() else { return };
    let bash = Command::new("bash").args(["-c", "true"]).status();
    if !common::there(bash.is_ok_and(|done| done.success()), "there is no bash") {
        return;
    }
    let script = oci.beside("shim");
    // Written by a process that has it open no more: what a test beside this starts would have it open, too.
    let text = format!(
        "#!/usr/bin/env -S PATH=/bin:/usr/bin bash\nexec -a orch-oci-shim '{}' \"$@\"\n",
        common::SHIM
    );
    let written = Command::new("sh")
        .args(["-c", "printf %s \"$1\" > \"$0\" && chmod 755 \"$0\""])
        .args([script.as_os_str(), text.as_ref()])
        .status();
    assert!(written.unwrap().success());
    let runtime = OciRuntime::open(oci.options().shim(&script)).await.unwrap();
    let id = start(&runtime, &config("main", "exit 4")).await;
    assert_eq!(exit_code(&ended(&runtime, &id).await), Some(4));
    clear(&runtime).await;
}
