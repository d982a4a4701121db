//! Images: looked up, pulled, removed.

use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::query_parameters::{CreateImageOptionsBuilder, RemoveImageOptionsBuilder};
use futures::{StreamExt, TryStreamExt, stream};
use orch_core::runtime::{Credentials, Image, PullRequest, RuntimeError};

use crate::driver::Driver;
use crate::engine::fault::Fault;
use crate::engine::{Lane, wire, within};

/// How long a pull may take even if it gets on.
const PULL_LIMIT: Duration = Duration::from_secs(3600);

impl Driver {
    pub(crate) async fn image(&self, reference: &str) -> Result<Option<Image>, RuntimeError> {
        let name = Reference::parse(reference)?.engine_name();
        match self
            .engine
            .get::<wire::Image>(&format!("/images/{name}/json"))
            .await
        {
            Ok(image) => Ok(Some(told(image))),
            Err(fault) if fault.is_missing() => Ok(None),
            Err(fault) => Err(fault.during(format!("looking for image {reference}"))),
        }
    }

    pub(crate) async fn images(&self) -> Result<Vec<Image>, RuntimeError> {
        let listed: Vec<wire::Image> = self
            .engine
            .get("/images/json")
            .await
            .map_err(|fault| fault.during("listing images"))?;
        // A list does not tell the user an image runs as.
        stream::iter(listed)
            .map(async |image| {
                match self
                    .engine
                    .get::<wire::Image>(&format!("/images/{}/json", image.id))
                    .await
                {
                    Ok(whole) => Ok(Some(told(whole))),
                    Err(fault) if fault.is_missing() => Ok(None),
                    Err(fault) => Err(fault.during(format!("inspecting image {}", image.id))),
                }
            })
            .buffered(self.options.parallelism)
            .try_filter_map(|image| std::future::ready(Ok(image)))
            .try_collect()
            .await
    }

    pub(crate) async fn pull_image(&self, request: &PullRequest) -> Result<Image, RuntimeError> {
        let image = &request.image;
        let reference = Reference::parse(image)?;
        // Never closed, so an error cannot be.
        let _place = self.pulls.acquire().await.ok();
        self.engine
            .version()
            .await
            .map_err(|fault| fault.during(format!("pulling image {image}")))?;
        let pulled = within(PULL_LIMIT, self.pull(&reference, request.credentials.as_ref())).await;
        match pulled {
            Ok(()) => {}
            Err(Fault::Refused { status, message }) => {
                return Err(RuntimeError::PullFailed {
                    image: image.clone(),
                    retryable: is_retryable(status, &message),
                    reason: message,
                });
            }
            Err(fault) => return Err(fault.during(format!("pulling image {image}"))),
        }
        self.image(image)
            .await?
            .ok_or_else(|| RuntimeError::ImageNotFound { image: image.clone() })
    }

    async fn pull(&self, reference: &Reference<'_>, credentials: Option<&Credentials>) -> Result<(), Fault> {
        let options = CreateImageOptionsBuilder::new()
            .from_image(reference.name)
            // Without a tag the engine would fetch all there are.
            .tag(reference.digest.or(reference.tag).unwrap_or("latest"))
            .build();
        let credentials = credentials.map(|given| match given {
            Credentials::Basic { username, password } => DockerCredentials {
                username: Some(username.clone()),
                password: Some(password.clone()),
                serveraddress: Some(reference.registry().to_owned()),
                ..DockerCredentials::default()
            },
            Credentials::IdentityToken(token) => DockerCredentials {
                identitytoken: Some(token.clone()),
                serveraddress: Some(reference.registry().to_owned()),
                ..DockerCredentials::default()
            },
        });
        let mut progress = std::pin::pin!(self.engine.docker().create_image(
            Some(options),
            None,
            credentials
        ));
        let idle = self.options.pull_idle_timeout;
        loop {
            let step = within(idle, async { Ok(progress.next().await) }).await?;
            match step {
                Some(Ok(step)) => tracing::trace!(image = reference.name, status = ?step.status, "pulling"),
                Some(Err(error)) => return Err(self.engine.sorted(error)),
                None => return Ok(()),
            }
        }
    }

