//! Whether components agree.

use std::collections::BTreeMap;
use std::time::Duration;

use orch_core::object::Document;
use orch_core::store::Key;
use orch_core::testing::simulation::{Oracle, Written};

use crate::testing::normal;

/// No two components undo each other's writes again and again.
#[derive(Default)]
pub struct Peace(BTreeMap<Key, Feud>);

/// Who writes an object, and what it found when it began to.
struct Feud {
    by: String,
    /// Since when.
    at: Duration,
    now: Document,
    /// What it found, as the writer before it had left it.
    found: Option<Document>,
    /// How many times in a row one put back what another had just replaced.
    undone: u32,
}

/// So many are a misunderstanding that ends; more are a fight.
const UNDONE: u32 = 6;

/// What was left alone for so long is no fight any more: a machine can be lost and come back many times.
const TRUCE: Duration = Duration::from_secs(60);

impl Oracle for Peace {
    fn name(&self) -> &str {
        "peace"
    }

    fn written(&mut self, written: &Written<'_>) -> Result<(), String> {
        let Some(now) = written.after() else {
            self.0.remove(written.key);
            return Ok(());
        };
        let Some(feud) = self.0.get_mut(written.key) else {
            let feud = Feud {
                by: written.by.to_owned(),
                at: written.at,
                now: now.clone(),
                found: None,
                undone: 0,
            };
            self.0.insert(written.key.clone(), feud);
            return Ok(());
        };
        if feud.by == written.by {
            // Whatever it writes, it does not contradict itself; and most objects have one writer.
            feud.now = now.clone();
            return Ok(());
        }
        let is_soon = written.at - feud.at < TRUCE;
        let is_undone = |found: &Document| {
            let is_back = may_be_alike(found, now) && normal(found) == normal(now);
            // Or it had never been changed.
            is_back && normal(&feud.now) != normal(now)
        };
        if is_soon && feud.found.as_ref().is_some_and(is_undone) {
            feud.undone += 1;
        } else {
            feud.undone = 0;
        }
        feud.at = written.at;
        feud.found = Some(std::mem::replace(&mut feud.now, now.clone()));
        let other = std::mem::replace(&mut feud.by, written.by.to_owned());
        if feud.undone < UNDONE {
            return Ok(());
        }
        Err(format!(
            "{}: {other} and {} undo what the other wrote",
            written.key, written.by
        ))
    }
}

/// Whether two may have the same form, by what is looked at soonest.
fn may_be_alike(one: &Document, other: &Document) -> bool {
    let (one, other) = (one.meta(), other.meta());
    one.is_deleting() == other.is_deleting() && one.labels == other.labels
}
