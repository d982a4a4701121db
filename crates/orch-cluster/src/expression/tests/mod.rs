//! Expressions about objects without a schema, and what they may take.

mod bounds;
mod macros;
mod types;

use serde_json::{Value, json};

use super::{Expression, Known, MOST_STEPS, Outcome, Patterns, Scope, Seen, Val};
use crate::custom::schema::node::Node;

fn read(source: &str) -> Result<Expression, String> {
    read_of(source, Seen::Untyped)
}

fn read_of(source: &str, seen: Seen<'_>) -> Result<Expression, String> {
    let known = Known {
        inputs: &[("self", seen)],
        variables: &[],
    };
    Expression::read(source, known, &mut Patterns::default())
}

/// What an expression makes of an object: its value in the words of CEL, or what is wrong.
fn told(source: &str, object: &Value, node: Option<&Node>, left: &mut usize) -> String {
    let expression = match read(source) {
        Ok(expression) => expression,
        Err(why) => return why,
    };
    let value: Outcome<'_> = Ok(Val::of(object, node));
    let scope = Scope::Variable {
        name: "self",
        value: &value,
        outer: None,
    };
    match expression.eval(&scope, left) {
        Ok(value) => shown(&value),
        Err(fault) => fault.to_string(),
    }
}

fn shown(value: &Val<'_>) -> String {
    let list = |items: &[Val<'_>]| {
        let items: Vec<_> = items.iter().map(shown).collect();
        items.join(", ")
    };
    match value {
        Val::Null => "null".to_owned(),
        Val::Double(float) => format!("{float:?}"),
        Val::Text(text) => format!("{:?}", &**text),
        Val::Type(kind) => (*kind).to_owned(),
        Val::List(..) | Val::Made(_) => format!("[{}]", list(&value.items().unwrap_or_default())),
        Val::MadeMap(entries) => {
            let entries = entries.iter();
            let entries: Vec<_> = entries
                .map(|(key, value)| format!("{}: {}", shown(key), shown(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        Val::Optional(None) => "none".to_owned(),
        Val::Optional(Some(inner)) => format!("some({})", shown(inner)),
        other => other.shown(),
    }
}

/// Compares what expressions make of an object with what they should.
#[track_caller]
fn check(object: &Value, expected: &[(&str, &str)]) {
    for (source, expected) in expected {
        assert_eq!(
            told(source, object, None, &mut MOST_STEPS.clone()),
            *expected,
            "{source}"
        );
    }
}

#[test]
fn strings_are_cut_by_characters() {
    check(
        &json!({"text": "größe über"}),
        &[
            ("self.text.substring(2, 5)", "\"öße\""),
            ("self.text.substring(6)", "\"über\""),
            ("self.text.substring(10)", "\"\""),
            ("self.text.substring(11)", "index out of range: 11"),
            ("self.text.charAt(2) + self.text.charAt(10)", "\"ö\""),
            ("self.text.split('')[3]", "\"ß\""),
            ("self.text.split(' ')", "[\"größe\", \"über\"]"),
            ("self.text.split(' ', 1)", "[\"größe über\"]"),
            ("(self.text + ' ').trim().size()", "10"),
            ("self.text.indexOf('ü')", "6"),
            ("self.text.find('[ß-ü]+')", "\"öß\""),
            ("self.text.find('[0-9]')", "\"\""),
            ("self.text.findAll('[öü].')", "[\"öß\", \"üb\"]"),
            ("self.text.findAll('[öü].', 1)", "[\"öß\"]"),
            ("self.text.findAll('[öü].', 0)", "[]"),
            ("self.text.findAll('[öü].', -1).size()", "2"),
        ],
    );
}