    pub(crate) async fn remove_image(&self, reference: &str) -> Result<(), RuntimeError> {
        let name = Reference::parse(reference)?.engine_name();
        let what = || format!("image {reference}");
        match self.untag(&name).await {
            // By its id an image with several names goes name by name.
            Err(fault) if fault.is_conflict() && fault.message().contains("multiple repositories") => {
                let Some(image) = self.image(reference).await? else {
                    return Ok(());
                };
                for tag in image.tags {
                    self.untag(&tag).await.map_err(|fault| in_use(fault, &what()))?;
                }
                Ok(())
            }
            done => done.map_err(|fault| in_use(fault, &what())),
        }
    }

    async fn untag(&self, name: &str) -> Result<(), Fault> {
        let options = RemoveImageOptionsBuilder::new().build();
        let removed = self
            .engine
            .call(Lane::Heavy, self.bound(), |docker| {
                docker.remove_image(name, Some(options), None)
            })
            .await;
        match removed {
            Err(fault) if !fault.is_missing() => Err(fault),
            _ => Ok(()),
        }
    }
}

fn in_use(fault: Fault, what: &str) -> RuntimeError {
    match fault {
        Fault::Refused { status: 409, message } => RuntimeError::InUse {
            what: what.to_owned(),
            by: user_of(&message),
        },
        other => other.during(format!("removing {what}")),
    }
}

/// Who uses an image: `… - container 0123 is using its referenced image 4567`, or the whole refusal.
fn user_of(message: &str) -> String {
    let mut words = message
        .split_whitespace()
        .skip_while(|word| *word != "container")
        .skip(1);
    match words.next() {
        Some(id) => format!("container {id}"),
        None => message.to_owned(),
    }
}

fn told(image: wire::Image) -> Image {
    let real = |name: &String| !name.starts_with("<none>");
    Image {
        id: image.id,
        tags: image.repo_tags.into_iter().filter(real).collect(),
        digests: image.repo_digests.into_iter().filter(real).collect(),
        size_bytes: u64::try_from(image.size).unwrap_or_default(),
        user: image.config.user,
    }
}

/// Whether a failed pull may succeed later with nothing changed here. The engine gives most registry errors
/// status 500 and the registry's own words (the error codes of the OCI distribution specification).
fn is_retryable(status: u16, message: &str) -> bool {
    const FINAL: [&str; 11] = [
        "unauthorized",
        "denied",
        "authentication required",
        "no basic auth credentials",
        "manifest unknown",
        "not found",
        "name unknown",
        "no matching manifest",
        "invalid reference format",
        "unsupported media type",
        "does not exist",
    ];
    let message = message.to_lowercase();
    if message.contains("toomanyrequests") || message.contains("too many requests") {
        return true;
    }
    !matches!(status, 400 | 401 | 403 | 404) && !FINAL.iter().any(|words| message.contains(words))
}

/// An image reference: `[registry[:port]/]path[:tag][@digest]`, or an image's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reference<'a> {
    name: &'a str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

/// Refuses what is no image reference.
pub(crate) fn check(reference: &str) -> Result<(), RuntimeError> {
    Reference::parse(reference).map(|_| ())
}

