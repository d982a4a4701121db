//! What can be told wrong with an expression before there is an object.

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue, operators};

use super::value::field_node;
use super::{Expression, functions, types};
use crate::custom::schema::node::Node;
use crate::custom::schema::pattern::{Pattern, Patterns};

/// How deep an expression may nest.
const DEEPEST: usize = 128;

/// The words whose values are of a type alone.
const NOT_BOOL: [&str; 9] = ["_+_", "_-_", "_*_", "_/_", "_%_", "-_", "size", "string", "int"];

/// The name below which variables stand that are made of other expressions.
pub(super) const VARIABLES: &str = "variables";

/// The names that an expression may use.
#[derive(Clone, Copy)]
pub(crate) struct Known<'k> {
    /// What it is given, by name.
    pub(crate) inputs: &'k [(&'static str, Seen<'k>)],
    /// The fields of `variables`; where there are none, that is no name.
    pub(crate) variables: &'k [(String, Expression)],
}

/// What is known of a name.
#[derive(Clone, Copy)]
pub(crate) enum Seen<'k> {
    /// Its values are of a schema.
    Typed(&'k Node),
    /// Its values are of any type.
    Untyped,
    /// It may not be used, for this reason.
    Refused(&'static str),
}

/// What an expression was found to be.
pub(super) struct Checked {
    /// The inputs that it names.
    pub(super) uses: Vec<String>,
    /// How deep it nests, with the variables that it names.
    pub(super) depth: usize,
    /// The patterns that stand in it.
    pub(super) patterns: Vec<Pattern>,
}

/// Looks at an expression, and compiles the patterns that stand in it.
///
/// # Errors
///
/// A variable, function or field that there is none of, what is no pattern, and an expression that is too deep.
pub(super) fn check(expr: &IdedExpr, known: Known<'_>, patterns: &mut Patterns) -> Result<Checked, String> {
    let mut checker = Checker {
        known,
        patterns,
        checked: Checked {
            uses: Vec::new(),
            depth: 0,
            patterns: Vec::new(),
        },
    };
    checker.expr(expr, &mut Vec::new(), 0)?;
    Ok(checker.checked)
}

/// Whether an expression's value is no boolean, as far as its form tells.
pub(crate) fn is_not_bool(expr: &IdedExpr) -> bool {
    match &expr.expr {
        Expr::List(_) | Expr::Map(_) => true,
        Expr::Literal(literal) => !matches!(literal, LiteralValue::Boolean(_)),
        Expr::Call(call) => NOT_BOOL.contains(&call.func_name.as_str()),
        _ => false,
    }
}

/// The variables of the macros around an expression, each with the schema of its values if that is known.
type Variables<'e> = Vec<(&'e str, Option<&'e Node>)>;

struct Checker<'k, 'p> {
    known: Known<'k>,
    patterns: &'p mut Patterns,
    checked: Checked,
}

impl<'k> Checker<'k, '_> {
    /// The schema of the expression's value, if it is of the object.
    fn expr<'e>(
        &mut self,
        expr: &'e IdedExpr,
        variables: &mut Variables<'e>,
        depth: usize,
    ) -> Result<Option<&'e Node>, String>
    where
        'k: 'e,
    {
        self.reach(depth)?;
        let depth = depth + 1;
        match &expr.expr {
            Expr::Ident(name) => match variables.iter().rev().find(|(known, _)| known == name) {
                Some((_, node)) => Ok(*node),
                None if types::named(expr).is_some() => Ok(None),
                None => self.input(name),
            },
            Expr::Select(select) => {
                if types::named(expr).is_some() {
                    return Ok(None);
                }
                if let Expr::Ident(word) = &select.operand.expr
                    && self.is_composed(word, variables)
                {
                    return self.composed(&select.field, depth);
                }
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
                let mut first = None;
                let target = call.target.as_deref().filter(|_| library.is_none());
                for (index, argument) in target.into_iter().chain(&call.args).enumerate() {
                    let node = self.expr(argument, variables, depth)?;
                    if index == 0 {
                        first = node;
                    }
                }
                if !functions::is_known(&name) {
                    return Err(undeclared(&name));
                }
                if functions::takes_pattern(&name) {
                    self.pattern(call.args.first())?;
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
                let count = variables.len();
                variables.push((&loops.accu_var, None));
                match &loops.iter_var2 {
                    None => variables.push((&loops.iter_var, range.and_then(items))),
                    Some(value) => {
                        variables.push((&loops.iter_var, None));
                        variables.push((value, range.and_then(items)));
                    }
                }
                self.expr(&loops.loop_cond, variables, depth)?;
                self.expr(&loops.loop_step, variables, depth)?;
                self.expr(&loops.result, variables, depth)?;
                variables.truncate(count);
                Ok(None)
            }
            Expr::Struct(made) => Err(undeclared(&made.type_name)),
            Expr::Literal(_) | Expr::Unspecified => Ok(None),
        }
    }

    /// Compiles a pattern, if it stands in the expression.
    fn pattern(&mut self, argument: Option<&IdedExpr>) -> Result<(), String> {
        if let Some(Expr::Literal(LiteralValue::String(source))) = argument.map(|argument| &argument.expr) {
            let compiled = self.patterns.compile(source.inner());
            let compiled = compiled.map_err(|why| format!("error parsing regexp: {why}"))?;
            self.checked.patterns.push(compiled);
        }
        Ok(())
    }

    /// Takes notice of how deep it goes.
    fn reach(&mut self, depth: usize) -> Result<(), String> {
        if depth > DEEPEST {
            return Err(format!("expression is more than {DEEPEST} levels deep"));
        }
        self.checked.depth = self.checked.depth.max(depth);
        Ok(())
    }

    fn input(&mut self, name: &str) -> Result<Option<&'k Node>, String> {
        let known = self.known.inputs.iter().find(|(input, _)| *input == name);
        let (_, seen) = known.ok_or_else(|| undeclared(name))?;
        if !self.checked.uses.iter().any(|used| used == name) {
            self.checked.uses.push(name.to_owned());
        }
        match seen {
            Seen::Typed(node) => Ok(Some(node)),
            Seen::Untyped => Ok(None),
            Seen::Refused(why) => Err((*why).to_owned()),
        }
    }

    /// Whether a word means the variables that are made of other expressions.
    fn is_composed(&self, word: &str, variables: &Variables<'_>) -> bool {
        word == VARIABLES
            && !self.known.variables.is_empty()
            && variables.iter().all(|(name, _)| *name != word)
    }

    fn composed<'e>(&mut self, name: &str, depth: usize) -> Result<Option<&'e Node>, String> {
        let known = self.known.variables.iter().find(|(variable, _)| variable == name);
        let (_, expression) = known.ok_or_else(|| format!("undefined field '{name}'"))?;
        // It is evaluated within this one.
        self.reach(depth + expression.depth)?;
        Ok(None)
    }
}

fn undeclared(name: &str) -> String {
    format!("undeclared reference to '{name}' (in container '')")
}

/// The schema of a list's items or a map's values.
fn items(node: &Node) -> Option<&Node> {
    node.items.as_deref()
}
