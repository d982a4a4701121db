//! Evaluates expressions, and takes no more steps than it may.

use std::rc::Rc;

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};

use super::Expression;
use super::check::VARIABLES;
use super::fault::{Fault, Outcome, wrong};
use super::functions;
use super::given::Given;
use super::types;
use super::value::Val;
use crate::custom::schema::pattern::{Pattern, Patterns};

/// The names that an expression may use, and what they stand for.
#[derive(Clone, Copy)]
pub(crate) enum Scope<'s, 'a> {
    /// A variable and those around it.
    Variable {
        /// Its name.
        name: &'s str,
        /// What it stands for.
        value: &'s Outcome<'a>,
        /// Those around it.
        outer: Option<&'s Scope<'s, 'a>>,
    },
    /// All that an expression is given.
    Given(&'s Given<'a>),
}

impl<'a> Scope<'_, 'a> {
    fn get(&self, wanted: &str) -> Option<Outcome<'a>> {
        match self {
            Self::Variable { name, value, .. } if *name == wanted => Some((*value).clone()),
            Self::Variable { outer, .. } => outer.and_then(|outer| outer.get(wanted)),
            Self::Given(given) => given.input(wanted),
        }
    }

    /// What was given, if the variables that were given are what `word` means here.
    fn composed(&self, word: &str) -> Option<&Given<'a>> {
        match self {
            _ if word != VARIABLES => None,
            Self::Variable { name, .. } if *name == word => None,
            Self::Variable { outer, .. } => outer.and_then(|outer| outer.composed(word)),
            Self::Given(given) => Some(given),
        }
    }
}

/// How many steps it takes to compile a pattern, for each KiB that it has then, and the most that it may take.
const STEPS_TO_COMPILE: (usize, usize) = (1_500, 400_000);

/// Evaluates with the steps that are left.
pub(crate) struct Evaluator<'l> {
    left: &'l mut usize,
    /// The patterns that the expression has as they stand.
    patterns: &'l [Pattern],
    /// Those that were made meanwhile.
    made: Patterns,
}

impl<'l> Evaluator<'l> {
    pub(super) fn new(patterns: &'l [Pattern], left: &'l mut usize) -> Self {
        Self {
            left,
            patterns,
            made: Patterns::default(),
        }
    }

