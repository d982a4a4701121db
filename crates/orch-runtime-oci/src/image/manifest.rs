//! What registries and archives say of images: indexes, manifests, configurations (OCI image specification 1.1, and
//! Docker's schema 2, which has the same fields).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::digest::Digest;
use super::fault::Fault;
use super::limits::Limits;

/// A configuration, or a manifest, is a few KiB.
pub(crate) const LARGEST_DOCUMENT: u64 = 8 << 20;

/// For which machines an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Platform {
    /// As Go names them: `amd64`, `arm64`.
    pub architecture: String,
    /// Of 32-bit ARM: `v6`, `v7`.
    pub variant: Option<String>,
}

impl Platform {
    /// Linux on this architecture, in Go's words: `amd64`, `arm64`, `arm`.
    pub fn new(architecture: impl Into<String>) -> Self {
        Self {
            architecture: architecture.into(),
            variant: None,
        }
    }

    /// This machine's.
    pub fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "aarch64" => ("arm64", None),
            "x86" => ("386", None),
            "arm" => ("arm", Some("v7")),
            "powerpc64" if cfg!(target_endian = "little") => ("ppc64le", None),
            "loongarch64" => ("loong64", None),
            other => (other, None),
        };
        Self {
            architecture: architecture.into(),
            variant: variant.map(str::to_owned),
        }
    }

    /// How well a described platform fits; none: not at all.
    fn fit(&self, said: &SaidPlatform) -> Option<u8> {
        if said.os != "linux" || said.architecture != self.architecture {
            return None;
        }
        let bare = |variant: Option<&str>| match (self.architecture.as_str(), variant) {
            // arm64 has but v8, written or not.
            (_, None) | ("arm64", Some("v8")) => String::new(),
            (_, Some(variant)) => variant.to_owned(),
        };
        let (own, said) = (bare(self.variant.as_deref()), bare(said.variant.as_deref()));
        if own == said {
            Some(2)
        } else if said.is_empty() || (self.architecture == "arm" && said < own) {
            Some(1)
        } else {
            None
        }
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "linux/{}", self.architecture)?;
        self.variant
            .iter()
            .try_for_each(|variant| write!(f, "/{variant}"))
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
struct SaidPlatform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    variant: Option<String>,
}

/// Names a blob.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) digest: Digest,
    #[cfg(feature = "pull")]
    #[serde(default)]
    pub(crate) size: u64,
    platform: Option<SaidPlatform>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// An index or a manifest, told apart by what they hold: media types may be absent or wrong.
#[derive(Clone, Debug)]
pub(crate) enum Document {
    Index(Vec<Descriptor>),
    Manifest(Manifest),
}

#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

impl Document {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Raw {
            #[serde(default)]
            schema_version: u32,
            manifests: Option<Vec<Descriptor>>,
            config: Option<Descriptor>,
            layers: Option<Vec<Descriptor>>,
        }
        let raw: Raw = json(bytes, "manifest")?;
        match (raw.manifests, raw.config, raw.layers) {
            _ if raw.schema_version != 2 => Err(Fault::Refused(format!(
                "its manifest has schema version {}; 2 is supported",
                raw.schema_version
            ))),
            (Some(manifests), None, None) => Ok(Self::Index(manifests)),
            (None, Some(config), layers) => Ok(Self::Manifest(Manifest {
                config,
                layers: layers.unwrap_or_default(),
            })),
            // Read as the one by us and as the other by who checked it: CVE-2021-41190.
            _ => Err(Fault::refused(
                "its manifest must have either manifests, or a config and layers",
            )),
        }
    }
}

/// The manifest for a platform; who does not say for which is taken if nobody else fits.
pub(crate) fn choose<'a>(index: &'a [Descriptor], platform: &Platform) -> Result<&'a Descriptor, Fault> {
    let fit = |descriptor: &Descriptor| match &descriptor.platform {
        Some(said) => platform.fit(said),
        None => Some(0),
    };
    let mut best: Option<(u8, &Descriptor)> = None;
    for descriptor in index {
        if let Some(fit) = fit(descriptor)
            && best.is_none_or(|(other, _)| fit > other)
        {
            best = Some((fit, descriptor));
        }
    }
    best.map(|(_, descriptor)| descriptor).ok_or_else(|| {
        let offered: Vec<String> = index
            .iter()
            .filter_map(|descriptor| descriptor.platform.as_ref())
            .filter(|said| said.os != "unknown")
            .map(|said| format!("{}/{}", said.os, said.architecture))
            .collect();
        Fault::Refused(format!(
            "no matching manifest for {platform}; there are: {}",
            offered.join(", ")
        ))
    })
}