impl<'a> Reference<'a> {
    fn parse(text: &'a str) -> Result<Self, RuntimeError> {
        let refuse = |reason: &str| RuntimeError::InvalidImage {
            image: text.to_owned(),
            reason: reason.to_owned(),
        };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if name.is_empty() {
            return Err(refuse("it has no name"));
        }
        if name.len() > 255 {
            return Err(refuse("its name is longer than 255 characters"));
        }
        let (registry, path) = match name.split_once('/') {
            Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), path),
            _ => (None, name),
        };
        let registry_fits = |host: &str| {
            host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
                && host
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(c))
                && !host.contains("..")
        };
        if !registry.is_none_or(registry_fits) {
            return Err(refuse("its registry is no host name with an optional port"));
        }
        let ends_well = |byte: Option<u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let component_fits = |part: &str| {
            ends_well(part.bytes().next())
                && ends_well(part.bytes().last())
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
                && !part.contains("..")
        };
        if !path.split('/').all(component_fits) {
            return Err(refuse(
                "each part of its name must be small letters and digits, with single '.', '_' or '-' between them",
            ));
        }
        let tag_fits = |tag: &str| {
            tag.len() <= 128
                && !tag.is_empty()
                && !tag.starts_with(['.', '-'])
                && tag
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        };
        if tag.is_some_and(|tag| !tag_fits(tag)) {
            return Err(refuse(
                "its tag must be 1 to 128 letters, digits, '_', '.' and '-'",
            ));
        }
        let digest_fits = |digest: &str| {
            digest.split_once(':').is_some_and(|(algorithm, hex)| {
                !algorithm.is_empty()
                    && algorithm.bytes().all(|b| b.is_ascii_alphanumeric())
                    && hex.len() >= 32
                    && hex.bytes().all(|b| b.is_ascii_hexdigit())
            })
        };
        if digest.is_some_and(|digest| !digest_fits(digest)) {
            return Err(refuse("its digest must look like sha256:0123…"));
        }
        Ok(Self { name, tag, digest })
    }

    /// The form in which the engine looks images up.
    fn engine_name(&self) -> String {
        match (self.digest, self.tag) {
            (Some(digest), _) => format!("{}@{digest}", self.name),
            (None, Some(tag)) => format!("{}:{tag}", self.name),
            (None, None) => self.name.to_owned(),
        }
    }

    /// The host that credentials are for.
    fn registry(&self) -> &str {
        match self.name.split_once('/') {
            Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
            _ => "docker.io",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        let digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        let pinned = format!("localhost:5000/a/b:1.2@{digest}");
        for (text, name, tag, with_digest, registry) in [
            ("busybox", "busybox", None, None, "docker.io"),
            ("a/b:1.2", "a/b", Some("1.2"), None, "docker.io"),
            (
                "localhost:5000/b",
                "localhost:5000/b",
                None,
                None,
                "localhost:5000",
            ),
            (
                "127.0.0.1:5000/a/b:x",
                "127.0.0.1:5000/a/b",
                Some("x"),
                None,
                "127.0.0.1:5000",
            ),
            (
                &pinned,
                "localhost:5000/a/b",
                Some("1.2"),
                Some(digest),
                "localhost:5000",
            ),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(
                reference,
                Reference {
                    name,
                    tag,
                    digest: with_digest
                },
                "{text}"
            );
            assert_eq!(reference.registry(), registry);
        }
        assert_eq!(
            Reference::parse(&pinned).unwrap().engine_name(),
            format!("localhost:5000/a/b@{digest}")
        );
    }

    #[test]
    fn what_could_leave_the_path_of_a_request_is_no_reference() {
        for text in [
            "",
            ":x",
            "A",
            "a/../b",
            "../containers",
            "a//b",
            "a b",
            "a?x=y",
            "a#b",
            "a:",
            "a:.x",
            "a@sha256:xyz",
            "a/b%2f",
            "registry_x.y/..",
            "-a",
            "a-",
        ] {
            assert!(
                matches!(Reference::parse(text), Err(RuntimeError::InvalidImage { .. })),
                "{text:?}"
            );
        }
    }

    #[test]
    fn only_what_may_change_by_itself_is_tried_again() {
        for (status, message, retryable) in [
            (404, "manifest for x:y not found: manifest unknown", false),
            (
                500,
                "Get \"https://r/v2/\": unauthorized: authentication required",
                false,
            ),
            (500, "no basic auth credentials", false),
            (
                404,
                "pull access denied for x, repository does not exist or may require 'docker login'",
                false,
            ),
            (
                500,
                "Get \"http://r/v2/\": dial tcp 127.0.0.1:5000: connect: connection refused",
                true,
            ),
            (500, "dial tcp: lookup r: no such host", true),
            (
                500,
                "toomanyrequests: You have reached your pull rate limit, access denied",
                true,
            ),
            (500, "net/http: TLS handshake timeout", true),
        ] {
            assert_eq!(is_retryable(status, message), retryable, "{message}");
        }
    }

    #[test]
    fn who_uses_an_image_is_read_from_the_refusal() {
        let refusal = "conflict: unable to remove repository reference \"x\" (must force) - container 0123 is using its referenced image 4567";
        assert_eq!(user_of(refusal), "container 0123");
        assert_eq!(user_of("because"), "because");
    }
}
