//! Rules of a schema (`x-kubernetes-validations`, KEP-2876): expressions in CEL that its values must satisfy.
//!
//! The crate `cel` reads expressions. They are evaluated here, for it has no bound on what an expression may cost, and
//! would have each object copied first.

mod check;
mod duration;
mod eval;
mod functions;
mod message;
mod value;

use cel::common::ast::IdedExpr;
use cel::parser::Parser;
use orch_core::object::{FieldError, FieldErrorKind, FieldErrors, FieldPath};

use self::eval::{Evaluator, Fault, Outcome, Scope};
use self::value::Val;
use super::node::{ListType, Node, Type};
use super::validate::{Data, Old};

/// How long an expression may be, in bytes.
const LONGEST: usize = 4096;

/// How many steps the rules of one object may take.
const MOST_STEPS: usize = 5_000_000;

/// One rule, ready to be evaluated.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) rule: Expression,
    pub(super) message: String,
    pub(super) message_expression: Option<Expression>,
    pub(super) reason: FieldErrorKind,
    pub(super) field: Vec<String>,
    pub(super) optional_old_self: bool,
}

/// An expression that was read.
#[derive(Debug)]
pub(super) struct Expression {
    source: String,
    expr: IdedExpr,
    pub(super) uses_old_self: bool,
}

impl Expression {
    /// Reads an expression about values of a schema.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub(super) fn read(source: &str, node: &Node, optional_old_self: bool) -> Result<Self, String> {
        if source.len() > LONGEST {
            return Err(format!("must be no more than {LONGEST} bytes"));
        }
        if !is_shallow(source) {
            return Err("ERROR: <input>:1:1: expression nests too deep".to_owned());
        }
        let parser = Parser::new()
            .enable_optional_syntax(true)
            .enable_ident_escape_syntax(true);
        let expr = parser.parse(source).map_err(|errors| errors.to_string())?;
        let checked = check::check(&expr, node, optional_old_self)
            .map_err(|why| format!("ERROR: <input>:1:1: {why}"))?;
        Ok(Self {
            source: source.trim().to_owned(),
            expr,
            uses_old_self: checked.uses_old_self,
        })
    }

    /// Whether its value is no boolean, as far as its form tells.
    pub(super) fn is_not_bool(&self) -> bool {
        check::is_not_bool(&self.expr)
    }
}

/// Whether an expression nests so little that its parser can follow: brackets, and what is between two of `&&`, `||`,
/// `,`, `?` and `:`, each sign of which may be one more level.
fn is_shallow(source: &str) -> bool {
    let mut levels = vec![0_usize];
    let mut quote = None;
    let mut chars = source.chars();
    while let Some(c) = chars.next() {
        let is_inner = levels.len() > 1;
        match (quote, c, levels.last_mut()) {
            (Some(_), '\\', _) => {
                chars.next();
            }
            (Some(open), _, _) if open == c => quote = None,
            (Some(_), ..) => {}
            (None, '"' | '\'', _) => quote = Some(c),
            (None, '(' | '[' | '{', _) => levels.push(1),
            (None, ')' | ']' | '}', _) if is_inner => {
                levels.pop();
            }
            (None, '&' | '|' | ',' | '?' | ':', Some(level)) => *level = (*level).min(1),
            (None, '=' | '<' | '>' | '+' | '-' | '*' | '/' | '%' | '!' | '.', Some(level)) => *level += 1,
            _ => {}
        }
        if levels.len() > 24 || levels.iter().sum::<usize>() > 100 {
            return false;
        }
    }
    true
}

/// What of an object does not satisfy the rules of its schema; `old` is what it replaces.
pub(super) fn check<'a>(root: &'a Node, object: Data<'a>, old: Option<Old<'a>>) -> FieldErrors {
    let mut walk = Walk {
        left: MOST_STEPS,
        errors: FieldErrors::default(),
    };
    let replaced = Replaced {
        by_rules: old.map(|old| old.data),
        old,
        is_in_same: false,
    };
    walk.value(root, object, replaced, &FieldPath::root());
    walk.errors
}

/// What a value replaces.
#[derive(Clone, Copy)]
struct Replaced<'a> {
    /// For rules about changes: what can be told apart by name or key.
    by_rules: Option<Data<'a>>,
    /// For what was wrong already: the value, if it can be told which it is.
    old: Option<Old<'a>>,
    /// Whether it cannot, but is in something that is as it was.
    is_in_same: bool,
}

struct Walk {
    left: usize,
    errors: FieldErrors,
}

