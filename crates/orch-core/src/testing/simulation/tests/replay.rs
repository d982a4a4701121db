//! One run is made again: exactly the one that was asked for, or it is said why not.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Output};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::store::Txn;
use crate::testing::simulation::*;

/// A counter that writes each second, and an oracle that allows so many.
fn counting(most: u64) -> Simulation {
    let simulation = Simulation::new("counting", move |run| {
        run.component("counter", |life| async move {
            for number in 0..3 {
                drop(life.store().commit(Txn::new().put("n", number.to_string())).await);
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            std::future::pending::<()>().await;
        });
        run.disaster("nap", 1.0, |_, _| async {});
        run.state("awake", |_| async { Ok(()) });
        run.oracle(AtMost(most));
        run.scenario(|world| async move {
            world.until(|state| state.revision().get() >= 3).await;
            Ok(())
        });
    });
    simulation
        .rates(Rates::none())
        .storm(Duration::from_secs(10))
        .quiet(Duration::from_secs(10))
}

struct AtMost(u64);

impl Oracle for AtMost {
    fn name(&self) -> &str {
        "at most"
    }

    fn written(&mut self, written: &Written<'_>) -> Result<(), String> {
        match written.state.revision().get() {
            many if many > self.0 => Err(format!("{many} commits")),
            _ => Ok(()),
        }
    }
}

#[test]
fn what_is_asked_for_and_does_not_happen_fails_the_run() {
    let simulation = counting(10);
    let cases = [
        (
            "countr/commit#1=lost",
            "there is no component \"countr\"; components: counter",
        ),
        (
            "counter/commit#300=lost",
            "counter made 3 commit calls; components: counter",
        ),
        (
            "counter/watch#1=lags",
            "counter made 0 watch calls; components: counter",
        ),
        ("nup#1@500ms", "there is no disaster \"nup\"; disasters: nap"),
    ];
    for (strike, expected) in cases {
        let failure = simulation.replay(&format!("counting 0 nap#1@500ms {strike}"));
        let failure = failure.expect_err(expected);
        assert_eq!(failure.why, format!("{strike} did not happen: {expected}"));
        assert!(failure.replay().contains(strike), "{failure}");
        let last = failure.trace.entries().next_back().unwrap().to_string();
        assert!(last.ends_with(&format!("FAILED {}", failure.why)), "{failure}");
        let run = simulation.run_with(0, [strike.parse().unwrap()]);
        assert_eq!(run.failure, Some(failure.why.clone()));
    }
    let asleep = simulation
        .replay("counting 0 then#1:asleep@0ms")
        .expect_err("there is no such state");
    assert!(
        asleep
            .why
            .contains("there is no state \"asleep\" to ask for; states: awake"),
        "{asleep}"
    );
    let passed = simulation
        .replay("counting 0 counter/commit#2=slow nap#1@500ms")
        .unwrap();
    assert_eq!((passed.runs, passed.faults), (1, 2));
}

#[test]
fn a_line_for_another_simulation_or_without_a_seed_is_refused() {
    let simulation = counting(10);
    for (line, expected) in [
        (
            "other 0 calm",
            "is for the simulation \"other\", and this is \"counting\"",
        ),
        ("counting", "found no seed"),
        ("counting x", "with a number for SEED, found \"x\""),
        ("counting 0 counter/commit=lost", "is nothing that can happen"),
        (
            "counting 0 counter/commit#1=lost counter/commit#1=late",
            "to counter/commit#1 there happens one fault at most, found lost and late",
        ),
    ] {
        let panic = catch_unwind(AssertUnwindSafe(|| simulation.replay(line))).expect_err(line);
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(text.contains(expected), "{line}: {text}");
    }
}

#[test]
#[ignore = "the next test runs it, in a process of its own"]
fn which_is_asked_for() {
    counting(10).seeds(0..2).unwrap();
    let second = Simulation::new("second", |run| {
        run.component("it", |life| async move {
            drop(life.store().commit(Txn::new().put("second", "x")).await);
            std::future::pending::<()>().await;
        });
    });
    second.seeds(0..2).unwrap();
}

#[test]
fn which_simulation_is_asked_for_is_its_own_matter_and_others_run_as_always() {
    let test = "testing::simulation::tests::replay::which_is_asked_for";
    let with = |line: &str, filter: &[&str]| -> Output {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(filter).args(["--include-ignored", "--nocapture"]);
        command.env("ORCH_SIM", line).output().unwrap()
    };
    let text = |output: &Output| {
        let parts = [&output.stdout, &output.stderr].map(|part| String::from_utf8_lossy(part));
        parts.concat()
    };
    let right = with("counting 0 calm", &[test, "--exact"]);
    assert!(right.status.success(), "{}", text(&right));
    // Also of what passes the whole trace is shown.
    assert!(
        text(&right).contains("counter          updated n at 3"),
        "{}",
        text(&right)
    );
    let wrong = with("countin 0 calm", &[test, "--exact"]);
    assert!(wrong.status.success(), "{}", text(&wrong));
    let expected = "ORCH_SIM='countin 0 calm' asks for the simulation \"countin\"; those of other names, as counting, run as \
        always. So far there is none of this name; simulations: counting\n";
    assert!(text(&wrong).contains(expected), "{}", text(&wrong));
    // The first is searched as always, and of the second that run is made.
    let second = with("second 0 calm", &[test, "--exact"]);
    assert!(second.status.success(), "{}", text(&second));
    assert!(
        text(&second).contains("those of other names, as counting, run as always")
            && text(&second).contains("it               created second at 1"),
        "{}",
        text(&second)
    );
    let none = with(" ", &[test, "--exact"]);
    assert!(
        none.status.success() && !text(&none).contains("updated n"),
        "{}",
        text(&none)
    );
}

/// A simulation whose runs know how many there were before.
fn remembering<F>(start: impl Fn(Life, u64) -> F + Clone + Send + Sync + 'static) -> Simulation
where
    F: Future<Output = ()> + Send + 'static,
{
    let runs = Arc::new(AtomicU64::new(0));
    let simulation = Simulation::new("remembering", move |run| {
        let (runs, start) = (runs.clone(), start.clone());
        run.component("it", move |life| start(life, runs.fetch_add(1, Relaxed)));
    });
    simulation.rates(Rates::none()).storm(Duration::ZERO)
}

#[test]
fn runs_that_differ_are_found_and_said_where() {
    let content = remembering(|life, runs| async move {
        drop(life.store().commit(Txn::new().put("same", "same")).await);
        let value = format!("the run of number {runs:04} wrote it");
        drop(life.store().commit(Txn::new().put("key", value)).await);
        std::future::pending::<()>().await;
    });
    let parting = content.repeats(0).unwrap_err();
    let expected = "remembering: two runs with seed 0 are the same for 2 lines of the trace, and then differ in what was \
        written:\n       0.000s it               created key at 2\n    …the run of number 0000 wrote it…\n    \
        …the run of number 0001 wrote it…";
    assert_eq!(parting, expected);
    let times = remembering(|life, runs| async move {
        tokio::time::sleep(Duration::from_millis(runs)).await;
        drop(life.store().commit(Txn::new().put("key", "same")).await);
        std::future::pending::<()>().await;
    });
    let parting = times.repeats(0).unwrap_err();
    assert!(
        parting.contains("differ:\n       0.000s it               created key at 1\n       0.001s"),
        "{parting}"
    );
    for simulation in [content, times] {
        // All of them pass.
        let failure = simulation.seeds(0..3).expect_err("they differ");
        assert!(
            failure
                .why
                .starts_with("two runs with the same seed are not the same"),
            "{failure}"
        );
        assert!(failure.why.contains("Simulation::repeats(0)"), "{failure}");
        assert!(failure.why.contains("created key at"), "{failure}");
    }
}

#[test]
fn a_failure_that_does_not_come_again_says_so() {
    let failing_in = |numbers: std::ops::Range<u64>| {
        let simulation = remembering(move |_, runs| {
            let fails = numbers.contains(&runs);
            async move {
                assert!(!fails, "in run {runs}");
                std::future::pending::<()>().await;
            }
        });
        simulation.seeds(0..1).expect_err("it fails")
    };
    // The calm run fails, and each thereafter, with other words.
    let each = failing_in(0..100);
    assert!(each.why.starts_with("it panicked: in run 0 "), "{each}");
    assert!(
        each.why
            .contains("made once more, it fails otherwise: it panicked: in run 1 "),
        "{each}"
    );
    // The one by chance, which is made twice, fails, and none thereafter.
    let some = failing_in(1..3);
    assert!(
        some.why
            .contains("The run is not deterministic: made once more, it passes. "),
        "{some}"
    );
    assert!(
        some.why
            .contains("Simulation::repeats(0) says where two runs part"),
        "{some}"
    );
}

#[test]
fn a_failure_that_takes_a_whole_storm_is_replayed_with_one() {
    // Runs to which nothing happens are over before it writes.
    let simulation = Simulation::new("slow", |run| {
        run.component("slow", |life| async move {
            tokio::time::sleep(Duration::from_secs(40)).await;
            drop(life.store().commit(Txn::new().put("a", "b")).await);
            std::future::pending::<()>().await;
        });
        run.oracle(AtMost(0));
    });
    let simulation = simulation
        .rates(Rates::none())
        .storm(Duration::from_secs(60))
        .quiet(Duration::from_secs(10));
    let failure = simulation.seeds(3..5).expect_err("it writes");
    assert_eq!(failure.why, "at most: 1 commits (written by slow at 1)");
    assert_eq!(failure.replay(), "slow 3");
    let again = simulation.replay(&failure.replay()).expect_err("it fails again");
    assert_eq!(again.why, failure.why);
    assert_eq!(again.trace.fingerprint(), failure.trace.fingerprint());
}

#[test]
fn what_a_sweep_cannot_make_happen_is_said_once() {
    let runs = Arc::new(AtomicU64::new(0));
    let simulation = Simulation::new("tiring", move |run| {
        let runs = runs.clone();
        run.component("it", move |life| {
            // Two runs are made without faults, before those with them.
            let commits = if runs.fetch_add(1, Relaxed) < 2 { 2 } else { 1 };
            async move {
                for number in 0..commits {
                    let commit = Txn::new().put("n", format!("{number}"));
                    drop(life.store().commit(commit).await);
                }
                std::future::pending::<()>().await;
            }
        });
        run.scenario(|_| async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            Ok(())
        });
    });
    let failure = simulation.sweep().expect_err("it is another each time");
    let expected = "the run is not deterministic: it/commit#2=";
    assert!(failure.why.starts_with(expected), "{failure}");
    assert!(failure.why.contains(" happened to nobody"), "{failure}");
    assert!(!failure.why.contains("made once more"), "{failure}");
}
