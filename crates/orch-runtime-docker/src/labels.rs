//! Who a container is: the labels and names under which the engine keeps our record.
//!
//! The engine is the record. Nothing about a pod is kept elsewhere, so another process that opens the runtime
//! reads it all back from here.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use orch_core::runtime::{ContainerConfig, SandboxConfig, SandboxId};

use crate::engine::wire::Labels;

pub(crate) const SCOPE: &str = "orch.scope";
const KIND: &str = "orch.kind";
pub(crate) const POD_UID: &str = "orch.pod.uid";
pub(crate) const SANDBOX: &str = "orch.sandbox";
pub(crate) const CONTAINER_NAME: &str = "orch.container.name";
const POD_NAME: &str = "orch.pod.name";
const POD_NAMESPACE: &str = "orch.pod.namespace";
const ATTEMPT: &str = "orch.attempt";
const CREATED: &str = "orch.created";
const IMAGE: &str = "orch.image";
const PIDS: &str = "orch.pids";
/// Given labels and annotations go under prefixes, where an image's own labels cannot clash with them.
const LABEL: &str = "orch.label.";
const ANNOTATION: &str = "orch.annotation.";

/// What a container is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sandbox,
    Container,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Container => "container",
        }
    }

    /// What a container with these labels is in `scope`; none: not ours.
    pub(crate) fn of(labels: &Labels, scope: &str) -> Option<Self> {
        if labels.get(SCOPE).map(String::as_str) != Some(scope) {
            return None;
        }
        match labels.get(KIND)?.as_str() {
            "sandbox" => Some(Self::Sandbox),
            "container" => Some(Self::Container),
            _ => None,
        }
    }
}

/// Whose process ids a pod's containers see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pids {
    Own,
    Sandbox,
    Host,
}

impl Pids {
    pub(crate) fn wanted(config: &SandboxConfig) -> Self {
        match (config.host_pid, config.share_process_namespace) {
            (true, _) => Self::Host,
            (_, true) => Self::Sandbox,
            _ => Self::Own,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Sandbox => "sandbox",
            Self::Host => "host",
        }
    }
}

/// A sandbox as its labels tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SandboxIdentity {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) uid: String,
    pub(crate) attempt: u32,
    pub(crate) pids: Pids,
    pub(crate) created_at: Timestamp,
}

impl SandboxIdentity {
    pub(crate) fn wanted(config: &SandboxConfig, now: Timestamp) -> Self {
        Self {
            name: config.name.clone(),
            namespace: config.namespace.clone(),
            uid: config.uid.clone(),
            attempt: config.attempt,
            pids: Pids::wanted(config),
            created_at: now,
        }
    }

    pub(crate) fn read(labels: &Labels) -> Self {
        Self {
            name: text(labels, POD_NAME),
            namespace: text(labels, POD_NAMESPACE),
            uid: text(labels, POD_UID),
            attempt: number(labels, ATTEMPT),
            pids: match labels.get(PIDS).map(String::as_str) {
                Some("host") => Pids::Host,
                Some("sandbox") => Pids::Sandbox,
                _ => Pids::Own,
            },
            created_at: date(labels),
        }
    }

    pub(crate) fn engine_name(&self, scope: &str) -> String {
        format!(
            "orch_{scope}_pod_{}_{}_{}_{}",
            part(&self.name),
            part(&self.namespace),
            part(&self.uid),
            self.attempt
        )
    }

