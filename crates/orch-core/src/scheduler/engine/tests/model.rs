//! The engine against a model that keeps lists and tries every node.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::super::{
    Condition, Effect, Group, HostPort, MAX_SCORE, Operator, Preference, Resources, Taint, Term, Toleration,
};
use super::*;

/// What should be: nodes, and placements with their node, shape, and whether they are bound.
#[derive(Default)]
struct Model {
    nodes: BTreeMap<String, Node>,
    placed: BTreeMap<String, (String, Shape, bool)>,
}

impl Model {
    fn on<'a>(&'a self, node: &'a str) -> impl Iterator<Item = &'a Requirements> {
        let here = self.placed.values().filter(move |(on, ..)| on == node);
        here.map(|(_, shape, _)| &**shape)
    }

    /// Written apart from the filters, from what each constraint is to mean.
    fn fits(&self, needs: &Requirements, node: &Node) -> bool {
        let left = |offered: u64, used: &dyn Fn(&Resources) -> u64, wanted: u64| {
            let used: u64 = self.on(&node.name).map(|other| used(&other.resources)).sum();
            wanted == 0 || used + wanted <= offered
        };
        let (offered, wanted) = (&node.allocatable, &needs.resources);
        let gpu = |resources: &Resources| resources.named.get("gpu").copied().unwrap_or(0);
        let gen_of = node
            .labels
            .get("gen")
            .and_then(|gen_of| gen_of.parse::<i64>().ok());
        let term_holds = |term: &Term| {
            term.conditions.iter().all(|condition| match &condition.operator {
                Operator::Gt(bound) => gen_of.is_some_and(|gen_of| gen_of > *bound),
                Operator::In(names) => names.contains(&node.name),
                Operator::DoesNotExist => !node.labels.contains_key("zone"),
                other => panic!("not generated: {other:?}"),
            })
        };
        left(offered.cpu_millis, &|r| r.cpu_millis, wanted.cpu_millis)
            && left(offered.memory_bytes, &|r| r.memory_bytes, wanted.memory_bytes)
            && left(offered.slots, &|r| r.slots, wanted.slots)
            && left(gpu(offered), &gpu, gpu(wanted))
            && (!node.unschedulable || needs.tolerates_unschedulable)
            && needs.node.as_ref().is_none_or(|name| *name == node.name)
            && needs
                .selector
                .iter()
                .all(|(key, value)| node.labels.get(key) == Some(value))
            && (needs.affinity.is_empty() || needs.affinity.iter().any(term_holds))
            && node.taints.iter().all(|taint| {
                taint.effect == Effect::PreferNoSchedule
                    || needs
                        .tolerations
                        .iter()
                        .any(|one| one.key.as_ref() == Some(&taint.key))
            })
            && needs.host_ports.iter().all(|port| {
                self.on(&node.name)
                    .all(|other| other.host_ports.iter().all(|held| held.port != port.port))
            })
    }

    fn state(&self, node: &Node) -> NodeState {
        let mut state = NodeState::new(node.clone());
        self.on(&node.name).for_each(|needs| state.add(needs));
        state
    }

    fn score(&self, needs: &Requirements, node: &Node) -> u32 {
        let state = self.state(node);
        let profile = Profile::spreading("");
        let scores = profile.scores.iter().filter(|(score, _)| score.applies(needs));
        scores
            .map(|(score, weight)| score.score(needs, &state).min(MAX_SCORE) * weight)
            .sum()
    }

    /// The best score there is for the request.
    fn best(&self, needs: &Requirements) -> Option<u32> {
        let fitting = self.nodes.values().filter(|node| self.fits(needs, node));
        fitting.map(|node| self.score(needs, node)).max()
    }
}

#[derive(Clone, Debug)]
enum Step {
    SetNode(Node),
    RemoveNode(usize),
    Place { key: usize, shape: usize },
    Forget(usize),
    Bind { key: usize, node: usize, shape: usize },
    Confirm(usize),
    Remove(usize),
}

const NODES: usize = 7;
const KEYS: usize = 24;
const SHAPES: usize = 5;

fn node() -> impl Strategy<Value = Node> {
    let labels = (prop::option::of(0..3_usize), prop::option::of(0..4_i64));
    let sizes = (0..8_u64, 0..8_u64, 0..6_u64, 0..3_u64);
    let taints = prop::collection::vec((0..2_usize, 0..3_usize), 0..2);
    (0..NODES, sizes, labels, taints, prop::bool::weighted(0.15)).prop_map(
        |(index, (cpu, memory, slots, gpu), (zone, gen_of), taints, unschedulable)| {
            let resources = Resources::new(cpu * 500, memory << 28)
                .slots(slots)
                .with("gpu", gpu);
            let mut node = Node::new(name(index), resources);
            if let Some(zone) = zone {
                node = node.label("zone", ["a", "b", "c"][zone]);
            }
            if let Some(gen_of) = gen_of {
                node = node.label("gen", gen_of.to_string());
            }
            for (key, effect) in taints {
                let effect = [Effect::NoSchedule, Effect::PreferNoSchedule, Effect::NoExecute][effect];
                node = node.taint(Taint::new(["t1", "t2"][key], "", effect));
            }
            node.unschedulable = unschedulable;
            node
        },
    )
}

