//! Reads label selectors in the grammar of list requests.
//!
//! ```text
//! selector    = [ requirement { "," requirement } ]
//! requirement = [ "!" ] key | key ( "=" | "==" | "!=" ) [ value ] | key ( ">" | "<" ) integer
//!             | key ( "in" | "notin" ) "(" [ value ] { "," [ value ] } ")"
//! ```
//!
//! The words `in` and `notin` are operators after a key and ordinary words elsewhere.

use std::fmt;
use std::iter::Peekable;
use std::str::FromStr;

use super::{MAX_LENGTH, Operator, Requirement, Selector, SelectorError};

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        if text.len() > MAX_LENGTH {
            return Err(SelectorError::TooLong { length: text.len() });
        }
        let mut parser = Parser {
            text,
            tokens: Tokens { rest: text }.peekable(),
        };
        parser.selector().map(Self::new)
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Peekable<Tokens<'a>>,
}

impl<'a> Parser<'a> {
    fn selector(&mut self) -> Result<Vec<Requirement>, SelectorError> {
        let mut requirements = Vec::new();
        if self.tokens.peek().is_none() {
            return Ok(requirements);
        }
        loop {
            requirements.push(self.requirement()?);
            match self.tokens.next() {
                None => return Ok(requirements),
                Some(Token::Comma) => {}
                other => return self.unexpected(other, "',' or the end"),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        let (key, operator) = match self.tokens.next() {
            Some(Token::Not) => (self.word("a label's key after '!'")?, Operator::DoesNotExist),
            Some(Token::Word(key)) => (key, self.operator()?),
            other => return self.unexpected(other, "'!' or a label's key"),
        };
        Requirement::new(key, operator).map_err(|errors| SelectorError::Invalid {
            selector: self.text.to_owned(),
            errors,
        })
    }

    fn operator(&mut self) -> Result<Operator, SelectorError> {
        if matches!(self.tokens.peek(), None | Some(Token::Comma)) {
            return Ok(Operator::Exists);
        }
        match self.tokens.next() {
            Some(Token::Equals) => Ok(Operator::In(vec![self.value()?])),
            Some(Token::NotEquals) => Ok(Operator::NotIn(vec![self.value()?])),
            Some(Token::Word("in")) => Ok(Operator::In(self.values()?)),
            Some(Token::Word("notin")) => Ok(Operator::NotIn(self.values()?)),
            Some(Token::Greater) => Ok(Operator::GreaterThan(self.integer()?)),
            Some(Token::Less) => Ok(Operator::LessThan(self.integer()?)),
            other => self.unexpected(other, "one of =, ==, !=, in, notin, >, <"),
        }
    }

    /// A value, or nothing before a comma or the end: the empty value.
    fn value(&mut self) -> Result<String, SelectorError> {
        if matches!(self.tokens.peek(), None | Some(Token::Comma)) {
            return Ok(String::new());
        }
        self.word("a value").map(str::to_owned)
    }

    fn values(&mut self) -> Result<Vec<String>, SelectorError> {
        match self.tokens.next() {
            Some(Token::Open) => {}
            other => return self.unexpected(other, "'('"),
        }
        let mut values = Vec::new();
        if self.tokens.next_if_eq(&Token::Close).is_some() {
            return Ok(values);
        }
        loop {
            let value = match self.tokens.peek() {
                Some(Token::Comma | Token::Close) => "",
                _ => self.word("',', ')' or a value")?,
            };
            values.push(value.to_owned());
            match self.tokens.next() {
                Some(Token::Comma) => {}
                Some(Token::Close) => return Ok(values),
                other => return self.unexpected(other, "',' or ')'"),
            }
        }
    }

    fn integer(&mut self) -> Result<i64, SelectorError> {
        let word = self.word("a whole number")?;
        word.parse()
            .or_else(|_| self.unexpected(Some(Token::Word(word)), "a whole number for '>' and '<'"))
    }

    fn word(&mut self, expected: &str) -> Result<&'a str, SelectorError> {
        match self.tokens.next() {
            Some(Token::Word(word)) => Ok(word),
            other => self.unexpected(other, expected),
        }
    }

    fn unexpected<T>(&self, found: Option<Token<'_>>, expected: &str) -> Result<T, SelectorError> {
        let found = found.map_or_else(|| "the end".to_owned(), |token| format!("'{token}'"));
        Err(SelectorError::Syntax {
            selector: self.text.to_owned(),
            reason: format!("found {found}, expected: {expected}"),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Comma,
    Open,
    Close,
    Not,
    Equals,
    NotEquals,
    Greater,
    Less,
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Word(word) => word,
            Self::Comma => ",",
            Self::Open => "(",
            Self::Close => ")",
            Self::Not => "!",
            Self::Equals => "=",
            Self::NotEquals => "!=",
            Self::Greater => ">",
            Self::Less => "<",
        })
    }
}

struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        const SYMBOLS: [(&str, Token<'static>); 9] = [
            ("==", Token::Equals),
            ("!=", Token::NotEquals),
            ("=", Token::Equals),
            ("!", Token::Not),
            (",", Token::Comma),
            ("(", Token::Open),
            (")", Token::Close),
            (">", Token::Greater),
            ("<", Token::Less),
        ];
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        if self.rest.is_empty() {
            return None;
        }
        for (symbol, token) in SYMBOLS {
            if let Some(rest) = self.rest.strip_prefix(symbol) {
                self.rest = rest;
                return Some(token);
            }
        }
        let end = self
            .rest
            .find([' ', '\t', '\r', '\n', '=', '!', ',', '(', ')', '>', '<'])
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(Token::Word(word))
    }
}
