//! The canonical form of a quantity: no fraction, the largest suffix that loses nothing.

use std::fmt;

use super::{NANO, Quantity, QuantityFormat};

/// The suffix of 1000 to the power of the position, less three: from `n` on.
const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];

/// The suffix of 1024 to the power of the position.
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0");
        }
        match self.format {
            // Small or fractional amounts lose nothing only in decimal notation.
            QuantityFormat::BinarySi if self.nanos.abs() >= 1024 * NANO && self.nanos % NANO == 0 => {
                let (amount, power) = factored(self.nanos / NANO, 1024, BINARY.len() - 1);
                write!(f, "{amount}{}", BINARY[power])
            }
            QuantityFormat::BinarySi | QuantityFormat::DecimalSi => {
                let (amount, power) = factored(self.nanos, 1000, usize::MAX);
                match DECIMAL.get(power) {
                    Some(suffix) => write!(f, "{amount}{suffix}"),
                    // No letter is that large; Kubernetes goes over to exponents too.
                    None => write_exponent(f, amount, power),
                }
            }
            QuantityFormat::DecimalExponent => {
                let (amount, power) = factored(self.nanos, 1000, usize::MAX);
                write_exponent(f, amount, power)
            }
        }
    }
}

impl fmt::Debug for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quantity({self})")
    }
}

/// Takes the factor `base` out of a non-zero amount as often as it goes, `most` times at most.
fn factored(mut amount: i128, base: i128, most: usize) -> (i128, usize) {
    let mut power = 0;
    while power < most && amount % base == 0 {
        amount /= base;
        power += 1;
    }
    (amount, power)
}

/// Writes an amount of billionths times 1000 to the power of `power`.
fn write_exponent(f: &mut fmt::Formatter<'_>, amount: i128, power: usize) -> fmt::Result {
    if power == 3 {
        return write!(f, "{amount}");
    }
    // At most 12 factors of 1000 fit an i128.
    write!(f, "{amount}e{}", power as i64 * 3 - 9)
}
