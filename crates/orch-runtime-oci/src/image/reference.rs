//! Image references: `[registry[:port]/]path[:tag][@digest]`, brought into one form.

use orch_core::runtime::RuntimeError;

use super::digest::Digest;

/// A reference with nothing left out: `busybox` is `docker.io/library/busybox:latest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) registry: String,
    pub(crate) path: String,
    /// None if there is a digest, which says more.
    pub(crate) tag: Option<String>,
    pub(crate) digest: Option<Digest>,
}

/// What an image is asked for by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The machine's own root.
    Host,
    /// An image's id.
    Id(Digest),
    Name(Name),
}

/// The name of the image that is the machine's own root.
pub(crate) const HOST: &str = "host";

impl Asked {
    pub(crate) fn parse(text: &str) -> Result<Self, RuntimeError> {
        if text == HOST {
            return Ok(Self::Host);
        }
        if let Ok(id) = Digest::parse(text) {
            return Ok(Self::Id(id));
        }
        Name::parse(text)
            .map(Self::Name)
            .map_err(|reason| RuntimeError::InvalidImage {
                image: text.to_owned(),
                reason: reason.to_owned(),
            })
    }
}

impl Name {
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = Digest::parse(digest)
                    .map_err(|_| "its digest must be sha256: and 64 small hex digits")?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if name.is_empty() || name.len() > 255 {
            return Err("its name must have 1 to 255 characters");
        }
        let is_host = |first: &str| first.contains(['.', ':']) || first == "localhost";
        let (registry, path) = match name.split_once('/') {
            Some((first, path)) if is_host(first) => (first, path),
            _ => ("docker.io", name),
        };
        if !is_registry(registry) {
            return Err(
                "its registry must be a host name, with a port or without, such as registry.example:5000",
            );
        }
        if !path.split('/').all(is_component) {
            return Err(
                "each part of its name must be small letters and digits, with single '.', '_' or '-' between them",
            );
        }
        if !tag.is_none_or(is_tag) {
            return Err("its tag must be 1 to 128 letters, digits, '_', '.' and '-'");
        }
        let registry = match registry {
            "index.docker.io" | "registry-1.docker.io" => "docker.io",
            other => other,
        };
        let path = if registry == "docker.io" && !path.contains('/') {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        Ok(Self {
            registry: registry.to_owned(),
            path,
            tag: match digest {
                Some(_) => None,
                None => Some(tag.unwrap_or("latest").to_owned()),
            },
            digest,
        })
    }

    /// Its registry and path, with a digest.
    pub(crate) fn with_digest(&self, digest: Digest) -> String {
        format!("{}/{}@{digest}", self.registry, self.path)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

fn is_registry(host: &str) -> bool {
    host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
        && host
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(c))
        && !host.contains("..")
}

fn is_component(part: &str) -> bool {
    let ends_well = |byte: Option<u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    ends_well(part.bytes().next())
        && ends_well(part.bytes().last())
        && part
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
        && !part.contains("..")
}

fn is_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && !tag.starts_with(['.', '-'])
        && tag
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_brought_into_one_form() {
        let digest = Digest::of(b"");
        let pinned = format!("localhost:5000/a/b:1.2@{digest}");
        let plain = format!("localhost:5000/a/b@{digest}");
        for (text, whole) in [
            ("busybox", "docker.io/library/busybox:latest"),
            (
                "index.docker.io/library/busybox",
                "docker.io/library/busybox:latest",
            ),
            ("a/b:1.2", "docker.io/a/b:1.2"),
            ("localhost:5000/b", "localhost:5000/b:latest"),
            ("127.0.0.1:5000/a/b:x", "127.0.0.1:5000/a/b:x"),
            ("[::1]:5000/b", "[::1]:5000/b:latest"),
            // A tag beside a digest says nothing.
            (&pinned, &plain),
        ] {
            let name = Name::parse(text).unwrap();
            assert_eq!(name.to_string(), whole);
            assert_eq!(Name::parse(whole), Ok(name), "{text}");
        }
        assert_eq!(Asked::parse("host").unwrap(), Asked::Host);
        assert_eq!(Asked::parse(&digest.to_string()).unwrap(), Asked::Id(digest));
        for bad in [
            "",
            "A",
            "a b",
            "a//b",
            "/a",
            "a/",
            "a:",
            "a:-x",
            "a@sha256:12",
            "a..b",
            "-x.y/b",
            "../a",
            "a/../b",
            "a\0",
            "https://a.b/c",
            "a.b/-c",
        ] {
            assert!(
                matches!(Asked::parse(bad), Err(RuntimeError::InvalidImage { .. })),
                "{bad}"
            );
        }
    }
}
