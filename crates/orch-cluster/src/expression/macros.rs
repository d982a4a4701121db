//! Macros: those of CEL and of optionals, and those of two variables (cel-go's `ext.TwoVarComprehensions`, Kubernetes 1.32).

use std::sync::LazyLock;

use cel::Env;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, Expr, IdedExpr, ListExpr, LiteralValue, MapExpr, operators,
};
use cel::parser::{Macro, MacroExprHelper, ParseError};

/// What a loop has made so far; no expression can name it.
const RESULT: &str = "@result";

/// Puts an entry into the map that a loop makes.
pub(super) const PUT: &str = "@put";

/// Puts the entries of a map into the one that a loop makes.
pub(super) const PUT_ALL: &str = "@putAll";

/// What parses expressions.
pub(super) static ENVIRONMENT: LazyLock<Env> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    for loops in [
        Loop::All,
        Loop::Exists,
        Loop::ExistsOne,
        Loop::List,
        Loop::Map,
        Loop::Entries,
    ] {
        for name in loops.names() {
            for count in loops.counts() {
                let added = env.add_macro(Macro::receiver(
                    *name,
                    *count,
                    move |helper, target, arguments| loops.expand(helper, target, arguments),
                ));
                debug_assert!(added.is_ok(), "{name} of {count} is there already");
            }
        }
    }
    env
});

/// A loop of two variables: the index and the item of a list, or the key and the value of a map.
#[derive(Clone, Copy)]
enum Loop {
    All,
    Exists,
    ExistsOne,
    List,
    Map,
    Entries,
}

impl Loop {
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::All => &["all"],
            Self::Exists => &["exists"],
            Self::ExistsOne => &["exists_one", "existsOne"],
            Self::List => &["transformList"],
            Self::Map => &["transformMap"],
            Self::Entries => &["transformMapEntry"],
        }
    }

    /// How many arguments it may have: both variables, a condition where there may be one, and what is made.
    fn counts(self) -> &'static [usize] {
        match self {
            Self::All | Self::Exists | Self::ExistsOne => &[3],
            Self::List | Self::Map | Self::Entries => &[3, 4],
        }
    }

    fn expand(
        self,
        helper: &mut MacroExprHelper<'_>,
        target: &mut Option<IdedExpr>,
        arguments: &mut Vec<IdedExpr>,
    ) -> Result<Option<IdedExpr>, ParseError> {
        for argument in &arguments[..2] {
            if !matches!(argument.expr, Expr::Ident(_)) {
                return Err(helper.new_error(argument.id, "argument must be a simple name"));
            }
        }
        let (Some(iter_range), Some(made)) = (target.take(), arguments.pop()) else {
            return Ok(None);
        };
        let mut arguments = arguments.drain(..);
        let mut name = || match arguments.next().map(|argument| argument.expr) {
            Some(Expr::Ident(name)) => name,
            _ => String::new(),
        };
        let (iter_var, iter_var2) = (name(), Some(name()));
        let condition = arguments.next();
        let step = self.step(helper, &iter_var, made);
        let loop_step = match condition {
            None => step,
            Some(condition) => {
                let so_far = result(helper);
                call(helper, operators::CONDITIONAL, vec![condition, step, so_far])
            }
        };
        let expanded = Expr::Comprehension(Box::new(ComprehensionExpr {
            iter_range,
            iter_var,
            iter_var2,
            accu_var: RESULT.to_owned(),
            accu_init: self.begin(helper),
            loop_cond: self.goes_on(helper),
            loop_step,
            result: self.end(helper),
        }));
        Ok(Some(helper.next_expr(expanded)))
    }

    /// What it begins with.
    fn begin(self, helper: &mut MacroExprHelper<'_>) -> IdedExpr {
        helper.next_expr(match self {
            Self::All => Expr::Literal(LiteralValue::Boolean(true.into())),
            Self::Exists => Expr::Literal(LiteralValue::Boolean(false.into())),
            Self::ExistsOne => Expr::Literal(LiteralValue::Int(0.into())),
            Self::List => Expr::List(ListExpr::new(Vec::new())),
            Self::Map | Self::Entries => Expr::Map(MapExpr { entries: Vec::new() }),
        })
    }

    /// Whether it goes on.
    fn goes_on(self, helper: &mut MacroExprHelper<'_>) -> IdedExpr {
        let so_far = result(helper);
        match self {
            Self::All => call(helper, operators::NOT_STRICTLY_FALSE, vec![so_far]),
            Self::Exists => {
                let not = call(helper, operators::LOGICAL_NOT, vec![so_far]);
                call(helper, operators::NOT_STRICTLY_FALSE, vec![not])
            }
            _ => helper.next_expr(Expr::Literal(LiteralValue::Boolean(true.into()))),
        }
    }

    /// What one round makes of what was made so far.
    fn step(self, helper: &mut MacroExprHelper<'_>, key: &str, made: IdedExpr) -> IdedExpr {
        let so_far = result(helper);
        match self {
            Self::All => call(helper, operators::LOGICAL_AND, vec![so_far, made]),
            Self::Exists => call(helper, operators::LOGICAL_OR, vec![so_far, made]),
            Self::ExistsOne => {
                let one = helper.next_expr(Expr::Literal(LiteralValue::Int(1.into())));
                let more = call(helper, operators::ADD, vec![so_far, one]);
                let same = result(helper);
                call(helper, operators::CONDITIONAL, vec![made, more, same])
            }
            Self::List => {
                let item = helper.next_expr(Expr::List(ListExpr::new(vec![made])));
                call(helper, operators::ADD, vec![so_far, item])
            }
            Self::Map => {
                let key = helper.next_expr(Expr::Ident(key.to_owned()));
                call(helper, PUT, vec![so_far, key, made])
            }
            Self::Entries => call(helper, PUT_ALL, vec![so_far, made]),
        }
    }

    /// What it is in the end.
    fn end(self, helper: &mut MacroExprHelper<'_>) -> IdedExpr {
        let made = result(helper);
        match self {
            Self::ExistsOne => {
                let one = helper.next_expr(Expr::Literal(LiteralValue::Int(1.into())));
                call(helper, operators::EQUALS, vec![made, one])
            }
            _ => made,
        }
    }
}

fn result(helper: &mut MacroExprHelper<'_>) -> IdedExpr {
    helper.next_expr(Expr::Ident(RESULT.to_owned()))
}

fn call(helper: &mut MacroExprHelper<'_>, name: &str, arguments: Vec<IdedExpr>) -> IdedExpr {
    helper.next_expr(Expr::Call(CallExpr {
        func_name: name.to_owned(),
        target: None,
        args: arguments,
    }))
}