impl Walk {
    fn value<'a>(&mut self, node: &'a Node, data: Data<'a>, replaced: Replaced<'a>, at: &FieldPath) {
        if !node.has_rules || data == Data::Null || self.left == 0 {
            return;
        }
        let found = self.rules(node, data, replaced.by_rules, at);
        // What was wrong already, and is as it was, is let be; rules about changes never are.
        let is_as_it_was = || match replaced.old {
            Some(old) => old.data == data,
            None => replaced.is_in_same,
        };
        let let_be = !found.is_empty() && is_as_it_was();
        let kept = found
            .into_iter()
            .filter(|(is_of_change, _)| *is_of_change || !let_be);
        self.errors.extend(kept.map(|(_, error)| error));
        match data {
            Data::Map(map) => {
                for (name, value) in map {
                    let Some(field) = node.field(name) else {
                        continue;
                    };
                    let path = match node.properties.contains_key(name) {
                        true => at.child(name.clone()),
                        false => at.key(name.clone()),
                    };
                    let old = replaced.old.and_then(|old| old.field(name));
                    let by_rules = match replaced.by_rules {
                        Some(Data::Map(map)) => map.get(name).map(Data::from),
                        _ => None,
                    };
                    let replaced = Replaced {
                        by_rules,
                        old,
                        is_in_same: replaced.is_in_same,
                    };
                    self.value(field, value.into(), replaced, &path);
                }
            }
            Data::List(items) => {
                let Some(node_of_items) = &node.items else {
                    return;
                };
                let is_same = match replaced.old {
                    Some(old) => old.data == data,
                    None => replaced.is_in_same,
                };
                let old = replaced.old.map(Old::items);
                let is_told_by_key = node.list_type == Some(ListType::Map);
                for (index, item) in items.iter().enumerate() {
                    let old = old.as_ref().and_then(|items| items.of(index, item));
                    let replaced = Replaced {
                        by_rules: old.filter(|_| is_told_by_key).map(|old| old.data),
                        old,
                        is_in_same: is_same,
                    };
                    self.value(node_of_items, item.into(), replaced, &at.index(index));
                }
            }
            _ => {}
        }
    }

    /// What is wrong by the rules of one value, and whether a rule about changes says so.
    fn rules<'a>(
        &mut self,
        node: &'a Node,
        data: Data<'a>,
        old: Option<Data<'a>>,
        at: &FieldPath,
    ) -> Vec<(bool, FieldError)> {
        let mut found = Vec::new();
        let kind = node.kind.map_or("", Type::word);
        let itself: Outcome<'a> = Ok(val(data, node));
        let old = old.filter(|old| *old != Data::Null);
        for rule in &node.rules {
            let old_value = match (rule.optional_old_self, old) {
                (true, old) => Val::Optional(old.map(|old| std::rc::Rc::new(val(old, node)))),
                (false, Some(old)) => val(old, node),
                // Rules about changes are for what was there before.
                (false, None) if rule.rule.uses_old_self => continue,
                (false, None) => Val::Null,
            };
            let old_value = Ok(old_value);
            let outer = Scope {
                name: "oldSelf",
                value: &old_value,
                outer: None,
            };
            let scope = Scope {
                name: "self",
                value: &itself,
                outer: Some(&outer),
            };
            let mut evaluator = Evaluator { left: &mut self.left };
            let error = match evaluator.eval(&rule.rule.expr, &scope) {
                Ok(Val::Bool(true)) => continue,
                Ok(Val::Bool(false)) => {
                    let message = rule
                        .message_expression
                        .as_ref()
                        .map(|message| evaluator.eval(&message.expr, &scope));
                    let path = rule
                        .field
                        .iter()
                        .fold(at.clone(), |path, name| path.child(name.clone()));
                    let value = match data {
                        Data::Map(_) | Data::List(_) => None,
                        scalar => Some(scalar.to_value()),
                    };
                    rule.error(path, value, message)
                }
                Ok(other) => {
                    let detail = format!(
                        "no such overload: cel expression must evaluate to a bool, got {}",
                        other.kind()
                    );
                    FieldError::invalid(&named(at), kind, detail)
                }
                Err(Fault::Wrong(why)) => FieldError::invalid(
                    &named(at),
                    kind,
                    format!("{why} evaluating rule: {}", rule.shown()),
                ),
                Err(Fault::TooDear) => {
                    let detail = "validation failed due to running out of cost budget, no further validation rules will be run";
                    found.push((true, FieldError::invalid(&named(at), kind, detail)));
                    self.left = 0;
                    return found;
                }
            };
            found.push((rule.rule.uses_old_self, error));
        }
        found
    }
}

/// A path; that of the object itself has Kubernetes' name for none.
fn named(path: &FieldPath) -> FieldPath {
    if path.is_root() {
        FieldPath::new("<nil>")
    } else {
        path.clone()
    }
}

fn val<'a>(data: Data<'a>, node: &'a Node) -> Val<'a> {
    match data {
        Data::Null => Val::Null,
        Data::Bool(value) => Val::Bool(value),
        Data::Integer(integer) if node.kind == Some(Type::Number) => Val::Double(integer as f64),
        Data::Integer(integer) => Val::Int(integer),
        Data::Float(float) if node.kind == Some(Type::Integer) => Val::Int(value::whole(float)),
        Data::Float(float) => Val::Double(float),
        Data::String(text) => Val::text(text, Some(node)),
        Data::List(items) => Val::List(items, Some(node)),
        Data::Map(map) => Val::Map(map, Some(node)),
    }
}
