//! Reads what a schema says of values beside their types.

use orch_core::object::FieldError;
use serde_json::json;

use super::fields::Fields;
use super::{Reader, Within};
use crate::custom::schema::format::Format;
use crate::custom::schema::node::{Bound, Node, Type, Values};

impl Reader {
    pub(super) fn values(
        &mut self,
        fields: Fields<'_>,
        types: &[Type],
        within: &Within,
        depth: usize,
    ) -> Values {
        let malformed = &mut self.malformed;
        let format = fields.string(malformed, "format");
        let mut bound = |name, exclusive| {
            let is_exclusive = fields.boolean(malformed, exclusive);
            let value = fields.number(malformed, name)?;
            Some(Bound { value, is_exclusive })
        };
        let any_of = fields.get("anyOf");
        let mut values = Values {
            format: format.and_then(|word| Format::of(word, types)),
            minimum: bound("minimum", "exclusiveMinimum"),
            maximum: bound("maximum", "exclusiveMaximum"),
            multiple_of: fields.number(malformed, "multipleOf"),
            min_length: fields.integer(malformed, "minLength"),
            max_length: fields.integer(malformed, "maxLength"),
            min_items: fields.integer(malformed, "minItems"),
            max_items: fields.integer(malformed, "maxItems"),
            min_properties: fields.integer(malformed, "minProperties"),
            max_properties: fields.integer(malformed, "maxProperties"),
            required: fields.strings(malformed, "required"),
            allowed: fields.list(malformed, "enum").to_vec(),
            any_of_int_or_string: any_of == Some(&json!([{"type": "integer"}, {"type": "string"}])),
            ..Values::default()
        };
        if let Some(source) = fields.string(malformed, "pattern") {
            match self.patterns.compile(source) {
                Ok(pattern) => values.pattern = Some(pattern),
                Err(why) => {
                    let detail = format!("must be a valid regular expression, but isn't: {why}");
                    let error = FieldError::invalid(&fields.at.child("pattern"), source, detail);
                    self.structural.push(error);
                }
            }
        }
        let mut cases = |name| -> Vec<Node> {
            let schemas = fields.list(&mut self.malformed, name);
            let node = |(index, schema)| {
                let path = fields.at.child(name).index(index);
                self.node(schema, &path, &within.below(), depth + 1)
            };
            schemas.iter().enumerate().map(node).collect()
        };
        values.all_of = cases("allOf");
        values.any_of = cases("anyOf");
        values.one_of = cases("oneOf");
        if let Some(schema) = fields.get("not") {
            let not = self.node(schema, &fields.at.child("not"), &within.below(), depth + 1);
            values.not = Some(Box::new(not));
        }
        values
    }
}
