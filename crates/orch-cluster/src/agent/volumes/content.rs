//! What the files of a volume hold.

use std::io;
use std::path::Path;

use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, HostPathVolumeSource, KeyToPath, Volume};

use super::{beneath, is_inside};
use crate::agent::downward::{self, Facts};
use crate::agent::env::{EnvError, Sources};

/// The mode of files where none is asked for.
const MODE: i32 = 0o644;

#[derive(Debug)]
pub(super) enum Content {
    Empty,
    Host(HostPathVolumeSource),
    Files(Vec<File>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    path: String,
    data: Vec<u8>,
    mode: u32,
}

pub(super) fn content(volume: &Volume, sources: &Sources, facts: &Facts<'_>) -> Result<Content, String> {
    if let Some(host) = &volume.host_path {
        return Ok(Content::Host(host.clone()));
    }
    let mut files = Files {
        sources,
        facts,
        all: Vec::new(),
    };
    if let Some(map) = &volume.config_map {
        files.config_map(&map.name, map.items.as_deref(), map.optional, map.default_mode)?;
    } else if let Some(secret) = &volume.secret {
        let name = secret.secret_name.as_deref().unwrap_or_default();
        files.secret(
            name,
            secret.items.as_deref(),
            secret.optional,
            secret.default_mode,
        )?;
    } else if let Some(downward) = &volume.downward_api {
        files.downward(
            downward.items.as_deref().unwrap_or_default(),
            downward.default_mode,
        )?;
    } else if let Some(projected) = &volume.projected {
        let mode = projected.default_mode;
        for source in projected.sources.iter().flatten() {
            if let Some(map) = &source.config_map {
                files.config_map(&map.name, map.items.as_deref(), map.optional, mode)?;
            }
            if let Some(secret) = &source.secret {
                files.secret(&secret.name, secret.items.as_deref(), secret.optional, mode)?;
            }
            if let Some(downward) = &source.downward_api {
                files.downward(downward.items.as_deref().unwrap_or_default(), mode)?;
            }
        }
    } else {
        return Ok(Content::Empty);
    }
    match files
        .all
        .iter()
        .find(|file| file.path.is_empty() || !is_inside(&file.path))
    {
        Some(file) => Err(format!("path {:?} must be relative and without '..'", file.path)),
        None => Ok(Content::Files(files.all)),
    }
}

struct Files<'a> {
    sources: &'a Sources,
    facts: &'a Facts<'a>,
    all: Vec<File>,
}

impl Files<'_> {
    fn config_map(
        &mut self,
        name: &str,
        items: Option<&[KeyToPath]>,
        optional: Option<bool>,
        mode: Option<i32>,
    ) -> Result<(), String> {
        let Some(map) = self.sources.config_maps.get(name) else {
            return missing("configmap", name, optional);
        };
        let text = map
            .data
            .iter()
            .flatten()
            .map(|(key, value)| (key.as_str(), value.as_bytes()));
        let binary = map
            .binary_data
            .iter()
            .flatten()
            .map(|(key, value)| (key.as_str(), value.0.as_slice()));
        let entries: Vec<_> = text.chain(binary).collect();
        self.entries(("configmap", name), &entries, items, optional, mode)
    }

    fn secret(
        &mut self,
        name: &str,
        items: Option<&[KeyToPath]>,
        optional: Option<bool>,
        mode: Option<i32>,
    ) -> Result<(), String> {
        let Some(secret) = self.sources.secrets.get(name) else {
            return missing("secret", name, optional);
        };
        let entries: Vec<_> = secret
            .data
            .iter()
            .flatten()
            .map(|(key, value)| (key.as_str(), value.0.as_slice()))
            .collect();
        self.entries(("secret", name), &entries, items, optional, mode)
    }

    fn entries(
        &mut self,
        (kind, name): (&str, &str),
        entries: &[(&str, &[u8])],
        items: Option<&[KeyToPath]>,
        optional: Option<bool>,
        mode: Option<i32>,
    ) -> Result<(), String> {
        let Some(items) = items else {
            self.all
                .extend(entries.iter().map(|(key, data)| file(key, data, None, mode)));
            return Ok(());
        };
        for item in items {
            match entries.iter().find(|(key, _)| *key == item.key) {
                Some((_, data)) => self.all.push(file(&item.path, data, item.mode, mode)),
                None if optional == Some(true) => {}
                None => {
                    // The kubelet's words to the key.
                    let references = match kind {
                        "secret" => "references non-existent secret key",
                        _ => "configmap references non-existent config key",
                    };
                    let key = &item.key;
                    return Err(format!(
                        "{references}: {key}: add it to {kind} {name:?}, leave it out of items, or set optional: true"
                    ));
                }
            }
        }
        Ok(())
    }

    fn downward(&mut self, items: &[DownwardAPIVolumeFile], mode: Option<i32>) -> Result<(), String> {
        for item in items {
            let value = match (&item.field_ref, &item.resource_field_ref) {
                (Some(field), _) => downward::file_field(self.facts, &field.field_path)?,
                (None, Some(resource)) => {
                    let first = self
                        .facts
                        .pod
                        .spec
                        .as_ref()
                        .and_then(|spec| spec.containers.first());
                    let first = first.ok_or_else(|| "the pod has no container".to_owned())?;
                    downward::resource(self.facts, first, resource)?
                }
                (None, None) => {
                    return Err(format!(
                        "downwardAPI: path {:?}: set fieldRef or resourceFieldRef",
                        item.path
                    ));
                }
            };
            self.all.push(file(&item.path, value.as_bytes(), item.mode, mode));
        }
        Ok(())
    }
}

fn file(path: &str, data: &[u8], own: Option<i32>, default: Option<i32>) -> File {
    let mode = own.or(default).unwrap_or(MODE) & 0o777;
    File {
        path: path.to_owned(),
        data: data.to_vec(),
        mode: u32::try_from(mode).unwrap_or(0o644),
    }
}

fn missing(kind: &'static str, name: &str, optional: Option<bool>) -> Result<(), String> {
    if optional == Some(true) {
        return Ok(());
    }
    Err(EnvError::NotFound {
        kind,
        name: name.to_owned(),
    }
    .to_string())
}

impl File {
    pub(super) fn write(&self, root: &Path) -> io::Result<()> {
        beneath::write(root, Path::new(&self.path), &self.data, self.mode)
    }
}
