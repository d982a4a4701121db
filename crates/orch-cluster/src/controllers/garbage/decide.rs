//! What garbage collection does about one object: Kubernetes' rules for owners that are gone or wait.

use orch_core::object::OwnerReference;

use super::graph::{FOREGROUND, Graph, Item, ORPHAN, Standing, Uid};

/// What becomes of the dependents of an object that is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Propagation {
    /// They go after it.
    Background,
    /// They go before it.
    Foreground,
}

/// One thing to do. Every write is bound to the uid and revision it was decided on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// Look the owner up directly, tell the graph, and decide again.
    Look { dependent: Uid, owner: OwnerReference },
    /// No owner is left.
    Delete { object: Uid, propagation: Propagation },
    /// Remove these of its owner references: the owners are gone, or let it go.
    DropOwners { object: Uid, owners: Vec<String> },
    /// Set `blockOwnerDeletion` of its owner references to false: it would wait for itself.
    Unblock { object: Uid },
    /// Nothing holds its deletion up any more.
    RemoveFinalizer { object: Uid, finalizer: &'static str },
    /// Decide about this one too.
    Attend(Uid),
}

/// Decides about the object of `uid`; nothing if it is not in the graph or all is well.
pub(crate) fn decide(graph: &Graph, uid: &str) -> Vec<Action> {
    let Some(item) = graph.item(uid) else {
        return Vec::new();
    };
    if item.orphan {
        return let_go(graph, item);
    }
    if item.foreground {
        return wait_for_dependents(graph, item);
    }
    if item.is_deleting {
        return Vec::new();
    }
    judge(graph, item)
}

/// A deletion with the `orphan` finalizer: the dependents lose the reference, then it may go.
fn let_go(graph: &Graph, item: &Item) -> Vec<Action> {
    let mut actions: Vec<Action> = graph
        .dependents(&item.uid)
        .map(|dependent| Action::DropOwners {
            object: dependent.uid.clone(),
            owners: vec![item.uid.to_string()],
        })
        .collect();
    if actions.is_empty() {
        actions.push(Action::RemoveFinalizer {
            object: item.uid.clone(),
            finalizer: ORPHAN,
        });
    }
    actions
}

/// A foreground deletion: it may go when no dependent is left that blocks it.
fn wait_for_dependents(graph: &Graph, item: &Item) -> Vec<Action> {
    let blocks = |dependent: &&Item| {
        let mut owners = dependent.owners.iter();
        owners.any(|owner| *owner.uid == *item.uid && owner.block_owner_deletion)
    };
    let mut blocking = graph.dependents(&item.uid).filter(blocks).peekable();
    if blocking.peek().is_none() {
        return vec![Action::RemoveFinalizer {
            object: item.uid.clone(),
            finalizer: FOREGROUND,
        }];
    }
    blocking
        .filter(|dependent| !dependent.is_deleting)
        .map(|dependent| Action::Attend(dependent.uid.clone()))
        .collect()
}

/// An object that nobody deletes: whether its owners are reason enough for it to be.
fn judge(graph: &Graph, item: &Item) -> Vec<Action> {
    if item.owners.is_empty() {
        return Vec::new();
    }
    let standings: Vec<(&OwnerReference, Standing)> = item
        .owners
        .iter()
        .map(|owner| (owner, graph.standing(item, owner)))
        .collect();
    let with = |standing: Standing| {
        let all = standings.iter().filter(move |(_, own)| *own == standing);
        all.map(|(owner, _)| (*owner).clone())
    };
    let looks: Vec<Action> = with(Standing::Unknown)
        .map(|owner| Action::Look {
            dependent: item.uid.clone(),
            owner,
        })
        .collect();
    if !looks.is_empty() {
        return looks;
    }
    if with(Standing::Solid).next().is_some() {
        let lost = with(Standing::Absent).chain(with(Standing::Waiting));
        let owners: Vec<String> = lost.map(|owner| owner.uid).collect();
        return if owners.is_empty() {
            Vec::new()
        } else {
            let object = item.uid.clone();
            vec![Action::DropOwners { object, owners }]
        };
    }
    let is_waited_for = with(Standing::Waiting).next().is_some();
    let mut dependents = graph.dependents(&item.uid).peekable();
    if !is_waited_for || dependents.peek().is_none() {
        return vec![Action::Delete {
            object: item.uid.clone(),
            propagation: Propagation::Background,
        }];
    }
    let mut actions = Vec::new();
    // An owner that waits for us while it is, further down, our own dependent would wait for ever.
    if dependents.any(|dependent| dependent.foreground)
        && item.owners.iter().any(|owner| owner.block_owner_deletion)
    {
        actions.push(Action::Unblock {
            object: item.uid.clone(),
        });
    }
    actions.push(Action::Delete {
        object: item.uid.clone(),
        propagation: Propagation::Foreground,
    });
    actions
}
