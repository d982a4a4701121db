//! Functions of lists.

use std::cmp::Ordering;
use std::rc::Rc;

use cel::common::ast::operators;

use super::Made;
use super::operator::arithmetic;
use crate::expression::eval::{Evaluator, overload};
use crate::expression::fault::{Fault, Outcome, wrong};
use crate::expression::value::Val;

pub(super) fn call<'a>(evaluator: &mut Evaluator<'_>, name: &str, values: &[Val<'a>]) -> Made<'a> {
    let items = |value: &Val<'a>| match value {
        Val::List(..) | Val::Made(_) => value.items(),
        _ => None,
    };
    if let ("size", [value]) = (name, values) {
        let size = value
            .len()
            .map(|size| Val::Int(i64::try_from(size).unwrap_or(i64::MAX)));
        return Ok(size);
    }
    if let ("math.greatest" | "math.least", [_, _, ..]) = (name, values) {
        return best(values, name == "math.greatest").map(Some);
    }
    let Some(list) = values.first().and_then(items) else {
        return Ok(None);
    };
    let arguments = &values[1..];
    let place = |found: Option<usize>| Val::Int(found.map_or(-1, |at| i64::try_from(at).unwrap_or(i64::MAX)));
    Ok(Some(match (name, arguments) {
        ("join", separator) => {
            let separator = match separator {
                [] => "",
                [Val::Text(separator)] => separator,
                _ => return Ok(None),
            };
            evaluator.spend(list.len().saturating_mul(1 + separator.len() / 16))?;
            let mut joined = String::new();
            for (index, item) in list.iter().enumerate() {
                let Val::Text(item) = item else {
                    return Ok(None);
                };
                if index > 0 {
                    joined.push_str(separator);
                }
                joined.push_str(item);
            }
            Val::Text(joined.into())
        }
        ("isSorted", []) => {
            let mut pairs = list.windows(2);
            Val::Bool(pairs.all(|pair| pair[0].order(&pair[1]).is_some_and(Ordering::is_le)))
        }
        ("sum", []) => {
            let mut items = list.into_iter();
            let mut sum = items.next().unwrap_or(Val::Int(0));
            for item in items {
                let Some(next) = arithmetic(operators::ADD, &[sum, item])? else {
                    return Ok(None);
                };
                sum = next;
            }
            sum
        }
        ("min" | "max" | "math.greatest" | "math.least", []) => {
            best(&list, matches!(name, "max" | "math.greatest"))?
        }
        ("reverse", []) => Val::Made(Rc::new(list.into_iter().rev().collect())),
        ("indexOf", [item]) => place(evaluator.place(item, &list)?),
        ("lastIndexOf", [item]) => {
            let from_behind = evaluator.place(item, list.iter().rev())?;
            place(from_behind.map(|behind| list.len() - 1 - behind))
        }
        ("sets.contains" | "sets.equivalent" | "sets.intersects", [other]) => {
            let Some(other) = items(other) else {
                return Ok(None);
            };
            Val::Bool(match name {
                "sets.contains" => contains(evaluator, &list, &other)?,
                "sets.equivalent" => {
                    contains(evaluator, &list, &other)? && contains(evaluator, &other, &list)?
                }
                _ => intersects(evaluator, &list, &other)?,
            })
        }
        _ => return Ok(None),
    }))
}

/// Whether all of others are in a list.
fn contains<'a>(evaluator: &mut Evaluator<'_>, list: &[Val<'a>], others: &[Val<'a>]) -> Result<bool, Fault> {
    for other in others {
        if !evaluator.is_in(other, list)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether one of others is in a list.
fn intersects<'a>(
    evaluator: &mut Evaluator<'_>,
    list: &[Val<'a>],
    others: &[Val<'a>],
) -> Result<bool, Fault> {
    for other in others {
        if evaluator.is_in(other, list)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn best<'a>(values: &[Val<'a>], greatest: bool) -> Outcome<'a> {
    let mut best = values
        .first()
        .ok_or_else(|| wrong("min/max called on empty list"))?;
    for value in values {
        let order = value
            .order(best)
            .ok_or_else(|| overload("min/max", &[value.clone(), best.clone()]))?;
        if order
            == if greatest {
                Ordering::Greater
            } else {
                Ordering::Less
            }
        {
            best = value;
        }
    }
    Ok(best.clone())
}
