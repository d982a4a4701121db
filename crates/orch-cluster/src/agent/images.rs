//! Images: when to pull them, as whom, and never the same one many times at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Secret};
use orch_core::runtime::{Credentials, Image, PullRequest, Runtime, RuntimeError};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::kinds::pod::default_pull_policy;

/// When an image is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PullPolicy {
    /// For each container made.
    Always,
    /// If it is not here.
    IfNotPresent,
    /// Not.
    Never,
}

/// The container's pull policy; a pod whose writer knew no defaults has none.
pub(crate) fn pull_policy(container: &Container) -> PullPolicy {
    let given = container
        .image_pull_policy
        .as_deref()
        .filter(|policy| !policy.is_empty());
    let image = container.image.as_deref().unwrap_or_default();
    match given.unwrap_or_else(|| default_pull_policy(image)) {
        "Always" => PullPolicy::Always,
        "Never" => PullPolicy::Never,
        _ => PullPolicy::IfNotPresent,
    }
}

/// Pulls for all pods of a node: a bounded number at a time, and each image once for all who wait for it.
#[derive(Debug)]
pub(crate) struct Puller {
    slots: Semaphore,
    images: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
}

impl Puller {
    pub(crate) fn new(parallelism: usize) -> Self {
        Self {
            slots: Semaphore::new(parallelism.max(1)),
            images: Mutex::default(),
        }
    }

    /// Pulls the image, or with `unless_present` finds that someone else just has. Returns it, and how long the
    /// pull itself took; none if there was none.
    pub(crate) async fn pull(
        &self,
        runtime: &dyn Runtime,
        image: &str,
        credentials: &[Credentials],
        unless_present: bool,
    ) -> Result<(Image, Option<Duration>), RuntimeError> {
        let lock = self.lock(image);
        let _one_at_a_time = lock.lock().await;
        if unless_present && let Some(present) = runtime.image(image).await? {
            return Ok((present, None));
        }
        // The semaphore is never closed; a failure would only mean no bound.
        let _slot = self.slots.acquire().await;
        let begun = tokio::time::Instant::now();
        let mut last = Err(None);
        // As the kubelet does: with each of the credentials that fit, then as nobody.
        for credentials in credentials
            .iter()
            .map(Some)
            .chain((credentials.is_empty()).then_some(None))
        {
            let request = PullRequest {
                image: image.to_owned(),
                credentials: credentials.cloned(),
            };
            match runtime.pull_image(&request).await {
                Ok(pulled) => {
                    last = Ok(pulled);
                    break;
                }
                Err(error) => last = Err(Some(error)),
            }
        }
        match last {
            Ok(pulled) => Ok((pulled, Some(begun.elapsed()))),
            Err(error) => Err(error.unwrap_or_else(|| RuntimeError::failed("pulling", "nothing was tried"))),
        }
    }

    fn lock(&self, image: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut images = self.images.lock();
        if let Some(lock) = images.get(image).and_then(Weak::upgrade) {
            return lock;
        }
        images.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        images.insert(image.to_owned(), Arc::downgrade(&lock));
        lock
    }
}

/// The logins in `secrets` (of type `kubernetes.io/dockerconfigjson` or `…/dockercfg`) that fit the image's
/// registry.
pub(crate) fn credentials<'a>(
    secrets: impl IntoIterator<Item = &'a Secret>,
    image: &str,
) -> Vec<Credentials> {
    let registry = registry(image);
    let mut found: Vec<Credentials> = Vec::new();
    for secret in secrets {
        let data = secret.data.as_ref();
        let entry = |key: &str| {
            data.and_then(|data| data.get(key))
                .map(|bytes| bytes.0.as_slice())
        };
        // In order, for each is tried, and the one that fits first is asked first.
        let logins: BTreeMap<String, Login> = match (entry(".dockerconfigjson"), entry(".dockercfg")) {
            (Some(json), _) => serde_json::from_slice::<DockerConfig>(json).map(|config| config.auths),
            (None, Some(json)) => serde_json::from_slice(json),
            (None, None) => continue,
        }
        .unwrap_or_default();
        for (host, login) in logins {
            if fits(&host, registry, image)
                && let Some(login) = login.credentials()
                && !found.contains(&login)
            {
                found.push(login);
            }
        }
    }
    found
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Login>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Login {
    username: String,
    password: String,
    auth: String,
    identitytoken: String,
}

impl Login {
    fn credentials(self) -> Option<Credentials> {
        if !self.identitytoken.is_empty() {
            return Some(Credentials::IdentityToken(self.identitytoken));
        }
        if !self.username.is_empty() {
            return Some(Credentials::Basic {
                username: self.username,
                password: self.password,
            });
        }
        // `auth` is base64 of name and password; Kubernetes' byte strings are the same base64.
        let quoted = serde_json::Value::String(self.auth);
        let decoded: k8s_openapi::ByteString = serde_json::from_value(quoted).ok()?;
        let text = String::from_utf8(decoded.0).ok()?;
        let (username, password) = text.split_once(':')?;
        Some(Credentials::Basic {
            username: username.to_owned(),
            password: password.to_owned(),
        })
    }
}

/// The registry an image reference names; Docker's own by default.
fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "docker.io",
    }
}

