//! Whether components agree.

use std::collections::BTreeMap;
use std::time::Duration;

use orch_core::store::Key;
use orch_core::testing::simulation::{Oracle, Written};

use crate::testing::normal;

/// No two components undo each other's writes again and again.
#[derive(Default)]
pub struct Peace(BTreeMap<Key, Feud>);

/// How an object was written lately, in the form in which end states are compared.
struct Feud {
    before: Option<String>,
    now: String,
    by: String,
    at: Duration,
    /// How many writes in a row put back what another component had just replaced.
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
        let Some(form) = written.after().and_then(normal) else {
            self.0.remove(written.key);
            return Ok(());
        };
        let Some(feud) = self.0.get_mut(written.key) else {
            let feud = Feud {
                before: None,
                now: form,
                by: written.by.to_owned(),
                at: written.at,
                undone: 0,
            };
            self.0.insert(written.key.clone(), feud);
            return Ok(());
        };
        if form == feud.now {
            return Ok(());
        }
        let is_undone =
            feud.before.as_ref() == Some(&form) && feud.by != written.by && written.at - feud.at < TRUCE;
        feud.undone = if is_undone { feud.undone + 1 } else { 0 };
        feud.at = written.at;
        let other = std::mem::replace(&mut feud.by, written.by.to_owned());
        feud.before = Some(std::mem::replace(&mut feud.now, form));
        if feud.undone < UNDONE {
            return Ok(());
        }
        Err(format!(
            "{}: {other} and {} undo what the other wrote",
            written.key, written.by
        ))
    }
}
