//! Patterns, which schemas write in Go's syntax (RE2), as those of the `regex` crate.

use std::collections::HashMap;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

/// How large a pattern may be once compiled, in KiB: tried in turn, so that one is charged about what it takes.
const SIZES: [usize; 4] = [8, 32, 128, 256];

/// A pattern of a schema.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    source: String,
    regex: Regex,
    size: usize,
}

impl Pattern {
    pub(crate) fn source(&self) -> &str {
        &self.0.source
    }

    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.0.regex.is_match(text)
    }

    /// The parts of a text that it matches, first to last.
    pub(crate) fn find_all<'p, 't>(&'p self, text: &'t str) -> impl Iterator<Item = &'t str> + use<'p, 't> {
        self.0.regex.find_iter(text).map(|found| found.as_str())
    }

    /// How large it is, in KiB: at most so.
    pub(crate) fn size(&self) -> usize {
        self.0.size
    }

    /// How many steps it may take, compared with others, to look at a text.
    pub(crate) fn cost(&self, text: &str) -> usize {
        text.len().saturating_mul(self.0.size) / 8
    }
}

/// The patterns of one schema, of which those alike are compiled once.
pub(crate) struct Patterns {
    known: HashMap<String, Pattern>,
    left: usize,
}

impl Default for Patterns {
    fn default() -> Self {
        let left = 32 * 1024;
        Self {
            known: HashMap::new(),
            left,
        }
    }
}

impl Patterns {
    /// One that was compiled.
    pub(crate) fn find(&self, source: &str) -> Option<&Pattern> {
        self.known.get(source)
    }

    /// Compiles one.
    ///
    /// # Errors
    ///
    /// Says why it is none, or that it, or all of a schema's together, are too large.
    pub(crate) fn compile(&mut self, source: &str) -> Result<Pattern, String> {
        if let Some(pattern) = self.find(source) {
            return Ok(pattern.clone());
        }
        let translated = translate(source);
        for size in SIZES {
            if size > self.left {
                return Err("all patterns of a schema together are too large".to_owned());
            }
            let built = RegexBuilder::new(&translated)
                .size_limit(size * 1024)
                .dfa_size_limit(256 * 1024)
                .build();
            match built {
                Ok(regex) => {
                    self.left -= size;
                    let pattern = Pattern(Arc::new(Compiled {
                        source: source.to_owned(),
                        regex,
                        size,
                    }));
                    self.known.insert(source.to_owned(), pattern.clone());
                    return Ok(pattern);
                }
                Err(regex::Error::CompiledTooBig(_)) => {}
                // The parser draws the pattern with a mark below; the last line says what is wrong.
                Err(error) => {
                    let text = error.to_string();
                    let last = text.lines().last().unwrap_or_default();
                    return Err(last.trim_start_matches("error: ").to_owned());
                }
            }
        }
        Err("expression is too large".to_owned())
    }
}

/// Writes what Go reads otherwise than the `regex` crate in a way that this reads alike: classes such as `\d` are
/// ASCII, `[`, `&` and `~` in a class and a `{` that counts nothing are plain characters, as are `\<` and `\>`.
fn translate(source: &str) -> String {
    let mut out = String::with_capacity(source.len() + 16);
    let mut rest = source;
    let mut class_starts_at = None;
    while let Some(c) = rest.chars().next() {
        let (taken, written) = match class_starts_at {
            _ if c == '\\' => escape(rest, class_starts_at.is_some()),
            None => match c {
                '[' => {
                    let length = if rest.starts_with("[^") { 2 } else { 1 };
                    class_starts_at = Some(rest.len() - length);
                    (length, &rest[..length])
                }
                '{' if !is_count(rest) => (1, "\\{"),
                _ => (c.len_utf8(), &rest[..c.len_utf8()]),
            },
            Some(start) => match c {
                // One that comes first is a plain character.
                ']' if start == rest.len() => (1, "\\]"),
                ']' => {
                    class_starts_at = None;
                    (1, "]")
                }
                '[' => match rest.find(":]").filter(|_| rest.starts_with("[:")) {
                    Some(end) => (end + 2, &rest[..end + 2]),
                    None => (1, "\\["),
                },
                '&' => (1, "\\&"),
                '~' => (1, "\\~"),
                _ => (c.len_utf8(), &rest[..c.len_utf8()]),
            },
        };
        out.push_str(written);
        rest = &rest[taken..];
    }
    out
}

/// How many bytes of the escape that `rest` begins with are read, and what is written for it.
fn escape(rest: &str, in_class: bool) -> (usize, &str) {
    let mut length = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
    if rest[length..].starts_with('{') && matches!(&rest[..length], "\\p" | "\\P" | "\\x") {
        // `\p{Greek}`
        length = rest.find('}').map_or(length, |end| end + 1);
    }
    let written = match (&rest[..length], in_class) {
        ("\\d", _) => "[0-9]",
        ("\\D", _) => "[^0-9]",
        ("\\w", _) => "[0-9A-Za-z_]",
        ("\\W", _) => "[^0-9A-Za-z_]",
        ("\\s", _) => "[\\t\\n\\f\\r ]",
        ("\\S", _) => "[^\\t\\n\\f\\r ]",
        ("\\b", false) => "(?-u:\\b)",
        ("\\B", false) => "(?-u:\\B)",
        ("\\<", _) => "<",
        ("\\>", _) => ">",
        (same, _) => same,
    };
    (length, written)
}

/// Whether text begins with `{2}`, `{2,}` or `{2,3}`.
fn is_count(text: &str) -> bool {
    let Some((count, _)) = text[1..].split_once('}') else {
        return false;
    };
    let (least, most) = count.split_once(',').unwrap_or((count, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !least.is_empty() && are_digits(least) && are_digits(most)
}
