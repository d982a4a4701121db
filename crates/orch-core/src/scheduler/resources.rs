//! Amounts of what a node offers and a request takes.

use std::collections::BTreeMap;

/// The largest amount of one resource that is told apart from more: 2^53, 8 PiB if it counts bytes.
///
/// Larger ones are cut to it, so that sums over a node's placements cannot overflow.
pub const AMOUNT_LIMIT: u64 = 1 << 53;

/// How much of each resource: what a node has to give, or what a request takes of it.
///
/// ```
/// use orch_core::scheduler::Resources;
///
/// let node = Resources::new(4_000, 8 << 30).slots(110).with("example.com/gpu", 2);
/// assert_eq!((node.cpu_millis, node.slots), (4_000, 110));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Resources {
    /// Processor time in thousandths of one processor.
    pub cpu_millis: u64,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Places: how many requests a node takes whatever their size (Kubernetes' `pods` resource); a request
    /// usually takes one.
    pub slots: u64,
    /// Anything else, by name, in whole units.
    pub named: BTreeMap<String, u64>,
}

impl Resources {
    /// Processor time and memory; no slots.
    pub fn new(cpu_millis: u64, memory_bytes: u64) -> Self {
        Self {
            cpu_millis,
            memory_bytes,
            ..Self::default()
        }
    }

    /// Sets the number of slots.
    #[must_use]
    pub fn slots(mut self, slots: u64) -> Self {
        self.slots = slots;
        self
    }

    /// Sets the amount of a named resource.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, amount: u64) -> Self {
        self.named.insert(name.into(), amount);
        self
    }

    /// Cuts every amount to [`AMOUNT_LIMIT`].
    pub(super) fn cut(&mut self) {
        let named = self.named.values_mut();
        for amount in named.chain([&mut self.cpu_millis, &mut self.memory_bytes, &mut self.slots]) {
            *amount = (*amount).min(AMOUNT_LIMIT);
        }
    }
}

/// An amount of the resource `name` as people write it: `1500m` or `2` processors, `1.2Gi`, else a number.
///
/// Names that count bytes are `memory`, those ending in `storage` and those starting with `hugepages-`.
pub fn format_amount(name: &str, amount: u64) -> String {
    match name {
        "cpu" if amount.is_multiple_of(1000) => (amount / 1000).to_string(),
        "cpu" => format!("{amount}m"),
        _ if name == "memory" || name.ends_with("storage") || name.starts_with("hugepages-") => {
            format_bytes(amount)
        }
        _ => amount.to_string(),
    }
}

/// Bytes in the largest binary unit that keeps a whole part, with at most one digit after the point, rounded
/// down so that what is free is never overstated.
fn format_bytes(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let unit = (bytes.max(1).ilog2() / 10) as usize;
    let tenths = (u128::from(bytes) * 10) >> (10 * unit);
    match tenths % 10 {
        0 => format!("{}{}", tenths / 10, UNITS[unit]),
        tenth => format!("{}.{tenth}{}", tenths / 10, UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_people_write_them() {
        let cases = [
            ("cpu", 2_000, "2"),
            ("cpu", 1_500, "1500m"),
            ("memory", 0, "0"),
            ("memory", 1_023, "1023"),
            ("memory", 2 << 30, "2Gi"),
            ("memory", 1_288_490_188, "1.1Gi"),
            ("memory", 128 << 20, "128Mi"),
            ("memory", u64::MAX, "15.9Ei"),
            ("ephemeral-storage", 1_536, "1.5Ki"),
            ("hugepages-2Mi", 4 << 20, "4Mi"),
            ("example.com/gpu", 3, "3"),
        ];
        for (name, amount, expected) in cases {
            assert_eq!(format_amount(name, amount), expected, "{amount} of {name}");
        }
    }

    #[test]
    fn absurd_amounts_are_cut() {
        let mut absurd = Resources::new(u64::MAX, 1).with("x", u64::MAX);
        absurd.cut();
        assert_eq!(absurd, Resources::new(AMOUNT_LIMIT, 1).with("x", AMOUNT_LIMIT));
    }
}
