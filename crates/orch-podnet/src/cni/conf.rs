//! Configuration files of CNI: pure, but for finding them.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::options::{CniOptions, Config};

/// A version of CNI's specification that is spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Version {
    #[serde(rename = "0.3.0")]
    V0_3_0,
    #[serde(rename = "0.3.1")]
    V0_3_1,
    /// Brought `CHECK`, and the result to `DEL`.
    #[serde(rename = "0.4.0")]
    V0_4_0,
    #[serde(rename = "1.0.0")]
    V1_0_0,
    /// Brought `GC` and `STATUS`.
    #[serde(rename = "1.1.0")]
    V1_1_0,
}

impl Version {
    const ALL: [(Self, &'static str); 5] = [
        (Self::V0_3_0, "0.3.0"),
        (Self::V0_3_1, "0.3.1"),
        (Self::V0_4_0, "0.4.0"),
        (Self::V1_0_0, "1.0.0"),
        (Self::V1_1_0, "1.1.0"),
    ];

    pub(super) fn word(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(version, _)| *version == self)
            .map_or("", |(_, word)| word)
    }

    fn read(word: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, known)| *known == word)
            .map(|(version, _)| *version)
    }
}

/// A chain of plugins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Chain {
    pub(super) version: Version,
    pub(super) name: String,
    pub(super) checked: bool,
    pub(super) collected: bool,
    pub(super) plugins: Vec<Map<String, Value>>,
}

impl Chain {
    /// Reads a list of plugins, or the configuration of a single one.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let all: Map<String, Value> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let name = text(&all, "name")?.ok_or("name: is missing")?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if !name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric) || !name.bytes().all(plain) {
            return Err(format!(
                "name: {name:?}: must begin with a letter or digit, then letters, digits, _ . and -"
            ));
        }
        let plugins = match all.get("plugins") {
            None => vec![all.clone()],
            Some(Value::Array(plugins)) => plugins
                .iter()
                .map(|plugin| {
                    plugin
                        .as_object()
                        .cloned()
                        .ok_or("plugins: must be a list of objects")
                })
                .collect::<Result<_, _>>()?,
            Some(_) => return Err("plugins: must be a list".into()),
        };
        if plugins.is_empty() {
            return Err("plugins: is empty".into());
        }
        for (index, plugin) in plugins.iter().enumerate() {
            match text(plugin, "type")? {
                Some(program) if !program.is_empty() && !program.contains('/') => {}
                Some(program) => {
                    return Err(format!(
                        "plugins[{index}].type: {program:?}: must be the name of a program"
                    ));
                }
                None => return Err(format!("plugins[{index}].type: is missing")),
            }
        }
        Ok(Self {
            version: version(&all)?,
            name: name.to_owned(),
            checked: !flag(&all, "disableCheck")?,
            collected: !flag(&all, "disableGC")?,
            plugins,
        })
    }

    /// The one that the options say.
    pub(super) fn load(options: &CniOptions) -> Result<Self, String> {
        let read = |file: &Path| {
            fs::read(file)
                .map_err(|error| error.to_string())
                .and_then(|bytes| Self::parse(&bytes))
        };
        let dir = match &options.config {
            Config::File(file) => return read(file).map_err(|error| format!("{}: {error}", file.display())),
            Config::Dir(dir) => dir,
        };
        let mut faults = Vec::new();
        for file in files(dir)? {
            match read(&file) {
                Ok(chain) if options.network.as_ref().is_none_or(|name| *name == chain.name) => {
                    return Ok(chain);
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(file = %file.display(), error, "passing over a CNI configuration");
                    faults.push(format!("{}: {error}", file.display()));
                }
            }
        }
        let wanted = options
            .network
            .as_ref()
            .map_or_else(String::new, |name| format!(" of the network {name:?}"));
        let faults = if faults.is_empty() {
            String::new()
        } else {
            format!(" ({})", faults.join("; "))
        };
        Err(format!(
            "there is no CNI configuration{wanted} in {}{faults}",
            dir.display()
        ))
    }
}

/// The files of a directory that may be configurations, in the order of their names.
fn files(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("{}: {error}", dir.display())),
    };
    let known = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("conflist" | "conf" | "json")) && path.is_file()
    };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(known)
        .collect();
    files.sort();
    Ok(files)
}