/// Whether a login for `entry` (`https://index.docker.io/v1/`, `registry.example.com/team`) is for the image.
fn fits(entry: &str, registry: &str, image: &str) -> bool {
    let entry = entry
        .trim_start_matches("https://")
        .trim_start_matches("http://")
        .trim_end_matches('/');
    let (host, path) = entry.split_once('/').unwrap_or((entry, ""));
    let path = path
        .trim_start_matches("v1")
        .trim_start_matches("v2")
        .trim_matches('/');
    let host = if matches!(host, "index.docker.io" | "registry-1.docker.io") {
        "docker.io"
    } else {
        host
    };
    if host != registry {
        return false;
    }
    let repository = image
        .strip_prefix(registry)
        .unwrap_or(image)
        .trim_start_matches('/');
    path.is_empty()
        || repository
            .strip_prefix(path)
            .is_some_and(|rest| rest.starts_with(['/', ':', '@']) || rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use orch_core::testing::fake_runtime::{FakeRuntime, ImageBehavior};

    #[test]
    fn an_image_without_a_fixed_tag_is_always_pulled() {
        let cases = [
            ("nginx", PullPolicy::Always),
            ("nginx:latest", PullPolicy::Always),
            ("host:5000/nginx", PullPolicy::Always),
            ("nginx:1", PullPolicy::IfNotPresent),
            ("host:5000/nginx:1", PullPolicy::IfNotPresent),
            ("nginx@sha256:00", PullPolicy::IfNotPresent),
            ("nginx:latest@sha256:00", PullPolicy::Always),
        ];
        for (image, policy) in cases {
            let container = Container {
                image: Some(image.to_owned()),
                ..Container::default()
            };
            assert_eq!(pull_policy(&container), policy, "{image}");
        }
    }

    #[test]
    fn only_logins_for_the_images_registry_are_used() {
        // name:word in base64 is bmFtZTp3b3Jk
        let json = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "bmFtZTp3b3Jk"},
            "reg.example.com": {"username": "u", "password": "p"},
            "reg.example.com/team": {"identitytoken": "t"}}}"#;
        let data = [(
            ".dockerconfigjson".to_owned(),
            k8s_openapi::ByteString(json.as_bytes().to_vec()),
        )];
        let secret = Secret {
            data: Some(data.into()),
            ..Secret::default()
        };
        let of = |image| credentials([&secret], image);
        let hub = Credentials::Basic {
            username: "name".into(),
            password: "word".into(),
        };
        assert_eq!(of("nginx:1"), [hub]);
        assert_eq!(of("reg.example.com/app:1").len(), 1);
        assert_eq!(of("reg.example.com/team/app:1").len(), 2);
        assert_eq!(of("reg.example.com/teams/app:1").len(), 1);
        assert_eq!(of("other.example.com/app:1"), []);
    }

    #[tokio::test(start_paused = true)]
    async fn an_image_many_wait_for_is_pulled_once() {
        let runtime = FakeRuntime::new();
        runtime.on_image(
            "web:1",
            ImageBehavior::absent().pull_delay(Duration::from_secs(5)),
        );
        let puller = Puller::new(2);
        let begun = tokio::time::Instant::now();
        let pulls = (0..10).map(|_| puller.pull(&runtime, "web:1", &[], true));
        let done = futures::future::join_all(pulls).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
        let pulled = done
            .iter()
            .filter(|result| result.as_ref().is_ok_and(|(_, took)| took.is_some()));
        assert_eq!(pulled.count(), 1);
    }
}
