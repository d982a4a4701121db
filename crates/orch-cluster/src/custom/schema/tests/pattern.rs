//! Patterns in Go's syntax.

use crate::custom::schema::pattern::Patterns;

#[test]
fn patterns_match_what_they_match_in_go() {
    for (pattern, text, expected) in [
        (r"^\d+$", "123", true),
        // Arabic digits are none of Go's.
        (r"^\d+$", "١", false),
        (r"^\w+$", "ä", false),
        (r"^[\w-]+$", "a_-1", true),
        (r"^\W$", "ä", true),
        (r"^[^\s]+$", "a b", false),
        (r"\bfoo\b", "a foo b", true),
        (r"\bfoo\b", "afoo", false),
        (r"o\B", "foo b", true),
        (r"^a{2}$", "aa", true),
        (r"^a{,2}$", "a{,2}", true),
        (r"^{name}$", "{name}", true),
        (r"^[[]$", "[", true),
        (r"^[]]$", "]", true),
        (r"^[^]]$", "]", false),
        (r"^[a&&b]+$", "a&b", true),
        (r"^[[:alpha:]]+$", "abc", true),
        (r"^\<a\>$", "<a>", true),
        (r"^\p{L}+$", "äö", true),
        (r"(?i)^ABC$", "abc", true),
        (r"^(?P<n>a)$", "a", true),
        (r"^.$", "ä", true),
        (r"^[0-9]+(\.[0-9]+){0,1}(m|k|M|Ki)?$", "1.5Ki", true),
        (r"^\[\^\]$", "[^]", true),
    ] {
        let compiled = Patterns::default().compile(pattern);
        let compiled = compiled.unwrap_or_else(|why| panic!("{pattern}: {why}"));
        assert_eq!(compiled.is_match(text), expected, "{pattern} on {text:?}");
    }
}

#[test]
fn patterns_that_are_none_or_too_large_are_refused() {
    for (pattern, expected) in [
        ("a(", "unclosed group"),
        ("a[", "unclosed character class"),
        ("*", "repetition operator missing expression"),
        (
            r"(?=a)",
            "look-around, including look-ahead and look-behind, is not supported",
        ),
        (r"(((\pL{100}){100}){100})", "expression is too large"),
    ] {
        let found = Patterns::default().compile(pattern);
        assert_eq!(found.err().as_deref(), Some(expected), "{pattern}");
    }
}
