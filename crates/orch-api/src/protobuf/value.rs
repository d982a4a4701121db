//! Messages and what is in them, as JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use orch_core::object::RawObject;
use serde_json::{Map, Value};

use super::table::{self, Field, Shape, Type};
use super::wire::{Reader, Wire};
use super::{Problem, ProtobufError};

/// Seconds from 1970 to the first and the last of the years that a time may be in.
const YEARS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// Puts the fields of a message into a map; of those that are given twice the last counts, as protobuf has it.
pub(super) fn message(
    name: &'static str,
    bytes: &[u8],
    into: &mut RawObject,
    left: usize,
) -> Result<(), ProtobufError> {
    let left = left.checked_sub(1).ok_or(Problem::TooDeep)?;
    let mut fields = Reader::new(bytes);
    while let Some((number, wire)) = fields.next()? {
        // What the table does not have is as what a kind does not have in JSON: dropped.
        if let Some(field) = table::field(name, number) {
            take(field, wire, into, left).map_err(|error| match field.name {
                Some(name) => error.under(name),
                None => error,
            })?;
        }
    }
    Ok(())
}

fn take(field: &Field, wire: Wire<'_>, into: &mut RawObject, left: usize) -> Result<(), ProtobufError> {
    let Some(name) = field.name else {
        return match field.type_ {
            Type::Message(of) => message(of, wire.bytes()?, into, left),
            _ => Ok(()),
        };
    };
    match field.shape {
        Shape::One => match (field.type_, into.get_mut(name)) {
            (Type::Message(of), Some(Value::Object(there))) => message(of, wire.bytes()?, there, left)?,
            (type_, _) => {
                let value = one(type_, wire, left)?;
                if field.keeps_zero || !is_zero(&value) {
                    into.insert(name.to_owned(), value);
                } else {
                    into.remove(name);
                }
            }
        },
        Shape::List => {
            let there = into.entry(name).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(items) = there {
                push(field.type_, wire, items, left)?;
            }
        }
        Shape::Map => {
            let there = into.entry(name).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(map) = there {
                let (key, value) = entry(field.type_, wire.bytes()?, left)?;
                map.insert(key, value);
            }
        }
    }
    Ok(())
}

/// An item of a list, or several: numbers may be packed.
fn push(type_: Type, wire: Wire<'_>, items: &mut Vec<Value>, left: usize) -> Result<(), ProtobufError> {
    match (type_, wire) {
        (Type::Bool | Type::Int32 | Type::Int64, Wire::Bytes(packed)) => {
            let mut packed = Reader::new(packed);
            while !packed.is_empty() {
                items.push(one(type_, Wire::Varint(packed.varint()?), left)?);
            }
        }
        (type_, wire) => items.push(one(type_, wire, left)?),
    }
    Ok(())
}

/// An entry of a map is a message of two fields; what is left out is zero.
fn entry(type_: Type, bytes: &[u8], left: usize) -> Result<(String, Value), ProtobufError> {
    let (mut key, mut value) = (String::new(), None);
    let mut fields = Reader::new(bytes);
    while let Some((number, wire)) = fields.next()? {
        match number {
            1 => key = wire.string()?,
            2 => value = Some(wire),
            _ => {}
        }
    }
    let value = value.unwrap_or(match type_ {
        Type::Bool | Type::Int32 | Type::Int64 => Wire::Varint(0),
        _ => Wire::Bytes(&[]),
    });
    match one(type_, value, left) {
        Ok(value) => Ok((key, value)),
        Err(error) => Err(error.under(&key)),
    }
}

fn one(type_: Type, wire: Wire<'_>, left: usize) -> Result<Value, ProtobufError> {
    Ok(match type_ {
        Type::Bool => (wire.varint()? != 0).into(),
        Type::Int32 => int32(wire)?.into(),
        Type::Int64 => wire.varint()?.cast_signed().into(),
        Type::String => wire.string()?.into(),
        Type::Bytes => STANDARD.encode(wire.bytes()?).into(),
        Type::Strings => strings(wire.bytes()?)?,
        Type::Quantity => quantity(wire.bytes()?)?.into(),
        Type::IntOrString => int_or_string(wire.bytes()?)?,
        Type::Time | Type::MicroTime => time(type_, wire.bytes()?)?,
        Type::Json => json(wire.bytes()?)?,
        Type::Message(name) => {
            let mut map = Map::new();
            message(name, wire.bytes()?, &mut map, left)?;
            Value::Object(map)
        }
    })
}

/// Its lower half, as protobuf has it: a negative one is written with 64 bits.
fn int32(wire: Wire<'_>) -> Result<i32, Problem> {
    let [a, b, c, d, ..] = wire.varint()?.to_le_bytes();
    Ok(i32::from_le_bytes([a, b, c, d]))
}

fn strings(bytes: &[u8]) -> Result<Value, Problem> {
    let mut items = Vec::new();
    let mut fields = Reader::new(bytes);
    while let Some((number, wire)) = fields.next()? {
        if number == 1 {
            items.push(Value::String(wire.string()?));
        }
    }
    Ok(Value::Array(items))
}

fn quantity(bytes: &[u8]) -> Result<String, Problem> {
    let mut text = String::new();
    let mut fields = Reader::new(bytes);
    while let Some((number, wire)) = fields.next()? {
        if number == 1 {
            text = wire.string()?;
        }
    }
    Ok(if text.is_empty() { "0".to_owned() } else { text })
}

fn int_or_string(bytes: &[u8]) -> Result<Value, Problem> {
    let (mut type_, mut number, mut text) = (0, 0, String::new());
    let mut fields = Reader::new(bytes);
    while let Some((field, wire)) = fields.next()? {
        match field {
            1 => type_ = wire.varint()?.cast_signed(),
            2 => number = int32(wire)?,
            3 => text = wire.string()?,
            _ => {}
        }
    }
    match type_ {
        0 => Ok(number.into()),
        1 => Ok(text.into()),
        other => Err(Problem::IntOrString(other)),
    }
}

/// RFC 3339, to the second or the microsecond; no time is an empty message.
fn time(type_: Type, bytes: &[u8]) -> Result<Value, Problem> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let (mut seconds, mut nanos) = (0, 0);
    let mut fields = Reader::new(bytes);
    while let Some((number, wire)) = fields.next()? {
        match number {
            1 => seconds = wire.varint()?.cast_signed(),
            2 => nanos = wire.varint()?.cast_signed(),
            _ => {}
        }
    }
    let wrong = Problem::Time(seconds, nanos);
    let fraction = i32::try_from(nanos)
        .ok()
        .filter(|nanos| (0..1_000_000_000).contains(nanos));
    let (true, Some(fraction)) = (YEARS.contains(&seconds), fraction) else {
        return Err(wrong);
    };
    // Go reads a `Time` without its fraction.
    let is_micro = type_ == Type::MicroTime;
    // Cut to microseconds, not rounded.
    let fraction = if is_micro { fraction / 1000 * 1000 } else { 0 };
    let Ok(time) = Timestamp::new(seconds, fraction) else {
        return Err(wrong);
    };
    Ok(Value::String(if is_micro {
        format!("{time:.6}")
    } else {
        time.to_string()
    }))
}

fn json(bytes: &[u8]) -> Result<Value, Problem> {
    let mut raw: &[u8] = &[];
    let mut fields = Reader::new(bytes);
    while let Some((number, wire)) = fields.next()? {
        if number == 1 {
            raw = wire.bytes()?;
        }
    }
    if raw.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(raw).map_err(|error| Problem::Json(error.to_string()))
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(is_so) => !is_so,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(_) | Value::Object(_) => false,
    }
}
