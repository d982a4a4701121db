//! Rules of a schema (`x-kubernetes-validations`, KEP-2876): expressions in CEL that its values must satisfy.

mod message;

use orch_core::object::{FieldError, FieldErrorKind, FieldErrors, FieldPath};

use super::node::{ListType, Node, Type};
use super::validate::{Data, Old};
use crate::expression::{Expression, Fault, Known, MOST_STEPS, Outcome, Patterns, Scope, Seen, Val, whole};

/// What rules call the value that theirs replaces.
pub(super) const OLD_SELF: &str = "oldSelf";

/// One rule, ready to be evaluated.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) rule: Expression,
    pub(crate) message: String,
    pub(crate) message_expression: Option<Expression>,
    pub(crate) reason: FieldErrorKind,
    pub(crate) field: Vec<String>,
    pub(crate) optional_old_self: bool,
    pub(crate) uses_old_self: bool,
}

/// Reads an expression about values of a schema.
///
/// # Errors
///
/// Says what is wrong with it.
pub(super) fn read(
    source: &str,
    node: &Node,
    optional_old_self: bool,
    patterns: &mut Patterns,
) -> Result<Expression, String> {
    let old_self = if optional_old_self {
        Seen::Untyped
    } else {
        Seen::Typed(node)
    };
    let known = Known {
        inputs: &[("self", Seen::Typed(node)), (OLD_SELF, old_self)],
        variables: &[],
    };
    Expression::read(source, known, patterns)
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
                (false, None) if rule.uses_old_self => continue,
                (false, None) => Val::Null,
            };
            let old_value = Ok(old_value);
            let outer = Scope::Variable {
                name: OLD_SELF,
                value: &old_value,
                outer: None,
            };
            let scope = Scope::Variable {
                name: "self",
                value: &itself,
                outer: Some(&outer),
            };
            let error = match rule.rule.eval(&scope, &mut self.left) {
                Ok(Val::Bool(true)) => continue,
                Ok(Val::Bool(false)) => {
                    let message = rule
                        .message_expression
                        .as_ref()
                        .map(|message| message.eval(&scope, &mut self.left));
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
                Err(fault @ Fault::TooDear) => {
                    let detail = fault.to_string();
                    found.push((true, FieldError::invalid(&named(at), kind, detail)));
                    self.left = 0;
                    return found;
                }
            };
            found.push((rule.uses_old_self, error));
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
        Data::Float(float) if node.kind == Some(Type::Integer) => Val::Int(whole(float)),
        Data::Float(float) => Val::Double(float),
        Data::String(text) => Val::text(text, Some(node)),
        Data::List(items) => Val::List(items, Some(node)),
        Data::Map(map) => Val::Map(map, Some(node)),
    }
}
