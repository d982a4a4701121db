//! A container's environment: literals, references and `$(NAME)` expansion.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar, EnvVarSource, Secret};

use super::downward::{self, Facts};

/// The objects a container's environment refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source<'a> {
    /// A ConfigMap of the pod's namespace.
    ConfigMap(&'a str),
    /// A Secret of the pod's namespace.
    Secret(&'a str),
}

/// Those objects as read; one that does not exist is not in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// ConfigMaps by name.
    pub config_maps: BTreeMap<String, ConfigMap>,
    /// Secrets by name.
    pub secrets: BTreeMap<String, Secret>,
}

/// Why a container's configuration cannot be made (`CreateContainerConfigError`), in the kubelet's words, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum EnvError {
    /// The object does not exist.
    #[error("{kind} {name:?} not found: create it in the pod's namespace, or set optional: true")]
    NotFound {
        /// `configmap` or `secret`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// It exists and lacks the key.
    #[error("couldn't find key {key} in {kind} {namespace}/{name}: add it, or set optional: true")]
    NoKey {
        /// `ConfigMap` or `Secret`.
        kind: &'static str,
        /// The namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The key.
        key: String,
    },
    /// A field or resource reference means nothing.
    #[error("env {name}: {reason}")]
    Reference {
        /// The variable.
        name: String,
        /// What is wrong, and what is allowed.
        reason: String,
    },
}

/// Which objects the environment of `container` refers to.
pub(crate) fn sources(container: &Container) -> BTreeSet<Source<'_>> {
    let from = container.env_from.iter().flatten().flat_map(|from| {
        let config_map = from
            .config_map_ref
            .as_ref()
            .map(|config| Source::ConfigMap(&config.name));
        config_map.into_iter().chain(
            from.secret_ref
                .as_ref()
                .map(|secret| Source::Secret(&secret.name)),
        )
    });
    let values = container
        .env
        .iter()
        .flatten()
        .filter_map(|env| env.value_from.as_ref())
        .flat_map(|from| {
            let config_map = from
                .config_map_key_ref
                .as_ref()
                .map(|config| Source::ConfigMap(&config.name));
            config_map.into_iter().chain(
                from.secret_key_ref
                    .as_ref()
                    .map(|secret| Source::Secret(&secret.name)),
            )
        });
    from.chain(values).collect()
}

/// The environment of `container`, in order, a later name winning: `envFrom`, then `env`, each seeing those
/// before it.
pub(crate) fn environment(
    container: &Container,
    sources: &Sources,
    facts: &Facts<'_>,
) -> Result<Vec<(String, String)>, EnvError> {
    let mut env = Environment::default();
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        if let Some(wanted) = &from.config_map_ref {
            match sources.config_maps.get(&wanted.name) {
                Some(found) => {
                    for (key, value) in found.data.iter().flatten() {
                        env.set(format!("{prefix}{key}"), value.clone());
                    }
                }
                None if wanted.optional == Some(true) => {}
                None => {
                    return Err(EnvError::NotFound {
                        kind: "configmap",
                        name: wanted.name.clone(),
                    });
                }
            }
        }
        if let Some(wanted) = &from.secret_ref {
            match sources.secrets.get(&wanted.name) {
                Some(found) => {
                    for (key, value) in found.data.iter().flatten() {
                        env.set(
                            format!("{prefix}{key}"),
                            String::from_utf8_lossy(&value.0).into_owned(),
                        );
                    }
                }
                None if wanted.optional == Some(true) => {}
                None => {
                    return Err(EnvError::NotFound {
                        kind: "secret",
                        name: wanted.name.clone(),
                    });
                }
            }
        }
    }
    for wanted in container.env.iter().flatten() {
        let value = match &wanted.value_from {
            None => Some(expand(wanted.value.as_deref().unwrap_or_default(), |name| {
                env.get(name)
            })),
            Some(from) => referenced(wanted, from, container, sources, facts)?,
        };
        if let Some(value) = value {
            env.set(wanted.name.clone(), value);
        }
    }
    Ok(env.in_order)
}

#[derive(Default)]
struct Environment {
    in_order: Vec<(String, String)>,
    places: BTreeMap<String, usize>,
}

impl Environment {
    fn get(&self, name: &str) -> Option<&str> {
        self.places
            .get(name)
            .map(|place| self.in_order[*place].1.as_str())
    }

    fn set(&mut self, name: String, value: String) {
        // A name with '=' would be read as another name; the kubelet leaves it out too.
        if name.is_empty() || name.contains('=') {
            return;
        }
        if let Some(place) = self.places.get(&name) {
            self.in_order[*place].1 = value;
        } else {
            self.places.insert(name.clone(), self.in_order.len());
            self.in_order.push((name, value));
        }
    }
}

fn referenced(
    wanted: &EnvVar,
    from: &EnvVarSource,
    container: &Container,
    sources: &Sources,
    facts: &Facts<'_>,
) -> Result<Option<String>, EnvError> {
    let reference = |reason| EnvError::Reference {
        name: wanted.name.clone(),
        reason,
    };
    if let Some(field) = &from.field_ref {
        return downward::field(facts, &field.field_path)
            .map(Some)
            .map_err(reference);
    }
    if let Some(resource) = &from.resource_field_ref {
        return downward::resource(facts, container, resource)
            .map(Some)
            .map_err(reference);
    }
    if let Some(key) = &from.config_map_key_ref {
        let found = sources.config_maps.get(&key.name);
        let value = found.and_then(|map| map.data.as_ref()?.get(&key.key).cloned());
        return or_missing(
            value,
            found.is_some(),
            key.optional,
            "ConfigMap",
            &key.name,
            &key.key,
            facts,
        );
    }
    if let Some(key) = &from.secret_key_ref {
        let found = sources.secrets.get(&key.name);
        let value = found.and_then(|secret| secret.data.as_ref()?.get(&key.key));
        let value = value.map(|value| String::from_utf8_lossy(&value.0).into_owned());
        return or_missing(
            value,
            found.is_some(),
            key.optional,
            "Secret",
            &key.name,
            &key.key,
            facts,
        );
    }
    Err(reference(
        "valueFrom: set one of fieldRef, resourceFieldRef, configMapKeyRef and secretKeyRef".to_owned(),
    ))
}

