//! What panics or hangs in a run fails it, with its seed, its trace and the line that replays it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::{Cat, alone};
use crate::controller::{Action, Context, Controller, Engine, ReconcileError};
use crate::object::ObjectMeta;
use crate::store::Txn;
use crate::testing::simulation::*;

/// A run of a component that writes once, and of all that `add` adds.
fn writing(add: impl Fn(&mut Setup) + Send + Sync + 'static) -> Simulation {
    let simulation = Simulation::new("writing", move |run| {
        run.component("writer", |life| async move {
            let cat = r#"{"apiVersion": "v1", "kind": "Cat", "metadata": {"name": "tom"}}"#;
            drop(
                life.store()
                    .commit(Txn::new().put("registry/cats/tom", cat))
                    .await,
            );
            std::future::pending::<()>().await;
        });
        add(run);
    });
    simulation
        .rates(Rates::none())
        .storm(Duration::from_secs(60))
        .quiet(Duration::from_secs(10))
        .deadline(Duration::from_secs(1000))
}

async fn has_written(world: World) -> Result<(), String> {
    world.until(|state| state.revision().get() > 0).await;
    Ok(())
}

struct Panics {
    in_the_end: bool,
}

impl Oracle for Panics {
    fn name(&self) -> &str {
        "panics"
    }

    fn written(&mut self, written: &Written<'_>) -> Result<(), String> {
        assert!(self.in_the_end, "over {}", written.key);
        Ok(())
    }

    fn settled(&mut self, _: &State) -> Result<(), String> {
        panic!("in the end")
    }
}

#[test]
fn a_panic_of_what_users_write_is_a_failure_like_any_other() {
    let scenario = writing(|run| {
        run.scenario(|world| async move {
            has_written(world).await?;
            panic!("oh {}", "no")
        });
    });
    let early = writing(|run| run.scenario(|_| -> std::future::Ready<_> { panic!("at once") }));
    let state = writing(|run| {
        run.scenario(has_written);
        run.state("sleepy cat", |_| async { panic!("it wakes") });
    });
    let asked = writing(|run| {
        run.scenario(has_written);
        run.state("sleepy cat", |_| -> std::future::Ready<_> {
            panic!("it wakes at once")
        });
    });
    let written = writing(|run| run.oracle(Panics { in_the_end: false }));
    let settled = writing(|run| run.oracle(Panics { in_the_end: true }));
    let at_last = writing(|_| {}).normal(|document| panic!("no form of {}", document.kind()));
    let cases = [
        (scenario, "the scenario panicked: oh no (at "),
        (early, "the scenario panicked: at once (at "),
        (state, "asking for sleepy-cat panicked: it wakes (at "),
        (asked, "asking for sleepy-cat panicked: it wakes at once (at "),
        (written, "panics: it panicked: over registry/cats/tom (at "),
        (settled, "panics: it panicked: in the end (at "),
        (at_last, "`normal` panicked: no form of Cat (at "),
    ];
    for (simulation, expected) in cases {
        let failure = simulation.seeds(0..2).expect_err(expected);
        assert!(failure.why.starts_with(expected), "{failure}");
        assert!(failure.why.contains("tests/panics.rs:"), "{failure}");
        let last = failure.trace.entries().next_back().unwrap().to_string();
        assert!(last.contains(&format!("FAILED {expected}")), "{failure}");
        assert!(!failure.why.contains("deterministic"), "{failure}");
        let again = simulation.replay(&failure.replay()).expect_err("it fails again");
        assert_eq!(again.why, failure.why);
    }
}

#[test]
fn a_panic_over_what_is_written_while_a_run_settles_is_one_too() {
    let simulation = Simulation::new("late", |run| {
        run.component("late", |life| async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let cat = r#"{"apiVersion": "v1", "kind": "Cat", "metadata": {"name": "tom"}}"#;
            drop(
                life.store()
                    .commit(Txn::new().put("registry/cats/tom", cat))
                    .await,
            );
            std::future::pending::<()>().await;
        });
    });
    let run = simulation.normal(|_| panic!("no form")).run_calm(0);
    let failure = run.failure.unwrap();
    assert!(
        failure.starts_with("`normal` panicked: no form (at "),
        "{failure}"
    );
    assert!(run.lasted < Duration::from_secs(6), "{:?}", run.lasted);
}

