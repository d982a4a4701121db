//! Durations as Go writes them.

use jiff::SignedDuration;

use crate::custom::schema::format::Format;

/// A duration as Go writes one.
pub(crate) fn duration(text: &str) -> Option<SignedDuration> {
    let (is_negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if !Format::Duration.is_match(text) {
        return None;
    }
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let (amount, after) = rest.split_at(
            rest.find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(rest.len()),
        );
        let (unit, after) = after.split_at(
            after
                .find(|c: char| c.is_ascii_digit() || c == '.')
                .unwrap_or(after.len()),
        );
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            "" if amount == "0" => 0.0,
            _ => return None,
        };
        total += amount.parse::<f64>().ok()? * seconds;
        rest = after;
    }
    let total = if is_negative { -total } else { total };
    SignedDuration::try_from_secs_f64(total).ok()
}