/// The newest version that both the configuration and we speak.
fn version(all: &Map<String, Value>) -> Result<Version, String> {
    let mut words: Vec<&str> = text(all, "cniVersion")?.into_iter().collect();
    if let Some(more) = all.get("cniVersions") {
        let more = more.as_array().ok_or("cniVersions: must be a list")?;
        words.extend(more.iter().filter_map(Value::as_str));
    }
    let spoken = words.iter().filter_map(|word| Version::read(word)).max();
    let known: Vec<&str> = Version::ALL.iter().map(|(_, word)| *word).collect();
    spoken.ok_or_else(|| {
        let found = if words.is_empty() {
            "is missing".to_owned()
        } else {
            format!("{:?}", words.join(", "))
        };
        format!("cniVersion: {found}: must be one of {}", known.join(", "))
    })
}

fn text<'a>(all: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, String> {
    match all.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{key}: must be a string")),
    }
}

/// A switch, which older versions have as a string.
fn flag(all: &Map<String, Value>, key: &str) -> Result<bool, String> {
    match all.get(key) {
        None => Ok(false),
        Some(Value::Bool(on)) => Ok(*on),
        Some(Value::String(word)) if matches!(word.as_str(), "true" | "false") => Ok(word == "true"),
        Some(other) => Err(format!("{key}: {other}: must be true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_and_a_single_plugin_are_chains() {
        let list = Chain::parse(
            br#"{"cniVersion":"0.4.0","name":"net","disableCheck":"true","plugins":[{"type":"bridge"},{"type":"portmap"}]}"#,
        );
        let list = list.unwrap();
        assert_eq!(
            (list.version, list.checked, list.collected, list.plugins.len()),
            (Version::V0_4_0, false, true, 2)
        );
        let single = Chain::parse(br#"{"cniVersion":"0.3.1","name":"net","type":"ptp"}"#).unwrap();
        assert_eq!((single.name.as_str(), single.plugins.len()), ("net", 1));
        let many = br#"{"cniVersion":"0.4.0","cniVersions":["1.0.0","9.9.9","1.1.0"],"name":"n","plugins":[{"type":"a"}]}"#;
        assert_eq!(Chain::parse(many).unwrap().version, Version::V1_1_0);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, expected) in [
            ("{", "EOF"),
            (r#"{"cniVersion":"1.0.0"}"#, "name: is missing"),
            (
                r#"{"cniVersion":"1.0.0","name":"-a","type":"x"}"#,
                r#"name: "-a": must begin"#,
            ),
            (
                r#"{"name":"a","type":"x"}"#,
                "cniVersion: is missing: must be one of 0.3.0, 0.3.1",
            ),
            (
                r#"{"cniVersion":"0.2.0","name":"a","type":"x"}"#,
                r#"cniVersion: "0.2.0": must be one of"#,
            ),
            (
                r#"{"cniVersion":"1.0.0","name":"a","plugins":[]}"#,
                "plugins: is empty",
            ),
            (
                r#"{"cniVersion":"1.0.0","name":"a","plugins":{}}"#,
                "plugins: must be a list",
            ),
            (
                r#"{"cniVersion":"1.0.0","name":"a","plugins":[{}]}"#,
                "plugins[0].type: is missing",
            ),
            (
                r#"{"cniVersion":"1.0.0","name":"a","plugins":[{"type":"../x"}]}"#,
                "must be the name of a program",
            ),
            (
                r#"{"cniVersion":"1.0.0","name":"a","type":"x","disableCheck":1}"#,
                "disableCheck: 1: must be true or false",
            ),
        ] {
            let error = Chain::parse(text.as_bytes()).expect_err(text);
            assert!(error.contains(expected), "{error} should say {expected}");
        }
    }

    #[test]
    fn the_first_file_by_name_that_can_be_read_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let options = CniOptions::new("/nowhere").config_dir(dir.path());
        let error = Chain::load(&options).unwrap_err();
        assert!(error.starts_with("there is no CNI configuration in "), "{error}");
        for (file, name) in [
            ("20-b.conf", "b"),
            ("10-a.conflist", "a"),
            ("30-c.json", "c"),
            ("00.txt", "no"),
        ] {
            let text = format!(r#"{{"cniVersion":"1.0.0","name":"{name}","type":"x"}}"#);
            fs::write(dir.path().join(file), text).unwrap();
        }
        fs::write(dir.path().join("05-broken.conf"), "{}").unwrap();
        assert_eq!(Chain::load(&options).unwrap().name, "a");
        assert_eq!(Chain::load(&options.clone().network("c")).unwrap().name, "c");
        let error = Chain::load(&options.clone().network("d")).unwrap_err();
        assert!(
            error.contains(r#"of the network "d""#) && error.contains("05-broken.conf: name: is missing"),
            "{error}"
        );
        let one = options.config_file(dir.path().join("20-b.conf"));
        assert_eq!(Chain::load(&one).unwrap().name, "b");
    }
}
