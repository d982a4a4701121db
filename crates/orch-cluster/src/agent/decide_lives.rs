//! Random lives of a pod: whatever happens, deciding comes to rest, and in the right place.

use std::time::Duration;

use orch_core::runtime::ContainerState;
use proptest::prelude::*;

use super::decide::Action;
use super::observed::{Health, Observed, Unhealthy, add};
use super::testkit::Model;

#[derive(Clone, Debug)]
enum Fate {
    Exit { which: usize, code: i32 },
    LoseSandboxes,
    LoseContainer { which: usize },
    Wait(u64),
    Sicken { which: usize },
    ChangeImage { which: usize },
    HalfMade,
    Step,
    Settle,
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        4 => (0..6usize, prop_oneof![Just(0), Just(1), Just(137)]).prop_map(|(which, code)| Fate::Exit { which, code }),
        1 => Just(Fate::LoseSandboxes),
        1 => (0..6usize).prop_map(|which| Fate::LoseContainer { which }),
        2 => (1..400u64).prop_map(Fate::Wait),
        1 => (0..6usize).prop_map(|which| Fate::Sicken { which }),
        1 => (0..2usize).prop_map(|which| Fate::ChangeImage { which }),
        1 => Just(Fate::HalfMade),
        4 => Just(Fate::Step),
        3 => Just(Fate::Settle),
    ];
    proptest::collection::vec(fate, 0..40)
}

fn specs() -> impl Strategy<Value = String> {
    let policy = prop_oneof![Just("Always"), Just("OnFailure"), Just("Never")];
    (policy, 0..3usize, any::<bool>(), 1..3usize).prop_map(|(policy, init, sidecar, main)| {
        let list = |prefix: &str, count: usize| {
            let all = (0..count).map(|n| format!(r#"{{"name": "{prefix}{n}", "image": "i"}}"#));
            all.collect::<Vec<_>>().join(",")
        };
        let mut inits = list("i", init);
        if sidecar {
            let comma = if inits.is_empty() { "" } else { "," };
            inits = format!(r#"{{"name": "s", "image": "i", "restartPolicy": "Always"}}{comma}{inits}"#);
        }
        let mains = list("m", main);
        format!(r#"{{"restartPolicy": "{policy}", "initContainers": [{inits}], "containers": [{mains}]}}"#)
    })
}

fn befall(model: &mut Model, fate: &Fate, images: &mut u32) {
    let count = model.observed.containers.len().max(1);
    match fate {
        Fate::Exit { which, code } => model.end(which % count, *code),
        Fate::LoseSandboxes => model.lose_sandboxes(),
        Fate::LoseContainer { which } => {
            if !model.observed.containers.is_empty() {
                model.observed.containers.remove(which % count);
            }
        }
        Fate::Wait(seconds) => model.now = add(model.now, Duration::from_secs(*seconds)),
        Fate::Sicken { which } => {
            if let Some(container) = model.observed.containers.get(which % count) {
                let failed = Some(Unhealthy {
                    probe: "liveness",
                    grace: None,
                });
                model.observed.health.insert(
                    container.id.clone(),
                    Health {
                        failed,
                        ..Health::default()
                    },
                );
            }
        }
        Fate::ChangeImage { which } => {
            *images += 1;
            let mains = &mut model.pod.spec.as_mut().unwrap().containers;
            let at = which % mains.len();
            mains[at].image = Some(format!("i{images}"));
        }
        Fate::HalfMade => {
            let next = model
                .decide()
                .actions
                .into_iter()
                .find_map(|action| match action {
                    Action::StartContainer {
                        name,
                        attempt,
                        backoff,
                    } => Some((name, attempt, backoff)),
                    _ => None,
                });
            if let Some((name, attempt, backoff)) = next {
                model.create(&name, attempt, backoff);
            }
        }
        Fate::Step => {
            if let Some(action) = model.decide().actions.first().cloned() {
                model.apply(&action);
            }
        }
        Fate::Settle => {
            model.settle();
        }
    }
    model.check();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever happens to a pod, deciding comes to rest; what should run then runs, and its report says so.
    #[test]
    fn every_life_comes_to_rest(spec in specs(), fates in fates()) {
        let mut model = Model::new(&spec);
        let mut images = 0;
        for fate in &fates {
            befall(&mut model, fate, &mut images);
        }
        // Init containers end by themselves, given time.
        for _ in 0..20 {
            model.settle_over_time(20);
            let of_init = |model: &Model| model.observed.containers.iter().position(|container| {
                container.name.starts_with('i') && container.state.is_running()
            });
            let Some(index) = of_init(&model) else { break };
            model.end(index, 0);
        }
        prop_assert_eq!(&model.decide().actions, &[]);
        let phase = model.status.phase.clone().unwrap();
        let never = spec.starts_with(r#"{"restartPolicy": "Never""#);
        if phase == "Running" {
            for container in &model.pod.spec.as_ref().unwrap().containers {
                let view = model.view();
                let Some(latest) = view.latest(&container.name) else {
                    // Lost without a trace, and not to be started again.
                    let always = spec.starts_with(r#"{"restartPolicy": "Always""#);
                    prop_assert!(!always, "{}", container.name);
                    continue;
                };
                let done = never || matches!(latest.state, ContainerState::Exited { exit_code: Some(0), .. });
                prop_assert!(latest.state.is_running() || done);
                if latest.state.is_running() {
                    prop_assert_eq!(Some(&latest.image), container.image.as_ref());
                }
            }
        } else {
            prop_assert!(matches!(phase.as_str(), "Succeeded" | "Failed"), "{phase}");
            let always = spec.contains(r#"{"restartPolicy": "Always", "init"#);
            prop_assert!(!always, "{phase}");
        }
    }

    /// Whatever happened to a pod, deleting it ends, with nothing left and the object deleted once.
    #[test]
    fn every_deletion_ends(spec in specs(), fates in fates(), grace in 1..60u64) {
        let mut model = Model::new(&spec);
        let mut images = 0;
        for fate in &fates {
            befall(&mut model, fate, &mut images);
        }
        model.delete(grace);
        prop_assert_eq!(model.settle(), None);
        prop_assert!(model.deleted);
        prop_assert!(model.observed.containers.is_empty() && model.observed.sandboxes.is_empty());
    }

    /// A report changes nothing in a world that does not change, so writing it again would write nothing.
    #[test]
    fn reports_are_stable(spec in specs(), fates in fates()) {
        let mut model = Model::new(&spec);
        let mut images = 0;
        for fate in &fates {
            befall(&mut model, fate, &mut images);
            model.report();
            let once = model.status.clone();
            model.report();
            prop_assert_eq!(&once, &model.status, "after {:?}", fate);
        }
    }

    /// A new process that knows nothing but the runtime and the last report decides the same.
    #[test]
    fn an_adopting_agent_decides_the_same(spec in specs(), fates in fates()) {
        let mut model = Model::new(&spec);
        let mut images = 0;
        for fate in &fates {
            befall(&mut model, fate, &mut images);
        }
        model.settle();
        let before = model.decide();
        model.observed = Observed {
            sandboxes: model.observed.sandboxes.clone(),
            containers: model.observed.containers.clone(),
            ..Default::default()
        };
        prop_assert_eq!(before, model.decide());
    }
}
