//! Filters, scores and explanations, case by case.

use super::*;

fn node(name: &str) -> Node {
    Node::new(name, Resources::new(4_000, 8 << 30).slots(10))
}

fn needs(cpu: u64, memory: u64) -> Requirements {
    Requirements::of(Resources::new(cpu, memory).slots(1))
}

fn label(key: &str, operator: Operator) -> Condition {
    Condition::label(key, operator)
}

fn strings(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

#[test]
fn conditions_mean_what_they_mean_in_kubernetes() {
    let state = NodeState::new(node("n1").label("zone", "a").label("gen", "7").label("empty", ""));
    let cases = [
        (label("zone", Operator::In(strings(&["a", "b"]))), true),
        (label("zone", Operator::In(strings(&["b"]))), false),
        (label("none", Operator::In(strings(&["a"]))), false),
        (label("zone", Operator::NotIn(strings(&["a"]))), false),
        (label("none", Operator::NotIn(strings(&["a"]))), true),
        (label("empty", Operator::Exists), true),
        (label("none", Operator::Exists), false),
        (label("zone", Operator::DoesNotExist), false),
        (label("none", Operator::DoesNotExist), true),
        (label("gen", Operator::Gt(6)), true),
        (label("gen", Operator::Gt(7)), false),
        (label("gen", Operator::Lt(8)), true),
        (label("zone", Operator::Lt(8)), false),
        (label("none", Operator::Gt(0)), false),
        (Condition::name(Operator::In(strings(&["n1"]))), true),
        (Condition::name(Operator::NotIn(strings(&["n1"]))), false),
    ];
    for (condition, expected) in cases {
        assert_eq!(
            Term::new([condition.clone()]).matches(&state),
            expected,
            "{condition:?}"
        );
    }
    assert!(!Term::default().matches(&state), "an empty term matches nothing");
    let both = [label("zone", Operator::Exists), label("none", Operator::Exists)];
    assert!(
        !Term::new(both).matches(&state),
        "all conditions of a term must hold"
    );
}

#[test]
fn tolerations_match_by_key_value_and_effect() {
    let taint = Taint::new("dedicated", "gpu", Effect::NoSchedule);
    let toleration = |key: Option<&str>, value: Option<&str>, effect| Toleration {
        key: key.map(str::to_owned),
        value: value.map(str::to_owned),
        effect,
    };
    let cases = [
        (toleration(None, None, None), true),
        (toleration(Some("dedicated"), None, None), true),
        (
            toleration(Some("dedicated"), Some("gpu"), Some(Effect::NoSchedule)),
            true,
        ),
        (toleration(Some("dedicated"), Some("cpu"), None), false),
        (toleration(Some("other"), None, None), false),
        (
            toleration(Some("dedicated"), None, Some(Effect::NoExecute)),
            false,
        ),
    ];
    for (toleration, expected) in cases {
        assert_eq!(toleration.tolerates(&taint), expected, "{toleration:?}");
    }
}

#[test]
fn host_ports_conflict_on_the_same_address_protocol_and_number() {
    let port = |ip: &str, protocol, port| HostPort {
        ip: ip.parse().ok(),
        protocol,
        port,
    };
    let cases = [
        (HostPort::tcp(80), HostPort::tcp(80), true),
        (HostPort::tcp(80), HostPort::tcp(81), false),
        (port("", Protocol::Udp, 80), HostPort::tcp(80), false),
        (port("10.0.0.1", Protocol::Tcp, 80), HostPort::tcp(80), true),
        (
            port("10.0.0.1", Protocol::Tcp, 80),
            port("0.0.0.0", Protocol::Tcp, 80),
            true,
        ),
        (
            port("10.0.0.1", Protocol::Tcp, 80),
            port("10.0.0.2", Protocol::Tcp, 80),
            false,
        ),
    ];
    for (one, other, expected) in cases {
        assert_eq!(one.conflicts(&other), expected, "{one} {other}");
        assert_eq!(other.conflicts(&one), expected, "{other} {one}");
    }
}

/// What a scheduler with these nodes says to a request that none of them fits.
fn refusal(nodes: Vec<Node>, needs: Requirements) -> Refusal {
    let engine = Engine::default();
    for node in nodes {
        engine.set_node(node);
    }
    engine.place(&Request::new("r", needs)).unwrap_err()
}

#[test]
fn refusals_read_well() {
    let small = |name: &str| Node::new(name, Resources::new(4_000, 1_288_490_189).slots(10));
    let mut mixed: Vec<_> = (0..8).map(|index| small(&format!("small-{index}"))).collect();
    mixed.extend((0..4).map(|index| node(&format!("closed-{index}")).cordoned()));

    let gpu = Taint::new("dedicated", "gpu", Effect::NoSchedule);
    let away = Taint::new("away", "", Effect::NoExecute);
    let mut selector = needs(1, 1);
    selector.selector.insert("disk".to_owned(), "ssd".to_owned());
    let mut affinity = needs(1, 1);
    affinity.affinity = vec![Term::new([label("zone", Operator::Exists)])];
    let mut named = needs(1, 1);
    named.node = Some("n9".to_owned());
    let mut extended = needs(1, 1);
    extended.resources.named.insert("example.com/gpu".to_owned(), 2);
    let mut profile = needs(1, 1);
    profile.profile = "fancy".to_owned();

    let cases = [
        (
            mixed,
            needs(1, 2 << 30),
            "0/12 nodes fit: 8 lack memory (need 2Gi, most free 1.2Gi), 4 are cordoned",
        ),
        (
            vec![small("small")],
            needs(1, 1_288_490_190),
            "0/1 nodes fit: 1 lacks memory (need 1288490190, most free 1288490189)",
        ),
        (vec![], needs(1, 1), "0/0 nodes fit: there are none"),
        (
            vec![node("a")],
            needs(4_500, 1),
            "0/1 nodes fit: 1 lacks cpu (need 4500m, most free 4)",
        ),
        (
            vec![
                node("a").taint(gpu.clone()),
                node("b").taint(gpu),
                node("c").taint(away),
            ],
            needs(1, 1),
            "0/3 nodes fit: 2 have the untolerated taint dedicated=gpu:NoSchedule, \
             1 has the untolerated taint away:NoExecute",
        ),
        (
            vec![node("a")],
            selector,
            "0/1 nodes fit: 1 does not match the node selector disk=ssd",
        ),
        (
            vec![node("a"), node("b")],
            affinity,
            "0/2 nodes fit: 2 do not match the node affinity",
        ),
        (vec![node("a")], named, "0/1 nodes fit: 1 is not node \"n9\""),
        (
            vec![node("a")],
            extended,
            "0/1 nodes fit: 1 lacks example.com/gpu (need 2, most free 0)",
        ),
        (
            vec![node("a")],
            profile,
            "0/1 nodes fit: 1 cannot be judged: there is no profile \"fancy\"",
        ),
        (
            vec![Node::new("a", Resources::new(4_000, 8 << 30))],
            needs(1, 1),
            "0/1 nodes fit: 1 lacks slots (need 1, most free 0)",
        ),
    ];
    for (nodes, needs, expected) in cases {
        assert_eq!(refusal(nodes, needs).to_string(), expected);
    }
}

#[test]
fn a_taken_host_port_keeps_others_away_until_it_is_given_back() {
    let engine = Engine::default();
    engine.set_node(node("a"));
    let mut web = needs(1, 1);
    web.host_ports = vec![HostPort::tcp(80)];
    let (first, second) = (Request::new("1", web.clone()), Request::new("2", web));
    engine.place(&first).unwrap();
    let refusal = engine.place(&second).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "0/1 nodes fit: 1 has no free host port 80/TCP"
    );
    assert_eq!(refusal.causes[0].reason, Reason::HostPort);
    assert_eq!(engine.remove_placement("1").as_deref(), Some("a"));
    assert!(engine.fits(&second, "a") && engine.place(&second).is_ok());
}

