//! What can be told wrong with an expression before there is an object.

use cel::common::ast::{EntryExpr, Expr, IdedExpr, operators};

use super::functions;
use super::value::field_node;
use crate::custom::schema::node::Node;

/// How deep an expression may nest.
const DEEPEST: usize = 128;

/// The words whose values are of a type alone.
const NOT_BOOL: [&str; 9] = ["_+_", "_-_", "_*_", "_/_", "_%_", "-_", "size", "string", "int"];

/// A checked expression.
pub(super) struct Checked {
    pub(super) uses_old_self: bool,
}

/// Looks at an expression about values of a schema.
///
/// # Errors
///
/// A variable, function or field that there is none of, and an expression that is too deep.
pub(super) fn check(expr: &IdedExpr, node: &Node, optional_old_self: bool) -> Result<Checked, String> {
    let old_self = if optional_old_self { None } else { Some(node) };
    let mut checker = Checker { uses_old_self: false };
    let variables = vec![("self", Some(node)), ("oldSelf", old_self)];
    checker.expr(expr, &mut Variables(variables), 0)?;
    Ok(Checked {
        uses_old_self: checker.uses_old_self,
    })
}

/// Whether an expression's value is no boolean, as far as its form tells.
pub(super) fn is_not_bool(expr: &IdedExpr) -> bool {
    match &expr.expr {
        Expr::List(_) | Expr::Map(_) => true,
        Expr::Literal(literal) => !matches!(literal, cel::common::ast::LiteralValue::Boolean(_)),
        Expr::Call(call) => NOT_BOOL.contains(&call.func_name.as_str()),
        _ => false,
    }
}

/// The variables there are, each with the schema of its values if that is known.
struct Variables<'e>(Vec<(&'e str, Option<&'e Node>)>);

struct Checker {
    uses_old_self: bool,
}

impl Checker {
    /// The schema of the expression's value, if it is of the object.
    fn expr<'e>(
        &mut self,
        expr: &'e IdedExpr,
        variables: &mut Variables<'e>,
        depth: usize,
    ) -> Result<Option<&'e Node>, String> {
        if depth > DEEPEST {
            return Err(format!("expression is more than {DEEPEST} levels deep"));
        }
        let depth = depth + 1;
        match &expr.expr {
            Expr::Ident(name) => {
                self.uses_old_self |= name == "oldSelf";
                match variables.0.iter().rev().find(|(known, _)| known == name) {
                    Some((_, node)) => Ok(*node),
                    None => Err(format!("undeclared reference to '{name}' (in container '')")),
                }
            }
            Expr::Select(select) => {
                let node = self.expr(&select.operand, variables, depth)?;
                let Some(node) = node else {
                    return Ok(None);
                };
                let field = field_node(node, &select.field);
                let is_object = node.additional.is_none() && node.kind.is_some();
                let is_meta = ["apiVersion", "kind", "metadata"].contains(&select.field.as_str());
                if field.is_none() && is_object && !is_meta {
                    return Err(format!("undefined field '{}'", select.field));
                }
                Ok(field)
            }
            Expr::Call(call) => {
                let library = match call.target.as_ref().map(|target| &target.expr) {
                    Some(Expr::Ident(word)) if functions::is_library(word) => Some(word),
                    _ => None,
                };
                let name = match library {
                    Some(library) => format!("{library}.{}", call.func_name),
                    None => call.func_name.clone(),
                };
                if !functions::is_known(&name) {
                    return Err(format!("undeclared reference to '{name}' (in container '')"));
                }
                let mut first = None;
                let target = call.target.as_deref().filter(|_| library.is_none());
                for (index, argument) in target.into_iter().chain(&call.args).enumerate() {
                    let node = self.expr(argument, variables, depth)?;
                    if index == 0 {
                        first = node;
                    }
                }
                let is_index = call.func_name == operators::INDEX;
                Ok(first.filter(|_| is_index).and_then(items))
            }
            Expr::List(list) => {
                for element in &list.elements {
                    self.expr(element, variables, depth)?;
                }
                Ok(None)
            }
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.expr(&entry.key, variables, depth)?;
                        self.expr(&entry.value, variables, depth)?;
                    }
                }
                Ok(None)
            }
            Expr::Comprehension(loops) => {
                let range = self.expr(&loops.iter_range, variables, depth)?;
                self.expr(&loops.accu_init, variables, depth)?;
                if loops.iter_var2.is_some() {
                    return Err("macros of two variables are not supported".to_owned());
                }
                let count = variables.0.len();
                let item = range.and_then(|range| range.items.as_deref());
                variables.0.push((&loops.accu_var, None));
                variables.0.push((&loops.iter_var, item));
                self.expr(&loops.loop_cond, variables, depth)?;
                self.expr(&loops.loop_step, variables, depth)?;
                self.expr(&loops.result, variables, depth)?;
                variables.0.truncate(count);
                Ok(None)
            }
            Expr::Struct(made) => Err(format!(
                "undeclared reference to '{}' (in container '')",
                made.type_name
            )),
            Expr::Literal(_) | Expr::Unspecified => Ok(None),
        }
    }
}

/// The schema of a list's items or a map's values.
fn items(node: &Node) -> Option<&Node> {
    node.items.as_deref()
}
