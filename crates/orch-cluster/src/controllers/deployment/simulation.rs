//! Whole rolls at random: the bounds hold at every step, whatever the order of events, and the roll ends.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetStatus};
use proptest::prelude::*;
use serde_json::json;

use super::strategy::{Strategy as Roll, replicas};
use super::tests::{deployment, now, run};
use super::{Change, RollbackTo, rollback_to};

/// A set as stored, and its pods as they are: true for available. The stored status may lag behind.
#[derive(Clone)]
struct Set {
    stored: ReplicaSet,
    pods: Vec<bool>,
}

struct World {
    deployment: Deployment,
    sets: BTreeMap<String, Set>,
    now: Timestamp,
    made: i64,
}

#[derive(Clone, Debug)]
enum Step {
    /// The deployment controller runs.
    Decide,
    /// The controller of the n-th set makes its pods match its size.
    Apply(usize),
    /// A pod of the n-th set becomes available.
    Start(usize),
    /// The status of the n-th set catches up.
    Report(usize),
    /// The user sets another image.
    Image(u8),
    /// The user goes back one revision.
    Undo,
    /// The user sets another size.
    Resize(i32),
}

impl World {
    fn new(replicas: i32, surge: &str, unavailable: &str, recreate: bool) -> Self {
        let strategy = if recreate {
            json!({"type": "Recreate"})
        } else {
            json!({"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}})
        };
        Self {
            deployment: deployment(
                "v0",
                json!({"replicas": replicas, "strategy": strategy, "revisionHistoryLimit": 2}),
            ),
            sets: BTreeMap::new(),
            now: now(),
            made: 0,
        }
    }

    fn pods(&self) -> usize {
        self.sets.values().map(|set| set.pods.len()).sum()
    }

    fn available(&self) -> usize {
        self.sets
            .values()
            .flat_map(|set| &set.pods)
            .filter(|pod| **pod)
            .count()
    }

    fn decide(&mut self) -> bool {
        self.now += SignedDuration::from_secs(1);
        let stored: Vec<_> = self.sets.values().map(|set| set.stored.clone()).collect();
        let plan = run(&self.deployment, &stored, self.now);
        let mut changed = !plan.changes.is_empty() || self.deployment.status.as_ref() != Some(&plan.status);
        for change in plan.changes {
            match change {
                Change::Create(set) => {
                    let mut set = *set;
                    self.made += 1;
                    set.metadata.uid = Some(format!("set-{}", self.made));
                    set.metadata.generation = Some(1);
                    set.metadata.creation_timestamp =
                        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(self.now));
                    let name = set.metadata.name.clone().unwrap();
                    let before = self.sets.insert(
                        name,
                        Set {
                            stored: set,
                            pods: Vec::new(),
                        },
                    );
                    assert!(before.is_none(), "a set was made twice");
                }
                Change::Update(update) => {
                    let set = self
                        .sets
                        .get_mut(update.set.metadata.name.as_ref().unwrap())
                        .unwrap();
                    let spec = &mut set.stored.spec;
                    spec.replicas = update.replicas.or(spec.replicas);
                    spec.min_ready_seconds = update.min_ready_seconds.or(spec.min_ready_seconds);
                    set.stored
                        .metadata
                        .annotations
                        .get_or_insert_default()
                        .extend(update.annotations);
                    *set.stored.metadata.generation.as_mut().unwrap() += 1;
                }
                Change::Delete(set) => {
                    let gone = self.sets.remove(set.metadata.name.as_ref().unwrap()).unwrap();
                    assert!(gone.pods.is_empty(), "a set with pods was deleted");
                }
            }
        }
        if let Some(revision) = plan.revision {
            let annotations = self.deployment.metadata.annotations.get_or_insert_default();
            annotations.insert(super::revision::REVISION.to_owned(), revision);
            changed = true;
        }
        self.deployment.status = Some(plan.status);
        changed
    }

    fn nth(&mut self, n: usize) -> Option<&mut Set> {
        let count = self.sets.len().max(1);
        self.sets.values_mut().nth(n % count)
    }

    /// As the ReplicaSet's own controller: pods that are not available go first.
    fn apply(&mut self, n: usize) -> bool {
        let Some(set) = self.nth(n) else { return false };
        let size = usize::try_from(set.stored.spec.replicas.unwrap()).unwrap();
        let changed = set.pods.len() != size;
        set.pods.sort_by_key(|available| !*available);
        set.pods.resize(size, false);
        changed
    }

    fn start(&mut self, n: usize) -> bool {
        let pod = self.nth(n).and_then(|set| set.pods.iter_mut().find(|pod| !**pod));
        pod.map(|pod| *pod = true).is_some()
    }

    fn report(&mut self, n: usize) -> bool {
        let Some(set) = self.nth(n) else { return false };
        let available = i32::try_from(set.pods.iter().filter(|pod| **pod).count()).unwrap();
        let status = ReplicaSetStatus {
            replicas: i32::try_from(set.pods.len()).unwrap(),
            ready_replicas: Some(available),
            available_replicas: Some(available),
            observed_generation: set.stored.metadata.generation,
            ..ReplicaSetStatus::default()
        };
        let changed = set.stored.status.as_ref() != Some(&status);
        set.stored.status = Some(status);
        changed
    }

    fn set_image(&mut self, image: &str) {
        let template = &mut self.deployment.spec.template;
        template.spec.as_mut().unwrap().containers[0].image = Some(image.to_owned());
        *self.deployment.metadata.generation.as_mut().unwrap() += 1;
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Decide => drop(self.decide()),
            Step::Apply(n) => drop(self.apply(*n)),
            Step::Start(n) => drop(self.start(*n)),
            Step::Report(n) => drop(self.report(*n)),
            Step::Image(n) => self.set_image(&format!("v{n}")),
            Step::Undo => {
                let sets: Vec<_> = self.sets.values().map(|set| set.stored.clone().into()).collect();
                if let Ok(template) = rollback_to(&self.deployment, &sets, RollbackTo::Previous) {
                    self.deployment.spec.template = template;
                    *self.deployment.metadata.generation.as_mut().unwrap() += 1;
                }
            }
            Step::Resize(replicas) => {
                self.deployment.spec.replicas = Some(*replicas);
                *self.deployment.metadata.generation.as_mut().unwrap() += 1;
            }
        }
    }