#[test]
fn scores_prefer_what_their_names_say() {
    let empty = NodeState::new(node("empty"));
    let mut half = NodeState::new(node("half"));
    half.add(&needs(2_000, 4 << 30).group("g"));
    let mut lopsided = NodeState::new(node("lopsided"));
    lopsided.add(&needs(3_900, 1));
    let shy = NodeState::new(node("shy").taint(Taint::new("x", "", Effect::PreferNoSchedule)));
    let zone = NodeState::new(node("zone").label("zone", "a"));

    let mut wish = needs(100, 1 << 20).group("g");
    wish.preferences = vec![
        Preference {
            weight: 3,
            term: Term::new([label("zone", Operator::Exists)]),
        },
        Preference {
            weight: 1,
            term: Term::new([label("none", Operator::Exists)]),
        },
    ];
    let cases: [(&dyn Score, &NodeState, &NodeState); 6] = [
        (&LeastAllocatedScore, &empty, &half),
        (&MostAllocatedScore, &half, &empty),
        (&BalancedScore, &half, &lopsided),
        (&GroupSpreadScore, &empty, &half),
        (&TaintScore, &empty, &shy),
        (&PreferenceScore, &zone, &empty),
    ];
    for (score, better, worse) in cases {
        assert!(score.applies(&wish), "{}", score.name());
        assert!(
            score.score(&wish, better) > score.score(&wish, worse),
            "{}",
            score.name()
        );
        assert!(score.score(&wish, better) <= MAX_SCORE, "{}", score.name());
    }
    assert_eq!(PreferenceScore.score(&wish, &zone), MAX_SCORE / 4 * 3);
    assert_eq!(GroupSpreadScore.score(&wish, &half), MAX_SCORE / 2);
}

