//! Protobuf's wire format: a message as numbered fields.

use super::Problem;

/// The fields of a message, one after the other.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

/// A field's value, as far as the wire says what it is.
#[derive(Clone, Copy)]
pub(super) enum Wire<'a> {
    Varint(u64),
    /// A string, bytes, a message, or numbers packed.
    Bytes(&'a [u8]),
    /// Eight bytes, four, or a group: nothing of Kubernetes' is one. By the number of the wire type.
    Other(u8),
}

/// The greatest number of a field.
const MOST: u64 = (1 << 29) - 1;

impl<'a> Reader<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field's number and value.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Wire<'a>)>, Problem> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (number, type_) = self.tag()?;
        let wire = match type_ {
            3 => {
                self.skip_group()?;
                Wire::Other(3)
            }
            type_ => self.value(type_)?,
        };
        Ok(Some((number, wire)))
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Seven bits of each byte, the lowest first, as long as the eighth is set.
    pub(super) fn varint(&mut self) -> Result<u64, Problem> {
        let mut value = 0_u64;
        for place in 0..10_u32 {
            let (byte, rest) = self.rest.split_first().ok_or(Problem::End)?;
            self.rest = rest;
            // The tenth has the 64th bit alone.
            if place == 9 && *byte > 1 {
                return Err(Problem::TooLong);
            }
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Problem::TooLong)
    }

    fn tag(&mut self) -> Result<(u32, u64), Problem> {
        let tag = self.varint()?;
        let number = tag >> 3;
        match u32::try_from(number) {
            Ok(small) if (1..=MOST).contains(&number) => Ok((small, tag & 7)),
            _ => Err(Problem::Number(number)),
        }
    }

    fn value(&mut self, type_: u64) -> Result<Wire<'a>, Problem> {
        match type_ {
            0 => Ok(Wire::Varint(self.varint()?)),
            1 => self.take(8).map(|_| Wire::Other(1)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Problem::End)?;
                self.take(length).map(Wire::Bytes)
            }
            5 => self.take(4).map(|_| Wire::Other(5)),
            4 => Err(Problem::Group),
            other => Err(Problem::NoWireType(other)),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Problem> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Problem::End)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Up to the end of a group that has begun, and over those within it. It counts them, and so needs no stack.
    fn skip_group(&mut self) -> Result<(), Problem> {
        let mut open = 1_usize;
        while open > 0 {
            match self.tag()?.1 {
                3 => open += 1,
                4 => open -= 1,
                type_ => {
                    self.value(type_)?;
                }
            }
        }
        Ok(())
    }
}

impl<'a> Wire<'a> {
    pub(super) fn bytes(self) -> Result<&'a [u8], Problem> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            other => Err(other.is_not("bytes")),
        }
    }

    pub(super) fn string(self) -> Result<String, Problem> {
        let text = std::str::from_utf8(self.bytes()?).map_err(|_| Problem::Utf8)?;
        Ok(text.to_owned())
    }

    pub(super) fn varint(self) -> Result<u64, Problem> {
        match self {
            Self::Varint(value) => Ok(value),
            other => Err(other.is_not("a number")),
        }
    }

    fn is_not(self, wanted: &'static str) -> Problem {
        let got = match self {
            Self::Varint(_) => 0,
            Self::Bytes(_) => 2,
            Self::Other(type_) => type_,
        };
        Problem::WireType { got, wanted }
    }
}
