//! Functions of optionals, quantities, durations and times.

use std::cmp::Ordering;
use std::rc::Rc;

use jiff::Timestamp;
use orch_core::object::Quantity;

use super::{Made, overflow};
use crate::expression::fault::wrong;
use crate::expression::value::Val;

pub(super) fn call<'a>(name: &str, values: &[Val<'a>]) -> Made<'a> {
    let unwrapped = |inner: &Rc<Val<'a>>| Val::clone(inner);
    let sign = |order: Ordering| Val::Int(order as i64);
    let zoned = |time: &Timestamp| time.to_zoned(jiff::tz::TimeZone::UTC);
    let number = |value: i64| Some(Val::Int(value));
    Ok(match (name, values) {
        ("hasValue", [Val::Optional(inner)]) => Some(Val::Bool(inner.is_some())),
        ("value", [Val::Optional(inner)]) => {
            let inner = inner
                .as_ref()
                .ok_or_else(|| wrong("optional.none() dereference"))?;
            Some(unwrapped(inner))
        }
        ("orValue", [Val::Optional(inner), default]) => {
            Some(inner.as_ref().map_or_else(|| default.clone(), unwrapped))
        }
        ("or", [Val::Optional(None), other]) => Some(other.clone()),
        ("or", [one @ Val::Optional(Some(_)), _]) => Some(one.clone()),
        ("optional.none", []) => Some(Val::Optional(None)),
        ("optional.of", [value]) => Some(Val::Optional(Some(Rc::new(value.clone())))),
        ("optional.ofNonZeroValue", [value]) => {
            let is_zero = match value {
                Val::Null | Val::Bool(false) => true,
                Val::Int(0) | Val::Uint(0) => true,
                other => other.len() == Some(0) || other.double() == Some(0.0),
            };
            Some(Val::Optional((!is_zero).then(|| Rc::new(value.clone()))))
        }
        ("isGreaterThan", [one @ Val::Quantity(_), other @ Val::Quantity(_)]) => {
            one.order(other).map(|order| Val::Bool(order.is_gt()))
        }
        ("isLessThan", [one @ Val::Quantity(_), other @ Val::Quantity(_)]) => {
            one.order(other).map(|order| Val::Bool(order.is_lt()))
        }
        ("compareTo", [one @ Val::Quantity(_), other @ Val::Quantity(_)]) => one.order(other).map(sign),
        ("sign", [one @ Val::Quantity(_)]) => one.order(&Val::Quantity(Quantity::ZERO)).map(sign),
        ("add", [Val::Quantity(one), Val::Quantity(other)]) => {
            Some(Val::Quantity(one.checked_add(*other).ok_or_else(overflow)?))
        }
        ("sub", [Val::Quantity(one), Val::Quantity(other)]) => {
            Some(Val::Quantity(one.checked_sub(*other).ok_or_else(overflow)?))
        }
        ("getSeconds", [Val::Duration(value)]) => number(value.as_secs()),
        ("getMinutes", [Val::Duration(value)]) => number(value.as_mins()),
        ("getHours", [Val::Duration(value)]) => number(value.as_hours()),
        ("getMilliseconds", [Val::Duration(value)]) => number(i64::from(value.subsec_millis())),
        ("getSeconds", [Val::Timestamp(time)]) => number(zoned(time).second().into()),
        ("getMinutes", [Val::Timestamp(time)]) => number(zoned(time).minute().into()),
        ("getHours", [Val::Timestamp(time)]) => number(zoned(time).hour().into()),
        ("getMilliseconds", [Val::Timestamp(time)]) => number(zoned(time).millisecond().into()),
        ("getFullYear", [Val::Timestamp(time)]) => number(zoned(time).year().into()),
        ("getMonth", [Val::Timestamp(time)]) => number(i64::from(zoned(time).month()) - 1),
        ("getDate", [Val::Timestamp(time)]) => number(zoned(time).day().into()),
        ("getDayOfMonth", [Val::Timestamp(time)]) => number(i64::from(zoned(time).day()) - 1),
        ("getDayOfYear", [Val::Timestamp(time)]) => number(i64::from(zoned(time).day_of_year()) - 1),
        ("getDayOfWeek", [Val::Timestamp(time)]) => {
            number(zoned(time).weekday().to_sunday_zero_offset().into())
        }
        _ => None,
    })
}