    /// Evaluates another expression with the steps that are left.
    pub(super) fn eval_other<'a>(&mut self, other: &'a Expression, scope: &Scope<'_, 'a>) -> Outcome<'a> {
        other.eval(scope, self.left)
    }

    /// A pattern, compiled.
    pub(super) fn pattern(&mut self, source: &str) -> Result<Pattern, Fault> {
        let known = self.patterns.iter().find(|pattern| pattern.source() == source);
        if let Some(known) = known.or_else(|| self.made.find(source)) {
            return Ok(known.clone());
        }
        let (each, most) = STEPS_TO_COMPILE;
        let compiled = self.made.compile(source);
        self.spend(compiled.as_ref().map_or(most, |pattern| pattern.size() * each))?;
        compiled.map_err(wrong)
    }

    /// Takes steps off what is left.
    pub(crate) fn spend(&mut self, steps: usize) -> Result<(), Fault> {
        *self.left = self.left.saturating_sub(steps);
        if *self.left == 0 {
            Err(Fault::TooDear)
        } else {
            Ok(())
        }
    }

    /// Takes off what looking at all of a value takes.
    pub(crate) fn charge(&mut self, value: &Val<'_>) -> Result<(), Fault> {
        value.charge(self.left);
        self.spend(0)
    }

    pub(crate) fn eval<'a>(&mut self, expr: &'a IdedExpr, scope: &Scope<'_, 'a>) -> Outcome<'a> {
        self.spend(1)?;
        match &expr.expr {
            Expr::Literal(literal) => Ok(self::literal(literal)),
            Expr::Ident(name) => match (scope.get(name), types::named(expr)) {
                (Some(value), _) => value,
                (None, Some(named)) => Ok(Val::Type(named)),
                (None, None) => Err(wrong(format!("undeclared reference to '{name}'"))),
            },
            Expr::Select(select) => {
                if let Some(named) = types::named(expr) {
                    return Ok(Val::Type(named));
                }
                if let Expr::Ident(word) = &select.operand.expr
                    && let Some(given) = scope.composed(word)
                {
                    return self.composed(given, &select.field, select.test);
                }
                let operand = self.eval(&select.operand, scope)?;
                let found = match &operand {
                    Val::Optional(inner) => {
                        let found = inner.as_ref().and_then(|inner| inner.field(&select.field));
                        return Ok(if select.test {
                            Val::Bool(found.is_some())
                        } else {
                            Val::Optional(found.map(Rc::new))
                        });
                    }
                    other => other.field(&select.field),
                };
                if select.test {
                    return Ok(Val::Bool(found.is_some()));
                }
                found.ok_or_else(|| match operand {
                    Val::Map(..) | Val::MadeMap(_) => wrong(format!("no such key: {}", select.field)),
                    other => wrong(format!("no such overload: {}.{}", other.kind(), select.field)),
                })
            }
            Expr::List(list) => {
                let mut items = Vec::with_capacity(list.elements.len());
                for (index, element) in list.elements.iter().enumerate() {
                    let item = self.eval(element, scope)?;
                    match item {
                        Val::Optional(inner) if list.optional_indices.contains(&index) => {
                            items.extend(inner.map(|inner| (*inner).clone()));
                        }
                        item => items.push(item),
                    }
                }
                Ok(Val::Made(Rc::new(items)))
            }
            Expr::Map(map) => {
                let mut entries = Vec::with_capacity(map.entries.len());
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        let key = self.eval(&entry.key, scope)?;
                        entries.push((key, self.eval(&entry.value, scope)?));
                    }
                }
                Ok(Val::MadeMap(Rc::new(entries)))
            }
            Expr::Call(call) => self.call(call, scope),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension, scope),
            Expr::Struct(_) | Expr::Unspecified => Err(wrong("no such type")),
        }
    }

    /// A variable of those that were given.
    fn composed<'a>(&mut self, given: &Given<'a>, name: &str, test: bool) -> Outcome<'a> {
        if test {
            return Ok(Val::Bool(given.has_variable(name)));
        }
        let variable = given.variable(name, self);
        variable.unwrap_or_else(|| Err(wrong(format!("no such key: {name}"))))
    }

    fn call<'a>(&mut self, call: &'a CallExpr, scope: &Scope<'_, 'a>) -> Outcome<'a> {
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::CONDITIONAL, [condition, yes, no]) => match self.eval(condition, scope)? {
                Val::Bool(true) => self.eval(yes, scope),
                Val::Bool(false) => self.eval(no, scope),
                other => Err(overload("_?_:_", &[other])),
            },
            (operators::LOGICAL_AND, [one, other]) => self.junction(one, other, false, scope),
            (operators::LOGICAL_OR, [one, other]) => self.junction(one, other, true, scope),
            (operators::NOT_STRICTLY_FALSE, [condition]) => match self.eval(condition, scope) {
                Err(Fault::TooDear) => Err(Fault::TooDear),
                Ok(Val::Bool(false)) => Ok(Val::Bool(false)),
                _ => Ok(Val::Bool(true)),
            },
            (name, arguments) => {
                let target = call.target.as_deref();
                // `math.greatest` and the like are names, not fields.
                let library = match target.map(|target| &target.expr) {
                    Some(Expr::Ident(library)) if functions::is_library(library) => Some(library),
                    _ => None,
                };
                let mut values = Vec::with_capacity(arguments.len() + 1);
                for argument in target.filter(|_| library.is_none()).into_iter().chain(arguments) {
                    values.push(self.eval(argument, scope)?);
                }
                match library {
                    Some(library) => functions::call(self, &format!("{library}.{name}"), values),
                    None => functions::call(self, name, values),
                }
            }
        }
    }

    /// `&&` and `||`: an error does not matter if the other side decides.
    fn junction<'a>(
        &mut self,
        one: &'a IdedExpr,
        other: &'a IdedExpr,
        decides: bool,
        scope: &Scope<'_, 'a>,
    ) -> Outcome<'a> {
        let first = match self.eval(one, scope) {
            Ok(Val::Bool(value)) if value == decides => return Ok(Val::Bool(decides)),
            Err(Fault::TooDear) => return Err(Fault::TooDear),
            first => first,
        };
        match (first, self.eval(other, scope)) {
            (_, Ok(Val::Bool(value))) if value == decides => Ok(Val::Bool(decides)),
            (_, Err(Fault::TooDear)) => Err(Fault::TooDear),
            (Err(fault), _) | (_, Err(fault)) => Err(fault),
            (Ok(Val::Bool(_)), Ok(Val::Bool(_))) => Ok(Val::Bool(!decides)),
            (Ok(one), Ok(other)) => Err(overload(if decides { "_||_" } else { "_&&_" }, &[one, other])),
        }
    }
}

/// That there is no such function of values of such types.
pub(crate) fn overload(name: &str, values: &[Val<'_>]) -> Fault {
    let kinds: Vec<&str> = values.iter().map(Val::kind).collect();
    wrong(format!("no such overload: {name}({})", kinds.join(", ")))
}

fn literal(literal: &LiteralValue) -> Val<'_> {
    match literal {
        LiteralValue::Boolean(value) => Val::Bool(*value.inner()),
        LiteralValue::Double(value) => Val::Double(*value.inner()),
        LiteralValue::Int(value) => Val::Int(*value.inner()),
        LiteralValue::UInt(value) => Val::Uint(*value.inner()),
        LiteralValue::String(value) => Val::Text(value.inner().into()),
        LiteralValue::Bytes(value) => Val::Text(String::from_utf8_lossy(value.inner()).into_owned().into()),
        LiteralValue::Null => Val::Null,
    }
}
