//! What is built wrongly is refused, and what is asked of a run that cannot be.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::alone;
use crate::random::Random;
use crate::testing::simulation::*;

/// What it panics with.
fn refused<T>(build: impl FnOnce() -> T) -> String {
    let panic = catch_unwind(AssertUnwindSafe(build))
        .err()
        .expect("it is refused");
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .expect("a panic has a text")
}

/// What a run that is made of this is refused for.
fn unbuilt(build: impl Fn(&mut Setup) + Send + Sync + 'static) -> String {
    refused(|| Simulation::new("it", build).run_calm(0))
}

async fn idle(_: Life) {
    std::future::pending::<()>().await;
}

async fn calm(_: World, _: Random) {}

#[test]
fn a_run_that_is_built_wrongly_is_refused() {
    let twice = unbuilt(|run| {
        run.component("cat", idle);
        run.component("cat", idle);
    });
    assert_eq!(twice, "there are two components named \"cat\"");
    let scenarios = unbuilt(|run| {
        run.scenario(|_| async { Ok(()) });
        run.scenario(|_| async { Ok(()) });
    });
    assert!(scenarios.starts_with("there are two scenarios: "), "{scenarios}");
    let quakes = unbuilt(|run| {
        run.disaster("quake", 1.0, calm);
        run.disaster("quake", 1.0, calm);
    });
    assert_eq!(quakes, "there are two disasters named \"quake\"");
    for rate in [-1.0, f64::NAN, f64::INFINITY, 1e12] {
        let quake = unbuilt(move |run| run.disaster("quake", rate, calm));
        assert_eq!(
            quake,
            format!("disaster \"quake\": per_hour must be from 0 to 3600000, got {rate}")
        );
    }
    for name in ["scenario", "world"] {
        let reserved = unbuilt(move |run| run.component(name, idle));
        assert!(reserved.contains("traces use this name"), "{reserved}");
    }
}

#[test]
fn a_name_that_would_break_the_line_that_replays_a_run_is_refused() {
    for (name, sign) in [
        ("my cat", ' '),
        ("it's", '\''),
        ("a=b", '='),
        ("a#1", '#'),
        ("a\nb", '\n'),
    ] {
        let component = unbuilt(move |run| run.component(name, idle));
        let expected = format!(
            "component {name:?}: the name is part of the line that replays a run, which has no place for {sign:?} in it"
        );
        assert_eq!(component, expected);
        let disaster = unbuilt(move |run| run.disaster(name, 1.0, calm));
        assert!(
            disaster.starts_with(&format!("disaster {name:?}: the name is part")),
            "{disaster}"
        );
    }
    assert!(unbuilt(|run| run.component("", idle)).contains("it needs a name"));
    let state = unbuilt(|run| run.state("it's", |_| async { Ok(()) }));
    assert!(state.starts_with("state \"it's\": the name is part"), "{state}");
    let simulation = refused(|| Simulation::new("it's", |_| {}));
    assert!(
        simulation.starts_with("simulation \"it's\": the name is part"),
        "{simulation}"
    );
    assert!(refused(|| Simulation::new(" ", |_| {})).contains("it needs a name"));
}

#[test]
fn rates_are_parts_of_all_calls() {
    for rate in [-0.1, 1.1, f64::NAN] {
        let refused = refused(|| Rates::none().of(Fault::Lost, rate));
        assert_eq!(
            refused,
            format!("the rate of lost must be from 0 to 1, got {rate}")
        );
    }
    assert_eq!(
        refused(|| Rates::none().of(Fault::Lost, 0.5).times(3.0)),
        "the rate of lost must be from 0 to 1, got 1.5"
    );
    for factor in [-1.0, f64::NAN, f64::INFINITY] {
        let refused = refused(|| Rates::storm().times(factor));
        assert_eq!(
            refused,
            format!("the factor of rates must be a number from 0 up, got {factor}")
        );
    }
    let many = Rates::none().of(Fault::Lost, 0.6).of(Fault::Late, 0.6);
    assert_eq!(
        refused(|| alone(idle).rates(many)),
        "the rates of all that can befall a commit must be 1 at most together, got 1.200: lost 0.6, late 0.6"
    );
    // All of them, and a tenth ten times.
    drop(alone(idle).rates(Rates::none().of(Fault::Lost, 0.5).of(Fault::Late, 0.5)));
    assert_eq!(
        Rates::none().of(Fault::Lost, 0.1).times(5.0),
        Rates::none().of(Fault::Lost, 0.5)
    );
}

#[test]
fn a_search_that_would_try_nothing_is_refused() {
    let empty = Simulation::new("empty", |run| run.scenario(|_| async { Ok(()) }));
    for searched in [refused(|| empty.seeds(0..1)), refused(|| empty.sweep())] {
        assert_eq!(
            searched,
            "empty: there is no component, so nothing is tried (Setup::component)"
        );
    }
    assert_eq!(
        refused(|| alone(idle).seeds(5..5)),
        "alone: there are no seeds in 5..5"
    );
    let idle = alone(idle).sweep().expect_err("there is nothing to try");
    assert!(
        idle.why.starts_with("a sweep has nothing to try: no component"),
        "{idle}"
    );
    assert!(!idle.why.contains("deterministic"), "{idle}");
    // The run by itself is no failure, so no line that has it again shows one.
    let told = idle.to_string();
    assert!(
        told.ends_with("search again: the run by itself passes") && !told.contains("ORCH_SIM"),
        "{told}"
    );
}

#[test]
fn what_cannot_happen_to_a_world_fails_the_run() {
    type Act = fn(World) -> futures::future::BoxFuture<'static, ()>;
    let acts: [(&str, Act); 5] = [
        ("crash", |world| Box::pin(async move { world.crash("dog") })),
        ("take_down", |world| {
            Box::pin(async move { world.take_down("dog", Duration::from_secs(60)) })
        }),
        ("partition", |world| {
            Box::pin(async move { world.partition("dog", Duration::from_secs(60)) })
        }),
        ("freeze", |world| {
            Box::pin(async move { world.freeze("dog", Duration::from_secs(60)) })
        }),
        ("power_cut", |world| {
            Box::pin(async move { world.power_cut(&Random::seeded(1)).await })
        }),
    ];
    for (name, act) in acts {
        let simulation = Simulation::new("cats", move |run| {
            run.component("cat", idle);
            run.component("tom", idle);
            run.disaster("dog", 60.0, move |world, _| act(world));
        });
        let failure = simulation.seeds(0..3).expect_err(name);
        let expected = if name == "power_cut" {
            "World::power_cut: the store is in memory".to_owned()
        } else {
            format!("World::{name}: there is no component \"dog\"; components: cat, tom")
        };
        assert!(failure.why.starts_with(&expected), "{failure}");
    }
}

#[test]
fn a_run_that_could_not_end_in_time_is_refused() {
    let seconds = Duration::from_secs;
    let simulation = alone(idle).storm(seconds(90)).quiet(seconds(10));
    let refused_with = |deadline| refused(|| simulation.clone().deadline(seconds(deadline)).run(0));
    assert_eq!(
        refused_with(100),
        "alone: no run could end in time: things go wrong until 90s (storm, or what happens last), and then nothing may change for 10s (quiet), which \
         must be less than 100s together (deadline)"
    );
    assert_eq!(simulation.clone().deadline(seconds(101)).run(0).failure, None);
    // Where nothing goes wrong by chance there is no storm.
    assert_eq!(simulation.deadline(seconds(11)).run_calm(0).failure, None);
}
