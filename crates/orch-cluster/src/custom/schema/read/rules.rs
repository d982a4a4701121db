//! Reads the rules of a schema.

use orch_core::object::{FieldError, FieldErrorKind, FieldErrors, FieldPath};
use serde_json::Value;

use super::fields::Fields;
use crate::custom::schema::node::{Additional, ListType, Node};
use crate::custom::schema::pattern::Patterns;
use crate::custom::schema::rules::{self, OLD_SELF, Rule};

/// How many rules a schema may have.
const MOST_RULES: usize = 2000;

/// Reads the rules below a schema: apiextensions' `ValidateCustomResourceDefinitionOpenAPISchema`, as far as it is about them.
pub(super) fn read(root: &mut Node, at: &FieldPath, patterns: &mut Patterns) -> FieldErrors {
    let mut reader = Reader {
        errors: FieldErrors::default(),
        count: 0,
        patterns,
    };
    reader.below(root, at, None);
    reader.errors
}

struct Reader<'p> {
    errors: FieldErrors,
    count: usize,
    patterns: &'p mut Patterns,
}

impl Reader<'_> {
    /// `lost` is where items are that cannot be told apart, so that nothing can be said of their changes.
    fn below(&mut self, node: &mut Node, at: &FieldPath, lost: Option<&FieldPath>) {
        let written = std::mem::take(&mut node.written_rules);
        for (index, rule) in written.iter().enumerate() {
            let path = at.child("x-kubernetes-validations").index(index);
            self.count += 1;
            if self.count > MOST_RULES {
                let detail = format!("a schema may have at most {MOST_RULES} rules");
                self.errors.push(FieldError::forbidden(&path, detail));
                return;
            }
            if let Some(rule) = self.rule(rule, node, &path, lost) {
                node.rules.push(rule);
            }
        }
        node.has_rules = !node.rules.is_empty();
        let is_told_by_key = node.list_type == Some(ListType::Map);
        if let Some(items) = &mut node.items {
            let lost = if is_told_by_key { lost } else { lost.or(Some(at)) };
            self.below(items, &at.child("items"), lost);
            node.has_rules |= items.has_rules;
        }
        for (name, field) in &mut node.properties {
            self.below(field, &at.child("properties").key(name.clone()), lost);
            node.has_rules |= field.has_rules;
        }
        if let Some(Additional::Schema(others)) = &mut node.additional {
            self.below(others, &at.child("additionalProperties"), lost);
            node.has_rules |= others.has_rules;
        }
    }

    fn rule(
        &mut self,
        written: &Value,
        node: &Node,
        at: &FieldPath,
        lost: Option<&FieldPath>,
    ) -> Option<Rule> {
        let map = written.as_object();
        let Some(map) = map else {
            self.errors.push(FieldError::malformed(at, "must be an object"));
            return None;
        };
        let fields = Fields::new(map, at);
        let before = self.errors.len();
        let errors = &mut self.errors;
        let source = fields.string(errors, "rule").unwrap_or_default();
        let message = fields.string(errors, "message").unwrap_or_default();
        let message_source = fields.string(errors, "messageExpression").unwrap_or_default();
        let reason = reason(fields, errors);
        let field = field_path(fields, node, errors);
        let optional_old_self = fields.boolean(errors, "optionalOldSelf");
        let has_breaks = |text: &str| text.trim().contains(['\n', '\r']);
        if source.trim().is_empty() {
            errors.push(FieldError::required(&at.child("rule"), "rule is not specified"));
        } else if !message.is_empty() && message.trim().is_empty() {
            let detail = "must be non-empty if specified";
            errors.push(FieldError::invalid(&at.child("message"), message, detail));
        } else if has_breaks(message) {
            errors.push(FieldError::invalid(
                &at.child("message"),
                message,
                "must not contain line breaks",
            ));
        } else if has_breaks(source) && message.is_empty() {
            let detail = "message must be specified if rule contains line breaks";
            errors.push(FieldError::required(&at.child("message"), detail));
        }
        if !message_source.is_empty() && message_source.trim().is_empty() {
            let detail = "messageExpression must be non-empty if specified";
            errors.push(FieldError::required(&at.child("messageExpression"), detail));
        }
        if errors.len() > before {
            return None;
        }
        let mut expression = |keyword: &'static str, source: &str, prefix: &str| {
            let read = rules::read(source, node, optional_old_self, self.patterns);
            let refused = |why| {
                FieldError::invalid(
                    &at.child(keyword),
                    written,
                    format!("{prefix}compilation failed: {why}"),
                )
            };
            read.map_err(|why| errors.push(refused(why))).ok()
        };
        let rule = expression("rule", source, "")?;
        let message_expression = match message_source {
            "" => None,
            source => Some(expression("messageExpression", source, "messageExpression ")?),
        };
        if rule.is_not_bool() {
            let detail = "cel expression must evaluate to a bool";
            errors.push(FieldError::invalid(&at.child("rule"), written, detail));
        }
        let uses_old_self = rule.uses(OLD_SELF);
        if uses_old_self {
            if let Some(lost) = lost {
                let detail = format!(
                    "oldSelf cannot be used on the uncorrelatable portion of the schema within {lost}"
                );
                errors.push(FieldError::invalid(&at.child("rule"), source, detail));
            }
        } else if fields.get("optionalOldSelf").is_some() {
            let detail = "may not be set if oldSelf is not used in rule";
            errors.push(FieldError::invalid(
                &at.child("optionalOldSelf"),
                optional_old_self,
                detail,
            ));
        }
        Some(Rule {
            rule,
            message: message.trim().to_owned(),
            message_expression,
            reason,
            field,
            optional_old_self,
            uses_old_self,
        })
    }
}

fn reason(fields: Fields<'_>, errors: &mut FieldErrors) -> FieldErrorKind {
    let kinds = [
        FieldErrorKind::Duplicate,
        FieldErrorKind::Forbidden,
        FieldErrorKind::Invalid,
        FieldErrorKind::Required,
    ];
    let Some(word) = fields.string(errors, "reason") else {
        return FieldErrorKind::Invalid;
    };
    kinds
        .into_iter()
        .find(|kind| kind.reason() == word)
        .unwrap_or_else(|| {
            let words = kinds.map(FieldErrorKind::reason);
            errors.push(FieldError::not_supported(&fields.at.child("reason"), word, words));
            FieldErrorKind::Invalid
        })
}

/// The fields that `fieldPath` leads by: `.spec.name` or `['name']`.
fn field_path(fields: Fields<'_>, node: &Node, errors: &mut FieldErrors) -> Vec<String> {
    let Some(path) = fields.string(errors, "fieldPath") else {
        return Vec::new();
    };
    let names = steps(path).filter(|names| {
        let mut at = Some(node);
        names.iter().all(|name| {
            at = at.and_then(|node| node.field(name));
            at.is_some()
        })
    });
    names.unwrap_or_else(|| {
        let at = fields.at.child("fieldPath");
        errors.push(FieldError::invalid(&at, path, "must be a valid path"));
        Vec::new()
    })
}

/// The names in a path; none if it is none.
fn steps(path: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let (name, after) = match rest.strip_prefix("['") {
            Some(inside) => inside.split_once("']")?,
            None => {
                let inside = rest.strip_prefix('.')?;
                inside.split_at(inside.find(['.', '[']).unwrap_or(inside.len()))
            }
        };
        if name.is_empty() {
            return None;
        }
        names.push(name.replace("\\'", "'"));
        rest = after;
    }
    Some(names)
}
