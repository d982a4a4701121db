//! Functions of strings.

use std::rc::Rc;

use super::Made;
use crate::custom::schema::pattern::Patterns;
use crate::expression::eval::Evaluator;
use crate::expression::fault::wrong;
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
        ("contains", [Val::Text(part)]) => Val::Bool(text.contains(part.as_ref())),
        ("startsWith", [Val::Text(part)]) => Val::Bool(text.starts_with(part.as_ref())),
        ("endsWith", [Val::Text(part)]) => Val::Bool(text.ends_with(part.as_ref())),
        ("matches" | "find", [Val::Text(pattern)]) => {
            evaluator.spend(1000 + pattern.len())?;
            let pattern = Patterns::default().compile(pattern).map_err(wrong)?;
            evaluator.spend(pattern.cost(text))?;
            match name {
                "matches" => Val::Bool(pattern.is_match(text)),
                _ => Val::Text(pattern.find(text).to_owned().into()),
            }
        }
        ("lowerAscii", []) => Val::Text(text.to_ascii_lowercase().into()),
        ("upperAscii", []) => Val::Text(text.to_ascii_uppercase().into()),
        ("trim", []) => Val::Text(text.trim().to_owned().into()),
        ("reverse", []) => Val::Text(text.chars().rev().collect::<String>().into()),
        ("replace", [Val::Text(from), Val::Text(to), limit @ ..]) => {
            let times = text.matches(from.as_ref()).count();
            evaluator.spend(times.saturating_mul(1 + to.len() / 16))?;
            Val::Text(match limit {
                [Val::Int(limit)] if *limit >= 0 => text
                    .replacen(from.as_ref(), to, usize::try_from(*limit).unwrap_or_default())
                    .into(),
                _ => text.replace(from.as_ref(), to).into(),
            })
        }
        ("split", [Val::Text(separator), limit @ ..]) => {
            let most = match limit {
                [Val::Int(limit)] if *limit >= 0 => usize::try_from(*limit).unwrap_or_default(),
                _ => usize::MAX,
            };
            let parts: Vec<Val<'a>> = if separator.is_empty() {
                text.chars()
                    .take(most)
                    .map(|c| Val::Text(c.to_string().into()))
                    .collect()
            } else {
                let parts = text.splitn(most, separator.as_ref());
                parts.map(|part| Val::Text(part.to_owned().into())).collect()
            };
            evaluator.spend(parts.len())?;
            Val::Made(Rc::new(parts))
        }
        ("substring", [Val::Int(from), to @ ..]) => {
            let count = text.chars().count();
            let to = match to {
                [Val::Int(to)] => usize::try_from(*to).ok(),
                _ => Some(count),
            };
            match (usize::try_from(*from), to) {
                (Ok(from), Some(to)) if from <= to && to <= count => {
                    Val::Text(text.chars().skip(from).take(to - from).collect::<String>().into())
                }
                _ => return Err(wrong(format!("index out of range: {from}"))),
            }
        }
        ("charAt", [Val::Int(at)]) => {
            let found = usize::try_from(*at).ok().and_then(|at| text.chars().nth(at));
            Val::Text(found.map(String::from).unwrap_or_default().into())
        }
        ("indexOf", [Val::Text(part)]) => place(text.find(part.as_ref())),
        ("lastIndexOf", [Val::Text(part)]) => place(text.rfind(part.as_ref())),
        _ => return Ok(None),
    }))
}