fn or_missing(
    value: Option<String>,
    exists: bool,
    optional: Option<bool>,
    kind: &'static str,
    name: &str,
    key: &str,
    facts: &Facts<'_>,
) -> Result<Option<String>, EnvError> {
    match value {
        Some(value) => Ok(Some(value)),
        None if optional == Some(true) => Ok(None),
        None if exists => Err(EnvError::NoKey {
            kind,
            namespace: facts.pod.metadata.namespace.clone().unwrap_or_default(),
            name: name.to_owned(),
            key: key.to_owned(),
        }),
        None => {
            let kind = if kind == "Secret" { "secret" } else { "configmap" };
            Err(EnvError::NotFound {
                kind,
                name: name.to_owned(),
            })
        }
    }
}

/// Replaces `$(NAME)` by what `lookup` says; leaves it as it is where that is nothing. `$$` is a dollar
/// (Kubernetes' `expansion` syntax).
pub(crate) fn expand<'a>(text: &str, lookup: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some((name, tail)) = after.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match lookup(name) {
                Some(value) => out.push_str(value),
                None => out.extend(["$(", name, ")"]),
            }
            rest = tail;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::testkit::pod;

    #[test]
    fn expansion_follows_kubernetes_syntax() {
        let lookup = |name: &str| match name {
            "A" => Some("one"),
            "EMPTY" => Some(""),
            _ => None,
        };
        let cases = [
            ("$(A)", "one"),
            ("x$(A)y$(A)", "xoneyone"),
            ("$(MISSING)", "$(MISSING)"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$one"),
            ("$(EMPTY)", ""),
            ("$A", "$A"),
            ("$(A", "$(A"),
            ("$", "$"),
            ("cost: 5$ for $(A)", "cost: 5$ for one"),
        ];
        for (text, expanded) in cases {
            assert_eq!(expand(text, lookup), expanded, "{text}");
        }
    }

    fn made(container: &str, sources: &Sources) -> Result<Vec<(String, String)>, EnvError> {
        let pod = pod("web");
        let container: Container = serde_json::from_str(container).unwrap();
        environment(&container, sources, &Facts::of(&pod))
    }

    fn some_sources() -> Sources {
        let mut sources = Sources::default();
        let map = r#"{"metadata": {"name": "settings"}, "data": {"MODE": "fast", "LEVEL": "3"}}"#;
        sources
            .config_maps
            .insert("settings".into(), serde_json::from_str(map).unwrap());
        let secret = r#"{"metadata": {"name": "keys"}, "data": {"TOKEN": "czNjcjN0"}}"#;
        sources
            .secrets
            .insert("keys".into(), serde_json::from_str(secret).unwrap());
        sources
    }

    #[test]
    fn a_later_name_wins_and_sees_those_before_it() {
        let container = r#"{"name": "c",
            "envFrom": [{"prefix": "CM_", "configMapRef": {"name": "settings"}}, {"secretRef": {"name": "keys"}}],
            "env": [{"name": "A", "value": "$(CM_MODE)-$(TOKEN)"}, {"name": "CM_MODE", "value": "slow"},
                    {"name": "B", "value": "$(CM_MODE) $(C)"}, {"name": "C", "value": "late"}]}"#;
        let env: BTreeMap<_, _> = made(container, &some_sources()).unwrap().into_iter().collect();
        let expected = [
            ("A", "fast-s3cr3t"),
            ("B", "slow $(C)"),
            ("C", "late"),
            ("CM_LEVEL", "3"),
        ];
        for (name, value) in expected {
            assert_eq!(env[name], value);
        }
        assert_eq!(env["CM_MODE"], "slow");
    }

    #[test]
    fn what_is_missing_is_named_unless_it_is_optional() {
        let cases = [
            (
                r#""env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "k"}}}]"#,
                Some("configmap \"none\" not found: create it in the pod's namespace, or set optional: true"),
            ),
            (
                r#""env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "k"}}}]"#,
                Some("couldn't find key k in Secret default/keys: add it, or set optional: true"),
            ),
            (
                r#""envFrom": [{"secretRef": {"name": "none"}}]"#,
                Some("secret \"none\" not found: create it in the pod's namespace, or set optional: true"),
            ),
            (
                r#""envFrom": [{"secretRef": {"name": "none", "optional": true}}]"#,
                None,
            ),
            (
                r#""env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "x", "key": "k", "optional": true}}}]"#,
                None,
            ),
        ];
        for (env, error) in cases {
            let made = made(&format!(r#"{{"name": "c", {env}}}"#), &some_sources());
            assert_eq!(made.err().map(|e| e.to_string()).as_deref(), error, "{env}");
        }
    }

    #[test]
    fn sources_are_listed_once() {
        let container: Container = serde_json::from_str(
            r#"{"name": "c", "envFrom": [{"configMapRef": {"name": "a"}}],
                "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "k"}}},
                        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "b", "key": "k"}}}]}"#,
        )
        .unwrap();
        let all: Vec<_> = sources(&container).into_iter().collect();
        assert_eq!(all, [Source::ConfigMap("a"), Source::Secret("b")]);
    }
}
