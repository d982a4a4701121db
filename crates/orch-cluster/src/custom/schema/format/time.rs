//! Formats of dates and durations.

use super::are_digits;

/// `2006-01-02`, of a day that there is.
pub(super) fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts[..] else {
        return false;
    };
    let number = |text: &str, length| {
        let is_number = text.len() == length && are_digits(text);
        if is_number { text.parse().ok() } else { None }
    };
    let month_day = number(month, 2).zip(number(day, 2));
    number(year, 4)
        .zip(month_day)
        .is_some_and(|(year, (month, day))| {
            let (Ok(month), Ok(day)) = (i8::try_from(month), i8::try_from(day)) else {
                return false;
            };
            jiff::civil::Date::new(year, month, day).is_ok()
        })
}

/// `2006-01-02T15:04:05.000Z`, or with an offset.
pub(super) fn is_date_time(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let Some((date, time)) = text.split_once('t') else {
        return false;
    };
    let Some((clock, rest)) = time.split_at_checked(8) else {
        return false;
    };
    let rest = match rest.strip_suffix('z') {
        Some(fraction) => Some(fraction),
        None => rest.len().checked_sub(6).and_then(|at| {
            let (fraction, offset) = rest.split_at_checked(at)?;
            let offset = offset.strip_prefix(['+', '-'])?;
            let (hours, minutes) = offset.split_once(':')?;
            (are_two_digits(hours) && are_two_digits(minutes)).then_some(fraction)
        }),
    };
    let is_fraction = |fraction: &str| {
        // Whatever is between seconds and their fraction: a dot, or what people have in its place.
        let digits = fraction.char_indices().nth(1).map(|(at, _)| &fraction[at..]);
        fraction.is_empty() || digits.is_some_and(are_digits)
    };
    let parts: Vec<&str> = clock.split(':').collect();
    is_date(date)
        && matches!(parts[..], [hours, minutes, seconds]
            if [hours, minutes, seconds].into_iter().all(are_two_digits)
                && hours <= "23" && minutes <= "59" && seconds <= "59")
        && rest.is_some_and(is_fraction)
}

fn are_two_digits(text: &str) -> bool {
    text.len() == 2 && are_digits(text)
}

/// What Go's `time.ParseDuration` takes (`1h30m`), or Scala's (`22 nanos`).
pub(super) fn is_duration(text: &str) -> bool {
    is_go_duration(text) || is_scala_duration(text)
}

fn is_go_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    let mut parts = 0;
    while !rest.is_empty() {
        let number = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (amount, after) = rest.split_at(number);
        let unit = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let is_amount = amount.contains(|c: char| c.is_ascii_digit()) && amount.matches('.').count() <= 1;
        if !is_amount || !["ns", "us", "µs", "μs", "ms", "s", "m", "h"].contains(&unit) {
            return false;
        }
        parts += 1;
        rest = after;
    }
    parts > 0
}

/// Any number with a unit in it: its short forms whole, the long one however it goes on (`seconds`).
fn is_scala_duration(text: &str) -> bool {
    let units: [(&[&str], &str); 8] = [
        (&["ns"], "nano"),
        (&["us", "µs"], "micro"),
        (&["ms"], "milli"),
        (&["s"], "sec"),
        (&["m"], "min"),
        (&["h", "hr"], "hour"),
        (&["d"], "day"),
        (&["w", "wk"], "week"),
    ];
    let mut rest = text;
    let mut found = false;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (amount, after) = split_where(&rest[start..], |c| !c.is_ascii_digit());
        let spaced = after.trim_start_matches([' ', '\t', '\n', '\x0c', '\r']);
        let (unit, after) = split_where(spaced, |c| !c.is_ascii_alphabetic() && c != 'µ');
        if !unit.is_empty() {
            if amount.parse::<i64>().is_err() {
                return false;
            }
            let unit = unit.to_lowercase();
            found |= units
                .iter()
                .any(|(short, long)| short.contains(&unit.as_str()) || unit.starts_with(long));
        }
        rest = after;
    }
    found
}

fn split_where(text: &str, is_end: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(is_end).unwrap_or(text.len()))
}
