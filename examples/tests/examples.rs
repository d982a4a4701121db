//! The examples run as their reader runs them: they end by themselves, with success, and say what they promise.

use std::path::PathBuf;
use std::process::{Command, Output};

mod quickstart;
/// Where its macro looks for it.
pub(crate) use quickstart::program::say;
#[cfg(feature = "axum")]
mod service;

/// Its own tests run here: with `test = true` cargo would build it as a test only, and not as a program.
#[cfg(feature = "testing")]
#[allow(dead_code)]
#[path = "../examples/test_a_controller.rs"]
mod test_a_controller;

#[cfg(feature = "testing")]
#[allow(dead_code)]
#[path = "../examples/simulate_a_controller.rs"]
mod simulate_a_controller;

/// An example that `cargo test -p orch-examples` has built beside this test.
fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join("examples").join(name)
}

fn run(name: &str, arguments: &[&str]) -> Output {
    let built = built(name);
    let output = Command::new(&built).args(arguments).output();
    output.unwrap_or_else(|error| panic!("{}: {error}; cargo build --examples makes it", built.display()))
}

fn assert_says(output: &Output, wanted: &[&str]) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    for line in wanted {
        assert!(said.contains(line), "{line:?} is missing in:\n{said}");
    }
}

#[test]
fn custom_controller_retries_heals_and_cleans_up_with_either_store() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("state.redb");
    for arguments in [&[][..], &["--data", data.to_str().unwrap()]] {
        assert_says(
            &run("custom_controller", arguments),
            &[
                "demo: failed:",
                "demo: ready after a retry",
                "demo: its badge was deleted and made again",
                "demo: directory and badge removed",
                "stopped:",
            ],
        );
    }
}

#[test]
fn custom_controller_does_not_end_a_workspace_before_it_expires() {
    let began = std::time::Instant::now();
    assert_says(&run("custom_controller", &[]), &["demo: expired"]);
    assert!(began.elapsed().as_secs() >= 2, "early: {:?}", began.elapsed());
}

#[test]
fn custom_controller_refuses_an_option_it_does_not_know() {
    let output = run("custom_controller", &["--frobnicate"]);
    assert!(!output.status.success());
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("frobnicate"),
        "{output:?}"
    );
}

#[cfg(feature = "testing")]
#[test]
fn test_a_controller_finds_the_wrong_one_out() {
    assert_says(
        &run("test_a_controller", &[]),
        &[
            "wrong controller, due in 3600 s: never fired (7200 s virtual",
            "right controller, due in 3600 s: fired after 3600 s",
            "crashing container: restarted 3 times, after [0, 10, 30] s (3",
        ],
    );
}

#[cfg(feature = "testing")]
#[test]
fn simulate_a_controller_shows_the_crash_that_the_wrong_one_does_not_survive() {
    assert_says(
        &run("simulate_a_controller", &[]),
        &[
            "the wrong controller, nothing going wrong: passes",
            "order order-0 has 2 invoices",
            "ORCH_SIM='billing 0 billing/commit#1=crash-after'",
            "the right controller, one thing going wrong at each place: 85 runs, 106 faults",
            "the right controller, many things going wrong by chance: 200 runs",
        ],
    );
}
