//! Simulations of small controllers, right ones and wrong ones.

mod ends;
mod panics;
mod power;
mod refusals;
mod replay;
mod reports;

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::*;
use crate::cache::Cache;
use crate::client::{ApiError, DeleteParams, ListParams, Patch};
use crate::controller::{Action, Context, Controller, Engine, ReconcileError};
use crate::object::{Object, ObjectMeta, OwnerReference};
use crate::runtime::PullRequest;
use crate::store::Txn;
use crate::testing::fake_runtime::{FakeRuntime, ImageBehavior};

/// Wants to have so many kittens.
#[derive(Clone, Debug, Serialize, Deserialize, Object)]
#[object(group = "example.com", crate = "crate")]
struct Cat {
    metadata: ObjectMeta,
    kittens: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize, Object)]
#[object(group = "example.com", crate = "crate")]
struct Kitten {
    metadata: ObjectMeta,
}

/// How a controller that gives each cat its kittens is written.
#[derive(Clone, Copy, PartialEq)]
enum Written {
    /// Each kitten has a name of its own that follows from the cat's.
    Rightly,
    /// Kittens are counted in a view that may be old, and get names that are drawn.
    TrustingItsView,
    /// What was done is remembered instead of looked at.
    FromMemory,
    /// As if a cat never wanted fewer.
    OnlyGrowing,
}

struct Litters {
    written: Written,
    kittens: Cache<Kitten>,
    done: AtomicU64,
}

#[async_trait::async_trait]
impl Controller for Litters {
    type Object = Cat;

