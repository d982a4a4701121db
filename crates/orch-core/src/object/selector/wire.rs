//! Label selectors as objects hold them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::{FieldError, FieldErrors, FieldPath, names};
use super::{Operator, Requirement, Selector};

/// A label selector as objects hold it: Kubernetes' `LabelSelector`. An empty one matches everything.
///
/// ```
/// use orch_core::object::LabelSelector;
///
/// let selector: LabelSelector = serde_json::from_str(
///     r#"{"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]}"#,
/// )?;
/// assert_eq!(selector.to_selector().unwrap().to_string(), "app=web,tier");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Labels that must have these values.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_as_empty"
    )]
    pub match_labels: BTreeMap<String, String>,
    /// Further conditions; all must hold.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_empty")]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// One condition in a [`LabelSelector`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelSelectorRequirement {
    /// The label's key.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// The values for `In` and `NotIn`, of which there must be one; empty for the others.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_empty"
    )]
    pub values: Vec<String>,
}

impl LabelSelector {
    /// One that requires these labels.
    pub fn from_labels(labels: BTreeMap<String, String>) -> Self {
        Self {
            match_labels: labels,
            match_expressions: Vec::new(),
        }
    }

    /// Whether it matches everything.
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }

    /// All that is wrong with it, as the field `path` of an object.
    pub fn validate(&self, path: &FieldPath) -> FieldErrors {
        let mut errors = FieldErrors::default();
        let labels = path.child("matchLabels");
        for (key, value) in &self.match_labels {
            let invalid_key = |fault| FieldError::invalid(&labels, key, fault);
            errors.extend(names::qualified_name(key).into_iter().map(invalid_key));
            let invalid_value = |fault| FieldError::invalid(&labels.key(key.clone()), value, fault);
            errors.extend(names::label_value(value).into_iter().map(invalid_value));
        }
        for (index, requirement) in self.match_expressions.iter().enumerate() {
            errors.extend(requirement.validate(&path.child("matchExpressions").index(index)));
        }
        errors
    }

    /// The form to evaluate.
    ///
    /// # Errors
    ///
    /// All that is wrong with it, under paths that start at the selector.
    pub fn to_selector(&self) -> Result<Selector, FieldErrors> {
        self.validate(&FieldPath::root()).into_result()?;
        let mut requirements = Vec::with_capacity(self.match_labels.len() + self.match_expressions.len());
        for (key, value) in &self.match_labels {
            requirements.push(Requirement::new(key, Operator::In(vec![value.clone()]))?);
        }
        for LabelSelectorRequirement {
            key,
            operator,
            values,
        } in &self.match_expressions
        {
            let operator = match operator.as_str() {
                "In" => Operator::In(values.clone()),
                "NotIn" => Operator::NotIn(values.clone()),
                "Exists" => Operator::Exists,
                _ => Operator::DoesNotExist, // validated above
            };
            requirements.push(Requirement::new(key, operator)?);
        }
        Ok(Selector::new(requirements))
    }
}

impl LabelSelectorRequirement {
    fn validate(&self, path: &FieldPath) -> FieldErrors {
        let mut errors = FieldErrors::default();
        let values = path.child("values");
        match self.operator.as_str() {
            "In" | "NotIn" if self.values.is_empty() => errors.push(FieldError::required(
                &values,
                "must be specified when `operator` is 'In' or 'NotIn'",
            )),
            "Exists" | "DoesNotExist" if !self.values.is_empty() => errors.push(FieldError::forbidden(
                &values,
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            )),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => errors.push(FieldError::invalid(
                &path.child("operator"),
                other,
                "not a valid selector operator; allowed are In, NotIn, Exists, DoesNotExist",
            )),
        }
        let invalid_key = |fault| FieldError::invalid(&path.child("key"), &self.key, fault);
        errors.extend(names::qualified_name(&self.key).into_iter().map(invalid_key));
        for (index, value) in self.values.iter().enumerate() {
            let invalid_value = |fault| FieldError::invalid(&values.index(index), value, fault);
            errors.extend(names::label_value(value).into_iter().map(invalid_value));
        }
        errors
    }
}

/// Kubernetes writes empty lists and maps as null now and then.
fn null_as_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(feature = "k8s-openapi")]
mod k8s {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1 as wire;

    use super::{LabelSelector, LabelSelectorRequirement};

    impl From<&wire::LabelSelector> for LabelSelector {
        fn from(selector: &wire::LabelSelector) -> Self {
            let expressions = selector.match_expressions.iter().flatten();
            Self {
                match_labels: selector.match_labels.clone().unwrap_or_default(),
                match_expressions: expressions
                    .map(|one| LabelSelectorRequirement {
                        key: one.key.clone(),
                        operator: one.operator.clone(),
                        values: one.values.clone().unwrap_or_default(),
                    })
                    .collect(),
            }
        }
    }
}