/// What an image runs unless told otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageDefaults {
    /// What to execute.
    pub entrypoint: Vec<String>,
    /// Its arguments, or what to execute if there is no entry point.
    pub cmd: Vec<String>,
    /// Names and values, in order.
    pub env: Vec<(String, String)>,
    /// `user[:group]`, as written in the image; empty: root.
    pub user: String,
    /// Where it starts; empty: `/`.
    pub working_dir: String,
    /// The signal that asks it to end; none: `SIGTERM`.
    pub stop_signal: Option<String>,
}

/// An image's configuration.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) defaults: ImageDefaults,
    /// Of the layers' archives, the lowest first.
    pub(crate) diffs: Vec<Digest>,
    said: SaidPlatform,
}

impl Config {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        #[derive(Deserialize)]
        struct Raw {
            #[serde(default)]
            architecture: String,
            #[serde(default)]
            os: String,
            variant: Option<String>,
            #[serde(default, deserialize_with = "or_default")]
            config: RawConfig,
            rootfs: RawRoot,
        }
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "PascalCase", default)]
        struct RawConfig {
            #[serde(deserialize_with = "or_default")]
            user: String,
            #[serde(deserialize_with = "or_default")]
            env: Vec<String>,
            #[serde(deserialize_with = "or_default")]
            entrypoint: Vec<String>,
            #[serde(deserialize_with = "or_default")]
            cmd: Vec<String>,
            #[serde(deserialize_with = "or_default")]
            working_dir: String,
            #[serde(deserialize_with = "or_default")]
            stop_signal: String,
        }
        #[derive(Deserialize)]
        struct RawRoot {
            #[serde(rename = "type", default)]
            kind: String,
            #[serde(default, deserialize_with = "or_default")]
            diff_ids: Vec<Digest>,
        }
        let raw: Raw = json(bytes, "configuration")?;
        let said = SaidPlatform {
            architecture: raw.architecture,
            os: raw.os,
            variant: raw.variant,
        };
        if !matches!(raw.rootfs.kind.as_str(), "" | "layers") {
            return Err(Fault::Refused(format!(
                "its root file system is of type {:?}; layers is supported",
                raw.rootfs.kind
            )));
        }
        let variable = |text: String| match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (text, String::new()),
        };
        let config = raw.config;
        Ok(Self {
            defaults: ImageDefaults {
                entrypoint: config.entrypoint,
                cmd: config.cmd,
                env: config.env.into_iter().map(variable).collect(),
                user: config.user,
                working_dir: config.working_dir,
                stop_signal: Some(config.stop_signal).filter(|signal| !signal.is_empty()),
            },
            diffs: raw.rootfs.diff_ids,
            said,
        })
    }

    /// Refuses what is for other machines, or too much.
    pub(crate) fn check(&self, platform: &Platform, limits: &Limits) -> Result<(), Fault> {
        let said = &self.said;
        // Images made by hand often say nothing.
        let silent = said.architecture.is_empty() && said.os.is_empty();
        if !silent && platform.fit(said).is_none() {
            return Err(Fault::Refused(format!(
                "it is for {}/{}, and this store is for {platform}",
                said.os, said.architecture
            )));
        }
        let (count, most) = (self.diffs.len(), limits.max_layers);
        if count > most {
            return Err(Fault::Refused(format!(
                "it has {count} layers; at most {most} are allowed"
            )));
        }
        Ok(())
    }

    /// What each layer is together with those below it, the lowest first.
    pub(crate) fn chains(&self) -> Vec<Digest> {
        let mut below = None;
        self.diffs
            .iter()
            .map(|diff| {
                let chain = Digest::chain(below, *diff);
                below = Some(chain);
                chain
            })
            .collect()
    }
}

/// Parses one of them.
pub(crate) fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8], what: &str) -> Result<T, Fault> {
    serde_json::from_slice(bytes)
        .map_err(|error| Fault::Refused(format!("its {what} cannot be read: {error}")))
}

