//! What a failure shows.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::alone;
use crate::store::{ListOptions, Prefix, Txn};
use crate::testing::simulation::*;

fn pet(number: u64) -> String {
    let pet = serde_json::json!({"apiVersion": "v1", "kind": "Pet", "metadata": {"name": "a"}, "n": number,
        "renewTime": format!("2030-01-01T00:00:{number:02}Z")});
    pet.to_string()
}

/// Fails at the write of this number.
struct NotSoMany(u64);

impl Oracle for NotSoMany {
    fn name(&self) -> &str {
        "not so many"
    }

    fn written(&mut self, written: &Written<'_>) -> Result<(), String> {
        let revision = written.state.revision().get();
        (revision < self.0)
            .then_some(())
            .ok_or_else(|| format!("{revision} writes"))
    }
}

/// A component that writes one pet after the other, of which `normal` knows nothing.
fn breeding(number: fn(u64) -> u64, most: u64) -> Simulation {
    let simulation = Simulation::new("breeding", move |run| {
        run.component("breeder", move |life| async move {
            for nth in 0..20 {
                let pet = pet(nth).replace(&format!("\"n\":{nth}"), &format!("\"n\":{}", number(nth)));
                drop(life.store().commit(Txn::new().put("registry/pets/a", pet)).await);
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            drop(life.store().commit(Txn::new().delete("registry/pets/a")).await);
            std::future::pending::<()>().await;
        });
        run.oracle(NotSoMany(most));
        run.state("no pets", |world| async move {
            world.until(|state| state.entries().next().is_some()).await;
            world.until(|state| state.entries().next().is_none()).await;
            Ok(())
        });
    });
    simulation.normal(|_| None).quiet(Duration::from_secs(5))
}

fn lines(failure: &Failure) -> Vec<String> {
    let text = failure.to_string();
    let told = text.lines().skip_while(|line| !line.starts_with("what happens"));
    told.map(str::to_owned).collect()
}

#[test]
fn a_trace_shows_what_is_wrong_and_hides_only_what_was_there_already() {
    // What `normal` leaves out is shown, as long as it is news.
    let news = breeding(|nth| nth, 4).sweep().expect_err("too many");
    let shown = lines(&news);
    let expected = [
        "what happens, 0 heartbeats and 0 earlier lines apart:",
        "       0.000s breeder          started",
        "       0.000s breeder          created registry/pets/a at 1",
        "       1.000s breeder          updated registry/pets/a at 2",
        "       2.000s breeder          updated registry/pets/a at 3",
        "=>     3.000s breeder          updated registry/pets/a at 4",
        "       3.000s world            FAILED not so many: 4 writes (written by breeder at 4)",
    ];
    assert_eq!(shown[..expected.len()], expected);
    // Of repeats there is nothing, but for the one that is wrong.
    let repeats = breeding(|_| 7, 15).sweep().expect_err("too many");
    let shown = lines(&repeats);
    let expected = [
        "what happens, 13 heartbeats and 0 earlier lines apart:",
        "       0.000s scenario         asks for then#1:no-pets@0ms",
        "       0.000s breeder          started",
        "       0.000s breeder          created registry/pets/a at 1",
        "=>    14.000s breeder          updated registry/pets/a at 15",
        "      14.000s world            FAILED not so many: 15 writes (written by breeder at 15)",
    ];
    assert_eq!(shown[..expected.len()], expected);
}

#[test]
fn a_trace_tells_what_was_made_from_what_was_changed_and_what_users_ask_for() {
    let run = breeding(|nth| nth, 100).run_calm(0);
    assert_eq!(run.failure, None);
    let told: Vec<_> = run.trace.entries().map(ToString::to_string).collect();
    let has = |line: &str| told.iter().any(|told| told.ends_with(line));
    assert!(
        has("scenario         asks for then#1:no-pets@5000ms"),
        "{told:#?}"
    );
    assert!(has("breeder          created registry/pets/a at 1"), "{told:#?}");
    assert!(has("breeder          updated registry/pets/a at 20"), "{told:#?}");
    assert!(has("breeder          deleted registry/pets/a at 21"), "{told:#?}");
    assert!(told.iter().all(|line| !line.contains("FAULT")), "{told:#?}");
}

#[test]
fn nothing_is_told_of_what_comes_after_a_failure() {
    let simulation = alone(|life| async move {
        drop(life.store().commit(Txn::new().put("a", "b")).await);
        life.world().fail("it is enough\nof it");
        drop(life.store().commit(Txn::new().put("a", "c")).await);
        life.world().note("still here");
    });
    let run = simulation.run_calm(0);
    let told: Vec<_> = run.trace.entries().map(ToString::to_string).collect();
    assert_eq!(
        told.last().unwrap(),
        "     0.000s world            FAILED it is enough"
    );
    assert_eq!(run.failure.as_deref(), Some("it is enough\nof it"));
}

/// Lends once a second until so many are lent; a list that is old has it lend more.
fn lending() -> Simulation {
    let simulation = Simulation::new("lending", |run| {
        run.component("library", |life| async move {
            let store = life.store();
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let view = ListOptions {
                    may_be_stale: true,
                    ..ListOptions::default()
                };
                let Ok(lent) = store.list(&Prefix::default(), view).await else {
                    continue;
                };
                if lent.entries.len() < 4 {
                    let key = format!("registry/lents/{}", life.world().elapsed().as_secs());
                    let lent =
                        format!(r#"{{"apiVersion": "v1", "kind": "Lent", "metadata": {{"name": "{key}"}}}}"#);
                    drop(store.commit(Txn::new().put(key, lent)).await);
                }
            }
        });
        run.scenario(|world| async move {
            tokio::time::sleep(Duration::from_secs(8)).await;
            world.note("it has closed");
            Ok(())
        });
    });
    simulation
        .normal(|document| Some(document.kind().to_owned()))
        .quiet(Duration::from_secs(5))
}

#[test]
fn ends_that_differ_in_how_often_something_is_there_say_so() {
    let stale = "library/view#6=stale";
    let failure = lending()
        .replay(&format!("lending 0 {stale}"))
        .expect_err("it lends too many");
    assert_eq!(
        failure.why,
        "it does not end as it should: 5 objects, not 4\n  + Lent (5, not 4)"
    );
    let last = failure.trace.entries().next_back().unwrap().to_string();
    assert!(
        last.ends_with("FAILED it does not end as it should: 5 objects, not 4"),
        "{failure}"
    );
}

#[test]
fn a_failure_is_cut_down_to_no_other() {
    let simulation = Simulation::new("quakes", |run| {
        let quakes = Arc::new(AtomicU64::new(0));
        let counted = quakes.clone();
        run.component("it", |_| std::future::pending());
        run.disaster("quake", 600.0, move |_, _| {
            counted.fetch_add(1, Relaxed);
            async {}
        });
        run.scenario(move |world| {
            let quakes = quakes.clone();
            async move {
                tokio::time::sleep(Duration::from_secs(60)).await;
                match quakes.load(Relaxed) {
                    0 => Ok(()),
                    few @ 1..3 => {
                        world.fail(format!("few: {few}"));
                        Ok(())
                    }
                    _ => Err("many".to_owned()),
                }
            }
        });
    });
    let simulation = simulation
        .storm(Duration::from_secs(60))
        .quiet(Duration::from_secs(10));
    let failure = simulation.seeds(0..1).expect_err("it quakes");
    assert_eq!(failure.why, "the scenario: many");
    assert_eq!(failure.strikes.len(), 3, "{failure}");
}

/// Does a job once, if its view is not old when it lives again: then it does it twice.
async fn works_once(life: Life) {
    let store = life.store();
    let view = ListOptions {
        may_be_stale: true,
        ..ListOptions::default()
    };
    loop {
        if let Ok(done) = store.list(&Prefix::default(), view.clone()).await
            && (!done.entries.is_empty() || store.commit(Txn::new().put("job", "done")).await.is_ok())
        {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[test]
fn a_small_sweep_tries_each_crash_with_an_old_view_thereafter() {
    let simulation = Simulation::new("working", |run| {
        run.component("worker", works_once);
        run.oracle(NotSoMany(2));
        run.scenario(|world| async move {
            world.until(|state| state.revision().get() > 0).await;
            Ok(())
        });
    });
    let failure = simulation.sweep().expect_err("it works twice");
    let strikes: Vec<_> = failure.strikes.iter().map(ToString::to_string).collect();
    assert_eq!(strikes, ["worker/commit#1=crash-after", "worker/view#2=stale"]);
    assert!(!failure.why.contains("deterministic"), "{failure}");
}

#[test]
fn a_list_that_is_old_is_not_always_of_before_everything() {
    let seen = Arc::new(parking_lot::Mutex::new([0; 4]));
    let sees = seen.clone();
    let simulation = alone(move |life| {
        let sees = sees.clone();
        async move {
            let store = life.store();
            for number in 0..3 {
                drop(store.commit(Txn::new().put(number.to_string(), "x")).await);
            }
            let view = ListOptions {
                may_be_stale: true,
                ..ListOptions::default()
            };
            let Ok(list) = store.list(&Prefix::default(), view).await else {
                return;
            };
            sees.lock()[list.entries.len()] += 1;
            std::future::pending::<()>().await;
        }
    });
    for seed in 0..60 {
        let run = simulation.run_with(seed, ["it/view#1=stale".parse().unwrap()]);
        assert_eq!(run.failure, None);
    }
    let seen = *seen.lock();
    assert_eq!(seen.iter().sum::<u64>(), 60);
    assert!(
        seen[3] == 0 && seen[..3].iter().all(|times| *times > 10),
        "{seen:?}"
    );
}
