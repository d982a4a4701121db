//! Expressions in CEL, in which schemas and admission policies have their rules.
//!
//! The crate `cel` reads them. They are evaluated here, for it has no bound on what an expression may cost, and would have
//! each object copied first. Values are of the types that a schema says, or, where there is none, of those that JSON has.

mod check;
mod duration;
mod eval;
mod fault;
mod functions;
mod given;
mod loops;
mod macros;
mod same;
#[cfg(test)]
mod tests;
mod text;
mod types;
mod value;

use cel::common::ast::IdedExpr;

pub(crate) use self::check::{Known, Seen};
use self::eval::Evaluator;
pub(crate) use self::eval::Scope;
pub(crate) use self::fault::{Fault, Outcome, wrong};
pub(crate) use self::given::Given;
pub(crate) use self::value::{Val, whole};
use crate::custom::schema::pattern::Pattern;
pub(crate) use crate::custom::schema::pattern::Patterns;

/// How many steps the expressions about one object may take.
pub(crate) const MOST_STEPS: usize = 5_000_000;

/// The longest message that an expression may make, in bytes, as in Kubernetes.
const LONGEST_MESSAGE: usize = 5 * 1024;

/// How long an expression may be, in bytes.
const LONGEST: usize = 5 * 1024;

/// An expression that was read.
#[derive(Debug)]
pub(crate) struct Expression {
    source: String,
    expr: IdedExpr,
    /// The inputs that it names.
    uses: Vec<String>,
    /// How deep it nests, with the variables that it names.
    depth: usize,
    /// The patterns that stand in it.
    patterns: Vec<Pattern>,
}

impl Expression {
    /// Reads an expression that may name what is known; the patterns in it count among those given.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub(crate) fn read(source: &str, known: Known<'_>, patterns: &mut Patterns) -> Result<Self, String> {
        if source.len() > LONGEST {
            return Err(format!("must be no more than {LONGEST} bytes"));
        }
        if !is_shallow(source) {
            return Err("ERROR: <input>:1:1: expression nests too deep".to_owned());
        }
        let parser = macros::ENVIRONMENT.parser().enable_ident_escape_syntax(true);
        let expr = parser.parse(source).map_err(|errors| errors.to_string())?;
        let checked = check::check(&expr, known, patterns);
        let checked = checked.map_err(|why| format!("ERROR: <input>:1:1: {why}"))?;
        Ok(Self {
            source: source.trim().to_owned(),
            expr,
            uses: checked.uses,
            depth: checked.depth,
            patterns: checked.patterns,
        })
    }

    /// As it was written, without the space around it.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Whether it names an input.
    pub(crate) fn uses(&self, input: &str) -> bool {
        self.uses.iter().any(|used| used == input)
    }

    /// Whether its value is no boolean, as far as its form tells.
    pub(crate) fn is_not_bool(&self) -> bool {
        check::is_not_bool(&self.expr)
    }

    /// Its value, in no more steps than are left, which are taken off.
    pub(crate) fn eval<'a>(&'a self, scope: &Scope<'_, 'a>, left: &mut usize) -> Outcome<'a> {
        Evaluator::new(&self.patterns, left).eval(&self.expr, scope)
    }
}

/// What an expression has made to be told to a person; none if it is no text, nothing, too long or has several lines.
pub(crate) fn message(made: Outcome<'_>) -> Option<String> {
    let Ok(Val::Text(text)) = made else {
        return None;
    };
    let text = text.trim();
    let is_fit = !text.is_empty() && text.len() <= LONGEST_MESSAGE && !text.contains('\n');
    is_fit.then(|| text.to_owned())
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
