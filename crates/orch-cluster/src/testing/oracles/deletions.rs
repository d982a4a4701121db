//! In which order things go.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;
use orch_core::object::{Document, ObjectMeta, OwnerReference};
use orch_core::testing::simulation::{Oracle, State, Written};

/// What is to go last goes last: an owner that is deleted in the foreground after those that block its deletion, one that is to
/// orphan what it owns after it was let go, a namespace after all that is in it.
///
/// What was there, with the owner in question, when the deletion was asked for counts; what came later does not.
#[derive(Default)]
pub struct Deletions {
    /// How much was written so far: what tells before from after, for dates are cut to the second, and clocks are set.
    writes: u64,
    /// What there is, by uid.
    known: BTreeMap<String, Known>,
}

/// Since which write an object has been so.
#[derive(Default)]
struct Known {
    there: u64,
    /// By the owner's uid.
    owned: BTreeMap<String, u64>,
    deleting: Option<u64>,
}

/// The finalizers that garbage collection takes off.
const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

impl Oracle for Deletions {
    fn name(&self) -> &str {
        "deletions"
    }

    fn written(&mut self, written: &Written<'_>) -> Result<(), String> {
        self.writes += 1;
        if let Some(is) = written.after() {
            self.note(is.meta());
        }
        let Some(was) = written.before() else {
            return Ok(());
        };
        // Users may choose otherwise while it lasts.
        let judged = if was.meta().is_deleting() && written.by != "scenario" {
            self.judge(was, written)
        } else {
            Ok(())
        };
        if written.after().is_none_or(|is| is.meta().uid != was.meta().uid) {
            self.known.remove(&was.meta().uid);
        }
        judged
    }
}

impl Deletions {
    fn note(&mut self, is: &ObjectMeta) {
        let now = self.writes;
        let known = self.known.entry(is.uid.clone()).or_insert_with(|| Known {
            there: now,
            ..Known::default()
        });
        let had = std::mem::take(&mut known.owned);
        let owners = is.owner_references.iter();
        let since = |owner: &OwnerReference| had.get(&owner.uid).copied().unwrap_or(now);
        known.owned = owners.map(|owner| (owner.uid.clone(), since(owner))).collect();
        if is.is_deleting() {
            known.deleting.get_or_insert(now);
        }
    }

    /// Judges what became of an object that was being deleted.
    fn judge(&self, was: &Document, written: &Written<'_>) -> Result<(), String> {
        let Some(deleted) = self.known.get(&was.meta().uid).and_then(|known| known.deleting) else {
            return Ok(());
        };
        if written.after().is_none() && written.was::<Namespace>().is_some() {
            return self.is_empty(written.state, &was.meta().name, deleted);
        }
        let had = |finalizer| has(was, finalizer) && !written.after().is_some_and(|is| has(is, finalizer));
        let (waits, orphans) = (had(FOREGROUND), had(ORPHAN));
        if !waits && !orphans {
            return Ok(());
        }
        let uid = &was.meta().uid;
        let held_up = written.state.documents().find(|document| {
            let known = self.known.get(&document.meta().uid);
            let since = known.and_then(|known| known.owned.get(uid));
            let mut owners = document.meta().owner_references.iter();
            since.is_some_and(|since| *since < deleted)
                && owners.any(|owner| owner.uid == *uid && (orphans || owner.block_owner_deletion))
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

    /// Whether nothing is left in a namespace that was there when its deletion was asked for.
    fn is_empty(&self, state: &State, name: &str, deleted: u64) -> Result<(), String> {
        let is_left = |document: &&Document| {
            let known = self.known.get(&document.meta().uid);
            document.kind() != "Event"
                && document.meta().namespace.as_deref() == Some(name)
                && known.is_some_and(|known| known.there < deleted)
        };
        match state.documents().find(is_left) {
            Some(document) => Err(format!(
                "namespace {name} goes before {} {}",
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
