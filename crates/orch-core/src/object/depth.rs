//! How deep an object may nest maps and lists.

use serde_json::Value;

/// Levels of maps and lists that an object may have, itself the first: what a JSON parser reads back.
pub const DEEPEST: usize = 127;

/// How many levels of maps and lists a value has, looking no deeper than `bound`.
pub fn depth(value: &Value, bound: usize) -> usize {
    if bound == 0 {
        return 0;
    }
    let deepest =
        |below: &mut dyn Iterator<Item = &Value>| below.map(|v| depth(v, bound - 1)).max().unwrap_or(0);
    match value {
        Value::Array(items) => 1 + deepest(&mut items.iter()),
        Value::Object(map) => 1 + deepest(&mut map.values()),
        _ => 0,
    }
}
