//! Tables of kinds that definitions define: the columns that these name, by JSON paths.
//!
//! Source: apiextensions-apiserver's `pkg/registry/customresource/tableconvertor`.

use jiff::Timestamp;
use orch_cluster::custom;
use orch_core::object::Document;
use serde::Serialize;
use serde_json::{Value, json};
use serde_json_path::JsonPath;

use super::{Row, age};

/// The columns of a kind, the name first.
#[derive(Debug)]
pub(crate) struct Columns {
    columns: Vec<Column>,
    /// Where the cells after the name are found; none where the path cannot be read.
    paths: Vec<Option<JsonPath>>,
}

#[derive(Debug, Serialize)]
struct Column {
    name: String,
    #[serde(rename = "type")]
    type_: String,
    format: String,
    description: String,
    priority: i32,
}

impl Columns {
    /// The columns that a definition names; if it names none, the age.
    pub(crate) fn of(named: &[custom::Column]) -> Self {
        let name = Column {
            name: "Name".to_owned(),
            type_: "string".to_owned(),
            format: "name".to_owned(),
            description: super::Column::NAME.description.to_owned(),
            priority: 0,
        };
        let age = || Column {
            name: "Age".to_owned(),
            type_: "date".to_owned(),
            format: String::new(),
            description: super::Column::AGE.description.to_owned(),
            priority: 0,
        };
        let mut columns = vec![name];
        let mut paths = Vec::new();
        for column in named {
            columns.push(Column {
                name: column.name.clone(),
                type_: column.type_.clone(),
                format: column.format.clone(),
                description: column.description.clone(),
                priority: column.priority,
            });
            let path = column.path.as_deref();
            paths.push(path.and_then(|path| JsonPath::parse(&standard(path)).ok()));
        }
        if named.is_empty() {
            columns.push(age());
            paths.push(JsonPath::parse("$.metadata.creationTimestamp").ok());
        }
        Self { columns, paths }
    }

    pub(super) fn definitions(&self) -> &impl Serialize {
        &self.columns
    }

    pub(super) fn row(&self, document: &Document, now: Timestamp) -> Row {
        let object: Value = serde_json::from_slice(document.stored()).unwrap_or_default();
        let cells = self.columns[1..].iter().zip(&self.paths).map(|(column, path)| {
            let found = path
                .as_ref()
                .and_then(|path| path.query(&object).into_iter().next());
            found.map_or(Value::Null, |value| cell(&column.type_, value, now))
        });
        let name = json!(document.meta().name);
        std::iter::once(name).chain(cells).collect::<Vec<_>>().into()
    }
}

/// A value as a column of a type shows it; null is shown as nothing.
fn cell(type_: &str, value: &Value, now: Timestamp) -> Value {
    match (type_, value) {
        (_, Value::Null) => Value::Null,
        ("date", Value::String(text)) => match text.parse::<Timestamp>() {
            Ok(time) => json!(age::since(Some(time), now)),
            Err(_) => json!("<invalid>"),
        },
        ("integer", value) => value
            .as_i64()
            .or_else(|| value.as_f64().map(|number| number as i64))
            .map_or(Value::Null, Value::from),
        ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) | ("string", Value::String(_)) => {
            value.clone()
        }
        ("string", value) => json!(value.to_string()),
        _ => Value::Null,
    }
}

/// The path as RFC 9535 writes it: it begins with the root, and its names, in which Kubernetes takes hyphens and escaped dots, are quoted.
fn standard(path: &str) -> String {
    let mut out = "$".to_owned();
    let mut letters = path.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '.' if letters.peek() == Some(&'.') => out.push('.'),
            '.' => {
                let mut name = String::new();
                while let Some(letter) = letters.next_if(|letter| !matches!(letter, '.' | '[')) {
                    match letter {
                        '\\' => name.extend(letters.next()),
                        letter => name.push(letter),
                    }
                }
                // Two dots go before what is found anywhere below.
                let dots = if out.ends_with('.') { "." } else { "" };
                match name.as_str() {
                    "" => {}
                    "*" => out += &format!("{dots}[*]"),
                    name => out += &format!("{dots}[{}]", json!(name)),
                }
            }
            '[' => {
                let mut depth = 0_usize;
                let mut quote = None;
                for letter in std::iter::once('[').chain(letters.by_ref()) {
                    out.push(letter);
                    match (quote, letter) {
                        (None, '"' | '\'') => quote = Some(letter),
                        (Some(open), letter) if letter == open => quote = None,
                        (None, '[') => depth += 1,
                        (None, ']') => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(type_: &str, path: &str) -> custom::Column {
        custom::Column::new("It", type_, path)
    }

    #[test]
    fn cells_are_what_the_paths_lead_to() {
        let object = json!({
            "apiVersion": "example.com/v1", "kind": "Cat",
            "metadata": {
                "name": "tom", "annotations": {"a.b/c-d": "yes"}, "creationTimestamp": "2030-01-01T00:00:00Z",
            },
            "spec": {"lives": 9, "weight": 4.5, "is-fat": true, "names": ["Tom", "Thomas"]},
            "status": {"conditions": [{"type": "Hungry", "status": "False"}, {"type": "Ready", "status": "True"}]},
        });
        let document = Document::parse(object.to_string().into()).unwrap();
        let now = "2030-01-01T02:00:00Z".parse().unwrap();
        for (type_, path, expected) in [
            ("integer", ".spec.lives", json!(9)),
            ("integer", ".spec.weight", json!(4)),
            ("number", ".spec.weight", json!(4.5)),
            ("boolean", ".spec.is-fat", json!(true)),
            ("string", ".spec.lives", json!("9")),
            ("string", ".spec.names[1]", json!("Thomas")),
            ("string", ".spec.names[*]", json!("Tom")),
            ("string", ".spec.names", json!(r#"["Tom","Thomas"]"#)),
            ("string", r".metadata.annotations.a\.b/c-d", json!("yes")),
            (
                "string",
                r#".status.conditions[?(@.type=="Ready")].status"#,
                json!("True"),
            ),
            (
                "string",
                r#".status.conditions[?(@.type == 'None')].status"#,
                Value::Null,
            ),
            ("string", "..weight", json!("4.5")),
            ("date", ".metadata.creationTimestamp", json!("120m")),
            ("date", ".metadata.name", json!("<invalid>")),
            ("boolean", ".spec.lives", Value::Null),
            ("string", ".spec.none", Value::Null),
            ("string", ".spec[", Value::Null),
        ] {
            let row = Columns::of(&[column(type_, path)]).row(&document, now);
            assert_eq!(row.cells, [json!("tom"), expected], "{type_} {path}");
        }
    }

    #[test]
    fn a_definition_that_names_no_column_shows_the_age() {
        let columns = serde_json::to_value(Columns::of(&[]).definitions()).unwrap();
        assert_eq!(columns[1]["name"], "Age");
        assert_eq!(columns[1]["type"], "date");
    }
}