    pub(crate) fn labels(&self, scope: &str, config: &SandboxConfig) -> HashMap<String, String> {
        let mut labels = given(&config.labels, &config.annotations);
        labels.extend(
            [
                (SCOPE, scope.to_owned()),
                (KIND, Kind::Sandbox.as_str().into()),
                (POD_NAME, self.name.clone()),
                (POD_NAMESPACE, self.namespace.clone()),
                (POD_UID, self.uid.clone()),
                (ATTEMPT, self.attempt.to_string()),
                (PIDS, self.pids.as_str().into()),
                (CREATED, self.created_at.to_string()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        labels
    }
}

/// A container as its labels tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContainerIdentity {
    pub(crate) sandbox: SandboxId,
    pub(crate) pod_uid: String,
    pub(crate) name: String,
    pub(crate) attempt: u32,
    pub(crate) image: String,
}

impl ContainerIdentity {
    pub(crate) fn wanted(sandbox: &SandboxId, pod_uid: &str, config: &ContainerConfig) -> Self {
        Self {
            sandbox: sandbox.clone(),
            pod_uid: pod_uid.to_owned(),
            name: config.name.clone(),
            attempt: config.attempt,
            image: config.image.clone(),
        }
    }

    pub(crate) fn read(labels: &Labels) -> Self {
        Self {
            sandbox: SandboxId(text(labels, SANDBOX)),
            pod_uid: text(labels, POD_UID),
            name: text(labels, CONTAINER_NAME),
            attempt: number(labels, ATTEMPT),
            image: text(labels, IMAGE),
        }
    }

    /// Whether both are the same container: same sandbox, name and attempt.
    pub(crate) fn is(&self, other: &Self) -> bool {
        (&self.sandbox, &self.name, self.attempt) == (&other.sandbox, &other.name, other.attempt)
    }

    pub(crate) fn engine_name(&self, scope: &str, pod: &str) -> String {
        let sandbox = self.sandbox.0.get(..16).unwrap_or(&self.sandbox.0);
        format!(
            "orch_{scope}_{}_{}_{}_{}",
            part(&self.name),
            part(pod),
            part(sandbox),
            self.attempt
        )
    }

    pub(crate) fn labels(
        &self,
        scope: &str,
        pod: &SandboxIdentity,
        config: &ContainerConfig,
    ) -> HashMap<String, String> {
        let mut labels = given(&config.labels, &config.annotations);
        labels.extend(
            [
                (SCOPE, scope.to_owned()),
                (KIND, Kind::Container.as_str().into()),
                (POD_NAME, pod.name.clone()),
                (POD_NAMESPACE, pod.namespace.clone()),
                (POD_UID, self.pod_uid.clone()),
                (SANDBOX, self.sandbox.0.clone()),
                (CONTAINER_NAME, self.name.clone()),
                (ATTEMPT, self.attempt.to_string()),
                (IMAGE, self.image.clone()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        labels
    }
}

fn given(
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
) -> HashMap<String, String> {
    let labels = labels.iter().map(|(k, v)| (format!("{LABEL}{k}"), v.clone()));
    let annotations = annotations
        .iter()
        .map(|(k, v)| (format!("{ANNOTATION}{k}"), v.clone()));
    labels.chain(annotations).collect()
}

/// The labels the caller gave, as they were.
pub(crate) fn user_labels(labels: &Labels) -> BTreeMap<String, String> {
    under(labels, LABEL)
}

/// The annotations the caller gave, as they were.
pub(crate) fn user_annotations(labels: &Labels) -> BTreeMap<String, String> {
    under(labels, ANNOTATION)
}

fn under(labels: &Labels, prefix: &str) -> BTreeMap<String, String> {
    let strip = |(k, v): (&String, &String)| Some((k.strip_prefix(prefix)?.to_owned(), v.clone()));
    labels.iter().filter_map(strip).collect()
}

fn text(labels: &Labels, name: &str) -> String {
    labels.get(name).cloned().unwrap_or_default()
}

fn number(labels: &Labels, name: &str) -> u32 {
    labels
        .get(name)
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}

fn date(labels: &Labels) -> Timestamp {
    labels
        .get(CREATED)
        .and_then(|text| text.parse().ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

/// `text` as a part of an engine's name, which may hold letters, digits, `_`, `.` and `-`; `_` is ours. What
/// has to be changed gets a hash, so that different texts stay different.
fn part(text: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    if !text.is_empty() && text.chars().all(fits) {
        return text.to_owned();
    }
    let plain: String = text.chars().map(|c| if fits(c) { c } else { '-' }).collect();
    // FNV-1a: stable across versions, unlike the standard library's hashes.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{plain}-{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sandbox() -> SandboxConfig {
        SandboxConfig {
            name: "web-1".into(),
            namespace: "default".into(),
            uid: "u-1".into(),
            attempt: 2,
            share_process_namespace: true,
            labels: [("app".to_owned(), "web".to_owned())].into(),
            annotations: [("note".to_owned(), "x=y".to_owned())].into(),
            ..SandboxConfig::default()
        }
    }

    #[test]
    fn what_the_labels_say_is_read_back() {
        let now: Timestamp = "2030-01-02T03:04:05.678Z".parse().unwrap();
        let identity = SandboxIdentity::wanted(&sandbox(), now);
        let labels = identity.labels("s", &sandbox());
        assert_eq!(SandboxIdentity::read(&labels), identity);
        assert_eq!(user_labels(&labels), sandbox().labels);
        assert_eq!(user_annotations(&labels), sandbox().annotations);
        assert_eq!(Kind::of(&labels, "s"), Some(Kind::Sandbox));
        assert_eq!(Kind::of(&labels, "other"), None);

        let config = ContainerConfig {
            name: "main".into(),
            attempt: 3,
            image: "i:1".into(),
            ..ContainerConfig::default()
        };
        let container = ContainerIdentity::wanted(&SandboxId("abc".into()), "u-1", &config);
        let labels = container.labels("s", &identity, &config);
        assert_eq!(ContainerIdentity::read(&labels), container);
        assert_eq!(Kind::of(&labels, "s"), Some(Kind::Container));
    }

    #[test]
    fn names_are_legal_and_different() {
        let now = Timestamp::UNIX_EPOCH;
        let mut names = std::collections::HashSet::new();
        for name in ["a", "a_b", "a-b", "a/b", "ä", "", "-"] {
            let config = SandboxConfig {
                name: name.into(),
                ..sandbox()
            };
            let name = SandboxIdentity::wanted(&config, now).engine_name("s");
            assert!(
                name.chars()
                    .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)),
                "{name}"
            );
            assert!(names.insert(name));
        }
    }
}
