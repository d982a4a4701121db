//! Amounts of resources, written and rounded as Kubernetes does.

mod arithmetic;
mod format;
mod parse;
#[cfg(test)]
mod tests;
mod wire;

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

pub use parse::QuantityError;

/// An exact amount of a resource: Kubernetes' `resource.Quantity`, such as `500m` of cpu or `1.5Gi` of memory.
///
/// The amount is a whole number of billionths (`n`), the finest that Kubernetes keeps, between
/// [`MIN`](Self::MIN) and [`MAX`](Self::MAX): about ±1.7e29, a hundred thousand million `E`. Never a floating
/// point number. Parsing rounds away from zero what is finer than a billionth, and takes `Ki`..`Ei` amounts
/// past 2^63-1 as 2^63-1, as Kubernetes does; Kubernetes has no other bound, here what is past the range is
/// an error.
///
/// It remembers in which of the three notations it was written and is shown in that notation's canonical
/// form: no fraction, and the largest suffix that loses nothing. Comparison and hashing look at the amount
/// alone.
///
/// ```
/// use orch_core::object::Quantity;
///
/// let memory: Quantity = "1.5Gi".parse()?;
/// assert_eq!(memory.to_string(), "1536Mi");
/// assert_eq!(memory.value(), 1_610_612_736);
///
/// let cpu: Quantity = "0.5".parse()?;
/// assert_eq!(cpu.to_string(), "500m");
/// assert_eq!((cpu + Quantity::from_millis(250)).milli_value(), 750);
/// assert_eq!("1Ki".parse::<Quantity>()?, "1024".parse()?);
/// # Ok::<(), orch_core::object::QuantityError>(())
/// ```
#[derive(Clone, Copy, Default)]
pub struct Quantity {
    nanos: i128,
    format: QuantityFormat,
}

/// A notation for quantities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum QuantityFormat {
    /// Powers of 1000 by letter: `n u m k M G T P E`, or none.
    #[default]
    DecimalSi,
    /// Powers of 1024: `Ki Mi Gi Ti Pi Ei`.
    BinarySi,
    /// Powers of ten by number: `e3`.
    DecimalExponent,
}

/// Billionths in one.
const NANO: i128 = 1_000_000_000;

/// Billionths in a thousandth.
const NANOS_PER_MILLI: i128 = 1_000_000;

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self::new(0, QuantityFormat::DecimalSi);

    /// The largest amount, about 1.7e29.
    pub const MAX: Self = Self::new(i128::MAX, QuantityFormat::DecimalSi);

    /// The smallest amount, the largest below zero.
    pub const MIN: Self = Self::new(-i128::MAX, QuantityFormat::DecimalSi);

    const fn new(nanos: i128, format: QuantityFormat) -> Self {
        Self { nanos, format }
    }

    /// So many whole units, shown with decimal suffixes.
    pub const fn from_units(units: i64) -> Self {
        Self::new(units as i128 * NANO, QuantityFormat::DecimalSi)
    }

    /// So many thousandths, shown with decimal suffixes: the form for cpu.
    pub const fn from_millis(millis: i64) -> Self {
        Self::new(millis as i128 * NANOS_PER_MILLI, QuantityFormat::DecimalSi)
    }

    /// So many bytes, shown with binary suffixes: the form for memory.
    pub const fn from_bytes(bytes: i64) -> Self {
        Self::new(bytes as i128 * NANO, QuantityFormat::BinarySi)
    }

    /// So many billionths, shown with decimal suffixes; past the range, the nearest in it.
    pub const fn from_nanos(nanos: i128) -> Self {
        let nanos = if nanos == i128::MIN { -i128::MAX } else { nanos };
        Self::new(nanos, QuantityFormat::DecimalSi)
    }

    /// The same amount in another notation.
    #[must_use]
    pub const fn with_format(self, format: QuantityFormat) -> Self {
        Self::new(self.nanos, format)
    }

    /// The notation it is shown in.
    pub const fn format(self) -> QuantityFormat {
        self.format
    }

    /// The amount in billionths, exactly.
    pub const fn nanos(self) -> i128 {
        self.nanos
    }

    /// The amount in whole units, a fraction rounded away from zero; past i64's range, the nearest in it.
    pub const fn value(self) -> i64 {
        self.scaled(NANO)
    }

    /// The amount in thousandths, a fraction rounded away from zero; past i64's range, the nearest in it.
    pub const fn milli_value(self) -> i64 {
        self.scaled(NANOS_PER_MILLI)
    }

    /// The amount as the nearest floating point number, for ratios and displays only.
    pub const fn as_f64(self) -> f64 {
        self.nanos as f64 / NANO as f64
    }

    /// Whether it is nothing.
    pub const fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// Whether it is below zero.
    pub const fn is_negative(self) -> bool {
        self.nanos < 0
    }

    const fn scaled(self, unit: i128) -> i64 {
        let whole = self.nanos / unit;
        let rounded = if self.nanos % unit == 0 {
            whole
        } else {
            whole + self.nanos.signum()
        };
        if rounded > i64::MAX as i128 {
            i64::MAX
        } else if rounded < i64::MIN as i128 {
            i64::MIN
        } else {
            rounded as i64
        }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl Hash for Quantity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.nanos.hash(state);
    }
}
