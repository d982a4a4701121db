//! Makes bad values of good ones.

use orch_core::random::Random;
use serde_json::{Map, Value, json};

/// One of several.
pub(crate) fn one_of<'a, T>(random: &Random, all: &'a [T]) -> &'a T {
    &all[at(random, all.len())]
}

pub(crate) fn at(random: &Random, bound: usize) -> usize {
    usize::try_from(random.below(bound.max(1) as u64)).unwrap_or_default()
}

/// Texts that are read as something.
const TEXTS: [&str; 34] = [
    "",
    " ",
    "one",
    "default",
    "-",
    ".",
    "..",
    "/",
    "a/b",
    "%",
    "%00",
    "\0",
    "\u{7f}",
    "é",
    "\u{202e}",
    "😀",
    "null",
    "true",
    "0",
    "-1",
    "1e400",
    "99999999999999999999",
    "0x10",
    "1Gi",
    "1.5m",
    "50%",
    "101%",
    "2026-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "*",
    "*/*",
    "{{",
    "${A}",
    "^(a+)+$",
];

/// A value that nobody expects.
pub(crate) fn odd(random: &Random) -> Value {
    match random.below(16) {
        0 => Value::Null,
        1 => json!(random.below(2) == 0),
        2 => json!(i64::MAX),
        3 => json!(i64::MIN),
        4 => json!(u64::MAX),
        5 => json!(-1),
        6 => json!(1.5e300),
        7 => json!([]),
        8 => json!({}),
        9 => json!("x".repeat(at(random, 5000))),
        10 => nested(at(random, 200)),
        11 => json!(vec![one_of(random, &TEXTS); at(random, 300)]),
        12 => Value::Object(
            (0..random.below(300))
                .map(|n| (format!("k{n}"), json!(n)))
                .collect(),
        ),
        13 => json!(random.below(100)),
        _ => json!(one_of(random, &TEXTS)),
    }
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, level| match level % 2 {
        0 => json!([inner]),
        _ => json!({ "a": inner }),
    })
}

/// Changes some places of a value.
pub(crate) fn value(random: &Random, value: &mut Value) {
    for _ in 0..=random.below(3) {
        let place = somewhere(random, value);
        change(random, place);
    }
}

/// A place within a value: further in is as likely as here.
fn somewhere<'v>(random: &Random, value: &'v mut Value) -> &'v mut Value {
    let inside = match value {
        Value::Object(map) => map.len(),
        Value::Array(list) => list.len(),
        _ => 0,
    };
    if inside == 0 || random.below(5) == 0 {
        return value;
    }
    let place = at(random, inside);
    let inner = match value {
        Value::Object(map) => map.values_mut().nth(place),
        value => value.get_mut(place),
    };
    somewhere(random, inner.expect("there are so many"))
}

fn change(random: &Random, place: &mut Value) {
    match place {
        Value::Object(map) if random.below(2) == 0 => change_map(random, map),
        Value::Array(list) if !list.is_empty() && random.below(2) == 0 => {
            let of = at(random, list.len());
            match random.below(3) {
                0 => {
                    list.remove(of);
                }
                1 => list.push(list[of].clone()),
                _ => list.insert(of, odd(random)),
            }
        }
        Value::String(text) if random.below(3) == 0 => {
            let cut = text.floor_char_boundary(at(random, text.len() + 1));
            text.insert_str(cut, one_of::<&str>(random, &TEXTS));
        }
        place => *place = odd(random),
    }
}

fn change_map(random: &Random, map: &mut Map<String, Value>) {
    let name = map.keys().nth(at(random, map.len())).cloned();
    match (random.below(4), name) {
        (0, Some(name)) => {
            map.remove(&name);
        }
        (1, Some(name)) => {
            let value = map.remove(&name).unwrap_or_default();
            map.insert(format!("{name}{}", one_of(random, &TEXTS)), value);
        }
        (2, _) => {
            map.insert((*one_of(random, &TEXTS)).to_owned(), odd(random));
        }
        _ => {
            map.insert((*one_of(random, &DIRECTIVES)).to_owned(), odd(random));
        }
    }
}

/// Names that patches and metadata give a meaning.
const DIRECTIVES: [&str; 12] = [
    "$patch",
    "$retainKeys",
    "$setElementOrder/containers",
    "$deleteFromPrimitiveList/finalizers",
    "managedFields",
    "ownerReferences",
    "finalizers",
    "generateName",
    "resourceVersion",
    "deletionTimestamp",
    "namespace",
    "status",
];

/// Changes some bytes.
pub(crate) fn bytes(random: &Random, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(4) {
        let place = at(random, bytes.len());
        let byte = u8::try_from(random.below(256)).unwrap_or_default();
        match random.below(4) {
            0 => bytes.insert(place, byte),
            1 if !bytes.is_empty() => {
                bytes.remove(place);
            }
            2 => bytes.truncate(place),
            _ if !bytes.is_empty() => bytes[place] = byte,
            _ => {}
        }
    }
}

/// A text that is read as something, or one made of two.
pub(crate) fn text(random: &Random) -> String {
    match random.below(3) {
        0 => format!("{}{}", one_of(random, &TEXTS), one_of(random, &TEXTS)),
        _ => (*one_of(random, &TEXTS)).to_owned(),
    }
}
