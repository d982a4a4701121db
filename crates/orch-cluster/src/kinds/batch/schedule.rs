//! When a CronJob's jobs begin: the five fields of cron, as robfig/cron's `ParseStandard` takes them and words what is wrong.

use std::num::IntErrorKind;

use orch_core::object::{FieldError, FieldErrors, FieldPath};

/// A field: its least and greatest number, and the names that its numbers have, from the least on.
type Field = (u64, u64, &'static [&'static str]);

const FIELDS: [Field; 5] = [
    (0, 59, &[]),
    (0, 23, &[]),
    (1, 31, &[]),
    (
        1,
        12,
        &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
    ),
    (0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
];
const DESCRIPTORS: [&str; 7] = [
    "@yearly",
    "@annually",
    "@monthly",
    "@weekly",
    "@daily",
    "@midnight",
    "@hourly",
];

pub(super) fn validate(errors: &mut FieldErrors, at: &FieldPath, schedule: &str) {
    if schedule.is_empty() {
        errors.push(FieldError::required(at, ""));
        return;
    }
    if schedule.contains("TZ") {
        let detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        errors.push(FieldError::invalid(at, schedule, detail));
    } else if let Err(wrong) = parse(schedule) {
        errors.push(FieldError::invalid(at, schedule, wrong));
    }
}

/// Validates the name of a time zone, which must be one of the database that this program has.
pub(super) fn validate_time_zone(errors: &mut FieldErrors, at: &FieldPath, zone: &str) {
    if zone.is_empty() {
        let detail = "timeZone must be nil or non-empty string";
        errors.push(FieldError::invalid(at, zone, detail));
    } else if zone.eq_ignore_ascii_case("Local") {
        let detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        errors.push(FieldError::invalid(at, zone, detail));
    } else {
        // The database finds a name in any case, and has one that stands for none.
        let found = jiff::tz::db().get(zone);
        if !found.is_ok_and(|found| found.iana_name() == Some(zone) && !found.is_unknown()) {
            errors.push(FieldError::invalid(at, zone, format!("unknown time zone {zone}")));
        }
    }
}

fn parse(schedule: &str) -> Result<(), String> {
    if let Some(descriptor) = schedule.strip_prefix('@') {
        return match descriptor.strip_prefix("every ") {
            Some(duration) if is_duration(duration) => Ok(()),
            Some(duration) => Err(format!(
                "failed to parse duration {schedule}: time: invalid duration {duration:?}"
            )),
            None if DESCRIPTORS.contains(&schedule) => Ok(()),
            None => Err(format!("unrecognized descriptor: {schedule}")),
        };
    }
    let parts: Vec<_> = schedule.split_whitespace().collect();
    if parts.len() != FIELDS.len() {
        let (wanted, found) = (FIELDS.len(), parts.len());
        return Err(format!(
            "expected exactly {wanted} fields, found {found}: [{}]",
            parts.join(" ")
        ));
    }
    let ranges = parts.iter().zip(FIELDS).flat_map(|(part, field)| {
        let ranges = part.split(',').filter(|range| !range.is_empty());
        ranges.map(move |range| (range, field))
    });
    ranges
        .into_iter()
        .try_for_each(|(range, field)| parse_range(range, field))
}

/// `*`, `5`, `mon-fri`, each with a step behind a slash or without.
fn parse_range(range: &str, (least, greatest, names): Field) -> Result<(), String> {
    let number = |text: &str| {
        let named = names.iter().zip(least..);
        let named = named.filter(|(name, _)| text.eq_ignore_ascii_case(name));
        let named = named.map(|(_, number)| number).next();
        named.map_or_else(|| parse_number(text), Ok)
    };
    let mut parts = range.split('/');
    let bounds: Vec<_> = parts.next().unwrap_or_default().split('-').collect();
    let (begin, mut end) = match *bounds {
        ["*" | "?", ..] => (least, greatest),
        [one] => number(one).map(|number| (number, number))?,
        [begin, end] => (number(begin)?, number(end)?),
        _ => return Err(format!("too many hyphens: {range}")),
    };
    let mut step = 1;
    if let Some(text) = parts.next() {
        if parts.next().is_some() {
            return Err(format!("too many slashes: {range}"));
        }
        step = parse_number(text)?;
        // From one number on, `5/15`, is to the greatest.
        if bounds.len() == 1 {
            end = greatest;
        }
    }
    if begin < least {
        Err(format!(
            "beginning of range ({begin}) below minimum ({least}): {range}"
        ))
    } else if end > greatest {
        Err(format!(
            "end of range ({end}) above maximum ({greatest}): {range}"
        ))
    } else if begin > end {
        Err(format!(
            "beginning of range ({begin}) beyond end of range ({end}): {range}"
        ))
    } else if step == 0 {
        Err(format!("step of range should be a positive number: {range}"))
    } else {
        Ok(())
    }
}

fn parse_number(text: &str) -> Result<u64, String> {
    match text.parse::<i64>() {
        Ok(number) => {
            u64::try_from(number).map_err(|_| format!("negative number ({number}) not allowed: {text}"))
        }
        Err(error) => {
            let why = match error.kind() {
                IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
                _ => "invalid syntax",
            };
            Err(format!(
                "failed to parse int from {text}: strconv.Atoi: parsing {text:?}: {why}"
            ))
        }
    }
}

/// As Go writes a duration: `1h30m`, `1.5s`.
fn is_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    let is_some = !rest.is_empty();
    while !rest.is_empty() {
        let number = rest.len()
            - rest
                .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
                .len();
        let (amount, unit) = rest.split_at(number);
        let has_digits = amount.bytes().any(|byte| byte.is_ascii_digit());
        let units = ["ns", "us", "µs", "μs", "ms", "s", "m", "h"];
        let end = unit
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(unit.len());
        if !has_digits || amount.matches('.').count() > 1 || !units.contains(&&unit[..end]) {
            return false;
        }
        rest = &unit[end..];
    }
    is_some
}