/// Go writes what is empty as null.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(platforms: &[&str]) -> Vec<Descriptor> {
        platforms
            .iter()
            .map(|text| {
                let mut parts = text.split('/').map(str::to_owned);
                Descriptor {
                    digest: Digest::of(text.as_bytes()),
                    #[cfg(feature = "pull")]
                    size: 0,
                    platform: (!text.is_empty()).then(|| SaidPlatform {
                        os: parts.next().unwrap(),
                        architecture: parts.next().unwrap(),
                        variant: parts.next(),
                    }),
                    annotations: BTreeMap::new(),
                }
            })
            .collect()
    }

    #[test]
    fn the_best_fitting_platform_is_chosen() {
        let arm = |variant: &str| Platform {
            architecture: "arm".into(),
            variant: Some(variant.into()),
        };
        for (offered, platform, chosen) in [
            (
                &["windows/amd64", "linux/arm64", "linux/amd64"][..],
                Platform::new("amd64"),
                Some("linux/amd64"),
            ),
            (
                &["linux/arm64/v8"],
                Platform::new("arm64"),
                Some("linux/arm64/v8"),
            ),
            (
                &["linux/arm/v5", "linux/arm/v7", "linux/arm/v6"],
                arm("v7"),
                Some("linux/arm/v7"),
            ),
            (&["linux/arm/v7", "linux/arm/v6"], arm("v6"), Some("linux/arm/v6")),
            (&["linux/arm/v7"], arm("v6"), None),
            // A build's attestation is no image.
            (
                &["unknown/unknown", "linux/amd64"],
                Platform::new("amd64"),
                Some("linux/amd64"),
            ),
            (&["linux/amd64/v3"], Platform::new("amd64"), None),
            (
                &["linux/amd64/v3", "linux/amd64"],
                Platform::new("amd64"),
                Some("linux/amd64"),
            ),
            (&[""], Platform::new("amd64"), Some("")),
            (&["", "linux/amd64"], Platform::new("amd64"), Some("linux/amd64")),
            (&["windows/amd64", "linux/s390x"], Platform::new("amd64"), None),
            (&[], Platform::new("amd64"), None),
        ] {
            let index = index(offered);
            let found = choose(&index, &platform).ok().map(|descriptor| descriptor.digest);
            let expected = chosen.map(|text| Digest::of(text.as_bytes()));
            assert_eq!(found, expected, "{offered:?} for {platform}");
        }
    }

    #[test]
    fn manifests_that_could_be_read_in_two_ways_are_refused() {
        let digest = Digest::of(b"");
        let config = format!("\"config\":{{\"digest\":\"{digest}\",\"size\":1}}");
        for (text, good) in [
            (format!("{{\"schemaVersion\":2,{config},\"layers\":null}}"), true),
            ("{\"schemaVersion\":2,\"manifests\":[]}".into(), true),
            (
                format!("{{\"schemaVersion\":2,{config},\"layers\":[],\"manifests\":[]}}"),
                false,
            ),
            (format!("{{\"schemaVersion\":1,{config},\"layers\":[]}}"), false),
            ("{\"schemaVersion\":2}".into(), false),
            (
                "{\"schemaVersion\":2,\"config\":{\"digest\":\"sha256:../x\",\"size\":1}}".into(),
                false,
            ),
            ("[".into(), false),
        ] {
            assert_eq!(Document::parse(text.as_bytes()).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn a_configuration_becomes_defaults() {
        let parse = |text: &str| {
            let config = Config::parse(text.as_bytes())?;
            config.check(&Platform::new("amd64"), &Limits::default())?;
            Ok::<_, Fault>(config)
        };
        let config = parse(
            "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"User\":\"1:2\",\"Env\":[\"A=b=c\",\"D\"],\
             \"Entrypoint\":[\"/e\"],\"Cmd\":null,\"WorkingDir\":\"/w\",\"StopSignal\":\"SIGQUIT\"},\
             \"rootfs\":{\"type\":\"layers\",\"diff_ids\":null}}",
        )
        .unwrap();
        let expected = ImageDefaults {
            entrypoint: vec!["/e".into()],
            cmd: vec![],
            env: vec![("A".into(), "b=c".into()), ("D".into(), String::new())],
            user: "1:2".into(),
            working_dir: "/w".into(),
            stop_signal: Some("SIGQUIT".into()),
        };
        assert_eq!(config.defaults, expected);
        let silent = parse("{\"config\":null,\"rootfs\":{\"diff_ids\":[]}}").unwrap();
        assert_eq!(silent.defaults, ImageDefaults::default());
        for bad in [
            "{\"architecture\":\"arm64\",\"os\":\"linux\",\"rootfs\":{\"diff_ids\":[]}}",
            "{\"architecture\":\"amd64\",\"os\":\"windows\",\"rootfs\":{\"diff_ids\":[]}}",
            "{\"rootfs\":{\"type\":\"other\",\"diff_ids\":[]}}",
            "{\"rootfs\":{\"diff_ids\":[\"sha256:1\"]}}",
            "{}",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
