//! Resource amounts in the scheduler's units.

use std::borrow::Cow;
use std::collections::BTreeMap;

use orch_core::scheduler::Resources;

use crate::kinds::pod::Sum;

/// Amounts by resource name, as written.
pub(super) type Amounts<'a> = BTreeMap<Cow<'a, str>, Cow<'a, str>>;

/// Which way a fraction of the smallest unit counts.
#[derive(Clone, Copy)]
pub(super) enum Rounding {
    Up,
    Down,
}

/// The pairs of such a list; none if there is no list.
pub(super) fn pairs<'a>(
    amounts: Option<&'a Amounts<'_>>,
) -> impl Iterator<Item = (&'a str, &'a str)> + Clone {
    let amounts = amounts.into_iter().flatten();
    amounts.map(|(name, amount)| (&**name, &**amount))
}

/// A sum in the scheduler's units.
pub(super) fn resources(sum: &Sum, rounding: Rounding) -> Resources {
    let mut resources = Resources::default();
    for (name, amount) in &sum.0 {
        let nanos = amount.nanos().max(0);
        let unit = if name == "cpu" { 1_000_000 } else { 1_000_000_000 };
        let amount = match rounding {
            Rounding::Up => nanos.div_ceil_by(unit),
            Rounding::Down => nanos / unit,
        };
        let amount = u64::try_from(amount).unwrap_or(u64::MAX);
        match name.as_str() {
            "cpu" => resources.cpu_millis = amount,
            "memory" => resources.memory_bytes = amount,
            "pods" => resources.slots = amount,
            // Asking for nothing of something must not rule out nodes that do not have it.
            _ if amount == 0 => {}
            _ => drop(resources.named.insert(name.clone(), amount)),
        }
    }
    resources
}

/// `i128::div_ceil` is not stable.
trait DivCeil {
    fn div_ceil_by(&self, by: i128) -> i128;
}

impl DivCeil for i128 {
    fn div_ceil_by(&self, by: i128) -> i128 {
        self / by + i128::from(self % by > 0)
    }
}

/// What a node's `status.allocatable` offers.
pub(super) fn offered(amounts: &Amounts<'_>) -> Resources {
    let mut sum = Sum::default();
    sum.add(pairs(Some(amounts)));
    resources(&sum, Rounding::Down)
}
