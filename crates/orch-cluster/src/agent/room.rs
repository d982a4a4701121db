//! What the pods of a node may use together, and who has how much of it: for pods that want more than they have.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::resize::Wait;

/// The resources of which there is only so much, in the order of [`Amounts`].
const NAMES: [&str; 2] = ["cpu", "memory"];

/// How much of the processors and of the memory, in thousandths of a processor and of a byte.
pub(crate) type Amounts = [u64; 2];

/// The room of a node.
#[derive(Debug)]
pub(crate) struct Room {
    /// None where it is not known: then there is enough.
    whole: [Option<u64>; 2],
    taken: Mutex<HashMap<String, Amounts>>,
    freed: watch::Sender<()>,
}

impl Room {
    pub(crate) fn new(allocatable_millis: &BTreeMap<String, u64>) -> Self {
        Self {
            whole: NAMES.map(|name| allocatable_millis.get(name).copied()),
            taken: Mutex::default(),
            freed: watch::Sender::new(()),
        }
    }

    /// Takes what a pod has, by its uid, whether there is room or not: it runs.
    pub(crate) fn enter(&self, uid: &str, amounts: Amounts) {
        let before = self.taken.lock().insert(uid.to_owned(), amounts);
        let is_less = before.is_some_and(|before| (0..2).any(|index| amounts[index] < before[index]));
        if is_less {
            self.freed.send_replace(());
        }
    }

    /// Gives back what a pod had.
    pub(crate) fn leave(&self, uid: &str) {
        if self.taken.lock().remove(uid).is_some() {
            self.freed.send_replace(());
        }
    }

    /// Takes what a pod wants in place of what it has.
    ///
    /// # Errors
    ///
    /// That there is less, now or ever.
    pub(crate) fn ask(&self, uid: &str, wanted: Amounts) -> Result<(), Wait> {
        let mut taken = self.taken.lock();
        let has = taken.get(uid).copied().unwrap_or_default();
        for (index, name) in NAMES.into_iter().enumerate() {
            let (Some(whole), wanted) = (self.whole[index], wanted[index]) else {
                continue;
            };
            if wanted <= has[index] {
                continue;
            }
            let shown = |amount: u64| if name == "memory" { amount / 1000 } else { amount };
            if wanted > whole {
                return Err(Wait {
                    reason: "Infeasible",
                    message: format!(
                        "Node didn't have enough capacity: {name}, requested: {}, capacity: {}",
                        shown(wanted),
                        shown(whole)
                    ),
                });
            }
            let others = taken.iter().filter(|(other, _)| *other != uid);
            let used = others.fold(0_u64, |sum, (_, amounts)| sum.saturating_add(amounts[index]));
            if used.saturating_add(wanted) > whole {
                return Err(Wait {
                    reason: "Deferred",
                    message: format!(
                        "Node didn't have enough resource: {name}, requested: {}, used: {}, capacity: {}",
                        shown(wanted),
                        shown(used),
                        shown(whole)
                    ),
                });
            }
        }
        taken.insert(uid.to_owned(), wanted);
        let is_less = (0..2).any(|index| wanted[index] < has[index]);
        drop(taken);
        if is_less {
            self.freed.send_replace(());
        }
        Ok(())
    }

    /// Sees when someone gives back.
    pub(crate) fn freed(&self) -> watch::Receiver<()> {
        self.freed.subscribe()
    }
}