#[test]
fn a_disaster_that_panics_fails_its_run() {
    let simulation = writing(|run| {
        run.disaster("quake", 600.0, |_, _| async { panic!("it was too strong") });
    });
    let failure = simulation.seeds(0..5).expect_err("it panics");
    assert!(
        failure
            .why
            .starts_with("the disaster quake panicked: it was too strong (at "),
        "{failure}"
    );
    assert_eq!(failure.strikes.len(), 1, "{failure}");
}

struct Claws;

#[async_trait::async_trait]
impl Controller for Claws {
    type Object = Cat;

    async fn reconcile(&self, _: Arc<Cat>, _: &Context) -> Result<Action, ReconcileError> {
        panic!("claws")
    }
}

#[test]
fn a_panic_that_others_catch_fails_the_run() {
    let task = writing(|run| {
        run.component("spawner", |_| async {
            let nap = async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                panic!("in a task")
            };
            drop(tokio::spawn(nap));
            std::future::pending::<()>().await;
        });
    });
    let reconciler = writing(|run| {
        run.component("litters", |life| async move {
            let running = Engine::new(Claws, &life.client()).start();
            std::future::pending::<()>().await;
            drop(running);
        });
        run.scenario(|world| async move {
            let cat = Cat {
                metadata: ObjectMeta::named("tom"),
                kittens: 3,
            };
            let created = world.client().api::<Cat>("default").create(&cat).await;
            created.map(drop).map_err(|error| error.to_string())
        });
    });
    for (simulation, text) in [(task, "in a task"), (reconciler, "claws")] {
        let failure = simulation.seeds(0..2).expect_err(text);
        let expected = format!("a task or a reconciler panicked: {text} (at ");
        assert!(failure.why.starts_with(&expected), "{failure}");
    }
}

#[test]
fn a_component_that_panics_says_so() {
    let async_part = alone(|_| async { panic!("I always do") });
    let first_part = alone(|_| -> std::future::Ready<()> { panic!("I always do") });
    for simulation in [async_part, first_part] {
        let failure = simulation.run_calm(1).failure.unwrap();
        assert!(failure.starts_with("it panicked: I always do (at "), "{failure}");
    }
}

#[test]
fn what_cannot_be_built_says_why_also_if_it_could_at_first() {
    let built = AtomicU64::new(0);
    let simulation = writing(move |_| assert!(built.fetch_add(1, Relaxed) < 5, "no more bricks"));
    let panic = catch_unwind(AssertUnwindSafe(|| simulation.seeds(0..10))).expect_err("it panics");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"no more bricks"));
}

#[test]
fn who_calls_the_world_while_looking_at_it_is_told() {
    let simulation = writing(|run| {
        run.scenario(|world| async move {
            let same = world.clone();
            let is_there = move |_: &State| same.look(|state| state.revision().get() > 0);
            world.until(is_there).await;
            Ok(())
        });
    });
    let failure = simulation.run_calm(0).failure.unwrap();
    let expected = "the scenario panicked: the world was called from within World::look, World::until";
    assert!(failure.starts_with(expected), "{failure}");
}

#[test]
fn tasks_that_only_make_room_for_each_other_are_found() {
    let simulation = writing(|run| {
        run.scenario(|_| async {
            loop {
                tokio::task::yield_now().await;
            }
        });
    });
    let run = simulation.patience(Duration::from_millis(500)).run_calm(0);
    let failure = run.failure.unwrap();
    assert!(
        failure.starts_with("at 0ns virtual time has stood still for 500ms of real time"),
        "{failure}"
    );
}

