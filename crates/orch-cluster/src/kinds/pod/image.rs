//! Reads the tag of an image reference.

/// The pull policy of a container whose manifest names none: `Always` for the tag `latest`, written or implied,
/// `IfNotPresent` for any other tag, for a digest, and for a reference that does not parse.
pub fn default_pull_policy(image: &str) -> &'static str {
    if is_latest(image) {
        "Always"
    } else {
        "IfNotPresent"
    }
}

fn is_latest(image: &str) -> bool {
    let (name, digest) = match image.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (image, None),
    };
    // A colon before the last slash belongs to the port of a registry.
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    let (repository, tag) = match name[last..].find(':') {
        Some(colon) => (&name[..last + colon], Some(&name[last + colon + 1..])),
        None => (name, None),
    };
    if repository.is_empty() || path_of(repository).contains(|c: char| c.is_ascii_uppercase()) {
        return false;
    }
    match tag {
        Some(tag) => tag == "latest",
        None => digest.is_none(),
    }
}

/// The repository without the registry's host; only the host may hold upper-case letters.
fn path_of(repository: &str) -> &str {
    match repository.split_once('/') {
        Some((host, path)) if host == "localhost" || host.contains(['.', ':']) => path,
        _ => repository,
    }
}

#[cfg(test)]
mod tests {
    use super::default_pull_policy;

    #[test]
    fn only_the_tag_latest_is_always_pulled() {
        for (image, policy) in [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1.27", "IfNotPresent"),
            ("registry.example:5000/web", "Always"),
            ("registry.example:5000/web:v1", "IfNotPresent"),
            ("Registry.example/web", "Always"),
            ("nginx@sha256:0000", "IfNotPresent"),
            ("nginx:latest@sha256:0000", "Always"),
            ("Nginx", "IfNotPresent"),
            ("", "IfNotPresent"),
        ] {
            assert_eq!(default_pull_policy(image), policy, "{image}");
        }
    }
}