#[test]
fn spreading_uses_all_nodes_and_packing_as_few_as_it_can() {
    for (profile, expected) in [(Profile::spreading("p"), 8), (Profile::packing("p"), 2)] {
        let engine = Engine::builder().profile(profile).build();
        for index in 0..8 {
            engine.set_node(node(&format!("n{index}")));
        }
        let shape: Shape = needs(400, 1 << 20).group("web").into();
        for index in 0..16 {
            engine
                .place(&Request::new(index.to_string(), shape.clone()))
                .unwrap();
        }
        let states = (0..8).filter_map(|index| engine.node(&format!("n{index}")));
        let used = states.filter(|state| state.placements() > 0).count();
        assert_eq!(used, expected);
    }
}

#[test]
fn requests_that_ask_for_nothing_are_spread_too() {
    let engine = Engine::default();
    for index in 0..4 {
        engine.set_node(node(&format!("n{index}")));
    }
    for index in 0..8 {
        engine
            .place(&Request::new(index.to_string(), needs(0, 0)))
            .unwrap();
    }
    for index in 0..4 {
        assert_eq!(
            engine.node(&format!("n{index}")).map(|state| state.placements()),
            Some(2)
        );
    }
}

#[test]
fn a_plugin_of_ones_own_decides_and_is_named_in_refusals() {
    struct EvenNames;
    impl Filter for EvenNames {
        fn name(&self) -> &'static str {
            "even-names"
        }
        fn reads(&self) -> Reads {
            Reads::Node
        }
        fn check(&self, _: &Requirements, node: &NodeState) -> bool {
            node.name().len().is_multiple_of(2)
        }
    }
    let engine = Engine::builder()
        .profile(Profile::spreading("default").filter(EvenNames))
        .build();
    engine.set_node(node("odd"));
    let refusal = engine.place(&Request::new("r", needs(1, 1))).unwrap_err();
    assert_eq!(refusal.causes[0].reason, Reason::Other("even-names".into()));
    assert_eq!(
        refusal.to_string(),
        "0/1 nodes fit: 1 fails the check \"even-names\""
    );
    engine.set_node(node("even"));
    assert_eq!(
        &*engine.place(&Request::new("r", needs(1, 1))).unwrap().node,
        "even"
    );
}
