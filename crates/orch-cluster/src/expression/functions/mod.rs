//! The operators and functions of expressions: CEL's own, and those that Kubernetes adds.

mod convert;
mod list;
mod operator;
mod other;
mod text;

use cel::common::ast::operators;

use super::eval::{Evaluator, overload};
use super::fault::{Fault, Outcome, wrong};
use super::value::Val;

/// The functions that there are, those of strings, lists and so on being called on one.
const KNOWN: [&str; 64] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "find",
    "findAll",
    "lowerAscii",
    "upperAscii",
    "trim",
    "replace",
    "split",
    "join",
    "substring",
    "charAt",
    "indexOf",
    "lastIndexOf",
    "string",
    "int",
    "uint",
    "double",
    "bool",
    "dyn",
    "duration",
    "timestamp",
    "type",
    "isSorted",
    "sum",
    "min",
    "max",
    "quantity",
    "isQuantity",
    "isGreaterThan",
    "isLessThan",
    "compareTo",
    "sign",
    "add",
    "sub",
    "isURL",
    "isIP",
    "isCIDR",
    "hasValue",
    "value",
    "orValue",
    "or",
    "optional.of",
    "optional.none",
    "optional.ofNonZeroValue",
    "math.greatest",
    "math.least",
    "sets.contains",
    "sets.equivalent",
    "sets.intersects",
    "getSeconds",
    "getMilliseconds",
    "getHours",
    "getMinutes",
    "getFullYear",
    "getMonth",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getDate",
    "reverse",
];

/// Whether functions are named below a word.
pub(super) fn is_library(word: &str) -> bool {
    ["math", "sets", "optional"].contains(&word)
}

/// Whether there is a function or operator.
pub(super) fn is_known(name: &str) -> bool {
    name.starts_with(['_', '!', '-', '@']) || KNOWN.contains(&name)
}

/// Whether its first argument is a pattern.
pub(super) fn takes_pattern(name: &str) -> bool {
    ["matches", "find", "findAll"].contains(&name)
}

/// Calls a function with the value it is called on, if any, before its arguments.
pub(super) fn call<'a>(evaluator: &mut Evaluator<'_>, name: &str, values: Vec<Val<'a>>) -> Outcome<'a> {
    if !looks_at_parts(name, &values) {
        for value in &values {
            evaluator.charge(value)?;
        }
    }
    let made = match name {
        _ if name.starts_with(['_', '!', '-', '@']) => operator::call(evaluator, name, &values)?,
        _ => match text::call(evaluator, name, &values)? {
            Some(made) => Some(made),
            None => match list::call(evaluator, name, &values)? {
                Some(made) => Some(made),
                None => match convert::call(name, &values)? {
                    Some(made) => Some(made),
                    None => other::call(name, &values)?,
                },
            },
        },
    };
    made.ok_or_else(|| overload(name, &values))
}

/// Whether a function looks at no more of its values than their outside, or counts by itself what it looks at.
fn looks_at_parts(name: &str, values: &[Val<'_>]) -> bool {
    use operators as op;
    match name {
        op::EQUALS | op::NOT_EQUALS | op::IN | op::INDEX | op::OPT_INDEX | op::OPT_SELECT => true,
        "size" => !matches!(values, [Val::Text(_)]),
        "dyn" | "type" | "hasValue" | "value" | "orValue" | "or" | "optional.of" => true,
        _ => false,
    }
}

/// What a function makes of its values; nothing if it is none of such values.
type Made<'a> = Result<Option<Val<'a>>, Fault>;

fn overflow() -> Fault {
    wrong("integer overflow")
}
