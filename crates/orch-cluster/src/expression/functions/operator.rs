//! Operators.

use std::cmp::Ordering;
use std::rc::Rc;

use cel::common::ast::operators;

use super::{Made, overflow};
use crate::expression::eval::{Evaluator, overload};
use crate::expression::fault::{Fault, Outcome, wrong};
use crate::expression::value::Val;

pub(super) fn call<'a>(evaluator: &mut Evaluator<'_>, name: &str, values: &[Val<'a>]) -> Made<'a> {
    use operators as op;
    let compared = |wanted: fn(Ordering) -> bool| match values {
        [one, other] => one.order(other).map(|order| Val::Bool(wanted(order))),
        _ => None,
    };
    Ok(match (name, values) {
        (op::EQUALS, [one, other]) => Some(Val::Bool(evaluator.is_same(one, other)?)),
        (op::NOT_EQUALS, [one, other]) => Some(Val::Bool(!evaluator.is_same(one, other)?)),
        (op::LESS, _) => compared(Ordering::is_lt),
        (op::LESS_EQUALS, _) => compared(Ordering::is_le),
        (op::GREATER, _) => compared(Ordering::is_gt),
        (op::GREATER_EQUALS, _) => compared(Ordering::is_ge),
        (op::LOGICAL_NOT, [Val::Bool(value)]) => Some(Val::Bool(!value)),
        (op::NEGATE, [Val::Int(integer)]) => Some(Val::Int(integer.checked_neg().ok_or_else(overflow)?)),
        (op::NEGATE, [Val::Double(float)]) => Some(Val::Double(-float)),
        (op::IN, [key, map @ (Val::Map(..) | Val::MadeMap(_))]) => {
            Some(Val::Bool(evaluator.entry(map, key)?.is_some()))
        }
        (op::IN, [item, list @ (Val::List(..) | Val::Made(_))]) => {
            evaluator.spend(list.len().unwrap_or_default())?;
            let items = list.items().unwrap_or_default();
            Some(Val::Bool(evaluator.is_in(item, &items)?))
        }
        (op::INDEX, [list, key]) => Some(index(evaluator, list, key)?),
        (op::OPT_INDEX | op::OPT_SELECT, [list, key]) => {
            let list = match list {
                Val::Optional(None) => return Ok(Some(Val::Optional(None))),
                Val::Optional(Some(inner)) => inner,
                other => other,
            };
            match index(evaluator, list, key) {
                Err(Fault::TooDear) => return Err(Fault::TooDear),
                found => Some(Val::Optional(found.ok().map(Rc::new))),
            }
        }
        (
            op::ADD,
            [
                one @ (Val::List(..) | Val::Made(_)),
                other @ (Val::List(..) | Val::Made(_)),
            ],
        ) => {
            let mut items = one.items().unwrap_or_default();
            items.extend(other.items().unwrap_or_default());
            Some(Val::Made(Rc::new(items)))
        }
        (op::ADD, [Val::Text(one), Val::Text(other)]) => {
            let mut text = String::with_capacity(one.len() + other.len());
            text.push_str(one);
            text.push_str(other);
            Some(Val::Text(text.into()))
        }
        _ => {
            evaluator.spend(1)?;
            arithmetic(name, values)?
        }
    })
}

pub(super) fn arithmetic<'a>(name: &str, values: &[Val<'a>]) -> Made<'a> {
    use operators as op;
    let is_by_zero = matches!(values, [_, Val::Int(0) | Val::Uint(0)]);
    Ok(match (values, name) {
        ([Val::Int(_) | Val::Uint(_), _], op::DIVIDE) if is_by_zero => return Err(wrong("division by zero")),
        ([Val::Int(_) | Val::Uint(_), _], op::MODULO) if is_by_zero => return Err(wrong("modulus by zero")),
        ([Val::Int(one), Val::Int(other)], _) => {
            let made = match name {
                op::ADD => one.checked_add(*other),
                op::SUBSTRACT => one.checked_sub(*other),
                op::MULTIPLY => one.checked_mul(*other),
                op::DIVIDE => one.checked_div(*other),
                op::MODULO => one.checked_rem(*other),
                _ => return Ok(None),
            };
            Some(Val::Int(made.ok_or_else(overflow)?))
        }
        ([Val::Uint(one), Val::Uint(other)], _) => {
            let made = match name {
                op::ADD => one.checked_add(*other),
                op::SUBSTRACT => one.checked_sub(*other),
                op::MULTIPLY => one.checked_mul(*other),
                op::DIVIDE => one.checked_div(*other),
                op::MODULO => one.checked_rem(*other),
                _ => return Ok(None),
            };
            Some(Val::Uint(made.ok_or_else(overflow)?))
        }
        ([Val::Double(one), Val::Double(other)], op::ADD) => Some(Val::Double(one + other)),
        ([Val::Double(one), Val::Double(other)], op::SUBSTRACT) => Some(Val::Double(one - other)),
        ([Val::Double(one), Val::Double(other)], op::MULTIPLY) => Some(Val::Double(one * other)),
        ([Val::Double(one), Val::Double(other)], op::DIVIDE) => Some(Val::Double(one / other)),
        ([Val::Duration(one), Val::Duration(other)], op::ADD) => {
            Some(Val::Duration(one.checked_add(*other).ok_or_else(overflow)?))
        }
        ([Val::Duration(one), Val::Duration(other)], op::SUBSTRACT) => {
            Some(Val::Duration(one.checked_sub(*other).ok_or_else(overflow)?))
        }
        ([Val::Timestamp(time), Val::Duration(by)] | [Val::Duration(by), Val::Timestamp(time)], op::ADD) => {
            Some(Val::Timestamp(time.checked_add(*by).map_err(|_| overflow())?))
        }
        ([Val::Timestamp(time), Val::Duration(by)], op::SUBSTRACT) => {
            Some(Val::Timestamp(time.checked_sub(*by).map_err(|_| overflow())?))
        }
        ([Val::Timestamp(one), Val::Timestamp(other)], op::SUBSTRACT) => {
            Some(Val::Duration(one.duration_since(*other)))
        }
        _ => None,
    })
}

fn index<'a>(evaluator: &mut Evaluator<'_>, list: &Val<'a>, key: &Val<'a>) -> Outcome<'a> {
    match (list, key) {
        (Val::List(..) | Val::Made(_), Val::Int(at)) => {
            let item = list.item(*at);
            item.ok_or_else(|| wrong(format!("index out of bounds: {at}")))
        }
        (Val::Map(..), Val::Text(name)) => list
            .field(name)
            .ok_or_else(|| wrong(format!("no such key: {}", &**name))),
        (Val::MadeMap(_), key) => {
            let found = evaluator.entry(list, key)?;
            found.ok_or_else(|| wrong(format!("no such key: {}", key.shown())))
        }
        _ => Err(overload("_[_]", &[list.clone(), key.clone()])),
    }
}
