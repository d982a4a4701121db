//! Sums of resource amounts, and what they are in the scheduler's units.

use std::borrow::Cow;
use std::collections::BTreeMap;

use orch_core::object::Quantity;
use orch_core::scheduler::Resources;

/// Amounts by resource name, as written.
pub(super) type Amounts<'a> = BTreeMap<Cow<'a, str>, Cow<'a, str>>;

/// Amounts in billionths, by name.
#[derive(Clone, Default)]
pub(super) struct Sum(pub(super) BTreeMap<String, i128>);

/// Which way a fraction of the smallest unit counts.
#[derive(Clone, Copy)]
pub(super) enum Rounding {
    Up,
    Down,
}

impl Sum {
    pub(super) fn add(&mut self, amounts: Option<&Amounts<'_>>) {
        for (name, amount) in amounts.into_iter().flatten() {
            let sum = self.0.entry(name.to_string()).or_default();
            *sum = sum.saturating_add(nanos(amount));
        }
    }

    pub(super) fn raise(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            let own = self.0.entry(name.clone()).or_default();
            *own = (*own).max(*amount);
        }
    }

    pub(super) fn resources(&self, rounding: Rounding) -> Resources {
        let mut resources = Resources::default();
        for (name, nanos) in &self.0 {
            let unit = if name == "cpu" { 1_000_000 } else { 1_000_000_000 };
            let amount = match rounding {
                Rounding::Up => nanos.max(&0).div_ceil_by(unit),
                Rounding::Down => nanos.max(&0) / unit,
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

/// A quantity in billionths. Validation keeps malformed ones out; they count as nothing.
pub(super) fn nanos(text: &str) -> i128 {
    text.parse().map_or(0, Quantity::nanos)
}

/// What a node's `status.allocatable` offers.
pub(super) fn offered(amounts: &Amounts<'_>) -> Resources {
    let mut sum = Sum::default();
    sum.add(Some(amounts));
    sum.resources(Rounding::Down)
}
