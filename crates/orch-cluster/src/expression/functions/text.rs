//! Functions of strings.

use std::rc::Rc;

use super::Made;
use crate::expression::eval::Evaluator;
use crate::expression::fault::{Fault, wrong};
use crate::expression::text::Text;
use crate::expression::value::Val;

pub(super) fn call<'a>(evaluator: &mut Evaluator<'_>, name: &str, values: &[Val<'a>]) -> Made<'a> {
    let [Val::Text(text), arguments @ ..] = values else {
        return Ok(None);
    };
    let place = |found: Option<usize>| {
        let before = found.map(|at| text[..at].chars().count());
        Val::Int(before.map_or(-1, |at| i64::try_from(at).unwrap_or(i64::MAX)))
    };
    Ok(Some(match (name, arguments) {
        ("contains", [Val::Text(part)]) => Val::Bool(text.contains(&**part)),
        ("startsWith", [Val::Text(part)]) => Val::Bool(text.starts_with(&**part)),
        ("endsWith", [Val::Text(part)]) => Val::Bool(text.ends_with(&**part)),
        ("matches" | "find" | "findAll", [Val::Text(pattern), limit @ ..]) => {
            let pattern = evaluator.pattern(pattern)?;
            evaluator.spend(1 + pattern.cost(text))?;
            match (name, limit) {
                ("matches", []) => Val::Bool(pattern.is_match(text)),
                ("find", []) => parts(text, pattern.find_all(text).take(1))
                    .next()
                    .unwrap_or(Val::Text("".into())),
                ("findAll", []) => made(evaluator, parts(text, pattern.find_all(text)))?,
                ("findAll", [Val::Int(most)]) => {
                    let most = usize::try_from(*most).unwrap_or(usize::MAX);
                    made(evaluator, parts(text, pattern.find_all(text).take(most)))?
                }
                _ => return Ok(None),
            }
        }
        ("lowerAscii", []) => Val::Text(text.to_ascii_lowercase().into()),
        ("upperAscii", []) => Val::Text(text.to_ascii_uppercase().into()),
        ("trim", []) => part(text, text.trim()),
        ("reverse", []) => Val::Text(text.chars().rev().collect::<String>().into()),
        ("replace", [Val::Text(from), Val::Text(to), limit @ ..]) => {
            let times = text.matches(&**from).count();
            evaluator.spend(times.saturating_mul(1 + to.len() / 16))?;
            Val::Text(match limit {
                [Val::Int(limit)] if *limit >= 0 => text
                    .replacen(&**from, to, usize::try_from(*limit).unwrap_or_default())
                    .into(),
                _ => text.replace(&**from, to).into(),
            })
        }
        ("split", [Val::Text(separator), limit @ ..]) => {
            let most = match limit {
                [Val::Int(limit)] if *limit >= 0 => usize::try_from(*limit).unwrap_or_default(),
                _ => usize::MAX,
            };
            if separator.is_empty() {
                let chars = text.char_indices().map(|(at, c)| &text[at..at + c.len_utf8()]);
                made(evaluator, parts(text, chars.take(most)))?
            } else {
                made(evaluator, parts(text, text.splitn(most, &**separator)))?
            }
        }
        ("substring", [Val::Int(from), to @ ..]) => {
            let count = text.chars().count();
            let to = match to {
                [Val::Int(to)] => usize::try_from(*to).ok(),
                _ => Some(count),
            };
            match (usize::try_from(*from), to) {
                (Ok(from), Some(to)) if from <= to && to <= count => {
                    let place =
                        |at: usize| text.char_indices().nth(at).map_or(text.len(), |(place, _)| place);
                    Val::Text(text.part(place(from)..place(to)))
                }
                _ => return Err(wrong(format!("index out of range: {from}"))),
            }
        }
        ("charAt", [Val::Int(at)]) => {
            let found = usize::try_from(*at)
                .ok()
                .and_then(|at| text.char_indices().nth(at));
            Val::Text(found.map_or("".into(), |(at, c)| text.part(at..at + c.len_utf8())))
        }
        ("indexOf", [Val::Text(part)]) => place(text.find(&**part)),
        ("lastIndexOf", [Val::Text(part)]) => place(text.rfind(&**part)),
        _ => return Ok(None),
    }))
}

/// A part of a text as one that costs no copy where the text is lent.
fn part<'a>(text: &Text<'a>, part: &str) -> Val<'a> {
    let from = part.as_ptr().addr() - text.as_ptr().addr();
    Val::Text(text.part(from..from + part.len()))
}

fn parts<'a, 't>(text: &'t Text<'a>, parts: impl Iterator<Item = &'t str>) -> impl Iterator<Item = Val<'a>> {
    parts.map(move |one| part(text, one))
}

/// A list of parts, each of which is a step.
fn made<'a>(evaluator: &mut Evaluator<'_>, parts: impl Iterator<Item = Val<'a>>) -> Result<Val<'a>, Fault> {
    let mut list = Vec::new();
    for part in parts {
        evaluator.spend(1)?;
        list.push(part);
    }
    Ok(Val::Made(Rc::new(list)))
}
