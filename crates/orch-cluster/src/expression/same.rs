//! Whether two values are the same, in no more steps than may be taken.

use std::cmp::Ordering;
use std::collections::HashMap;

use serde_json::Value;

use super::eval::Evaluator;
use super::fault::Fault;
use super::value::Val;
use crate::custom::schema::node::{ListType, Node};

impl Evaluator<'_> {
    /// Whether two values are the same; of types that cannot be compared they are not.
    pub(crate) fn is_same<'a>(&mut self, one: &Val<'a>, other: &Val<'a>) -> Result<bool, Fault> {
        self.spend(1)?;
        match (one, other) {
            (Val::Null, Val::Null) => Ok(true),
            (Val::Bool(one), Val::Bool(other)) => Ok(one == other),
            (Val::Type(one), Val::Type(other)) => Ok(one == other),
            (Val::Optional(Some(one)), Val::Optional(Some(other))) => self.is_same(one, other),
            (Val::Optional(None), Val::Optional(None)) => Ok(true),
            (Val::Text(one), Val::Text(other)) => {
                self.spend(one.len().min(other.len()) / 16)?;
                Ok(one == other)
            }
            (Val::List(..) | Val::Made(_), Val::List(..) | Val::Made(_)) => self.are_same_lists(one, other),
            (Val::Map(..) | Val::MadeMap(_), Val::Map(..) | Val::MadeMap(_)) => {
                self.are_same_maps(one, other)
            }
            _ => Ok(one.order(other) == Some(Ordering::Equal)),
        }
    }

    /// Whether a value is among others.
    pub(crate) fn is_in<'a>(&mut self, value: &Val<'a>, others: &[Val<'a>]) -> Result<bool, Fault> {
        Ok(self.place(value, others.iter())?.is_some())
    }

    /// Where the first of some values is that is the same as another.
    pub(crate) fn place<'a: 'v, 'v>(
        &mut self,
        value: &Val<'a>,
        others: impl IntoIterator<Item = &'v Val<'a>>,
    ) -> Result<Option<usize>, Fault> {
        for (index, other) in others.into_iter().enumerate() {
            if self.is_same(value, other)? {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    fn are_same_lists<'a>(&mut self, one: &Val<'a>, other: &Val<'a>) -> Result<bool, Fault> {
        if one.len() != other.len() {
            return Ok(false);
        }
        self.spend(one.len().unwrap_or_default())?;
        let (ones, others) = match (one, other) {
            (Val::List(ones, node), Val::List(others, _)) if is_set(*node) => {
                self.charge(one)?;
                self.charge(other)?;
                left_over(ones, others, *node)
            }
            _ => {
                let lists = (one.items(), other.items());
                (lists.0.unwrap_or_default(), lists.1.unwrap_or_default())
            }
        };
        if one.is_set() || other.is_set() {
            for item in &ones {
                if !self.is_in(item, &others)? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        for (one, other) in ones.iter().zip(&others) {
            if !self.is_same(one, other)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn are_same_maps<'a>(&mut self, one: &Val<'a>, other: &Val<'a>) -> Result<bool, Fault> {
        let keys = one.items().unwrap_or_default();
        if Some(keys.len()) != other.len() {
            return Ok(false);
        }
        for key in &keys {
            let entries = (self.entry(one, key)?, self.entry(other, key)?);
            let (Some(one), Some(other)) = entries else {
                return Ok(false);
            };
            if !self.is_same(&one, &other)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// An entry of a map by its key as it is, which is no field's name.
    pub(crate) fn entry<'a>(&mut self, map: &Val<'a>, key: &Val<'a>) -> Result<Option<Val<'a>>, Fault> {
        match (map, key) {
            (Val::Map(map, node), Val::Text(key)) => {
                let value = map.get(&**key);
                Ok(value.map(|value| Val::of(value, node.and_then(|node| node.field(key)))))
            }
            (Val::MadeMap(entries), key) => {
                let place = self.place(key, entries.iter().map(|(key, _)| key))?;
                Ok(place.map(|place| entries[place].1.clone()))
            }
            _ => Ok(None),
        }
    }
}

impl Val<'_> {
    /// Whether it is a set or a map, which are the same in whatever order.
    fn is_set(&self) -> bool {
        matches!(self, Self::List(_, node) if is_set(*node))
    }
}

fn is_set(node: Option<&Node>) -> bool {
    let list_type = node.and_then(|node| node.list_type);
    matches!(list_type, Some(ListType::Set | ListType::Map))
}

/// What two sets have not both, as far as that is seen by how they are written: next to nothing where little was changed.
fn left_over<'a>(
    ones: &'a [Value],
    others: &'a [Value],
    node: Option<&'a Node>,
) -> (Vec<Val<'a>>, Vec<Val<'a>>) {
    let mut written: HashMap<String, usize> = HashMap::new();
    for other in others {
        *written.entry(other.to_string()).or_default() += 1;
    }
    let mut is_left = |value: &&Value, seen: bool| match written.get_mut(&value.to_string()) {
        Some(count) if *count > 0 => {
            *count -= 1;
            seen
        }
        _ => !seen,
    };
    let of_items = node.and_then(|node| node.items.as_deref());
    let kept = ones.iter().filter(|one| is_left(one, false));
    let kept = kept.map(|one| Val::of(one, of_items)).collect();
    let of_others = others.iter().filter(|other| is_left(other, true));
    (kept, of_others.map(|other| Val::of(other, of_items)).collect())
}