#[test]
fn a_task_that_a_component_leaves_behind_fails_no_run_that_was_good() {
    let simulation = writing(|run| {
        run.component("asker", |life| async move {
            let (held, answer) = tokio::sync::oneshot::channel::<()>();
            drop(tokio::spawn(async move { answer.await.unwrap() }));
            drop(life.store().commit(Txn::new().put("asked", "x")).await);
            std::future::pending::<()>().await;
            drop(held);
        });
    });
    assert_eq!(simulation.run_calm(0).failure, None);
    // While the run goes on, who knows whose it is?
    let dies = simulation.run_with(0, ["asker/commit#1=crash-after".parse().unwrap()]);
    let failure = dies.failure.unwrap();
    assert!(
        failure.starts_with("a task or a reconciler panicked: called `Result::unwrap()`"),
        "{failure}"
    );
    assert!(
        failure.ends_with("hold tasks in a JoinSet, which ends them with it"),
        "{failure}"
    );
    let lives = writing(|run| {
        run.component("spawner", |_| async {
            drop(tokio::spawn(async { panic!("by itself") }));
            std::future::pending::<()>().await;
        });
    });
    let lives = lives.run_calm(0).failure.unwrap();
    assert!(
        lives.contains("by itself") && !lives.contains("JoinSet"),
        "{lives}"
    );
}

/// Takes some three seconds of real time, so that the watchdog asks whether it lives.
async fn labours() {
    for _ in 0..12 {
        std::thread::sleep(Duration::from_millis(250));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn real_time_wakes_no_scenario() {
    let polls = Arc::new(AtomicU64::new(0));
    let counted = polls.clone();
    let simulation = writing(move |run| {
        let counted = counted.clone();
        run.component("labourer", |_| async {
            labours().await;
            std::future::pending::<()>().await;
        });
        run.scenario(move |_| {
            let counted = counted.clone();
            let mut day = Box::pin(tokio::time::sleep(Duration::from_secs(1)));
            std::future::poll_fn(move |context| {
                counted.fetch_add(1, Relaxed);
                day.as_mut().poll(context).map(Ok)
            })
        });
    });
    assert_eq!(simulation.run_calm(0).failure, None);
    assert_eq!(polls.load(Relaxed), 2, "at first, and when its time has come");
}

#[test]
fn a_scenario_that_works_for_longer_than_patience_passes() {
    let simulation = writing(|run| {
        run.scenario(|world| async move {
            let cats = world.client().api::<Cat>("default");
            for kittens in 0..60 {
                let cat = Cat {
                    metadata: ObjectMeta::named(format!("cat-{kittens}")),
                    kittens,
                };
                cats.create(&cat).await.map_err(|error| error.to_string())?;
                std::thread::sleep(Duration::from_millis(50));
                tokio::task::yield_now().await;
            }
            Ok(())
        });
    });
    let run = simulation.patience(Duration::from_millis(500)).run_calm(0);
    assert_eq!(run.failure, None);
}

/// Set for the process that may end by it.
const PANICS_TWICE: &str = "ORCH_TEST_PANICS_TWICE";

/// Panics when it is dropped.
struct Brittle;

impl Drop for Brittle {
    fn drop(&mut self) {
        panic!("it breaks");
    }
}

#[test]
#[ignore = "the next test runs it, in a process of its own, which it ends"]
fn panics_twice() {
    if std::env::var_os(PANICS_TWICE).is_none() {
        return;
    }
    let simulation = writing(|run| {
        run.scenario(|_| async {
            let _brittle = Brittle;
            panic!("it slips")
        });
    });
    drop(simulation.seeds(0..2));
}

#[test]
fn a_panic_that_ends_the_process_tells_what_came_before_and_of_which_run_it_is() {
    let test = "testing::simulation::tests::panics::panics_twice";
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command
        .args([test, "--exact", "--ignored"])
        .env(PANICS_TWICE, "1");
    let output = command.output().unwrap();
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    for expected in [
        "simulation writing: a panic that cannot be caught",
        "\n  it slips (at ",
        "\n  it breaks (at ",
        "ORCH_SIM='writing 0 calm'",
    ] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
}
