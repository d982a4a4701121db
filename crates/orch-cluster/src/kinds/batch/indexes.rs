//! Indexes of a Job as text: `1,3-5,7`.

/// How many indexes the text names, of a Job with as many as `completions`.
///
/// # Errors
///
/// Say what is wrong, in Kubernetes' words.
pub(super) fn count(text: &str, completions: i32) -> Result<i64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let (mut last, mut total) = (None, 0);
    for interval in text.split(',') {
        let (first, end) = parse(interval, completions)?;
        if let Some(last) = last.filter(|last| *last >= first) {
            return Err(not_increasing(last, first));
        }
        total += end - first + 1;
        last = Some(end);
    }
    Ok(total)
}

/// The first index that both texts name, whatever else is wrong with them.
pub(super) fn overlap(one: &str, other: &str, completions: i32) -> Option<i64> {
    let parsed = |text: &str| {
        let intervals = text.split(',');
        let mut intervals: Vec<_> = intervals
            .filter_map(|interval| parse(interval, completions).ok())
            .collect();
        intervals.sort_unstable();
        intervals.into_iter().peekable()
    };
    let (mut one, mut other) = (parsed(one), parsed(other));
    loop {
        let ((first, end), (other_first, other_end)) = (*one.peek()?, *other.peek()?);
        if first <= other_end && other_first <= end {
            return Some(first.max(other_first));
        }
        // The one that is over first meets nothing that comes later in the other.
        match end < other_end {
            true => one.next(),
            false => other.next(),
        };
    }
}

fn parse(interval: &str, completions: i32) -> Result<(i64, i64), String> {
    let index = |text: &str| {
        let index = text.parse::<i64>();
        let index = index.map_err(|_| format!("cannot convert string to integer for index: {text:?}"))?;
        if index >= i64::from(completions) {
            return Err(format!("too large index: {text:?}"));
        }
        Ok(index)
    };
    let mut parts = interval.split('-');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(first), None, _) => index(first).map(|index| (index, index)),
        (Some(first), Some(end), None) => match (index(first)?, index(end)?) {
            (first, end) if first >= end => Err(not_increasing(first, end)),
            both => Ok(both),
        },
        _ => Err(format!(
            "the fragment {interval:?} violates the requirement that an index interval can have at most two parts separated by '-'"
        )),
    }
}

fn not_increasing(previous: i64, current: i64) -> String {
    format!("non-increasing order, previous: {previous}, current: {current}")
}
