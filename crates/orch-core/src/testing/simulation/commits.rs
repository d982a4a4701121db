//! What is committed in a run: it goes into the trace, and oracles judge it.

use std::sync::Arc;

use tokio::time::Instant;

use super::normal::normal;
use super::oracle::Oracle;
use super::panics::guarded_call;
use super::state::{Held, Written};
use super::trace::{TraceEntry, What};
use super::world::{Looking, Shared, World};
use super::{Normal, Strike};
use crate::object::Document;
use crate::store::{CommitError, Committed, Key, Op, Revision, Store, Txn};

impl Shared {
    /// Whether a change changes anything that counts, so that a run that is to settle must wait for it.
    fn counts(&mut self, key: &Key, before: Option<&Held>) -> bool {
        if !self.settling {
            return true;
        }
        let mut wrong = None;
        let mut form = |held: Option<&Held>| match form(&*self.normal, held?.document.as_ref()?) {
            Ok(form) => form,
            Err(why) => {
                wrong.get_or_insert(why);
                None
            }
        };
        let now = form(self.state.held(key));
        // Once it is asked, it is asked of every change: what was kept is the form of what the key held before.
        let counts = match self.forms.get_mut(key) {
            Some(kept) => std::mem::replace(kept, now.clone()) != now,
            None => {
                let counts = form(before) != now;
                self.forms.insert(key.clone(), now);
                counts
            }
        };
        if let Some(why) = wrong {
            self.fail(why, None);
        }
        counts
    }

    /// Whether a key holds what it held before, but for versions and times, as after a heartbeat; of values that are no objects
    /// it is never known.
    fn is_same(&self, key: &Key, before: Option<&Held>) -> bool {
        let form = |held: Option<&Held>| normal(held?.document.as_ref()?);
        let before = form(before);
        before.is_some() && before == form(self.state.held(key))
    }

    /// What the oracles have against the run's ending so.
    pub(super) fn asked(&mut self) -> Vec<String> {
        let _looking = Looking::new();
        let mut wrong = Vec::new();
        for oracle in &mut self.oracles {
            if let Err(why) = guarded_call("it", || oracle.settled(&self.state)).flatten() {
                wrong.push(named(&**oracle, &why));
            }
        }
        wrong
    }

    /// Takes note of a change by a commit; what is wrong with it.
    fn write(
        &mut self,
        (by, revision, now): (&Arc<str>, Revision, Instant),
        op: Op,
        world: &World,
    ) -> Result<(), String> {
        let key = op.key().clone();
        let (before, value) = match op {
            Op::Put { value, .. } => {
                let held = Held {
                    revision,
                    document: world.0.documents.decode_value(&key, &value, revision).ok(),
                    value: value.clone(),
                };
                (self.state.put(&key, held), Some(value))
            }
            Op::Delete { .. } => match self.state.delete(&key) {
                None => return Ok(()),
                before => (before, None),
            },
        };
        if self.counts(&key, before.as_ref()) {
            self.changed = now;
        }
        if let Some(later) = self.later
            && !self.is_same(&key, before.as_ref())
        {
            self.later = Some(later + 1);
        }
        let at = now.duration_since(self.began);
        if !self.has_failed() {
            let entry = TraceEntry {
                at,
                component: by.clone(),
                what: What::Wrote {
                    revision,
                    key: key.clone(),
                    created: before.is_none(),
                    deleted: value.is_none(),
                },
                is_beat: self.tells_beats && self.is_same(&key, before.as_ref()),
            };
            self.trace.add(entry, value.as_deref().unwrap_or_default());
        }
        let is_step = |strike: &Strike| matches!(strike, Strike::Step { .. });
        let written = Written {
            at,
            by,
            key: &key,
            before: before.as_ref(),
            state: &self.state,
            is_calm: self.struck.iter().all(is_step),
        };
        let _looking = Looking::new();
        let mut judged = Ok(());
        for oracle in &mut self.oracles {
            let ended = guarded_call("it", || oracle.written(&written)).flatten();
            judged = judged.and(ended.map_err(|why| named(&**oracle, &why)));
        }
        judged.map_err(|why| format!("{why} (written by {by} at {revision})"))
    }
}

/// What an oracle says, with its name, whose making may panic like all that users write.
fn named(oracle: &dyn Oracle, why: &str) -> String {
    let name = guarded_call("an oracle's name", || oracle.name().to_owned());
    format!("{}: {why}", name.unwrap_or_else(|why| why))
}

/// The form in which an object is compared; none if it is not.
fn form(normal: &Normal, document: &Document) -> Result<Option<String>, String> {
    let _looking = Looking::new();
    guarded_call("`normal`", || normal(document))
}

impl World {
    /// Commits; where it is not known what came of it, by which number it can be
    /// [asked for](super::power::Powered::landed).
    pub(super) async fn commit(
        &self,
        component: &Arc<str>,
        store: &dyn Store,
        txn: Txn,
    ) -> (Result<Committed, CommitError>, Option<u64>) {
        let mut unsure = None;
        let committed = store.commit(txn.clone()).await;
        match &committed {
            Ok(committed) if committed.changed => self.committed(component, committed.revision, txn.ops),
            Ok(_) => {}
            Err(error) => {
                self.record(component, What::Refused(error.to_string()), &[]);
                if let CommitError::Unknown(_) = error {
                    unsure = Some(self.0.powered.note(component, txn));
                    self.must_know_with_power();
                }
            }
        }
        self.look_at_power();
        (committed, unsure)
    }

    /// Takes note of a commit, shows it to the oracles, and wakes who waits for it.
    pub(super) fn committed(&self, component: &Arc<str>, revision: Revision, ops: Vec<Op>) {
        let now = Instant::now();
        let has_failed = {
            let mut guard = self.shared();
            let shared = &mut *guard;
            shared.early.insert(revision, (component.clone(), ops));
            while let Some(first) = shared.early.first_entry() {
                if *first.key() != shared.state.revision.next() {
                    break;
                }
                let (revision, (by, ops)) = first.remove_entry();
                shared.state.revision = revision;
                let mut judged = Ok(());
                for op in ops {
                    judged = judged.and(shared.write((&by, revision, now), op, self));
                }
                if let Err(why) = judged {
                    shared.fail(why, Some(revision));
                }
            }
            shared.has_failed()
        };
        if has_failed {
            self.tell_failure();
        }
        self.0.moved.notify_waiters();
    }

    /// Asks the oracles about the end.
    pub(super) fn judge(&self) {
        let mut shared = self.shared();
        if let Some(why) = shared.asked().into_iter().next() {
            shared.fail(why, None);
        }
    }

    /// The objects that the store holds in the form in which they are compared.
    pub(super) fn end(&self) -> Vec<String> {
        let mut guard = self.shared();
        let shared = &mut *guard;
        let mut wrong = None;
        let mut lines = Vec::new();
        for document in shared.state.documents() {
            match form(&*shared.normal, document) {
                Ok(line) => lines.extend(line),
                Err(why) => {
                    wrong.get_or_insert(why);
                }
            }
        }
        if let Some(why) = wrong {
            shared.fail(why, None);
        }
        lines.sort_unstable();
        lines
    }
}
