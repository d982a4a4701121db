//! Cuts a text into documents.

use std::borrow::Cow;

/// A part of the text, and the number of its first line.
pub(super) struct Chunk<'a> {
    pub(super) text: &'a str,
    pub(super) line: u32,
}

/// Cuts before each line that begins with `---`, but leaves what precedes the first document (comments and
/// directives) with it.
pub(super) fn chunks(text: &str) -> Vec<Chunk<'_>> {
    let mut chunks = Vec::new();
    let (mut start, mut start_line) = (0, 1);
    let mut only_preamble = true;
    let mut at = 0;
    for (line, number) in text.split_inclusive('\n').zip(1..) {
        let marker = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if marker && !only_preamble {
            chunks.push(Chunk {
                text: &text[start..at],
                line: start_line,
            });
            (start, start_line) = (at, number);
        }
        let trimmed = line.trim();
        only_preamble &= !marker && (trimmed.is_empty() || trimmed.starts_with('#') || line.starts_with('%'));
        at += line.len();
    }
    chunks.push(Chunk {
        text: &text[start..],
        line: start_line,
    });
    chunks
}

/// Writes characters past U+FFFF as YAML does. JSON escapes them as two halves, which YAML does not know; Go
/// and Python write them so.
pub(super) fn join_surrogates(text: &str) -> Cow<'_, str> {
    let is_json = text
        .trim_start_matches("---")
        .trim_start()
        .starts_with(['{', '[']);
    if !is_json || !text.contains("\\u") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        if let Some(c) = escape.get(..12).and_then(surrogate_pair) {
            out.push_str(&format!("\\U{:08X}", u32::from(c)));
            rest = &escape[12..];
        } else {
            // The backslash and what it escapes, which may be another.
            let end = escape.char_indices().nth(2).map_or(escape.len(), |(end, _)| end);
            out.push_str(&escape[..end]);
            rest = &escape[end..];
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The character that `\uD83D\uDE00` stands for.
fn surrogate_pair(escape: &str) -> Option<char> {
    let (high, low) = escape.strip_prefix("\\u")?.split_once("\\u")?;
    let half = |hex: &str| u16::from_str_radix(hex, 16).ok().filter(|_| hex.len() == 4);
    let (high, low) = (half(high)?, half(low)?);
    if !(0xd800..0xdc00).contains(&high) {
        return None;
    }
    char::decode_utf16([high, low]).next()?.ok()
}
