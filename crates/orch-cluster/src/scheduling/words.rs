//! What people are told of a refusal: the scheduler's reasons, in Kubernetes' words.

use orch_core::scheduler::{Cause, Reason, Refusal};

/// The refusal as an event and a pod's condition say it. What the scheduler calls slots are the pods a node may
/// have.
pub(super) fn words(refusal: &Refusal) -> String {
    let causes = refusal.causes.iter().map(|cause| match &cause.reason {
        Reason::Resource(name) if name == "slots" => Cause {
            detail: format!("{} too many pods", if cause.nodes == 1 { "has" } else { "have" }),
            ..cause.clone()
        },
        _ => cause.clone(),
    });
    let refusal = Refusal {
        nodes: refusal.nodes,
        causes: causes.collect(),
    };
    refusal.to_string()
}

#[cfg(test)]
mod tests {
    use orch_core::scheduler::{Engine, Node, Request, Requirements, Resources, Scheduler};

    use super::*;

    #[test]
    fn nobody_is_told_of_slots() {
        // (what nodes there are: processor time and pods; what is said)
        let cases: [(&[(u64, u64)], &str); 4] = [
            (&[], "0/0 nodes fit: there are none"),
            (&[(4000, 0)], "0/1 nodes fit: 1 has too many pods"),
            (&[(4000, 0), (4000, 0)], "0/2 nodes fit: 2 have too many pods"),
            (
                &[(4000, 0), (100, 10), (100, 10)],
                "0/3 nodes fit: 2 lack cpu (need 1, most free 100m), 1 has too many pods",
            ),
        ];
        for (nodes, said) in cases {
            let engine = Engine::default();
            for (n, (cpu, pods)) in nodes.iter().enumerate() {
                engine.set_node(Node::new(
                    format!("n{n}"),
                    Resources::new(*cpu, 1 << 30).slots(*pods),
                ));
            }
            let shape = Requirements::of(Resources::new(1000, 0).slots(1));
            let refusal = engine.place(&Request::new("default/a", shape)).unwrap_err();
            assert_eq!(words(&refusal), said);
        }
    }
}