fn requirements() -> impl Strategy<Value = Requirements> {
    let sizes = (0..4_u64, 0..4_u64, 0..2_u64, 0..2_u64);
    let ports = prop::collection::vec(80..82_u16, 0..2);
    let preference = (1..100_u32, 0..4_i64);
    let rare = |value: f64| prop::bool::weighted(value);
    (
        sizes,
        ports,
        prop::option::of(preference),
        0..8_u8,
        rare(0.5),
        rare(0.2),
        0..4_u8,
    )
        .prop_map(
            |((cpu, memory, slots, gpu), ports, preference, constraint, tolerant, closed, group)| {
                let mut resources = Resources::new(cpu * 500, memory << 28).slots(slots);
                if gpu > 0 {
                    resources = resources.with("gpu", gpu);
                }
                let mut needs = Requirements::of(resources);
                needs.host_ports = ports.into_iter().map(HostPort::tcp).collect();
                let newer = |than| Term::new([Condition::label("gen", Operator::Gt(than))]);
                needs.preferences = preference
                    .into_iter()
                    .map(|(weight, than)| Preference {
                        weight,
                        term: newer(than),
                    })
                    .collect();
                let named = |names: &[usize]| {
                    let names = names.iter().map(|index| name(*index)).collect();
                    Term::new([Condition::name(Operator::In(names))])
                };
                let no_zone = Term::new([Condition::label("zone", Operator::DoesNotExist)]);
                match constraint {
                    0 => needs.node = Some(name(0)),
                    1 => needs.selector = BTreeMap::from([("zone".to_owned(), "a".to_owned())]),
                    2 => needs.affinity = vec![newer(1), no_zone],
                    3 => needs.affinity = vec![named(&[1, 2]), named(&[2, 9])],
                    4 => needs.affinity = vec![named(&[1, 2]), no_zone],
                    _ => {}
                }
                if tolerant {
                    let key = Some("t1".to_owned());
                    needs.tolerations = vec![Toleration {
                        key,
                        ..Toleration::default()
                    }];
                }
                needs.tolerates_unschedulable = closed;
                needs.group = (group < 2).then(|| Group::new(&group.to_string()));
                needs
            },
        )
}

fn step() -> impl Strategy<Value = Step> {
    let (key, shape) = (0..KEYS, 0..SHAPES);
    prop_oneof![
        3 => node().prop_map(Step::SetNode),
        1 => (0..NODES).prop_map(Step::RemoveNode),
        8 => (key.clone(), shape.clone()).prop_map(|(key, shape)| Step::Place { key, shape }),
        1 => key.clone().prop_map(Step::Forget),
        1 => (key.clone(), 0..NODES, shape).prop_map(|(key, node, shape)| Step::Bind { key, node, shape }),
        1 => key.clone().prop_map(Step::Confirm),
        2 => key.prop_map(Step::Remove),
    ]
}

