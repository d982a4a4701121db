//! In which order things go.

use k8s_openapi::api::core::v1::Namespace;
use orch_core::object::Document;
use orch_core::testing::simulation::{Oracle, State, Written};

/// What is to go last goes last: an owner that is deleted in the foreground after those that block its deletion, one that is to
/// orphan what it owns after it was let go, a namespace after all that is in it.
///
/// Those count that were there before the deletion was asked for.
pub struct Deletions;

/// The finalizers that garbage collection takes off.
const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

impl Oracle for Deletions {
    fn name(&self) -> &str {
        "deletions"
    }

    fn written(&mut self, written: &Written<'_>) -> Result<(), String> {
        let Some(was) = written.before().filter(|was| was.meta().is_deleting()) else {
            return Ok(());
        };
        // Users may choose otherwise while it lasts.
        if written.by == "scenario" {
            return Ok(());
        }
        if written.after().is_none() && written.was::<Namespace>().is_some() {
            return is_empty(written.state, was);
        }
        let had = |finalizer| has(was, finalizer) && !written.after().is_some_and(|is| has(is, finalizer));
        let (waits, orphans) = (had(FOREGROUND), had(ORPHAN));
        if !waits && !orphans {
            return Ok(());
        }
        let held_up = older(written.state, was).find(|document| {
            let mut owners = document.meta().owner_references.iter();
            owners.any(|owner| owner.uid == was.meta().uid && (orphans || owner.block_owner_deletion))
        });
        match held_up {
            Some(document) => Err(format!(
                "{} goes before {} {}",
                written.key,
                document.kind(),
                document.key()
            )),
            None => Ok(()),
        }
    }
}

fn has(document: &Document, finalizer: &str) -> bool {
    document.meta().finalizers.iter().any(|own| own == finalizer)
}

/// What is there and was before the deletion of `of`.
fn older<'s>(state: &'s State, of: &'s Document) -> impl Iterator<Item = &'s Document> {
    let deleted = of.meta().deletion_timestamp;
    let is_older = move |document: &&Document| document.meta().creation_timestamp < deleted;
    state.documents().filter(is_older)
}

fn is_empty(state: &State, namespace: &Document) -> Result<(), String> {
    let name = &namespace.meta().name;
    let mut inside = older(state, namespace).filter(|document| document.kind() != "Event");
    match inside.find(|document| document.meta().namespace.as_ref() == Some(name)) {
        Some(document) => Err(format!(
            "namespace {name} goes before {} {}",
            document.kind(),
            document.key()
        )),
        None => Ok(()),
    }
}
