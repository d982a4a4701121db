//! Places in a value, and what is told of them.

use std::fmt::{self, Display, Write};

/// How many are told of one object.
const MOST: usize = 50;

/// Bytes that is said of each at most: names are as long as who writes likes.
const BYTES: usize = 512;

/// A step into a value, and those before it.
pub(super) struct Place<'a> {
    pub(super) above: Option<&'a Place<'a>>,
    pub(super) step: Step<'a>,
}

pub(super) enum Step<'a> {
    Field(&'a str),
    Item(usize),
}

/// `spec.containers[0].image`.
impl Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(above) = self.above {
            above.fmt(f)?;
        }
        match self.step {
            Step::Field(name) if self.above.is_some() => write!(f, ".{name}"),
            Step::Field(name) => f.write_str(name),
            Step::Item(index) => write!(f, "[{index}]"),
        }
    }
}

/// What is told of an object.
#[derive(Debug, Default)]
pub(super) struct Told(Vec<String>);

impl Told {
    /// Tells in Kubernetes' words what is wrong with a field.
    pub(super) fn tell(&mut self, what: &str, place: &Place<'_>) {
        if self.0.len() < MOST {
            let mut words = Cut(String::new());
            if write!(words, "{what} field \"{place}\"").is_err() {
                words.0.push('…');
            }
            self.0.push(words.0);
        }
    }

    pub(super) fn into_words(self) -> Vec<String> {
        self.0
    }
}

/// The beginning of a text; an error is that there is more.
struct Cut(String);

impl Write for Cut {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = BYTES - self.0.len();
        if part.len() <= room {
            self.0.push_str(part);
            return Ok(());
        }
        self.0.push_str(&part[..part.floor_char_boundary(room)]);
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_bounded_in_number_and_bytes() {
        let long = "é".repeat(1 << 20);
        let place = Place {
            above: None,
            step: Step::Field(&long),
        };
        let mut told = Told::default();
        for _ in 0..1000 {
            told.tell("duplicate", &place);
        }
        let words = told.into_words();
        assert_eq!(words.len(), MOST);
        for words in words {
            assert!(
                words.starts_with("duplicate field \"éé") && words.ends_with("é…"),
                "{words}"
            );
            assert!(words.len() <= BYTES + '…'.len_utf8());
        }
    }
}
