//! Sums and products of quantities.
//!
//! The operators stop at the ends of the range ([`Quantity::MIN`], [`Quantity::MAX`]); the `checked_` methods
//! tell. A result is shown in the notation of the left side, or of the right where the left is zero, as in
//! Kubernetes.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, Neg, Sub, SubAssign};

use super::Quantity;

impl Quantity {
    /// The sum; none if it is out of range.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.with_nanos(self.nanos.checked_add(other.nanos)?, other)
    }

    /// The difference; none if it is out of range.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.with_nanos(self.nanos.checked_sub(other.nanos)?, other)
    }

    /// The product; none if it is out of range.
    #[must_use]
    pub fn checked_mul(self, factor: i64) -> Option<Self> {
        self.with_nanos(self.nanos.checked_mul(i128::from(factor))?, self)
    }

    fn with_nanos(self, nanos: i128, other: Self) -> Option<Self> {
        // The range is symmetric, so that negation is exact; i128 has one value more.
        (nanos != i128::MIN).then(|| Self::new(nanos, self.result_format(other)))
    }

    fn result_format(self, other: Self) -> super::QuantityFormat {
        if self.is_zero() { other.format } else { self.format }
    }

    fn saturated(self, negative: bool, other: Self) -> Self {
        let end = if negative { Self::MIN } else { Self::MAX };
        end.with_format(self.result_format(other))
    }
}

impl Add for Quantity {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        // A sum overflows only if both sides have one sign.
        self.checked_add(other)
            .unwrap_or_else(|| self.saturated(self.is_negative(), other))
    }
}

impl Sub for Quantity {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.checked_sub(other)
            .unwrap_or_else(|| self.saturated(self.is_negative(), other))
    }
}

impl Mul<i64> for Quantity {
    type Output = Self;

    fn mul(self, factor: i64) -> Self {
        self.checked_mul(factor)
            .unwrap_or_else(|| self.saturated(self.is_negative() != (factor < 0), self))
    }
}

impl Neg for Quantity {
    type Output = Self;

    fn neg(self) -> Self {
        Self::new(-self.nanos, self.format)
    }
}

impl AddAssign for Quantity {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Quantity {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(quantities: I) -> Self {
        quantities.fold(Self::ZERO, Add::add)
    }
}