/// Does one step to both, and checks the engine's answer against the model.
fn run(
    engine: &Engine,
    model: &mut Model,
    shapes: &[Shape],
    step: Step,
    exact: bool,
) -> Result<(), TestCaseError> {
    let placed_on = |model: &Model, key: &str| model.placed.get(key).map(|(node, ..)| node.clone());
    match step {
        Step::SetNode(node) => {
            let changed = engine.set_node(node.clone());
            let before = model.nodes.insert(node.name.clone(), node.clone());
            prop_assert_eq!(changed, before != Some(node));
        }
        Step::RemoveNode(index) => {
            let known = model.nodes.remove(&name(index)).is_some();
            prop_assert_eq!(engine.remove_node(&name(index)), known);
        }
        Step::Place { key, shape } => {
            let request = Request::new(key.to_string(), shapes[shape].clone());
            let before = model.placed.get(&*request.key).cloned();
            if let Some((node, _, bound)) = &before
                && (*bound || model.nodes.contains_key(node))
            {
                let again = engine.place(&request).map(|placement| placement.node.to_string());
                prop_assert_eq!(again.as_ref(), Ok(node));
                return Ok(());
            }
            model.placed.remove(&*request.key);
            for name in (0..=NODES).map(name) {
                let node = model.nodes.get(&name);
                let fits = node.is_some_and(|node| model.fits(&request.shape, node));
                prop_assert_eq!(engine.fits(&request, &name), fits, "{}", name);
            }
            let best = model.best(&request.shape);
            match engine.place(&request) {
                Ok(placement) => {
                    let node = model.nodes.get(&*placement.node);
                    prop_assert!(
                        node.is_some_and(|node| model.fits(&request.shape, node)),
                        "violates a constraint"
                    );
                    let score = node.map(|node| model.score(&request.shape, node));
                    prop_assert_eq!(Some(placement.score), if exact { best } else { score });
                    let place = (placement.node.to_string(), request.shape.clone(), false);
                    model.placed.insert(request.key.to_string(), place);
                }
                Err(refusal) => {
                    prop_assert_eq!(best, None, "refused though a node fits: {}", refusal);
                    prop_assert_eq!(refusal.nodes, model.nodes.len());
                    let counted: usize = refusal.causes.iter().map(|cause| cause.nodes).sum();
                    prop_assert_eq!(counted, refusal.nodes, "{}", refusal);
                    prop_assert_eq!(engine.place(&request), Err(refusal), "the same when asked again");
                }
            }
        }
        Step::Forget(key) => {
            let key = key.to_string();
            let assumed = model.placed.get(&key).is_some_and(|(_, _, bound)| !bound);
            let expected = placed_on(model, &key).filter(|_| assumed);
            let left = engine.forget(&key).map(|node| node.to_string());
            prop_assert_eq!(left, expected);
            if assumed {
                model.placed.remove(&key);
            }
        }
        Step::Bind { key, node, shape } => {
            engine.set_placement(&key.to_string().into(), &name(node), &shapes[shape]);
            model
                .placed
                .insert(key.to_string(), (name(node), shapes[shape].clone(), true));
        }
        Step::Confirm(key) => {
            if let Some((node, shape, bound)) = model.placed.get_mut(&key.to_string()) {
                engine.set_placement(&key.to_string().into(), node, shape);
                *bound = true;
            }
        }
        Step::Remove(key) => {
            let expected = placed_on(model, &key.to_string());
            let left = engine
                .remove_placement(&key.to_string())
                .map(|node| node.to_string());
            prop_assert_eq!(left, expected);
            model.placed.remove(&key.to_string());
        }
    }
    Ok(())
}

/// The engine's sums, recomputed from the model.
fn check_accounts(engine: &Engine, model: &Model) -> Result<(), TestCaseError> {
    prop_assert_eq!(engine.nodes(), model.nodes.len());
    for (name, node) in &model.nodes {
        let state = engine
            .node(name)
            .ok_or_else(|| TestCaseError::fail("a node is missing"))?;
        for resource in ["cpu", "memory", "slots", "gpu"] {
            prop_assert_eq!(
                state.used(resource),
                model.state(node).used(resource),
                "{} of {}",
                resource,
                name
            );
        }
        prop_assert_eq!(state.placements() as usize, model.on(name).count());
        let (mut held, mut expected) = (
            state.host_ports().to_vec(),
            model.state(node).host_ports().to_vec(),
        );
        held.sort();
        expected.sort();
        prop_assert_eq!(held, expected);
    }
    let assumed: Vec<_> = engine
        .assumed()
        .into_iter()
        .map(|(key, _)| key.to_string())
        .collect();
    let expected = model.placed.iter().filter(|(_, (_, _, bound))| !bound);
    let expected: Vec<_> = expected.map(|(key, _)| key.clone()).collect();
    prop_assert_eq!(assumed, expected);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Never overcommits or violates a constraint, never refuses what fits, counts add up, accounts are exact;
    /// whether it samples one node, a few, or compares all, in which case it finds the best one.
    #[test]
    fn agrees_with_trying_every_node(
        shapes in prop::collection::vec(requirements(), SHAPES),
        steps in prop::collection::vec(step(), 1..120),
        sample in prop::sample::select(vec![1, 3, usize::MAX]),
        peeks in prop::sample::select(vec![0, 1, 3, PEEKS]),
        seed in any::<u64>(),
    ) {
        let shapes: Vec<Shape> = shapes.into_iter().map(Shape::from).collect();
        let mut engine = Engine::builder().sample(sample).seed(seed).build();
        engine.peeks = peeks;
        let mut model = Model::default();
        for step in steps {
            run(&engine, &mut model, &shapes, step, sample == usize::MAX)?;
            check_accounts(&engine, &model)?;
        }
        // Once everything has left, nothing is left over.
        for key in model.placed.keys() {
            engine.remove_placement(key);
        }
        for node in model.nodes.values() {
            prop_assert_eq!(engine.node(&node.name), Some(NodeState::new(node.clone())));
        }
    }

    #[test]
    fn the_same_calls_give_the_same_placements(
        nodes in prop::collection::vec(node(), 1..10),
        shapes in prop::collection::vec(requirements(), SHAPES),
        picks in prop::collection::vec(0..SHAPES, 1..60),
        sample in 1..5_usize,
    ) {
        let history = || {
            let engine = Engine::builder().sample(sample).seed(3).build();
            for node in nodes.clone() {
                engine.set_node(node);
            }
            let requests = picks.iter().enumerate();
            let requests = requests.map(|(index, shape)| Request::new(index.to_string(), shapes[*shape].clone()));
            requests.map(|request| engine.place(&request)).collect::<Vec<_>>()
        };
        prop_assert_eq!(history(), history());
    }
}
