//! Strings of expressions, which are copied nowhere: they lie in the object or in the expression, or are shared.

use std::cmp::Ordering;
use std::ops::{Deref, Range};
use std::rc::Rc;

/// A string that costs nothing to have once more.
#[derive(Clone, Debug)]
pub(crate) enum Text<'a> {
    /// One of the object or of the expression.
    Lent(&'a str),
    /// One that an expression made.
    Made(Rc<str>),
}

impl<'a> Text<'a> {
    /// A part of it, which has to be one.
    pub(crate) fn part(&self, range: Range<usize>) -> Self {
        match self {
            Self::Lent(text) => Self::Lent(&text[range]),
            Self::Made(text) => Self::Made(text[range].into()),
        }
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Lent(text) => text,
            Self::Made(text) => text,
        }
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self::Lent(text)
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self::Made(text.into())
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Text<'_> {}

impl PartialOrd for Text<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}
