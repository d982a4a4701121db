//! Reads a quantity: a signed decimal number and a suffix.

use std::str::FromStr;

use super::{NANO, Quantity, QuantityFormat};

/// The longest text read as a quantity, in bytes.
const MAX_LENGTH: usize = 256;

/// The most an amount with a binary suffix can be, in billionths.
const BINARY_MAX: i128 = i64::MAX as i128 * NANO;

/// Why a text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantityError {
    /// There is no text.
    #[error("a quantity is a number and a suffix, such as 500m, 1.5 or 2Gi; it may not be empty")]
    Empty,
    /// It does not begin with a decimal number.
    #[error("quantity {text:?}: must begin with a decimal number, such as 500m, 1.5 or 2Gi")]
    Number {
        /// What was given.
        text: String,
    },
    /// What follows the number is no suffix.
    #[error(
        "quantity {text:?}: unknown suffix {suffix:?}; allowed are n, u, m, k, M, G, T, P, E (powers of 1000), \
         Ki, Mi, Gi, Ti, Pi, Ei (powers of 1024), and e with a whole number (power of ten)"
    )]
    Suffix {
        /// What was given.
        text: String,
        /// What follows the number in it.
        suffix: String,
    },
    /// It is more than a quantity holds.
    #[error("quantity {text:?}: out of range; allowed is at most about 1.7e29 either side of zero")]
    Range {
        /// What was given.
        text: String,
    },
    /// It is too long a text to be read.
    #[error("a quantity of {length} bytes: allowed are at most {MAX_LENGTH}")]
    TooLong {
        /// The length given.
        length: usize,
    },
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        if text.is_empty() {
            return Err(QuantityError::Empty);
        }
        if text.len() > MAX_LENGTH {
            return Err(QuantityError::TooLong { length: text.len() });
        }
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let number_end = unsigned
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(number_end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
            return Err(QuantityError::Number {
                text: text.to_owned(),
            });
        }
        let Some(unit) = Unit::of(suffix) else {
            return Err(QuantityError::Suffix {
                text: text.to_owned(),
                suffix: suffix.to_owned(),
            });
        };

        let (magnitude, format) = match unit {
            Unit::Binary(power) => binary(whole, fraction, power),
            Unit::Decimal(exponent, format) => {
                let digits = whole.bytes().chain(fraction.bytes());
                let Some(nanos) = decimal_nanos(digits, fraction.len(), exponent) else {
                    return Err(QuantityError::Range {
                        text: text.to_owned(),
                    });
                };
                (nanos, format)
            }
        };
        let nanos = if text.starts_with('-') {
            -magnitude
        } else {
            magnitude
        };
        Ok(Self::new(nanos, format))
    }
}

/// What a suffix stands for.
enum Unit {
    /// Ten to this power.
    Decimal(i64, QuantityFormat),
    /// 1024 to this power.
    Binary(u32),
}

impl Unit {
    fn of(suffix: &str) -> Option<Self> {
        let decimal = |exponent| Some(Self::Decimal(exponent, QuantityFormat::DecimalSi));
        match suffix {
            "n" => decimal(-9),
            "u" => decimal(-6),
            "m" => decimal(-3),
            "" => decimal(0),
            "k" => decimal(3),
            "M" => decimal(6),
            "G" => decimal(9),
            "T" => decimal(12),
            "P" => decimal(15),
            "E" => decimal(18),
            "Ki" => Some(Self::Binary(1)),
            "Mi" => Some(Self::Binary(2)),
            "Gi" => Some(Self::Binary(3)),
            "Ti" => Some(Self::Binary(4)),
            "Pi" => Some(Self::Binary(5)),
            "Ei" => Some(Self::Binary(6)),
            _ => Self::exponent(suffix),
        }
    }

    /// `e` or `E`, perhaps a sign, and digits; an exponent past i64 is as good as its end.
    fn exponent(suffix: &str) -> Option<Self> {
        let signed = suffix.strip_prefix(['e', 'E'])?;
        let digits = signed.strip_prefix(['-', '+']).unwrap_or(signed);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let magnitude = digits.parse().unwrap_or(i64::MAX / 2);
        let exponent = if signed.starts_with('-') {
            -magnitude
        } else {
            magnitude
        };
        Some(Self::Decimal(exponent, QuantityFormat::DecimalExponent))
    }
}

/// The billionths in a binary amount, at most [`BINARY_MAX`], and how to show it: an amount below one has no
/// binary form.
fn binary(whole: &str, fraction: &str, power: u32) -> (i128, QuantityFormat) {
    let nanos = if fraction.is_empty() {
        decimal_nanos(whole.bytes(), 0, 0).and_then(|nanos| nanos.checked_mul(1024_i128.pow(power)))
    } else {
        // Exact for any number of digits: multiplied by 1024 digit by digit, as on paper.
        let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        for _ in 0..power {
            multiply_by_1024(&mut digits);
        }
        decimal_nanos(digits.iter().copied(), fraction.len(), 0)
    };
    let nanos = nanos.unwrap_or(BINARY_MAX).min(BINARY_MAX);
    let format = if nanos > 0 && nanos < NANO {
        QuantityFormat::DecimalSi
    } else {
        QuantityFormat::BinarySi
    };
    (nanos, format)
}

/// Multiplies a number in ASCII digits, most significant first, and grows it to hold the product.
fn multiply_by_1024(digits: &mut Vec<u8>) {
    let mut carry: u32 = 0;
    for digit in digits.iter_mut().rev() {
        let product = u32::from(*digit - b'0') * 1024 + carry;
        *digit = b'0' + (product % 10) as u8;
        carry = product / 10;
    }
    let mut front = Vec::new();
    while carry > 0 {
        front.push(b'0' + (carry % 10) as u8);
        carry /= 10;
    }
    front.reverse();
    digits.splice(..0, front);
}

/// The billionths in `digits`, the last `fraction` of them after the point, times ten to the power of
/// `exponent`; rounded up. None if they do not fit.
fn decimal_nanos(digits: impl Iterator<Item = u8> + Clone, fraction: usize, exponent: i64) -> Option<i128> {
    let significant = digits.skip_while(|digit| *digit == b'0');
    let count = significant.clone().count() as i64;
    if count == 0 {
        return Some(0);
    }
    let shift = exponent.saturating_add(9 - fraction as i64);
    // The digits from here on are finer than a billionth.
    let kept = count.saturating_add(shift.min(0)).max(0) as usize;
    let mut nanos: i128 = 0;
    for digit in significant.clone().take(kept) {
        nanos = nanos.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    if significant.skip(kept).any(|digit| digit != b'0') {
        nanos = nanos.checked_add(1)?;
    }
    let zeros = u32::try_from(shift.max(0)).ok()?;
    nanos.checked_mul(10_i128.checked_pow(zeros)?)
}
