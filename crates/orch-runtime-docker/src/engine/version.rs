//! Which version of the API to speak.
//!
//! bollard 0.21 computes a version but leaves it out of the request (fussybeaver/bollard#736), which means the
//! engine's newest. We choose one ourselves, so that an engine's upgrade changes nothing under our feet.

use std::fmt;

use super::fault::Fault;
use super::wire;

/// A version of the engine's API, such as 1.41.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ApiVersion(pub(crate) u16, pub(crate) u16);

/// Docker 20.10, and what Podman's socket claims.
pub(crate) const OLDEST: ApiVersion = ApiVersion(1, 41);
/// What the request types in use describe (Docker 29).
pub(crate) const NEWEST: ApiVersion = ApiVersion(1, 53);

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl ApiVersion {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

/// The newest version that both speak.
pub(crate) fn negotiate(engine: &wire::Version) -> Result<ApiVersion, Fault> {
    let newest = ApiVersion::parse(&engine.api_version).ok_or_else(|| {
        Fault::Malformed(format!(
            "ApiVersion {:?} is not a version such as 1.41",
            engine.api_version
        ))
    })?;
    // Absent in very old engines and unneeded where it does not parse.
    let oldest = ApiVersion::parse(&engine.min_api_version).unwrap_or(ApiVersion(1, 0));
    if newest < OLDEST {
        return Err(Fault::Version(format!(
            "{} speaks API {newest} at most, and at least {OLDEST} (Docker 20.10) is needed; upgrade the engine",
            engine.described()
        )));
    }
    if oldest > NEWEST {
        return Err(Fault::Version(format!(
            "{} speaks API {oldest} at least, and this program knows {NEWEST} at most; upgrade this program",
            engine.described()
        )));
    }
    Ok(newest.min(NEWEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_common_version_is_spoken() {
        for (newest, oldest, chosen) in [
            ("1.41", "1.12", Some("1.41")), // Debian 12
            ("1.41", "1.24", Some("1.41")), // Podman
            ("1.52", "1.44", Some("1.52")), // Docker 29
            ("1.60", "1.50", Some("1.53")),
            ("1.60", "1.54", None),
            ("1.40", "1.12", None),
            ("1.44", "", Some("1.44")),
            ("", "", None),
            ("one.two", "1.1", None),
        ] {
            let engine = wire::Version {
                api_version: newest.into(),
                min_api_version: oldest.into(),
                ..wire::Version::default()
            };
            let got = negotiate(&engine).ok().map(|v| v.to_string());
            assert_eq!(got.as_deref(), chosen, "{newest} {oldest}");
        }
    }

    #[test]
    fn a_refused_version_says_who_must_upgrade() {
        let old = wire::Version {
            version: "18.09".into(),
            api_version: "1.39".into(),
            ..wire::Version::default()
        };
        assert!(
            negotiate(&old)
                .unwrap_err()
                .to_string()
                .contains("docker 18.09 speaks API 1.39")
        );
    }
}