    async fn reconcile(&self, cat: Arc<Cat>, cx: &Context) -> Result<Action, ReconcileError> {
        let generation = u64::try_from(cat.metadata.generation).unwrap_or(0);
        if self.written == Written::FromMemory && self.done.swap(generation, Ordering::Relaxed) >= generation
        {
            return Ok(Action::done());
        }
        let kittens = cx.client().api::<Kitten>("default");
        let name = &cat.metadata.name;
        let kitten = |name: Option<String>| Kitten {
            metadata: ObjectMeta {
                name: name.clone().unwrap_or_default(),
                generate_name: name.is_none().then(|| format!("{}-", cat.metadata.name)),
                owner_references: vec![OwnerReference {
                    api_version: "example.com/v1".to_owned(),
                    kind: "Cat".to_owned(),
                    name: cat.metadata.name.clone(),
                    uid: cat.metadata.uid.clone(),
                    controller: true,
                    ..OwnerReference::default()
                }],
                ..ObjectMeta::default()
            },
        };
        if self.written == Written::TrustingItsView {
            let there = self.kittens.list();
            for _ in there.len()..cat.kittens {
                kittens.create(&kitten(None)).await?;
            }
            for surplus in there.iter().skip(cat.kittens) {
                kittens
                    .delete(&surplus.metadata.name, &DeleteParams::default())
                    .await?;
            }
            return Ok(Action::done());
        }
        for number in 0..cat.kittens {
            match kittens.create(&kitten(Some(format!("{name}-{number}")))).await {
                Ok(_) | Err(ApiError::AlreadyExists(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if self.written == Written::OnlyGrowing {
            return Ok(Action::done());
        }
        for surplus in kittens.list(&ListParams::default()).await?.items {
            let number = surplus
                .metadata
                .name
                .rsplit('-')
                .next()
                .and_then(|number| number.parse().ok());
            if number.is_none_or(|number: usize| number >= cat.kittens) {
                match kittens
                    .delete(&surplus.metadata.name, &DeleteParams::default())
                    .await
                {
                    Ok(_) | Err(ApiError::NotFound(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(Action::done())
    }
}

/// Never more kittens than any cat ever wanted.
struct NoSurplus;

impl Oracle for NoSurplus {
    fn name(&self) -> &str {
        "no surplus"
    }

    fn written(&mut self, written: &super::Written<'_>) -> Result<(), String> {
        let kittens = written.state.all::<Kitten>().len();
        if kittens > 5 {
            Err(format!("{kittens} kittens"))
        } else {
            Ok(())
        }
    }
}

async fn controller(life: Life, written: Written) {
    let client = life.client();
    let kittens = Cache::<Kitten>::builder(&client).start();
    let controller = Litters {
        written,
        kittens: kittens.clone(),
        done: AtomicU64::new(0),
    };
    let running = Engine::new(controller, &client)
        .random(life.random())
        .owns(&kittens)
        .start();
    std::future::pending::<()>().await;
    drop(running);
}

fn litters(written: Written) -> Simulation {
    let simulation = Simulation::new("litters", move |run| {
        run.component("litters", move |life| controller(life, written));
        run.oracle(NoSurplus);
        run.scenario(|world| async move {
            let cats = world.client().api::<Cat>("default");
            let cat = Cat {
                metadata: ObjectMeta::named("tom"),
                kittens: 3,
            };
            let mut cat = cats.create(&cat).await.map_err(|error| error.to_string())?;
            world.until(|state| state.all::<Kitten>().len() == 3).await;
            for kittens in [5, 2] {
                cat.kittens = kittens;
                cat = cats.update(&cat).await.map_err(|error| error.to_string())?;
                world.until(|state| state.all::<Kitten>().len() == kittens).await;
            }
            Ok(())
        });
    });
    simulation
        .storm(Duration::from_secs(60))
        .quiet(Duration::from_secs(60))
        .deadline(Duration::from_secs(1800))
}

#[test]
fn a_run_is_the_same_each_time_and_differs_from_another_seeds() {
    let simulation = litters(Written::Rightly);
    let first = simulation.repeats(7).unwrap();
    assert_ne!(first, simulation.repeats(8).unwrap());
    let run = simulation.run(7);
    let again = simulation.run_with(7, run.strikes.clone());
    assert!(!run.strikes.is_empty());
    assert_eq!(
        again.trace.fingerprint(),
        run.trace.fingerprint(),
        "its faults alone make the same run"
    );
}

#[test]
fn a_right_controller_passes() {
    let simulation = litters(Written::Rightly);
    let passed = simulation
        .seeds(0..200)
        .unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(passed.runs, 200);
    assert!(passed.faults > 200, "{passed}");
    let swept = simulation.sweep().unwrap_or_else(|failure| panic!("{failure}"));
    assert!(swept.runs > 30, "{swept}");
}

#[test]
fn what_a_controller_does_wrong_is_found_and_cut_down_to_what_it_needs() {
    for (written, most) in [(Written::TrustingItsView, 2), (Written::FromMemory, 2)] {
        let simulation = litters(written);
        let failure = match simulation.sweep() {
            Err(failure) => failure,
            Ok(_) => simulation.seeds(0..500).expect_err("it is wrong"),
        };
        assert!(failure.strikes.len() <= most, "{failure}");
        let again = simulation.replay(&failure.replay()).expect_err("it fails again");
        assert_eq!(again.why, failure.why);
        assert_eq!(again.trace.fingerprint(), failure.trace.fingerprint());
        let text = failure.to_string();
        assert!(
            text.contains(&format!("ORCH_SIM='litters {}", failure.seed)),
            "{text}"
        );
    }
}

/// A cat whose owner thinks again and again about how many kittens it should have.
fn wishes(written: Written) -> Simulation {
    let simulation = Simulation::new("wishes", move |run| {
        run.component("litters", move |life| controller(life, written));
        run.scenario(|world| async move {
            let cat = Cat {
                metadata: ObjectMeta::named("tom"),
                kittens: 0,
            };
            let cats = world.client().api::<Cat>("default");
            cats.create(&cat)
                .await
                .map(drop)
                .map_err(|error| error.to_string())
        });
        let ask = |kittens: usize| {
            move |world: World| async move {
                let wish = Patch::Merge(serde_json::json!({"kittens": kittens}));
                let cats = world.client().api::<Cat>("default");
                let asked = cats.patch("tom", &wish).await;
                asked.map(drop).map_err(|error| error.to_string())
            }
        };
        run.state("two kittens", ask(2));
        run.state("none", ask(0));
        run.passing_state("four", ask(4));
    });
    simulation
        .storm(Duration::from_secs(60))
        .quiet(Duration::from_secs(60))
}

#[test]
fn each_state_is_reached_from_every_other_and_in_storms() {
    let simulation = wishes(Written::Rightly);
    let passed = |passed: Result<Passed, Box<Failure>>| passed.unwrap_or_else(|failure| panic!("{failure}"));
    // To each of two states from two others, after three pauses.
    let transitions = passed(simulation.transitions());
    assert_eq!(
        (transitions.runs, transitions.steps, transitions.faults),
        (12, 24, 0)
    );
    let stormy = passed(simulation.seeds(0..100));
    assert!(stormy.faults > 100 && stormy.steps > 200, "{stormy}");
    let calm = simulation.run_calm(0);
    let steps: Vec<_> = calm.strikes.iter().map(ToString::to_string).collect();
    assert_eq!(
        steps,
        [
            "then#1:four@5000ms",
            "then#2:two-kittens@5000ms",
            "then#3:none@5000ms"
        ]
    );
    let swept = passed(simulation.sweep());
    assert!(swept.runs > 15, "{swept}");
}

#[test]
fn a_state_that_is_not_reached_from_another_is_found_with_the_fewest_steps() {
    let simulation = wishes(Written::OnlyGrowing);
    let failures = [
        simulation.transitions().expect_err("it is wrong"),
        simulation.seeds(0..100).expect_err("it is wrong"),
    ];
    for failure in failures {
        assert_eq!(failure.strikes.len(), 2, "{failure}");
        let again = simulation.replay(&failure.replay()).expect_err("it fails again");
        assert_eq!(again.why, failure.why);
    }
}

/// A run of one component that does this, and of a scenario that waits.
fn alone<F>(start: impl Fn(Life) -> F + Clone + Send + Sync + 'static) -> Simulation
where
    F: Future<Output = ()> + Send + 'static,
{
    let simulation = Simulation::new("alone", move |run| run.component("it", start.clone()));
    simulation
        .quiet(Duration::from_secs(10))
        .deadline(Duration::from_secs(100))
}

#[test]
fn a_loop_that_waits_for_nothing_is_found() {
    let run = alone(|life| async move {
        loop {
            let _ = life.store().get(&"a".into()).await;
        }
    })
    .run_calm(1);
    assert!(run.failure.unwrap().contains("without time passing, last by it"));
}

#[test]
fn what_never_settles_is_found() {
    let run = alone(|life| async move {
        for number in 0_u64.. {
            let pet = serde_json::json!({"apiVersion": "v1", "kind": "Pet", "metadata": {"name": "a"}, "n": number});
            let commit = Txn::new().put("registry/pets/a", pet.to_string());
            drop(life.store().commit(commit).await);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .run_calm(1);
    assert!(run.failure.unwrap().contains("it had not settled after 100s"));
}

#[test]
fn a_scenario_fails_a_run_and_so_does_one_without_end() {
    let failing = Simulation::new("a b", |run| run.scenario(|_| async { Err("no".to_owned()) }));
    assert_eq!(failing.run_calm(1).failure.as_deref(), Some("the scenario: no"));
    let endless = Simulation::new("a b", |run| {
        run.scenario(|world| async move {
            world.until(|state| state.revision().get() > 0).await;
            Ok(())
        });
    });
    let failure = endless
        .quiet(Duration::from_secs(1))
        .deadline(Duration::from_secs(5))
        .run_calm(1)
        .failure;
    let why = failure.as_deref().and_then(|why| why.lines().next());
    assert_eq!(why, Some("the scenario had not ended after 5s"));
}

#[test]
fn a_sweep_crashes_who_waits_for_a_runtime_and_does_not_look_twice() {
    let simulation = Simulation::new("asks", |run| {
        let machine = FakeRuntime::new();
        machine.on_image("web", ImageBehavior::absent().pull_delay(Duration::from_secs(1)));
        let machine = Arc::new(machine);
        run.component("it", move |life| {
            let runtime = life.runtime(machine.clone());
            async move {
                runtime.status().await;
                runtime.status().await;
                let image = PullRequest {
                    image: "web".to_owned(),
                    ..PullRequest::default()
                };
                let looks = async {
                    runtime.status().await;
                    runtime.status().await;
                };
                let (pulled, ()) = tokio::join!(runtime.pull_image(&image), looks);
                assert!(pulled.is_ok(), "{pulled:?}");
                std::future::pending::<()>().await;
            }
        });
        run.scenario(|_| async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            Ok(())
        });
    });
    let run = simulation.run_calm(1);
    assert_eq!(run.failure, None);
    let places: Vec<_> = run.calls.places().iter().map(ToString::to_string).collect();
    // Of what it asks for twice one is enough; while the image is pulled another world is left than before.
    let expected =
        "it/runtime#1=crash-after it/runtime#3=crash-after it/runtime#3=unanswered it/runtime#4=crash-after";
    assert_eq!(places, expected.split_whitespace().collect::<Vec<_>>());
}

#[test]
fn a_late_commit_arrives_also_if_nobody_waits_for_it_but_not_if_its_component_has_died() {
    let arrived = |dies: bool| {
        let simulation = alone(move |life| async move {
            if life.number() > 1 {
                return std::future::pending().await;
            }
            let store = life.store();
            let commit = store.commit(Txn::new().put("a", "b"));
            let answer = tokio::time::timeout(Duration::from_millis(1), commit).await;
            assert!(answer.is_err(), "it is not late");
            if dies {
                life.world().crash("it");
            }
            std::future::pending::<()>().await;
        });
        let late = "it/commit#1=late".parse().unwrap();
        let run = simulation.quiet(2 * LATE).run_with(3, [late]);
        assert_eq!(run.failure, None);
        let is_write = |entry: &&TraceEntry| matches!(entry.what, What::Wrote { .. });
        run.trace.entries().find(is_write).map(|entry| entry.at)
    };
    let at = arrived(false).expect("it arrives");
    assert!(Duration::from_millis(1) < at && at <= LATE, "{at:?}");
    assert_eq!(arrived(true), None);
}

/// Writes the seconds of its life, once a second, under its own name.
async fn tick(life: Life) {
    loop {
        let second = life.world().elapsed().as_secs();
        let key = format!("{}/{}", life.number(), second);
        drop(life.store().commit(Txn::new().put(key, "x")).await);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// The seconds at which the component wrote, with the number of its life.
fn ticks(trouble: impl Fn(&World) + Clone + Send + Sync + 'static) -> Vec<String> {
    let simulation = Simulation::new("ticks", move |run| {
        run.component("clock", tick);
        let trouble = trouble.clone();
        run.scenario(move |world| {
            let trouble = trouble.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(2500)).await;
                trouble(&world);
                tokio::time::sleep(Duration::from_secs(8)).await;
                Ok(())
            }
        });
    });
    let run = simulation.quiet(Duration::ZERO).run_calm(1);
    assert_eq!(run.failure, None);
    run.state.entries().map(|(key, ..)| key.to_string()).collect()
}

#[test]
fn components_can_be_crashed_frozen_cut_off_and_taken_down() {
    let seconds = |life: u32, seconds: &[u32]| -> Vec<String> {
        let mut keys: Vec<_> = seconds.iter().map(|second| format!("{life}/{second}")).collect();
        keys.sort();
        keys
    };
    let all: Vec<u32> = (0..=10).collect();
    assert_eq!(ticks(|_| {}), seconds(1, &all));
    let crashed = ticks(|world| world.crash("clock"));
    assert_eq!(
        crashed,
        [seconds(1, &[0, 1, 2]), seconds(2, &[3, 4, 5, 6, 7, 8, 9])].concat()
    );
    let down = ticks(|world| world.take_down("clock", Duration::from_secs(5)));
    assert_eq!(down, [seconds(1, &[0, 1, 2]), seconds(2, &[7, 8, 9])].concat());
    let cut_off = ticks(|world| world.partition("clock", Duration::from_secs(5)));
    assert_eq!(cut_off, seconds(1, &[0, 1, 2, 8, 9, 10]));
    // What it was about to write when it froze is written late.
    let frozen = ticks(|world| world.freeze("clock", Duration::from_secs(5)));
    assert_eq!(frozen, seconds(1, &[0, 1, 2, 3, 8, 9]));
    let frozen_twice = ticks(|world| {
        world.freeze("clock", Duration::from_secs(5));
        world.freeze("clock", Duration::from_secs(1));
    });
    assert_eq!(frozen_twice, frozen, "all of it, for as long as the longer lasts");
}
