//! Functions that make values of one type of another.

use jiff::Timestamp;
use orch_core::object::Quantity;

use super::{Made, overflow};
use crate::custom::schema::format::Format;
use crate::expression::duration::duration;
use crate::expression::fault::wrong;
use crate::expression::value::{Val, whole};

pub(super) fn call<'a>(name: &str, values: &[Val<'a>]) -> Made<'a> {
    let bad = |kind: &str, text: &str| wrong(format!("cannot convert {text:?} to {kind}"));
    Ok(Some(match (name, values) {
        ("dyn", [value]) => value.clone(),
        ("type", [value]) => Val::Type(value.kind()),
        ("string", [value]) => Val::Text(match value {
            Val::Text(text) => text.clone(),
            Val::Bool(value) => value.to_string().into(),
            Val::Int(value) => value.to_string().into(),
            Val::Uint(value) => value.to_string().into(),
            Val::Double(value) => value.to_string().into(),
            Val::Timestamp(value) => value.to_string().into(),
            Val::Duration(value) => format!("{}s", value.as_secs_f64()).into(),
            _ => return Ok(None),
        }),
        ("int", [Val::Int(value)]) => Val::Int(*value),
        ("int", [Val::Uint(value)]) => Val::Int(i64::try_from(*value).map_err(|_| overflow())?),
        ("int", [Val::Double(value)]) if value.abs() < 2f64.powi(63) => Val::Int(whole(*value)),
        ("int", [Val::Double(_)]) => return Err(overflow()),
        ("int", [Val::Timestamp(time)]) => Val::Int(time.as_second()),
        ("int", [Val::Text(text)]) => Val::Int(text.parse().map_err(|_| bad("int", text))?),
        ("uint", [Val::Uint(value)]) => Val::Uint(*value),
        ("uint", [Val::Int(value)]) => Val::Uint(u64::try_from(*value).map_err(|_| overflow())?),
        ("uint", [Val::Text(text)]) => Val::Uint(text.parse().map_err(|_| bad("uint", text))?),
        ("double", [Val::Text(text)]) => Val::Double(text.parse().map_err(|_| bad("double", text))?),
        ("double", [value]) => match value.double() {
            Some(value) => Val::Double(value),
            None => return Ok(None),
        },
        ("bool", [Val::Bool(value)]) => Val::Bool(*value),
        ("bool", [Val::Text(text)]) => match &**text {
            "true" | "True" | "TRUE" | "t" | "1" => Val::Bool(true),
            "false" | "False" | "FALSE" | "f" | "0" => Val::Bool(false),
            text => return Err(bad("bool", text)),
        },
        ("duration", [Val::Duration(value)]) => Val::Duration(*value),
        ("duration", [Val::Text(text)]) => {
            Val::Duration(duration(text).ok_or_else(|| bad("duration", text))?)
        }
        ("timestamp", [Val::Timestamp(time)]) => Val::Timestamp(*time),
        ("timestamp", [Val::Text(text)]) => {
            let time: Timestamp = text.parse().map_err(|_| bad("timestamp", text))?;
            Val::Timestamp(time)
        }
        ("quantity", [Val::Text(text)]) => {
            let quantity: Quantity = text.parse().map_err(|_| bad("quantity", text))?;
            Val::Quantity(quantity)
        }
        ("isQuantity", [Val::Text(text)]) => Val::Bool(text.parse::<Quantity>().is_ok()),
        ("isURL", [Val::Text(text)]) => Val::Bool(Format::Uri.is_match(text)),
        ("isIP", [Val::Text(text)]) => Val::Bool(text.parse::<std::net::IpAddr>().is_ok()),
        ("isCIDR", [Val::Text(text)]) => Val::Bool(Format::Cidr.is_match(text)),
        _ => return Ok(None),
    }))
}
