//! Loops, which macros are made into.

use std::rc::Rc;

use cel::common::ast::{ComprehensionExpr, Expr, IdedExpr, operators};

use super::eval::{Evaluator, Scope, overload};
use super::fault::{Fault, Outcome, wrong};
use super::macros;
use super::value::Val;

/// How many steps it takes to keep something, so that what is made takes some 50 MB at most.
const STEPS_TO_KEEP: usize = 4;

impl Evaluator<'_> {
    pub(super) fn comprehension<'a>(
        &mut self,
        loops: &'a ComprehensionExpr,
        scope: &Scope<'_, 'a>,
    ) -> Outcome<'a> {
        let range = self.eval(&loops.iter_range, scope)?;
        let rounds = rounds(&range, loops.iter_var2.is_some());
        let rounds = rounds.ok_or_else(|| overload("comprehension", &[range]))?;
        self.spend(rounds.len())?;
        if let Some(collected) = Collected::of(loops) {
            return self.collect(loops, &collected, rounds, scope);
        }
        let mut result = self.eval(&loops.accu_init, scope);
        for round in rounds {
            let around = Scope::Variable {
                name: &loops.accu_var,
                value: &result,
                outer: Some(scope),
            };
            if let Val::Bool(false) = self.eval(&loops.loop_cond, &around)? {
                break;
            }
            let next = in_round(loops, round, &around, |inside| {
                self.eval(&loops.loop_step, inside)
            });
            if let Err(Fault::TooDear) = next {
                return next;
            }
            result = next;
        }
        let around = Scope::Variable {
            name: &loops.accu_var,
            value: &result,
            outer: Some(scope),
        };
        self.eval(&loops.result, &around)
    }

    /// `map`, `filter` and the like, without a copy of what was made for each item.
    fn collect<'a>(
        &mut self,
        loops: &'a ComprehensionExpr,
        collected: &Collected<'a>,
        rounds: Vec<Round<'a>>,
        scope: &Scope<'_, 'a>,
    ) -> Outcome<'a> {
        let (mut items, mut entries) = (Vec::new(), Vec::new());
        for round in rounds {
            in_round(loops, round, scope, |inside| {
                let condition = collected.condition;
                let is_wanted = condition.map(|condition| self.eval(condition, inside));
                match is_wanted.transpose()? {
                    None | Some(Val::Bool(true)) => {}
                    Some(Val::Bool(false)) => return Ok(()),
                    Some(other) => return Err(overload("_?_:_", &[other])),
                }
                self.spend(STEPS_TO_KEEP)?;
                match collected.made {
                    Made::Item(item) => items.push(self.eval(item, inside)?),
                    Made::Entry(key, value) => {
                        entries.push((self.eval(key, inside)?, self.eval(value, inside)?));
                    }
                    Made::Entries(map) => {
                        let map = self.eval(map, inside)?;
                        for (key, value) in self.new_entries(&map, &entries)? {
                            entries.push((key, value));
                        }
                    }
                }
                Ok(())
            })?;
        }
        Ok(match collected.made {
            Made::Item(_) => Val::Made(Rc::new(items)),
            _ => Val::MadeMap(Rc::new(entries)),
        })
    }

    /// The entries of a map, none of which is there already.
    fn new_entries<'a>(&mut self, map: &Val<'a>, there: &[Entry<'a>]) -> Result<Vec<Entry<'a>>, Fault> {
        let (Val::Map(..) | Val::MadeMap(_)) = map else {
            return Err(overload("transformMapEntry", std::slice::from_ref(map)));
        };
        let keys = map.items().unwrap_or_default();
        let mut entries = Vec::with_capacity(keys.len());
        for key in keys {
            if self.place(&key, there.iter().map(|(key, _)| key))?.is_some() {
                return Err(wrong(format!(
                    "insert failed: key {} already exists",
                    key.shown()
                )));
            }
            let value = self.entry(map, &key)?;
            entries.extend(value.map(|value| (key, value)));
        }
        Ok(entries)
    }
}

/// What the variables of a loop are in one round: the second only if there is one.
type Round<'a> = (Val<'a>, Option<Val<'a>>);

type Entry<'a> = (Val<'a>, Val<'a>);

/// The rounds of a loop over a list or a map, by one variable or by two.
fn rounds<'a>(range: &Val<'a>, by_two: bool) -> Option<Vec<Round<'a>>> {
    let items = range.items()?;
    if !by_two {
        return Some(items.into_iter().map(|item| (item, None)).collect());
    }
    Some(match range {
        Val::Map(map, node) => map
            .iter()
            .map(|(key, value)| {
                let value = Val::of(value, node.and_then(|node| node.field(key)));
                (Val::Text(key.as_str().into()), Some(value))
            })
            .collect(),
        Val::MadeMap(entries) => {
            let entries = entries.iter().cloned();
            entries.map(|(key, value)| (key, Some(value))).collect()
        }
        _ => (0..).map(Val::Int).zip(items.into_iter().map(Some)).collect(),
    })
}

/// Does something with the variables of one round.
fn in_round<'a, T>(
    loops: &'a ComprehensionExpr,
    (first, second): Round<'a>,
    outer: &Scope<'_, 'a>,
    work: impl FnOnce(&Scope<'_, 'a>) -> T,
) -> T {
    let first = Ok(first);
    let inside = Scope::Variable {
        name: &loops.iter_var,
        value: &first,
        outer: Some(outer),
    };
    match (&loops.iter_var2, second) {
        (Some(name), Some(second)) => work(&Scope::Variable {
            name,
            value: &Ok(second),
            outer: Some(&inside),
        }),
        _ => work(&inside),
    }
}

/// What a loop makes that adds something in each round, if a condition is met.
struct Collected<'e> {
    condition: Option<&'e IdedExpr>,
    made: Made<'e>,
}

enum Made<'e> {
    /// An item of a list.
    Item(&'e IdedExpr),
    /// A key and its value.
    Entry(&'e IdedExpr, &'e IdedExpr),
    /// The entries of a map.
    Entries(&'e IdedExpr),
}

impl<'e> Collected<'e> {
    /// If the step of the loop is `result + [item]`, or puts an entry into the result, or that under a condition, else the result.
    fn of(loops: &'e ComprehensionExpr) -> Option<Self> {
        let is_result = |expr: &IdedExpr| matches!(&expr.expr, Expr::Ident(name) if *name == loops.accu_var);
        let call = |expr: &'e IdedExpr| match &expr.expr {
            Expr::Call(call) => Some((call.func_name.as_str(), call.args.as_slice())),
            _ => None,
        };
        let (condition, step) = match call(&loops.loop_step)? {
            (operators::CONDITIONAL, [condition, step, other]) if is_result(other) => (Some(condition), step),
            _ => (None, &loops.loop_step),
        };
        let made = match call(step)? {
            (operators::ADD, [list, item]) if is_result(list) => match &item.expr {
                Expr::List(item) if item.elements.len() == 1 && item.optional_indices.is_empty() => {
                    Made::Item(&item.elements[0])
                }
                _ => return None,
            },
            (macros::PUT, [_, key, value]) => Made::Entry(key, value),
            (macros::PUT_ALL, [_, map]) => Made::Entries(map),
            _ => return None,
        };
        Some(Self { condition, made })
    }
}
