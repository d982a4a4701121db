//! Why an expression has no value.

use std::fmt;

use super::Val;

/// Why there is no value.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The expression makes none of the object.
    Wrong(String),
    /// It takes too long.
    TooDear,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wrong(why) => why,
            Self::TooDear => {
                "validation failed due to running out of cost budget, no further validation rules will be run"
            }
        })
    }
}

pub(crate) type Outcome<'a> = Result<Val<'a>, Fault>;

pub(crate) fn wrong(text: impl Into<String>) -> Fault {
    Fault::Wrong(text.into())
}
