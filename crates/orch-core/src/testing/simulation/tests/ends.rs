//! What is told of runs that do not end, and of sweeps that do not try all.

use crate::store::{CommitError, Committed, Txn};
use crate::testing::simulation::*;

/// Writes a pet.
async fn put(life: &Life, key: &str) -> Result<Committed, CommitError> {
    let pet = serde_json::json!({"apiVersion": "v1", "kind": "Pet", "metadata": {"name": key}});
    life.store().commit(Txn::new().put(key, pet.to_string())).await
}

async fn holds(world: World, key: &'static str) -> Result<(), String> {
    world
        .until(move |state| state.entries().any(|(held, ..)| held.to_string() == key))
        .await;
    Ok(())
}

#[test]
fn a_sweep_finds_who_takes_an_error_for_success() {
    let simulation = Simulation::new("trusting", |run| {
        run.component("it", |life| async move {
            drop(put(&life, "done").await);
            std::future::pending::<()>().await;
        });
        run.scenario(|world| holds(world, "done"));
    });
    let failure = simulation.sweep().unwrap_err();
    assert_eq!(
        failure.strikes,
        ["it/commit#1=fails".parse().unwrap()],
        "{failure}"
    );
}

#[test]
fn a_sweep_says_how_much_came_when_the_scenario_had_ended() {
    let simulation = |waits_for| {
        Simulation::new("late", move |run| {
            run.component("it", |life| async move {
                for key in ["one", "two", "three"] {
                    while put(&life, key).await.is_err() {}
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                std::future::pending::<()>().await;
            });
            run.scenario(move |world| holds(world, waits_for));
        })
    };
    let passed = simulation("one").sweep().unwrap();
    assert_eq!(passed.untried, 2);
    assert!(
        passed
            .to_string()
            .ends_with("; 2 changes came after the scenario had ended, with which nothing was tried"),
        "{passed}"
    );
    let passed = simulation("three").sweep().unwrap();
    assert_eq!(passed.untried, 0);
    assert!(passed.to_string().ends_with(" virtual hours"), "{passed}");
}

#[test]
fn what_a_scenario_holds_may_panic_as_it_goes() {
    /// Wants to be used up.
    struct Strict;

    impl Drop for Strict {
        fn drop(&mut self) {
            panic!("it was not called");
        }
    }

    let holding = |oracle_fails: bool| {
        Simulation::new("strict", move |run| {
            run.component("it", |life| async move {
                drop(put(&life, "one").await);
                std::future::pending::<()>().await;
            });
            run.scenario(move |world| async move {
                let _strict = Strict;
                world.until(|state| state.entries().next().is_some()).await;
                if oracle_fails {
                    world.fail("it is wrong");
                }
                std::future::pending().await
            });
        })
        .deadline(Duration::from_secs(1000))
    };
    for (oracle_fails, expected) in [
        (true, "it is wrong"),
        (false, "the scenario had not ended after 1000s"),
    ] {
        let failure = holding(oracle_fails).seeds(0..1).unwrap_err();
        assert!(failure.why.starts_with(expected), "{failure}");
    }
}

#[test]
fn who_waits_for_the_same_is_woken_in_order() {
    let simulation = Simulation::new("waiters", |run| {
        for name in ["one", "two", "three", "four", "five", "six"] {
            run.component(name, move |life| async move {
                life.world().until(|state| state.entries().next().is_some()).await;
                drop(put(&life, name).await);
                std::future::pending::<()>().await;
            });
        }
        run.component("first", |life| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(put(&life, "zero").await);
            std::future::pending::<()>().await;
        });
        run.scenario(|world| holds(world, "six"));
    });
    for seed in 0..20 {
        simulation
            .repeats(seed)
            .unwrap_or_else(|difference| panic!("{difference}"));
    }
}

struct Never;

impl Oracle for Never {
    fn name(&self) -> &str {
        "never"
    }

    fn settled(&mut self, state: &State) -> Result<(), String> {
        Err(format!("{} keys", state.entries().count()))
    }
}

#[test]
fn a_run_that_does_not_end_says_where_it_waits_and_what_is_known() {
    let run = Simulation::new("waiting", |run| {
        run.component("it", |life| async move {
            drop(put(&life, "one").await);
        });
        run.component("patient", |_| std::future::pending::<()>());
        run.oracle(Never);
        run.scenario(|world| async move {
            // This wait is over before.
            world.until(|state| state.entries().next().is_some()).await;
            holds(world, "other").await
        });
    })
    .deadline(Duration::from_secs(1000))
    .run_calm(0);
    let why = run.failure.unwrap();
    let expected = [
        "the scenario had not ended after 1000s",
        "World::until waits at ",
        "so far, never: 1 keys",
        "the component it returned, and was started anew, 1000 times: one that is to go on has something to wait for, \
         std::future::pending() if nothing else",
    ];
    let lines: Vec<&str> = why.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{why}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line:?} instead of {expected:?}");
    }
    assert!(lines[1].contains("tests/ends.rs:"), "{why}");
}