    /// Lets everything happen until nothing does.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            let mut moved = false;
            for n in 0..self.sets.len() {
                moved |= self.apply(n);
                while self.start(n) {
                    moved = true;
                }
                moved |= self.report(n);
            }
            moved |= self.decide();
            if !moved {
                return;
            }
        }
        panic!("still not settled: {:?}", self.deployment.status);
    }

    fn assert_complete(&self) {
        let wanted = replicas(&self.deployment);
        let status = self.deployment.status.as_ref().unwrap();
        assert_eq!(
            (status.replicas, status.updated_replicas),
            (Some(wanted), Some(wanted))
        );
        assert_eq!(
            (status.available_replicas, status.unavailable_replicas),
            (Some(wanted), Some(0))
        );
        let progressing = status
            .conditions
            .iter()
            .flatten()
            .find(|c| c.type_.as_deref() == Some("Progressing"));
        assert_eq!(
            progressing.unwrap().reason.as_deref(),
            Some("NewReplicaSetAvailable")
        );
        assert!(self.sets.len() <= 3, "the history limit is kept");
    }
}

fn bound() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..5u8).prop_map(|n| n.to_string()),
        (0..=100u8).prop_map(|n| format!("{n}%"))
    ]
}

/// What happens by itself, and now and then a change of the template.
fn rolling_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => Just(Step::Decide),
        8 => (0..4usize).prop_map(Step::Apply),
        12 => (0..4usize).prop_map(Step::Start),
        8 => (0..4usize).prop_map(Step::Report),
        1 => (0..4u8).prop_map(Step::Image),
        1 => Just(Step::Undo),
    ];
    prop::collection::vec(step, 0..200)
}

fn numbers(text: &str) -> serde_json::Value {
    text.parse::<i32>()
        .map_or_else(|_| json!(text), |number| json!(number))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_roll_keeps_its_bounds_and_ends(
        replicas in 0..12i32, surge in bound(), unavailable in bound(), steps in rolling_steps(),
    ) {
        let mut world = World::new(replicas, "0", "0", false);
        let rolling = json!({"rollingUpdate": {"maxSurge": numbers(&surge), "maxUnavailable": numbers(&unavailable)}});
        world.deployment.spec.strategy = Some(serde_json::from_value(rolling).unwrap());
        world.settle();
        let strategy = Roll::of(&world.deployment);
        let most = usize::try_from(strategy.most(replicas)).unwrap();
        let least = usize::try_from(strategy.least_available(replicas)).unwrap();
        for step in &steps {
            let before = world.available();
            world.step(step);
            prop_assert!(world.pods() <= most, "{} pods, at most {most}, after {step:?}", world.pods());
            let after = world.available();
            prop_assert!(after >= before || after >= least, "{before} to {after} available, at least {least}, by {step:?}");
        }
        world.settle();
        world.assert_complete();
    }

    #[test]
    fn recreate_never_mixes_two_templates(replicas in 0..8i32, steps in rolling_steps()) {
        let mut world = World::new(replicas, "", "", true);
        world.settle();
        for step in &steps {
            world.step(step);
            let running = world.sets.values().filter(|set| !set.pods.is_empty()).count();
            prop_assert!(running <= 1, "pods of {running} sets after {step:?}");
        }
        world.settle();
        world.assert_complete();
    }

    #[test]
    fn any_history_of_sizes_and_templates_converges(
        replicas in 0..12i32,
        steps in prop::collection::vec(prop_oneof![
            4 => rolling_steps().prop_map(|mut steps| { steps.truncate(12); steps }),
            1 => (0..20i32).prop_map(|n| vec![Step::Resize(n)]),
        ], 0..20),
    ) {
        let mut world = World::new(replicas, "25%", "25%", false);
        for step in steps.iter().flatten() {
            world.step(step);
        }
        world.settle();
        world.assert_complete();
    }
}
