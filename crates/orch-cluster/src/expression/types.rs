//! Types as values, with which `type(self) == string` tells what something is.

use cel::common::ast::{Expr, IdedExpr};

/// Those that have a plain name.
const PLAIN: [&str; 10] = [
    "bool",
    "double",
    "int",
    "list",
    "map",
    "null_type",
    "optional_type",
    "string",
    "type",
    "uint",
];

pub(super) const DURATION: &str = "google.protobuf.Duration";
pub(super) const TIMESTAMP: &str = "google.protobuf.Timestamp";

/// The type that an expression names, where no variable has that name.
pub(super) fn named(expr: &IdedExpr) -> Option<&'static str> {
    match &expr.expr {
        Expr::Ident(name) => PLAIN.into_iter().find(|plain| plain == name),
        Expr::Select(select) if !select.test => {
            let Expr::Select(package) = &select.operand.expr else {
                return None;
            };
            let is_google = matches!(&package.operand.expr, Expr::Ident(word) if word == "google");
            match select.field.as_str() {
                _ if !is_google || package.field != "protobuf" => None,
                "Duration" => Some(DURATION),
                "Timestamp" => Some(TIMESTAMP),
                _ => None,
            }
        }
        _ => None,
    }
}
