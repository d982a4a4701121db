//! How long ago something was.

use jiff::SignedDuration;
use serde_json::json;

use super::super::age::human;
use super::{cells, object};

#[test]
fn ages_have_two_or_three_figures() {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    for (seconds, expected) in [
        (-2, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (1, "1s"),
        (119, "119s"),
        (2 * MINUTE, "2m"),
        (2 * MINUTE + 1, "2m1s"),
        (10 * MINUTE - 1, "9m59s"),
        (10 * MINUTE, "10m"),
        (10 * MINUTE + 59, "10m"),
        (3 * HOUR - 1, "179m"),
        (3 * HOUR, "3h"),
        (3 * HOUR + MINUTE, "3h1m"),
        (8 * HOUR - 1, "7h59m"),
        (8 * HOUR + MINUTE, "8h"),
        (2 * DAY - 1, "47h"),
        (2 * DAY, "2d"),
        (2 * DAY + HOUR, "2d1h"),
        (8 * DAY - 1, "7d23h"),
        (8 * DAY + HOUR, "8d"),
        (2 * YEAR - 1, "729d"),
        (2 * YEAR, "2y"),
        (2 * YEAR + DAY, "2y1d"),
        (8 * YEAR - 1, "7y364d"),
        (8 * YEAR + DAY, "8y"),
        (100 * YEAR, "100y"),
    ] {
        assert_eq!(human(SignedDuration::from_secs(seconds)), expected, "{seconds}");
    }
    assert_eq!(human(SignedDuration::from_millis(-1999)), "0s");
    assert_eq!(human(SignedDuration::MAX), "292471208677y");
    assert_eq!(human(SignedDuration::MIN), "<invalid>");
}

#[test]
fn what_has_no_time_has_an_unknown_age() {
    for (time, expected) in [
        (json!("2030-01-01T23:59:30Z"), "30s"),
        (json!("2030-01-01T23:59:30.123456Z"), "29s"),
        (json!(null), "<unknown>"),
    ] {
        let map = object(
            "v1",
            "ConfigMap",
            &json!({"metadata": {"creationTimestamp": time}}),
        );
        assert_eq!(cells(&map, &["Age"]), [expected], "{time}");
    }
}
