//! Matches labels against a `metav1.LabelSelector`, compiled once.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// Labels as Kubernetes keeps them.
pub(crate) type Labels = BTreeMap<String, String>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    DoesNotExist(String),
}

/// A label selector that is known to be well formed. An empty one matches everything, as in Kubernetes;
/// workloads may not have one, and [`Selector::is_empty`] lets a controller refuse it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selector(Vec<Requirement>);

/// Why a selector cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "selector.matchExpressions[{index}].operator: {operator:?}: allowed are In, NotIn, Exists, DoesNotExist"
)]
pub(crate) struct SelectorError {
    index: usize,
    operator: String,
}

impl Selector {
    pub(crate) fn new(from: &LabelSelector) -> Result<Self, SelectorError> {
        let mut requirements: Vec<Requirement> = from
            .match_labels
            .iter()
            .flatten()
            .map(|(key, value)| Requirement::In(key.clone(), vec![value.clone()]))
            .collect();
        for (index, expression) in from.match_expressions.iter().flatten().enumerate() {
            let key = expression.key.clone();
            let values = expression.values.clone().unwrap_or_default();
            requirements.push(match expression.operator.as_str() {
                "In" => Requirement::In(key, values),
                "NotIn" => Requirement::NotIn(key, values),
                "Exists" => Requirement::Exists(key),
                "DoesNotExist" => Requirement::DoesNotExist(key),
                other => {
                    let operator = other.to_owned();
                    return Err(SelectorError { index, operator });
                }
            });
        }
        Ok(Self(requirements))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Requirement::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
            Requirement::Exists(key) => labels.contains_key(key),
            Requirement::DoesNotExist(key) => !labels.contains_key(key),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operator_selects_as_kubernetes_does() {
        let labels: Labels = [("app", "web"), ("tier", "front")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into();
        let table = [
            (r#"{}"#, true),
            (r#"{"matchLabels":{"app":"web"}}"#, true),
            (r#"{"matchLabels":{"app":"db"}}"#, false),
            (r#"{"matchLabels":{"zone":"a"}}"#, false),
            (
                r#"{"matchExpressions":[{"key":"tier","operator":"In","values":["front","back"]}]}"#,
                true,
            ),
            (
                r#"{"matchExpressions":[{"key":"tier","operator":"NotIn","values":["front"]}]}"#,
                false,
            ),
            (
                r#"{"matchExpressions":[{"key":"zone","operator":"NotIn","values":["a"]}]}"#,
                true,
            ),
            (
                r#"{"matchExpressions":[{"key":"app","operator":"Exists"}]}"#,
                true,
            ),
            (
                r#"{"matchExpressions":[{"key":"app","operator":"DoesNotExist"}]}"#,
                false,
            ),
            (
                r#"{"matchLabels":{"app":"web"},"matchExpressions":[{"key":"x","operator":"Exists"}]}"#,
                false,
            ),
        ];
        for (json, expected) in table {
            let selector = Selector::new(&serde_json::from_str(json).unwrap()).unwrap();
            assert_eq!(selector.matches(&labels), expected, "{json}");
        }
        let unknown = r#"{"matchExpressions":[{"key":"a","operator":"Gt"}]}"#;
        let error = Selector::new(&serde_json::from_str(unknown).unwrap()).unwrap_err();
        assert!(error.to_string().contains("matchExpressions[0].operator: \"Gt\""));
    }
}
