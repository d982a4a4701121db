//! How the engine behaves, case by case, and against a model.

mod model;

use super::super::{Group, Requirements, Resources};
use super::*;

fn name(index: usize) -> String {
    format!("n{index}")
}

fn cluster(builder: EngineBuilder, nodes: usize) -> Engine {
    let engine = builder.build();
    for index in 0..nodes {
        engine.set_node(Node::new(
            name(index),
            Resources::new(32_000, 64 << 30).slots(110),
        ));
    }
    engine
}

/// The shapes of `count` owners with three sizes of replica.
fn owners(count: u64) -> Vec<Shape> {
    let owner = |owner: u64| {
        let size = Resources::new(100 + 150 * (owner % 3), (64 << 20) << (owner % 3)).slots(1);
        Requirements::of(size).group(&owner.to_string()).into()
    };
    (0..count).map(owner).collect()
}

#[test]
fn sampling_spreads_nearly_as_evenly_as_comparing_all() {
    // 40 owners by turns on 500 nodes: every request meets a class whose index is far behind.
    let unevenness = |sample: usize| {
        let engine = cluster(Engine::builder().sample(sample), 500);
        let shapes = owners(40);
        for index in 0..8_000 {
            let request = Request::new(index.to_string(), shapes[index % shapes.len()].clone());
            engine.place(&request).unwrap();
        }
        let used: Vec<f64> = (0..500)
            .filter_map(|index| engine.node(&name(index)))
            .map(|state| state.used("cpu") as f64 / state.allocatable("cpu") as f64)
            .collect();
        let mean = used.iter().sum::<f64>() / used.len() as f64;
        (used.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / used.len() as f64).sqrt()
    };
    let (sampled, exhaustive) = (unevenness(20), unevenness(usize::MAX));
    assert!(exhaustive < 0.01, "exhaustive: {exhaustive}");
    assert!(
        sampled < exhaustive + 0.02,
        "sampled: {sampled}, exhaustive: {exhaustive}"
    );
}

#[test]
fn an_owners_replicas_are_kept_apart_while_there_are_nodes() {
    let engine = cluster(Engine::builder().sample(10), 300);
    let shape = owners(1).remove(0);
    for index in 0..300 {
        engine
            .place(&Request::new(index.to_string(), shape.clone()))
            .unwrap();
    }
    let states = (0..300).filter_map(|index| engine.node(&name(index)));
    let doubled = states.filter(|state| state.placements() > 1).count();
    assert_eq!(doubled, 0);
}

#[test]
fn an_index_left_behind_by_more_changes_than_are_logged_is_rebuilt() {
    let engine = cluster(Engine::builder(), 10);
    let shapes = owners(2);
    engine.place(&Request::new("first", shapes[0].clone())).unwrap();
    for round in 0..10_000_usize {
        let key: Key = (round % 400).to_string().into();
        engine.set_placement(&key, &name(round % 9), &shapes[1]);
    }
    let second = engine.place(&Request::new("second", shapes[0].clone())).unwrap();
    assert_eq!(*second.node, *name(9), "the only node left empty");
}

#[test]
fn shapes_and_indexes_are_bounded_and_placing_goes_on() {
    let engine = cluster(Engine::builder(), 50);
    for index in 0..5_000_u64 {
        let needs = Requirements::of(Resources::new(1, index + 1).slots(1));
        engine.place(&Request::new(index.to_string(), needs)).unwrap();
        if index % 500 == 499 {
            let mut state = engine.state.lock();
            let built = state
                .classes
                .values_mut()
                .filter(|class| class.ranking.is_built());
            assert_eq!(built.count(), RANKINGS);
            let classes = state.classes.values_mut().count();
            assert!(classes == index as usize + 1 || (CLASSES / 2 - 1..=CLASSES).contains(&classes));
        }
    }
}

#[test]
fn a_group_on_every_node_is_spread_as_evenly_as_a_small_one() {
    let engine = cluster(Engine::builder(), 300);
    let shapes = owners(2);
    for index in 0..3_000 {
        engine
            .place(&Request::new(index.to_string(), shapes[0].clone()))
            .unwrap();
        if index % 10 == 0 {
            // A small one in between, of the same size but for the group.
            let small: Shape = Requirements::of(shapes[0].resources.clone())
                .group("small")
                .into();
            engine
                .place(&Request::new(format!("small-{index}"), small))
                .unwrap();
        }
    }
    let states: Vec<_> = (0..300).filter_map(|index| engine.node(&name(index))).collect();
    let group = shapes[0].group.unwrap();
    assert!(
        states
            .iter()
            .all(|state| (9..=11).contains(&state.in_group(group)))
    );
    let small = Group::new("small");
    assert!(states.iter().all(|state| state.in_group(small) == 1));
    assert!(
        engine
            .state
            .lock()
            .groups
            .peek(&shapes[0])
            .is_some_and(Ranking::is_built)
    );
}

#[test]
fn nodes_that_come_and_go_leave_nothing_behind() {
    let engine = Engine::default();
    for round in 0..1_000 {
        engine.set_node(Node::new(name(round), Resources::new(1_000, 1 << 30)).label("host", name(round)));
        engine.set_placement(&"p".into(), &name(round), &owners(1)[0]);
        engine.remove_node(&name(round));
    }
    let state = engine.state.lock();
    assert!(state.ledger.slots().len() <= 3, "{}", state.ledger.slots().len());
}

#[test]
fn placements_count_on_a_node_that_is_told_later_or_comes_back() {
    let engine = Engine::default();
    let shape = owners(1).remove(0);
    engine.set_placement(&"p".into(), "late", &shape);
    assert_eq!((engine.nodes(), engine.node("late")), (0, None));
    for _ in 0..2 {
        engine.set_node(Node::new("late", Resources::new(1_000, 1 << 30)));
        assert_eq!(engine.node("late").map(|state| state.used("cpu")), Some(100));
        engine.remove_node("late");
    }
}

#[test]
fn a_filter_with_hidden_inputs_works_once_invalidated() {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    use super::super::{Filter, Reads};

    struct Gate(Arc<AtomicBool>);
    impl Filter for Gate {
        fn name(&self) -> &'static str {
            "gate"
        }
        fn reads(&self) -> Reads {
            Reads::Node
        }
        fn check(&self, _: &Requirements, _: &NodeState) -> bool {
            self.0.load(SeqCst)
        }
    }
    let open = Arc::new(AtomicBool::new(false));
    let profile = Profile::spreading("default").filter(Gate(open.clone()));
    let engine = cluster(Engine::builder().profile(profile), 3);
    let request = Request::new("r", owners(1).remove(0));
    assert_eq!(engine.place(&request).unwrap_err().nodes, 3);
    open.store(true, SeqCst);
    assert!(engine.place(&request).is_err(), "the refusal is remembered");
    engine.invalidate();
    assert!(engine.place(&request).is_ok());
}
